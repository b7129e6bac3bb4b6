"""The coarse mesh of a surface against the depths of every pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from napari_deepz.surfaces import AlongPath, Curved, Flat, FromImage, FromPoints, Tilted
from napari_deepz.widgets.refocusing.surfaces.surface_mesh import depth_grid

PIXEL_UM = 0.325
SHAPES = [(1024, 1024), (600, 1024), (97, 64), (30, 20), (5, 1), (1, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "surface",
    [
        Tilted(20, -7, 1.5),
        Curved(form="cylinder", radius_um=-700, axis_deg=30, offset_um=2),
        Curved(form="sphere", radius_um=900, centre_um=(10, 200)),
        FromPoints([(0, 0, 1), (300, 0, -4), (0, 300, 2)]),
    ],
    ids=lambda surface: surface.kind,
)
def test_nodes_lie_on_the_surface_and_reach_both_ends(surface: Any, shape: Any) -> None:
    grid = depth_grid(surface, shape, PIXEL_UM)
    for nodes_um, size in ((grid.y_um, shape[0]), (grid.x_um, shape[1])):
        assert len(nodes_um) <= 48
        assert (nodes_um[0], nodes_um[-1]) == (0, pytest.approx((size - 1) * PIXEL_UM))
        assert np.all(np.diff(nodes_um) > 0)

    wide = (max(shape[0], 2), max(shape[1], 2))
    pixels_um = tuple(np.arange(size) * PIXEL_UM for size in wide)
    full = np.broadcast_to(surface.dpm(shape, PIXEL_UM), wide)
    nodes = np.stack(np.meshgrid(grid.y_um, grid.x_um, indexing="ij"), axis=-1)
    expected = RegularGridInterpolator(pixels_um, full)(nodes)
    assert grid.z_um == pytest.approx(expected, abs=2e-3)


def test_a_tilted_plane_by_hand() -> None:
    grid = depth_grid(Tilted(10, 0, 3), (101, 201), 0.5)
    assert grid.z_um[0, 0] == pytest.approx(3 - math.tan(math.radians(10)) * 50, abs=1e-5)
    assert grid.z_um[-1, -1] == pytest.approx(3 + math.tan(math.radians(10)) * 50, abs=1e-5)


def test_a_line_across_the_image_is_followed_closely() -> None:
    path = AlongPath([(100, x_um, 5 * math.cos(x_um / 12)) for x_um in range(0, 333, 4)])
    grid = depth_grid(path, (1024, 1024), PIXEL_UM)
    full = path.dpm((1024, 1024), PIXEL_UM)
    rows, columns = (np.rint(nodes / PIXEL_UM).astype(int) for nodes in (grid.y_um, grid.x_um))
    assert grid.z_um == pytest.approx(full[np.ix_(rows, columns)], abs=0.3)


def test_depths_of_an_image_are_taken_where_the_nodes_are(rng: np.random.Generator) -> None:
    depths = rng.normal(size=(130, 40)).astype(np.float32)
    grid = depth_grid(FromImage(depths), depths.shape, PIXEL_UM)
    rows, columns = (np.rint(nodes / PIXEL_UM).astype(int) for nodes in (grid.y_um, grid.x_um))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (0, 129, 0, 39)
    np.testing.assert_array_equal(grid.z_um, depths[np.ix_(rows, columns)])
    with pytest.raises(ValueError, match="same size"):
        depth_grid(FromImage(depths), (131, 40), PIXEL_UM)


def test_a_flat_range_is_one_rectangle_at_its_focus() -> None:
    grid = depth_grid(Flat(-5, 5, 1), (64, 80), PIXEL_UM, focus_um=2)
    np.testing.assert_array_equal(grid.z_um, [[2, 2], [2, 2]])
    assert grid.y_um[-1] == 63 * PIXEL_UM
    assert grid.x_um[-1] == 79 * PIXEL_UM


def test_triangles_cover_the_image_once() -> None:
    grid = depth_grid(Tilted(0, 0, 0), (97, 64), PIXEL_UM)
    y_um, x_um = (axis.ravel() for axis in np.meshgrid(grid.y_um, grid.x_um, indexing="ij"))
    (ya, yb, yc), (xa, xb, xc) = y_um[grid.faces].T, x_um[grid.faces].T
    areas = (yb - ya) * (xc - xa) - (xb - xa) * (yc - ya)
    assert np.all(areas > 0) or np.all(areas < 0)
    assert np.abs(areas).sum() / 2 == pytest.approx(96 * 63 * PIXEL_UM**2)

"""Surfaces are found where spots are smallest."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.analysis.autofocus import confidence_map, few_anchors, find_surface, map_focus
from napari_deepz.surfaces import Curved, FromPoints, Surface, Tilted
from napari_deepz.surfaces.geometry import fit_plane

SHAPE = (192, 240)
PIXEL_UM = 0.5
Z_UM = np.arange(-8, 8.5, 0.5)


def positions(rng: np.random.Generator, count: int = 120) -> np.ndarray:
    """(N, 2) y and x in pixels, away from the border."""
    return rng.uniform(6, np.array(SHAPE) - 7, (count, 2))


def depths_on(surface: Surface, spots_px: np.ndarray) -> np.ndarray:
    y, x = np.rint(spots_px).astype(int).T
    return surface.dpm(SHAPE, PIXEL_UM)[y, x]


def stack_of(spots_px: np.ndarray, depth_um: np.ndarray) -> np.ndarray:
    """Gaussian spots that keep their light and widen away from their depth."""
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    stack = np.full((len(Z_UM), *SHAPE), 10.0)
    for (cy, cx), depth in zip(spots_px, depth_um, strict=True):
        for plane, z_um in enumerate(Z_UM):
            width = np.hypot(1.3, 0.9 * (z_um - depth))
            rows = np.exp(-((y - cy) ** 2) / (2 * width**2))
            columns = np.exp(-((x - cx) ** 2) / (2 * width**2))
            stack[plane] += 1000 / width**2 * rows * columns
    return stack


def rms_um(found: Surface, true: Surface) -> float:
    away = found.dpm(SHAPE, PIXEL_UM) - true.dpm(SHAPE, PIXEL_UM)
    return float(np.sqrt(np.mean(away**2)))


def test_a_tilted_plane_is_found(rng: np.random.Generator) -> None:
    true = Tilted(3, -2, 0.7)
    spots = positions(rng)
    found = find_surface(stack_of(spots, depths_on(true, spots)), Z_UM, PIXEL_UM)
    assert isinstance(found.surface, Tilted)
    assert rms_um(found.surface, true) < 0.1
    assert found.spread_um < 0.4
    assert found.anchors_um.shape == (len(found.confidence), 3)


def test_what_lies_off_the_plane_is_left_out(rng: np.random.Generator) -> None:
    true = Tilted(2, 1)
    spots = positions(rng)
    depth_um = depths_on(true, spots)
    stray = rng.choice(len(spots), len(spots) // 6, replace=False)
    depth_um[stray] = rng.uniform(4, 7, len(stray))
    found = find_surface(stack_of(spots, depth_um), Z_UM, PIXEL_UM, tile_px=16)
    assert found.rejected >= 5
    assert rms_um(found.surface, true) < 0.3


def test_a_curved_surface_is_found(rng: np.random.Generator) -> None:
    true = Curved(form="paraboloid", radius_um=300.0, offset_um=-3.0)
    spots = positions(rng, 200)
    stack = stack_of(spots, depths_on(true, spots))
    smooth, plane = (
        find_surface(stack, Z_UM, PIXEL_UM, form=form, smoothing=1, tile_px=16)
        for form in ("smooth", "plane")
    )
    assert isinstance(smooth.surface, FromPoints)
    assert rms_um(smooth.surface, true) < 0.5 < rms_um(plane.surface, true)


def test_the_map_says_where_each_tile_is_in_focus_and_how_surely() -> None:
    spots = np.array([[30.0, 40.0], [150.0, 200.0]])
    focus = map_focus(stack_of(spots, np.array([-3.25, 4.0])), Z_UM, tile_px=48)
    assert focus.depth_um.shape == focus.confidence.shape == (4, 5)
    for tile, spot, depth_um in (((0, 0), spots[0], -3.25), ((3, 4), spots[1], 4.0)):
        assert focus.depth_um[tile] == pytest.approx(depth_um, abs=0.1)
        np.testing.assert_allclose(focus.position_px[tile], spot, atol=1)
        assert focus.confidence[tile] > 0.8
    assert focus.confidence.min() >= 0
    assert focus.confidence[0, 3] < 0.05


def test_a_focus_beyond_the_stack_is_not_guessed() -> None:
    focus = map_focus(stack_of(np.array([[90.0, 90.0]]), np.array([12.0])), Z_UM, tile_px=96)
    assert np.isnan(focus.depth_um[0, 0])


@pytest.mark.parametrize("tilt_x_deg", [-3, 1, 4])
def test_few_anchors_carry_the_plane(rng: np.random.Generator, tilt_x_deg: int) -> None:
    true = Tilted(tilt_x_deg, -2, 0.7)
    spots = positions(rng)
    found = find_surface(stack_of(spots, depths_on(true, spots)), Z_UM, PIXEL_UM)
    rows = few_anchors(found, SHAPE, PIXEL_UM)
    assert 20 < len(rows) <= 36 < len(found.anchors_um)
    y_um, x_um = spots.T * PIXEL_UM
    away_um = fit_plane(rows).depth_um(y_um, x_um) - depths_on(true, spots)
    assert np.sqrt(np.mean(away_um**2)) < 0.05


def test_few_anchors_stay_on_the_plane_where_some_tiles_lie(rng: np.random.Generator) -> None:
    true = Tilted(3, 1)
    spots = positions(rng)
    depth_um = depths_on(true, spots)
    stray = rng.choice(len(spots), len(spots) // 6, replace=False)
    depth_um[stray] = rng.uniform(4, 7, len(stray))
    found = find_surface(stack_of(spots, depth_um), Z_UM, PIXEL_UM, tile_px=16)
    rows = few_anchors(found, SHAPE, PIXEL_UM)
    y_um, x_um = spots.T * PIXEL_UM
    away_um = fit_plane(rows).depth_um(y_um, x_um) - depths_on(true, spots)
    assert np.sqrt(np.mean(away_um**2)) < 0.1


def test_few_anchors_carry_a_curved_surface(rng: np.random.Generator) -> None:
    true = Curved(form="paraboloid", radius_um=300.0, offset_um=-3.0)
    spots = positions(rng, 200)
    stack = stack_of(spots, depths_on(true, spots))
    found = find_surface(stack, Z_UM, PIXEL_UM, form="smooth", smoothing=1, tile_px=16)
    rows = few_anchors(found, SHAPE, PIXEL_UM)
    assert rms_um(FromPoints(rows, smoothing=1), true) < 0.5


def test_few_anchors_are_spread_over_the_image(rng: np.random.Generator) -> None:
    spots = positions(rng, 300)
    found = find_surface(stack_of(spots, np.zeros(300)), Z_UM, PIXEL_UM, tile_px=16)
    rows = few_anchors(found, SHAPE, PIXEL_UM, most=12)
    assert len(rows) == 12
    quarter = np.array(SHAPE) * PIXEL_UM / (3, 4)
    fields = {tuple(field) for field in (rows[:, :2] // quarter).astype(int)}
    assert len(fields) == 12
    known = {tuple(row[:2]) for row in found.anchors_um}
    assert all(tuple(row[:2]) in known for row in rows)


def test_the_confidence_map_is_high_where_spots_are_and_zero_elsewhere() -> None:
    spots = np.array([[30.0, 40.0], [150.0, 200.0], [90.0, 120.0]])
    focus = map_focus(stack_of(spots, np.array([-3.25, 4.0, 9.0])), Z_UM, tile_px=48)
    shown = confidence_map(focus, SHAPE)
    assert shown.shape == SHAPE
    assert shown.dtype == np.float32
    assert shown.min() >= 0
    assert shown.max() <= 1
    # Tiles of 48 pixels: their middles are at 23.5, 71.5, …
    assert shown[24, 24] == pytest.approx(focus.confidence[0, 0], abs=0.03)
    assert shown[167, 215] == pytest.approx(focus.confidence[3, 4], abs=0.03)
    assert shown[24, 48] == pytest.approx(focus.confidence[0, :2].mean(), abs=0.03)
    assert np.isnan(focus.depth_um[1, 2])
    assert focus.confidence[1, 2] > 0.2
    assert shown[71, 119] < 0.03


def test_an_empty_stack_has_no_surface(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="Only 0 places of the stack"):
        find_surface(np.ones((len(Z_UM), *SHAPE)), Z_UM, PIXEL_UM)


@pytest.mark.parametrize(
    ("stack", "z_um", "sentence"),
    [
        (np.ones((2, 40, 40)), [0, 1], "at least three planes"),
        (np.ones((4, 40, 40)), [0, 1, 2], "evenly spaced"),
        (np.ones((4, 40, 40)), [0, 1, 2, 5], "evenly spaced"),
    ],
)
def test_what_is_no_stack_is_refused(stack: np.ndarray, z_um: list[int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        map_focus(stack, z_um)

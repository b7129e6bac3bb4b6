"""Surfaces are found where spots are smallest."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.analysis.autofocus import find_surface, map_focus
from napari_deepz.surfaces import Curved, FromPoints, Surface, Tilted

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


def test_a_tilted_plane_is_found(rng):
    true = Tilted(3, -2, 0.7)
    spots = positions(rng)
    found = find_surface(stack_of(spots, depths_on(true, spots)), Z_UM, PIXEL_UM)
    assert isinstance(found.surface, Tilted)
    assert rms_um(found.surface, true) < 0.1
    assert found.spread_um < 0.4
    assert found.anchors_um.shape == (len(found.confidence), 3)


def test_what_lies_off_the_plane_is_left_out(rng):
    true = Tilted(2, 1)
    spots = positions(rng)
    depth_um = depths_on(true, spots)
    stray = rng.choice(len(spots), len(spots) // 6, replace=False)
    depth_um[stray] = rng.uniform(4, 7, len(stray))
    found = find_surface(stack_of(spots, depth_um), Z_UM, PIXEL_UM, tile_px=16)
    assert found.rejected >= 5
    assert rms_um(found.surface, true) < 0.3


def test_a_curved_surface_is_found(rng):
    true = Curved(form="paraboloid", radius_um=300.0, offset_um=-3.0)
    spots = positions(rng, 200)
    stack = stack_of(spots, depths_on(true, spots))
    smooth, plane = (
        find_surface(stack, Z_UM, PIXEL_UM, form=form, smoothing=1, tile_px=16)
        for form in ("smooth", "plane")
    )
    assert isinstance(smooth.surface, FromPoints)
    assert rms_um(smooth.surface, true) < 0.5 < rms_um(plane.surface, true)


def test_the_map_says_where_each_tile_is_in_focus_and_how_surely():
    spots = np.array([[30.0, 40.0], [150.0, 200.0]])
    focus = map_focus(stack_of(spots, np.array([-3.25, 4.0])), Z_UM, tile_px=48)
    assert focus.depth_um.shape == focus.confidence.shape == (4, 5)
    for tile, spot, depth_um in (((0, 0), spots[0], -3.25), ((3, 4), spots[1], 4.0)):
        assert focus.depth_um[tile] == pytest.approx(depth_um, abs=0.1)
        np.testing.assert_allclose(focus.position_px[tile], spot, atol=1)
        assert focus.confidence[tile] > 0.8
    assert focus.confidence.min() >= 0
    assert focus.confidence[0, 3] < 0.05


def test_a_focus_beyond_the_stack_is_not_guessed():
    focus = map_focus(stack_of(np.array([[90.0, 90.0]]), np.array([12.0])), Z_UM, tile_px=96)
    assert np.isnan(focus.depth_um[0, 0])


def test_an_empty_stack_has_no_surface(rng):
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
def test_what_is_no_stack_is_refused(stack, z_um, sentence):
    with pytest.raises(ValueError, match=sentence):
        map_focus(stack, z_um)

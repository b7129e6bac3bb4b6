"""Frames of a movie treated as one typical frame was: nothing else may change what is seen."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from napari_deepz import EncodedImage, EncodedPlanes, load_model
from napari_deepz.engine.planes.shares import Merge
from napari_deepz.models.package import Model
from napari_deepz.surfaces import Flat

DARK = 100.0
PIXEL_UM = 0.325
SURFACE = Flat(-3, 3, 3)


@pytest.fixture
def scene(rng: np.random.Generator) -> np.ndarray:
    spots = np.zeros((96, 112))
    spots[rng.integers(10, 86, 40), rng.integers(10, 102, 40)] = rng.gamma(2, 4000, 40)
    return (DARK + 50 + gaussian_filter(spots, 2) + rng.normal(0, 1, spots.shape)).astype("f4")


def test_light_that_fades_fades_in_every_plane_and_changes_nothing_else(
    scene: np.ndarray, tiny_model: Model
) -> None:
    typical = EncodedImage(scene, tiny_model, pixel_size_um=PIXEL_UM)
    dimmed = DARK + 0.4 * (scene - DARK)
    of_typical = typical.refocus(SURFACE).data
    of_dimmed = typical.for_frame([dimmed], 0.4, DARK).refocus(SURFACE).data
    np.testing.assert_allclose(of_dimmed - DARK, 0.4 * (of_typical - DARK), rtol=1e-3, atol=0.05)


def test_the_typical_frame_itself_gives_the_same_pixels(
    scene: np.ndarray, tiny_model: Model
) -> None:
    typical = EncodedImage(scene, tiny_model, pixel_size_um=0.4)
    again = typical.for_frame([scene], 1.0, DARK).refocus(SURFACE).data
    np.testing.assert_allclose(again, typical.refocus(SURFACE).data, rtol=1e-6)
    alone = typical.for_frame([scene * 3], None).refocus(SURFACE).data
    fresh = EncodedImage(scene * 3, tiny_model, pixel_size_um=0.4).refocus(SURFACE).data
    np.testing.assert_array_equal(alone, fresh)


def test_a_cell_that_lights_up_changes_no_other_one(scene: np.ndarray, tiny_model: Model) -> None:
    typical = EncodedImage(scene, tiny_model, pixel_size_um=PIXEL_UM)
    active = scene.copy()
    active[80:84, 100:104] += 60_000
    far = np.s_[:, :48, :56]
    before, now = (
        typical.for_frame([frame], 1.0, DARK).refocus(SURFACE).data for frame in (scene, active)
    )
    np.testing.assert_allclose(now[far], before[far], rtol=1e-4)
    by_itself = typical.for_frame([active], None).refocus(SURFACE).data
    assert np.abs(by_itself[far] - before[far]).max() > 100 * np.abs(now[far] - before[far]).max()


@pytest.mark.parametrize("merge", get_args(Merge))
def test_planes_of_a_frame_are_brought_together_as_those_of_the_typical_one(
    merge: Merge, rng: np.random.Generator
) -> None:
    place = gaussian_filter(rng.standard_normal((120, 140)), 2)
    place = 300 + 900 * (place - place.min())
    moved = shift(place, (2, -3), order=3, mode="nearest") * 0.8
    model = load_model("any-objective")
    encoded = EncodedPlanes([place, moved], (0, 2), model, merge=merge, pixel_size_um=PIXEL_UM)
    frame = [0.5 * (plane + rng.normal(0, 2, plane.shape)) for plane in (place, moved)]
    found = encoded.for_frame(frame, 0.5).refocus(Flat(1)).data[0]
    fresh = EncodedPlanes(frame, (0, 2), model, merge=merge, pixel_size_um=PIXEL_UM)
    assert fresh.notes  # The planes were moved, which the frame's own registration finds too.
    inside = np.s_[10:-10, 10:-10]
    expected = fresh.refocus(Flat(1)).data[0]
    assert np.corrcoef(found[inside].ravel(), expected[inside].ravel())[0, 1] > 0.995
    assert found[inside].mean() == pytest.approx(expected[inside].mean(), rel=0.02)
    again = encoded.for_frame([place, moved], 1.0).refocus(Flat(1)).data
    np.testing.assert_allclose(again, encoded.refocus(Flat(1)).data, rtol=1e-4, atol=1e-2)


def test_a_frame_of_another_size_is_refused(rng: np.random.Generator, tiny_model: Model) -> None:
    planes = rng.normal(100, 5, (2, 64, 64))
    encoded = EncodedPlanes(list(planes), (0, 2), tiny_model, pixel_size_um=PIXEL_UM)
    with pytest.raises(ValueError, match="same height and width"):
        encoded.for_frame([planes[0], planes[1][:40]], 1.0)
    with pytest.raises(ValueError, match="2 depths"):
        encoded.for_frame([planes[0]], 1.0)

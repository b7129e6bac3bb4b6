"""Pixels of a camera are mended, points of light are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_deepz.engine.lone_pixels import find_absurd, find_lone_pixels, from_neighbours
from tests.conftest import shared_file
from tests.engine.pictures import beads, tissue
from tests.engine.test_unmeasured import gaussians, noise, photons

IMAGES = {"beads": beads(), "tissue": tissue(), "noise": noise(100).astype(np.float32)}


def with_hot(
    image: np.ndarray, share: float, values: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    hot = rng.random(image.shape) < share
    changed = image.copy()
    changed[hot] = rng.uniform(*values, np.count_nonzero(hot))
    return changed, hot


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("share", [0.0002, 0.005, 0.02])
@pytest.mark.parametrize("value", [65535, 30000])
def test_hot_pixels_of_one_value(name: str, share: float, value: float) -> None:
    image, hot = with_hot(IMAGES[name], share, (value, value))
    found = find_lone_pixels(image, None)
    assert found is not None
    assert not (found & ~hot).any()
    assert (found & hot).sum() >= 0.99 * hot.sum()
    mended = from_neighbours(image, found)
    np.testing.assert_array_equal(mended[~found], image[~found])
    assert mended.max() <= IMAGES[name].max()


@pytest.mark.parametrize("name", ["beads", "tissue"])
def test_hot_pixels_of_many_values(name: str) -> None:
    image, hot = with_hot(IMAGES[name], 0.005, (10000, 60000))
    found = find_lone_pixels(image, None)
    assert found is not None
    assert not (found & ~hot).any()
    assert (found & hot).sum() >= 0.97 * hot.sum()


def test_hot_pixels_side_by_side() -> None:
    image, _ = with_hot(IMAGES["tissue"], 0.002, (50000, 50000))
    for y, x in ((50, 50), (50, 51), (100, 100), (101, 101), (102, 100)):
        image[y, x] = 50000
    found = find_lone_pixels(image, None)
    np.testing.assert_array_equal(found, image == 50000)


def test_dead_pixels() -> None:
    image, dead = with_hot(IMAGES["beads"], 0.002, (0, 0))
    found = find_lone_pixels(image, None)
    assert found is not None
    assert not (found & ~dead).any()
    assert (found & dead).sum() >= 0.9 * dead.sum()


def test_what_is_at_the_image_s_edge_is_found_too() -> None:
    image = IMAGES["noise"].copy()
    places = [(0, 0), (0, 100), (255, 255), (77, 0)]
    for place in places:
        image[place] = 65535
    found = find_lone_pixels(image, None)
    assert found is not None
    assert sorted(map(tuple, np.argwhere(found))) == sorted(places)


def test_neighbours_that_are_lost_too_do_not_count() -> None:
    image = np.arange(36.0, dtype=np.float32).reshape(6, 6)
    lost = np.zeros(image.shape, bool)
    lost[2, 2] = lost[2, 3] = True
    around = [image[y, x] for y in (1, 2, 3) for x in (1, 2, 3) if not lost[y, x]]
    assert from_neighbours(image, lost)[2, 2] == np.median(around)
    lost[:] = True
    assert np.isfinite(from_neighbours(image, lost)).all()


# --- what must be left alone ----------------------------------------------------------------------


@pytest.mark.parametrize("sigma_px", [0.2, 0.25, 0.34, 0.46, 0.7, 1.5])
@pytest.mark.parametrize("count", [20, 300])
@pytest.mark.parametrize("brightness", [(5000, 50000), (300, 3000)])
def test_points_in_focus_are_light_however_coarse_the_pixels(
    sigma_px: float, count: int, brightness: tuple[float, float]
) -> None:
    for seed in range(3):
        image = beads(sigma_px=sigma_px, count=count, brightness=brightness, seed=seed)
        assert find_lone_pixels(image, None) is None


LIGHT: dict[str, Callable[[], np.ndarray]] = {
    "noise": lambda: noise(100),
    "spots on nothing": gaussians,
    "spots on nothing, whole numbers": lambda: gaussians().round(),
    "clipped noise": lambda: noise(-16).clip(0),
    "single photons": lambda: photons(0.01),
    "few photons": lambda: photons(1),
    "single photons as shares": lambda: photons(0.01) / 255,
    "a mask": lambda: tissue() > 200,
    "points alone": lambda: noise(200) + with_hot(np.zeros((256, 256)), 0.002, (500, 5000))[0],
    "all equal": lambda: np.full((64, 64), 3.0),
}


@pytest.mark.parametrize("name", LIGHT)
def test_other_sparse_images_are_left_alone(name: str) -> None:
    assert find_lone_pixels(LIGHT[name]().astype(np.float32), None) is None


@pytest.mark.parametrize(
    "name",
    [
        "bead_na085",
        "bead_25x_na110_water",
        "celegans_embryo_fitc",
        "celegans_embryo_cy3",
        "nucleus_dapi_100x_na145_oil",
        "nucleus_hoechst_40x_na120_widefield",
        "nucleus_hoechst_40x_na120_confocal",
        "worm_motion",
    ],
)
def test_measured_images_have_none(name: str) -> None:
    from napari_deepz.io.reading import read_image

    series = read_image(shared_file(f"data/{name}.ome.tif"))
    last = series.size("Z") - 1
    for z in (0, last // 4, last // 2, last):
        plane = series.plane(z=z).astype(np.float32)
        assert find_lone_pixels(plane, None) is None
        assert not find_absurd(plane, np.isfinite(plane)).any()


# --- beyond all reason ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("values", [(3e38, 3e38), (1e30, 1e30), (-3e38, -1e20), (1e12, 1e15)])
@pytest.mark.parametrize("share", [0.0001, 0.1, 0.4])
def test_numbers_beyond_all_reason(name: str, values: tuple[float, float], share: float) -> None:
    image, absurd = with_hot(IMAGES[name], share, values)
    np.testing.assert_array_equal(find_absurd(image, np.isfinite(image)), absurd)


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e-5, 1e33])
def test_what_is_said_in_other_units_is_not_absurd(scale: float) -> None:
    image = (IMAGES["beads"] * scale).astype(np.float32)
    assert not find_absurd(image, np.isfinite(image)).any()


def test_a_spot_on_nothing_is_not_absurd() -> None:
    image = np.zeros((64, 64), np.float32)
    image[30:33, 30:33] = 1e30
    assert not find_absurd(image, np.isfinite(image)).any()

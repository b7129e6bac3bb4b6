"""What was never measured is found, and true darkness and saturated light are not taken for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from napari_deepz.engine.unmeasured import find_unmeasured
from tests.engine.pictures import beads, framed, tissue

BEADS, TISSUE = beads(), tissue()


def found(image: np.ndarray) -> np.ndarray | None:
    image = np.ascontiguousarray(image, dtype=np.float32)
    broken = ~np.isfinite(image)
    usable = np.where(broken, np.median(image[~broken].astype(float)), image).astype(np.float32)
    both = find_unmeasured(usable, broken)
    return None if both is None else both[0]


def assert_found(image: np.ndarray, truth: np.ndarray) -> None:
    """All of the truth, and no more than its rim."""
    mask = found(image)
    assert mask is not None
    assert mask[truth].all()
    assert not mask[~ndimage.binary_dilation(truth, np.ones((5, 5)))].any()


@pytest.mark.parametrize("image", [BEADS, TISSUE], ids=["beads", "tissue"])
@pytest.mark.parametrize("value", [0, 65535, -1, 1e30, -3.4e38, np.nan])
@pytest.mark.parametrize("width", [1, 3, 20, 64])
def test_a_frame_of_any_width_and_value(image: np.ndarray, value: float, width: int) -> None:
    truth = framed(np.zeros(image.shape, np.float32), 1, width) > 0
    assert_found(framed(image, value, width), truth)


@pytest.mark.parametrize("angle_deg", [1, 3, 20, 45, 80])
@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("value", [0, 65535])
def test_corners_of_a_turned_image(angle_deg: float, order: int, value: float) -> None:
    turned = ndimage.rotate(BEADS, angle_deg, order=order, cval=value)
    truth = ndimage.rotate(np.ones_like(BEADS), angle_deg, order=0) == 0
    mask = found(turned)
    assert mask is not None
    flat = turned == value
    assert mask[flat & truth].all()
    assert (mask & ~truth).mean() < 2e-3
    assert (truth & ~mask).mean() < 2e-3


def test_the_mixed_rim_of_interpolation_is_left_out_too() -> None:
    turned = ndimage.rotate(BEADS, 20, order=1)
    mask = found(turned)
    assert mask is not None
    assert mask[(turned > 0) & (turned < 0.5 * np.median(BEADS))].all()


def test_other_values_on_other_sides() -> None:
    image = BEADS.copy()
    image[:, :30], image[:, -40:] = 0, 65535
    assert_found(image, (image == 0) | (image == 65535))
    image[:25] = np.nan
    assert_found(image, ~np.isfinite(image) | (image == 0) | (image == 65535))


def tile(row: int, column: int) -> tuple[slice, slice]:
    return slice(128 * row, 128 * row + 128), slice(128 * column, 128 * column + 128)


@pytest.mark.parametrize("missing", [[(1, 1)], [(0, 1), (1, 2)], [(0, 0), (1, 1), (2, 2), (0, 2)]])
@pytest.mark.parametrize("value", [0, 65535, np.nan])
def test_missing_tiles_of_a_mosaic(missing: list[tuple[int, int]], value: float) -> None:
    image = beads((384, 384), count=200)
    truth = np.zeros(image.shape, bool)
    for place in missing:
        truth[tile(*place)] = True
    assert_found(np.where(truth, value, image), truth)


def test_shifted_channels_stops_and_sheared_images() -> None:
    y, x = np.mgrid[:256, :256]
    for truth in (y < 7, x > 250, np.hypot(y - 128, x - 128) > 124, x + y < 60, x > 0.3 * y + 150):
        assert_found(np.where(truth, 0, BEADS), truth)


@pytest.mark.parametrize("scale", [1 / 65535, 1 / 16, 1000.0])
def test_units_do_not_matter(scale: float) -> None:
    truth = framed(np.zeros(BEADS.shape, np.float32), 1, 20) > 0
    assert_found(framed(BEADS * np.float32(scale), 0, 20), truth)


def test_few_photons_with_zeros_among_them() -> None:
    dim = np.random.default_rng(1).poisson(5, (256, 256)).astype(np.float32)
    truth = framed(np.zeros(dim.shape, np.float32), 1, 30) > 0
    assert (dim == 0).any()
    mask = found(framed(dim, 0, 30))
    assert mask is not None
    assert mask[truth].all()
    assert not mask[~ndimage.binary_dilation(truth, np.ones((13, 13)))].any()
    assert (mask & ~truth).mean() < 0.01


def test_what_is_filled_continues_the_image() -> None:
    y, _ = np.mgrid[:256, :256]
    slope = (200 + y + np.random.default_rng(2).normal(0, 3, (256, 256))).astype(np.float32)
    given = slope.copy()
    given[:, :40] = 0
    both = find_unmeasured(given, np.zeros(given.shape, bool))
    assert both is not None
    mask, filled = both
    np.testing.assert_array_equal(filled[~mask], given[~mask])
    np.testing.assert_allclose(filled[16:-16, 38], slope[16:-16, 42], atol=20)
    assert np.abs(np.diff(filled[:, :40], axis=1)).max() < 10
    wide = np.where(np.arange(256) < 190, 0, slope).astype(np.float32)
    both = find_unmeasured(wide, np.zeros(wide.shape, bool))
    assert both is not None
    np.testing.assert_allclose(both[1][:, :80], np.median(slope), atol=2)


# --- what must be left alone ----------------------------------------------------------------------


def gaussians() -> np.ndarray:
    y, x = np.mgrid[:256, :256]
    places = np.random.default_rng(3).uniform((10, 10, 1), (246, 246, 6), (60, 3))
    image = np.zeros((256, 256))
    for y0, x0, width in places:
        image += 1000 * np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / 2 / width**2)
    return image


def noise(mean: float) -> np.ndarray:
    return np.random.default_rng(4).normal(mean, 10, (256, 256))


def photons(mean: float) -> np.ndarray:
    return np.random.default_rng(5).poisson(mean, (256, 256))


def dim_to_bright() -> np.ndarray:
    ramp = np.linspace(-60, 60, 256)[:, None]
    return (ramp + noise(0) / 2).clip(0)


def saturated(above: float) -> np.ndarray:
    return np.minimum(ndimage.gaussian_filter(BEADS, 2), above)


def percentile(image: np.ndarray, percent: float) -> float:
    return float(np.percentile(image, percent))


DARK: dict[str, Callable[[], np.ndarray]] = {
    "an image": lambda: BEADS,
    "tissue": lambda: TISSUE,
    "spots on nothing": gaussians,
    "spots on nothing, whole numbers": lambda: gaussians().round(),
    "spots on nothing, cut off": lambda: np.where(gaussians() > 50, gaussians(), 0),
    "spots on a constant": lambda: gaussians().round() + 10,
    "half of the noise clipped": lambda: noise(0).clip(0),
    "nearly all noise clipped": lambda: noise(-16).clip(0),
    "all but a few clipped": lambda: noise(-33).clip(0).round(),
    "single photons": lambda: photons(0.05),
    "few photons": lambda: photons(1),
    "from clipped to bright": dim_to_bright,
    "background subtracted": lambda: (BEADS - percentile(BEADS, 60)).clip(0),
    "threshold on beads": lambda: np.where(percentile(BEADS, 95) < BEADS, BEADS, 0),
    "threshold on tissue": lambda: np.where(percentile(TISSUE, 50) < TISSUE, TISSUE, 0),
    "stretched to 8 bits": lambda: ((TISSUE - 150) / 2).clip(0, 255).round(),
    "saturated beads": lambda: saturated(percentile(BEADS, 97)),
    "saturated tissue": lambda: np.minimum(ndimage.gaussian_filter(TISSUE, 2), 160),
    "a mask": lambda: TISSUE > 200,
    "an empty image": lambda: np.full((256, 256), 7),
    "two halves": lambda: np.repeat([0, 100], 128)[:, None] * np.ones(256),
    "a bright corner": lambda: np.where(np.add.outer(*[np.arange(256)] * 2) < 60, 65535, 0),
    "one spot of light": lambda: (
        framed(np.zeros((64, 64), np.float32), 0, 5) + gaussians()[:64, :64]
    ),
}


@pytest.mark.parametrize("name", DARK)
def test_true_darkness_and_light_are_left_alone(name: str) -> None:
    assert found(DARK[name]()) is None

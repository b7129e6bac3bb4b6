from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.intensity import METHODS, fit_intensity


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i2", "f4", "f8"])
def test_invert_undoes_apply(method: str, dtype: str, rng: np.random.Generator):
    image = rng.gamma(2, 20, (64, 80)).astype(dtype)
    intensity = fit_intensity(method, image)
    restored = intensity.invert(intensity.apply(image))
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, image.astype(float), rtol=1e-5, atol=1e-4)


def test_signed_sqrt_is_zero_at_the_median_and_one_at_the_percentile(rng: np.random.Generator):
    image = rng.normal(100, 10, (200, 200)).astype(np.float32)
    intensity = fit_intensity("signed-sqrt", image)
    points = np.array([np.median(image), np.percentile(image, 99.5)], np.float32)
    np.testing.assert_allclose(intensity.apply(points), [0, 1], atol=1e-3)
    below = np.float32(2 * points[0] - points[1])
    np.testing.assert_allclose(intensity.apply(np.array([below])), [-1], atol=1e-3)


def test_median_p99_measures_the_foreground():
    image = np.full((100, 100), 10.0)
    image[:10, :10] = 110.0
    intensity = fit_intensity("median-p99", image)
    assert (intensity.offset, intensity.gain) == (10.0, 110.0)


@pytest.mark.parametrize("method", METHODS)
def test_units_do_not_matter(method: str, rng: np.random.Generator):
    image = rng.gamma(2, 1, (64, 64))
    first = fit_intensity(method, image).apply(image)
    rescaled = 7 * image + 300 if method == "signed-sqrt" else 7 * image
    second = fit_intensity(method, rescaled).apply(rescaled)
    np.testing.assert_allclose(first, second, atol=2e-2 if method == "median-p99" else 1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_constant_image_becomes_zero(method: str):
    image = np.full((40, 40), 7.0)
    assert not fit_intensity(method, image).apply(image).any()


@pytest.mark.parametrize("method", METHODS)
def test_units_do_not_matter_for_a_few_spots_on_an_empty_background(method: str):
    image = np.zeros((100, 100))
    image[10, 10:14] = [4, 9, 16, 25]
    counts, unit = (fit_intensity(method, image * scale) for scale in (1000, 0.001))
    np.testing.assert_allclose(counts.apply(image * 1000), unit.apply(image * 0.001), rtol=1e-5)


def test_large_images_are_measured_on_a_grid(rng: np.random.Generator):
    image = rng.gamma(2, 20, (4100, 2100)).astype(np.float32)
    small = fit_intensity("signed-sqrt", image[:2000, :2000])
    large = fit_intensity("signed-sqrt", image)
    assert large.gain == pytest.approx(small.gain, rel=0.02)


def test_unknown_method():
    with pytest.raises(ValueError, match="'zscore' is not known; use 'signed-sqrt' or"):
        fit_intensity("zscore", np.zeros((4, 4)))

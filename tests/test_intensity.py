from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.intensity import METHODS, fit_intensity, is_method, triangle_threshold
from napari_deepz.io.reading import read_image
from tests.conftest import shared_file

LINEAR = "percentiles-1-99.8"


@pytest.mark.parametrize("method", [*METHODS, LINEAR])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i2", "f4", "f8"])
def test_invert_undoes_apply(method: str, dtype: str, rng: np.random.Generator) -> None:
    image = rng.gamma(2, 20, (64, 80)).astype(dtype)
    intensity = fit_intensity(method, image)
    restored = intensity.invert(intensity.apply(image))
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, image.astype(float), rtol=1e-5, atol=1e-4)


def test_signed_sqrt_is_zero_at_the_median_and_one_at_the_percentile(
    rng: np.random.Generator,
) -> None:
    image = rng.normal(100, 10, (200, 200)).astype(np.float32)
    intensity = fit_intensity("signed-sqrt", image)
    points = np.array([np.median(image), np.percentile(image, 99.5)], np.float32)
    np.testing.assert_allclose(intensity.apply(points), [0, 1], atol=1e-3)
    below = np.float32(2 * points[0] - points[1])
    np.testing.assert_allclose(intensity.apply(np.array([below])), [-1], atol=1e-3)


def test_median_p99_measures_the_foreground() -> None:
    image = np.full((100, 100), 10.0)
    image[:10, :10] = 110.0
    intensity = fit_intensity("median-p99", image)
    assert (intensity.offset, intensity.gain) == (10.0, 110.0)


MEASURED = [method for method in [*METHODS, LINEAR] if method != "as-is"]


@pytest.mark.parametrize("method", MEASURED)
def test_units_do_not_matter(method: str, rng: np.random.Generator) -> None:
    image = rng.gamma(2, 1, (64, 64))
    first = fit_intensity(method, image).apply(image)
    rescaled = 7 * image + 300 if method != "median-p99" else 7 * image
    second = fit_intensity(method, rescaled).apply(rescaled)
    np.testing.assert_allclose(first, second, atol=2e-2 if method == "median-p99" else 1e-3)


@pytest.mark.parametrize("method", MEASURED)
def test_constant_image_becomes_zero(method: str) -> None:
    image = np.full((40, 40), 7.0)
    assert not fit_intensity(method, image).apply(image).any()


@pytest.mark.parametrize("method", MEASURED)
def test_units_do_not_matter_for_a_few_spots_on_an_empty_background(method: str) -> None:
    image = np.zeros((100, 100))
    image[10, 10:14] = [4, 9, 16, 25]
    counts, unit = (fit_intensity(method, image * scale) for scale in (1000, 0.001))
    np.testing.assert_allclose(counts.apply(image * 1000), unit.apply(image * 0.001), rtol=1e-5)


def test_large_images_are_measured_on_a_grid(rng: np.random.Generator) -> None:
    image = rng.gamma(2, 20, (4100, 2100)).astype(np.float32)
    small = fit_intensity("signed-sqrt", image[:2000, :2000])
    large = fit_intensity("signed-sqrt", image)
    assert large.gain == pytest.approx(small.gain, rel=0.02)


def test_unknown_method() -> None:
    with pytest.raises(ValueError, match="'zscore' is not known; use 'signed-sqrt', "):
        fit_intensity("zscore", np.zeros((4, 4)))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("median-p99", True),
        ("percentiles-0-100", True),
        ("percentiles-0.5-99.95", True),
        ("percentiles-99-1", False),
        ("percentiles-1-101", False),
        ("percentiles-1", False),
        ("zscore", False),
    ],
)
def test_known_methods(name: str, known: bool) -> None:
    assert is_method(name) is known


def test_linear_methods_have_their_definition(rng: np.random.Generator) -> None:
    image = rng.gamma(2, 20, (100, 120))
    scored = fit_intensity("mean-std", image).apply(image)
    assert scored.mean() == pytest.approx(0, abs=1e-5)
    assert scored.std() == pytest.approx(1, rel=1e-5)
    ranged = fit_intensity("percentiles-2-98", image).apply(image)
    np.testing.assert_allclose(np.percentile(ranged, [2, 98]), [0, 1], atol=1e-5)
    np.testing.assert_array_equal(fit_intensity("as-is", image).apply(image), np.float32(image))


def imagej_triangle(image: np.ndarray) -> float:
    """Highest background value by ImageJ's rules: 256 bins, lines from empty bins, one bin on."""
    low, high = (0, 256) if image.dtype == np.uint8 else (int(image.min()), int(image.max()) + 1)
    counts, edges = np.histogram(image, 256, (low, high))
    filled = np.flatnonzero(counts)
    first, last, peak = max(filled[0] - 1, 0), min(filled[-1] + 1, 255), int(counts.argmax())
    end = first if peak - first >= last - peak else last
    bins = np.arange(min(end, peak), max(end, peak) + 1)
    # Distances from the line through the peak and the end of the histogram, up to a factor.
    rise = (counts[peak] - counts[end]) / (peak - end)
    distance = (counts[end] + rise * (bins - end)) - counts[bins]
    farthest = bins[distance == distance.max()]
    found = farthest[0] - 1 if end == first else farthest[-1] + 1
    return float(edges[found + 1]) - (1 if image.dtype == np.uint8 else 0)


def spots(rng: np.random.Generator, dtype: str, background: float, height: float) -> np.ndarray:
    rows, columns = np.mgrid[:256, :256]
    image = np.full((256, 256), background, float)
    for row, column, radius in rng.uniform((0, 0, 2), (256, 256, 8), (40, 3)):
        image += height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * radius**2))
    return rng.poisson(image).clip(0, np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "background", "height"),
    [("u1", 10, 90), ("u1", 40, 160), ("u2", 100, 400), ("u2", 300, 20000)],
)
def test_triangle_threshold_is_that_of_imagej_to_a_few_bins(
    dtype: str, background: float, height: float, rng: np.random.Generator
) -> None:
    image = spots(rng, dtype, background, height)
    bin_width = 1.0 if dtype == "u1" else (int(image.max()) - int(image.min())) / 256
    ours, theirs = triangle_threshold(image.astype(np.float32)), imagej_triangle(image)
    assert abs(ours - theirs) <= 4 * bin_width
    ours_p99, theirs_p99 = (np.percentile(image[image > level], 99) for level in (ours, theirs))
    assert ours_p99 == pytest.approx(theirs_p99, rel=0.02)


@pytest.mark.parametrize("plane", [5, 20, 30, 45])
def test_triangle_threshold_on_a_real_stack(plane: int) -> None:
    series = read_image(shared_file("data/celegans_embryo_cy3.ome.tif"))
    image = series.plane(z=plane)
    ours, theirs = triangle_threshold(image), imagej_triangle(image)
    ours_p99, theirs_p99 = (np.percentile(image[image > level], 99) for level in (ours, theirs))
    assert ours_p99 == pytest.approx(theirs_p99, rel=0.002)


def test_eight_bit_numbers_are_binned_by_themselves() -> None:
    levels = np.repeat(np.arange(10, 60), np.r_[900, 700, 500, 300, 100, np.full(45, 10)])
    as_bytes = triangle_threshold(levels.astype(np.uint8))
    assert as_bytes == triangle_threshold(levels.astype(np.float32)) == round(as_bytes)

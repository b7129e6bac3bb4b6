from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_deepz.analysis.detail import USUAL_UNIT_PX, detail, unit_px_of
from napari_deepz.analysis.evaluation import NO_SCORES, DepthScores, Scores
from napari_deepz.analysis.metrics import correlation
from napari_deepz.sampling import Sampling


def waves(period_px: float, size: int = 96) -> np.ndarray:
    return np.asarray(np.sin(2 * np.pi * np.arange(size) / period_px) * np.ones((size, 1)))


@pytest.fixture
def spots(rng: np.random.Generator) -> np.ndarray:
    """Sharp spots on a glow that is much brighter."""
    sharp = gaussian_filter((rng.uniform(size=(96, 96)) > 0.99).astype(float), 1.0)
    return np.asarray(sharp * 1000 + 100 * waves(96))


def test_an_image_has_its_own_detail(spots: np.ndarray) -> None:
    assert detail(spots, spots) == pytest.approx(1)
    assert detail(3 * spots + 7, spots) == pytest.approx(1)


def test_a_glow_that_agrees_is_no_detail(spots: np.ndarray) -> None:
    """Correlation is content with it."""
    glow = 100 * waves(96)
    assert correlation(glow, spots) > 0.9
    assert detail(glow, spots) < 0.3


@pytest.mark.parametrize("unit_px", [2.0, 6.0])
def test_the_band_goes_with_the_optics(unit_px: float) -> None:
    """Beside a pattern of 5 λ/NA, one of 40 and one of 0.7 hardly count, though as strong."""
    size = 480
    pattern = waves(5 * unit_px, size)
    for other in (40 * unit_px, 0.7 * unit_px):
        both = pattern + waves(other, size).T
        assert correlation(both, pattern) < 0.75
        assert detail(both, pattern, unit_px=unit_px) > 0.95


def test_nothing_has_no_detail() -> None:
    assert math.isnan(detail(np.ones((20, 20)), waves(5, 20)))


def test_pixels_that_are_no_numbers_are_refused() -> None:
    image = waves(5, 20)
    image[3, 4] = math.nan
    with pytest.raises(ValueError, match="not finite"):
        detail(image, image)


def test_lambda_over_na_in_pixels() -> None:
    known = Sampling(pixel_size_um=0.1, na=0.5, wavelength_um=0.5)
    assert unit_px_of(known) == pytest.approx(10)
    assert unit_px_of(None) == unit_px_of(Sampling(pixel_size_um=0.1)) == USUAL_UNIT_PX


def test_refocusing_has_to_beat_both_baselines() -> None:
    def depth(refocused: float, at_zero: float, unrefocused: float) -> DepthScores:
        scores = [Scores(0, 0, one, 0, 0) for one in (refocused, at_zero, unrefocused)]
        return DepthScores(0, 1.0, True, *scores)

    assert depth(0.9, 0.8, 0.7).beats_both("ssim")
    assert not depth(0.9, 0.95, 0.7).beats_both("ssim")
    assert not depth(0.9, 0.8, 0.92).beats_both("ssim")
    assert not DepthScores(0, 1.0, True, NO_SCORES, NO_SCORES, NO_SCORES).beats_both("ssim")

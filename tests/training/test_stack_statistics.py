from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_deepz.training.any_objective.volumes import LightVolume
from napari_deepz.training.stack_statistics import (
    StackStatistics,
    statistics_of,
    statistics_of_volume,
    summary,
)


def spots(rng: np.random.Generator, background: float) -> np.ndarray:
    """Sharp in plane 3 of 7, ever more blurred beside it; the light stays the same."""
    sharp = (rng.uniform(size=(128, 128)) > 0.99) * 1000.0
    planes = [gaussian_filter(sharp, 1 + 2 * abs(z), mode="wrap") for z in range(-3, 4)]
    return np.array(planes) + background


def test_spots_on_darkness_and_in_haze(rng: np.random.Generator) -> None:
    dark, hazy = (statistics_of(spots(rng, level), 4.0) for level in (0.0, 100.0))
    assert dark.haze < 0.1
    assert dark.skewness > 3
    assert dark.light == pytest.approx(1, abs=1e-3)
    assert hazy.light == pytest.approx(1, abs=1e-3)
    assert 0 < dark.ends < 0.7


def test_haze_that_differs_from_place_to_place_is_seen(rng: np.random.Generator) -> None:
    ramp = np.linspace(0, 400, 128)
    assert statistics_of(spots(rng, 0) + ramp, 4.0).haze > 0.3


def test_fine_power_is_that_above_a_quarter_of_the_cut_off() -> None:
    """With λ/NA of 4 pixels the cut-off is 0.5 a pixel, a quarter of it a period of 8."""
    x = np.arange(128)
    for period, share in ((32, 0.0), (4, 1.0)):
        stack = np.sin(2 * np.pi * x / period) * np.ones((3, 128, 1)) + 10
        assert statistics_of(stack, 4.0).fine == pytest.approx(share, abs=0.01)
    assert math.isnan(statistics_of(stack, 1.0).fine)


def test_a_simulated_volume_is_measured_with_its_noise() -> None:
    light = np.zeros((64, 48, 48), np.float16)
    light[32, 20:24, 20:24] = 1
    volume = LightVolume(light, np.array([0.7, 0.4, 0.0], np.float32), "square")
    found = [statistics_of_volume(volume, np.random.default_rng(k)) for k in range(6)]
    assert all(0 <= one.haze < 1 for one in found)
    assert {one.light < 1.02 for one in found} == {True}
    assert len({one.fine for one in found}) == 6


def test_a_summary_has_the_middle_and_both_ends() -> None:
    found = [StackStatistics(k, 0, 0, float("nan") if k else 1, 1) for k in range(11)]
    assert summary(found)["haze"] == (1, 5, 9)
    assert summary(found)["fine"] == (1, 1, 1)

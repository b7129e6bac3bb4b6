"""What focal stacks look like in numbers, to compare simulated ones with real ones."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import skew

from napari_deepz.training.any_objective.exposure import draw_exposure
from napari_deepz.training.any_objective.volumes import LightVolume

_FINE_PX, _COARSE_PX = 1.0, 4.0
_REACH = 20
_MOST_BLEACHED = 0.1


@dataclass(frozen=True)
class StackStatistics:
    """Five numbers of a focal stack.

    Parameters
    ----------
    haze : float
        Median of the sharpest plane over its 99.9th percentile, both above its darkest 0.1 %.
    skewness : float
        Of the intensities of the sharpest plane: large where few pixels are bright.
    ends : float
        Correlation of the sharpest plane with the first and the last plane, their mean.
    fine : float
        Share of the sharpest plane's power above a quarter of the cut-off 2 NA/λ, noise included;
        NaN where the pixels are too large for it.
    light : float
        Sum of the end planes over that of the sharpest one.
    """

    haze: float
    skewness: float
    ends: float
    fine: float
    light: float


def statistics_of(stack: NDArray[np.generic], pixels_per_unit: float) -> StackStatistics:
    """Measure a focal stack.

    Parameters
    ----------
    stack : ndarray
        (Z, Y, X), at least three planes.
    pixels_per_unit : float
        λ/NA in pixels.
    """
    planes = stack.astype(np.float32)
    sharpest = int(np.argmax([_sharpness(plane) for plane in planes]))
    plane = planes[sharpest]
    dark, middle, bright = np.percentile(plane, [0.1, 50, 99.9])
    ends = (planes[0], planes[-1])
    return StackStatistics(
        haze=float((middle - dark) / max(bright - dark, 1e-12)),
        skewness=float(skew(plane, axis=None)),
        ends=float(np.mean([np.corrcoef(plane.ravel(), end.ravel())[0, 1] for end in ends])),
        fine=_fine_share(plane, 0.5 / pixels_per_unit),
        light=float(np.mean([end.sum() for end in ends]) / plane.sum()),
    )


def statistics_of_volume(volume: LightVolume, rng: np.random.Generator) -> StackStatistics:
    """Measure a stack of a simulated volume, with noise, and bleached while it was taken."""
    light = volume.light
    middle = int(np.argmax([_sharpness(plane) for plane in light.astype(np.float32)]))
    planes = light[(middle + np.arange(-_REACH, _REACH + 1)) % len(light)]
    exposure = draw_exposure(rng, light.shape[1:])
    stack = np.stack([exposure.record(plane, rng) for plane in planes]) - exposure.offset
    bleached = np.linspace(1, 1 - rng.uniform(0, _MOST_BLEACHED), len(stack))
    return statistics_of(stack * bleached[:, None, None], 1 / float(volume.told[1]))


def summary(found: list[StackStatistics]) -> dict[str, tuple[float, float, float]]:
    """10th, 50th and 90th percentile of each number over several stacks."""
    summarised = {}
    for field in fields(StackStatistics):
        values = [getattr(one, field.name) for one in found]
        low, middle, high = np.nanpercentile(values, [10, 50, 90])
        summarised[field.name] = (float(low), float(middle), float(high))
    return summarised


def _sharpness(plane: NDArray[np.float32]) -> float:
    band = gaussian_filter(plane, _FINE_PX) - gaussian_filter(plane, _COARSE_PX)
    return float(band.var())


def _fine_share(plane: NDArray[np.float32], frequency: float) -> float:
    """Share of the power above a frequency in cycles per pixel, without the mean."""
    if frequency >= 0.5:
        return float("nan")
    window = np.outer(np.hanning(plane.shape[0]), np.hanning(plane.shape[1]))
    power = np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2
    y, x = (np.fft.fftfreq(size) for size in plane.shape)
    return float(power[np.hypot(y[:, None], x) > frequency].sum() / power.sum())

"""From light to activity: F0, dF/F and events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, percentile_filter

Array = NDArray[np.float64]

WINDOW_S = 40.0
"""Over which the light at rest is looked for: people take 20 to 60 s."""

REST_PERCENTILE = 20.0
_GUARD_ERRORS = 2.0


@dataclass(frozen=True, eq=False)
class Activity:
    """Traces of neurons.

    Attributes
    ----------
    light, rest : ndarray
        (N, T) F, bleaching divided out, and F0.
    dff : ndarray
        (N, T) (F - F0) / F0; NaN where F0 is too weak to be divided by.
    """

    light: Array
    rest: Array
    dff: Array


def activity_of(light: Array, error: Array, rate_hz: float | None) -> Activity:
    """Compute F0 and dF/F.

    Parameters
    ----------
    light : ndarray
        (T, N) as measured, bleaching and the flicker of the lamp divided out.
    error : ndarray
        (N,) standard error of the light in a frame.
    rate_hz : float or None
        Of the frames; the whole movie is one window where unknown.
    """
    steady = light.T
    window = steady.shape[1] if rate_hz is None else round(WINDOW_S * rate_hz)
    window = max(3, min(window, steady.shape[1]))
    rest = percentile_filter(steady, REST_PERCENTILE, size=(1, window), mode="nearest")
    rest = gaussian_filter1d(rest, window / 4, axis=1, mode="nearest")
    weak = rest < _GUARD_ERRORS * error[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        dff = np.where(weak, np.nan, (steady - rest) / rest)
    return Activity(steady, rest, dff)

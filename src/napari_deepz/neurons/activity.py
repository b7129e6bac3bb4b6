"""From light to activity: F0, dF/F and events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, percentile_filter

from napari_deepz.neurons.events import find_events

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
    events : ndarray
        (N, T) by how much dF/F rises in the frame with which a rise begins; 0 in others.
    """

    light: Array
    rest: Array
    dff: Array
    events: Array


def activity_of(
    light: Array, error: Array, rate_hz: float | None, seen: NDArray[np.bool_] | None = None
) -> Activity:
    """Compute F0, dF/F and events.

    Parameters
    ----------
    light : ndarray
        (T, N) as measured, bleaching and the flicker of the lamp divided out.
    error : ndarray
        (N,) standard error of the light in a frame.
    rate_hz : float or None
        Of the frames; the whole movie is one window where unknown.
    seen : ndarray, optional
        (T, N) bool, in which frames a neuron lies within the field; all where None. It has no
        light in others (NaN), and they do not count for what it has at rest.
    """
    steady = light.T
    if seen is not None:
        steady = _bridged(steady, seen.T)
    window = steady.shape[1] if rate_hz is None else round(WINDOW_S * rate_hz)
    window = max(3, min(window, steady.shape[1]))
    rest = percentile_filter(steady, REST_PERCENTILE, size=(1, window), mode="nearest")
    rest = gaussian_filter1d(rest, window / 4, axis=1, mode="nearest")
    weak = rest < _GUARD_ERRORS * error[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        dff = np.where(weak, np.nan, (steady - rest) / rest)
    if seen is not None:
        steady, dff = np.where(seen.T, steady, np.nan), np.where(seen.T, dff, np.nan)
    return Activity(steady, rest, dff, find_events(dff, rate_hz))


def _bridged(light: Array, seen: NDArray[np.bool_]) -> Array:
    """(N, T) with what lies between, where a neuron is out of the field."""
    bridged, times = light.copy(), np.arange(light.shape[1])
    for trace, there in zip(bridged, seen, strict=True):
        if there.any():
            trace[~there] = np.interp(times[~there], times[there], trace[there])
    return bridged

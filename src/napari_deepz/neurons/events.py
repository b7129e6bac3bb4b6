"""When neurons are active: rises of dF/F that noise does not explain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

Array = NDArray[np.float64]

RISE_S = 0.5
"""Over which dF/F after a moment is compared with dF/F before it: calcium indicators rise in some
tenths of a second."""

_NOISES = 4.5
_LEAST_RISE = 0.05
_NORMAL_MAD = 1.4826
_FRAMES_AT_REST = 3


def find_events(dff: Array, rate_hz: float | None) -> Array:
    """Find when dF/F rises.

    The mean of some frames is compared with that of as many before them. Noise is taken from the
    differences of neighbouring frames, so that nothing is assumed about how fast an indicator
    decays.

    Parameters
    ----------
    dff : ndarray
        (N, T); NaN where nothing is known.
    rate_hz : float or None
        Of the frames; neighbouring ones are compared where unknown.

    Returns
    -------
    ndarray
        (N, T) height of the rise in the frame with which it begins; 0 in others.
    """
    count = dff.shape[1]
    lag = 1 if rate_hz is None else max(1, round(RISE_S * rate_hz))
    events = np.zeros(dff.shape)
    if count < max(2 * lag, _FRAMES_AT_REST):
        return events
    means = np.lib.stride_tricks.sliding_window_view(dff, lag, axis=1).mean(axis=2)
    rise = np.full(dff.shape, np.nan)
    rise[:, lag : count - lag + 1] = means[:, lag:] - means[:, :-lag]
    noise = _noise(dff) * np.sqrt(2 / lag)
    least = np.maximum(_NOISES * noise, _LEAST_RISE)[:, None]
    highest = maximum_filter1d(np.nan_to_num(rise, nan=-np.inf), 2 * lag + 1, axis=1)
    begins = (rise >= least) & (rise == highest)
    events[begins] = rise[begins]
    return events


def _noise(dff: Array) -> Array:
    """(N,) standard deviation in a frame; infinite where it cannot be known."""
    steps = np.diff(dff, axis=1)
    known = np.isfinite(steps)
    noise = np.full(len(dff), np.inf)
    for row in np.flatnonzero(known.sum(axis=1) >= _FRAMES_AT_REST):
        own = steps[row, known[row]]
        spread = np.median(np.abs(own - np.median(own))) * _NORMAL_MAD
        noise[row] = spread / np.sqrt(2)
    return noise

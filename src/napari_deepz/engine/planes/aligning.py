"""Several planes of one place, brought to the same exposure and the same position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift
from skimage.filters import window
from skimage.registration import phase_cross_correlation

Pixels = NDArray[np.float32]

_FINE_PX, _COARSE_PX = 3.0, 12.0
"""Structure between these is the same in and out of focus, and tells how planes lie."""

_UPSAMPLED, _ROUNDS = 20, 2
_LEAST_SHIFT_PX, _MOST_SHIFT_SHARE, _LEAST_GAIN = 0.2, 0.1, 0.005
_DARKEST_PERCENT = 0.5
_LEAST_CHANGE, _MOST_CHANGE = 0.02, 2.0


@dataclass(frozen=True, eq=False)
class AlignedPlane:
    """A plane as it would be with the exposure, and at the place, of the first one.

    Attributes
    ----------
    pixels : ndarray
        (Y, X) float32.
    shift_px : tuple of float
        (y, x) by which it was moved.
    gain : float
        By which its light was multiplied.
    """

    pixels: Pixels
    shift_px: tuple[float, float]
    gain: float

    def describe(self, name: str) -> list[str]:
        """What was done to it, a sentence each."""
        said = []
        if self.gain != 1:
            said.append(f"{name} was multiplied by {self.gain:.3g} to have as much light.")
        if any(self.shift_px):
            y, x = self.shift_px
            said.append(f"{name} was moved by {y:+.2g} pixels along y and {x:+.2g} along x.")
        return said


def align_planes(planes: Sequence[NDArray[np.generic]]) -> list[AlignedPlane]:
    """Bring planes to the exposure and the position of the first.

    A wide-field microscope gathers the same light at every focus. Above the darkest pixels of all
    planes, each is scaled to the sum of the first; not where it has less than half of it or more
    than twice as much, as with optical sections, whose light does change.

    Parameters
    ----------
    planes : sequence of ndarray
        (Y, X) each, finite, of one shape.
    """
    pixels = [np.asarray(plane, np.float32) for plane in planes]
    darkest = min(float(np.percentile(plane, _DARKEST_PERCENT)) for plane in pixels)
    first = pixels[0]
    aligned = [AlignedPlane(first, (0.0, 0.0), 1.0)]
    for plane in pixels[1:]:
        gain = _gain(first, plane, darkest)
        balanced = plane if gain == 1 else (plane - darkest) * np.float32(gain) + darkest
        by_px = _shift(first, balanced)
        moved = shift(balanced, by_px, order=3, mode="nearest") if any(by_px) else balanced
        aligned.append(AlignedPlane(moved.astype(np.float32), by_px, gain))
    return aligned


def _gain(first: Pixels, plane: Pixels, darkest: float) -> float:
    light, wanted = float(plane.mean()) - darkest, float(first.mean()) - darkest
    if light <= 0 or wanted <= 0:
        return 1.0
    gain = wanted / light
    is_balanced = abs(gain - 1) < _LEAST_CHANGE
    return 1.0 if is_balanced or not 1 / _MOST_CHANGE <= gain <= _MOST_CHANGE else gain


def _shift(first: Pixels, plane: Pixels) -> tuple[float, float]:
    """How a plane is to be moved; nothing where that does not make the two more alike."""
    one, other = _band(first), _band(plane)
    if not one.any() or not other.any():
        return 0.0, 0.0
    middle = window("hann", first.shape)  # Borders do not meet, and would pull.
    by_px, moved = np.zeros(2), other
    for _ in range(_ROUNDS):  # The window pulls too, towards no shift.
        found, _, _ = phase_cross_correlation(
            one * middle, moved * middle, normalization=None, upsample_factor=_UPSAMPLED
        )
        by_px += found
        moved = shift(other, by_px, order=1, mode="nearest")
    y, x = (float(value) for value in by_px)
    farthest = _MOST_SHIFT_SHARE * min(first.shape)
    if not _LEAST_SHIFT_PX <= np.hypot(y, x) <= farthest:
        return 0.0, 0.0
    is_better = _alike(one, moved) > _alike(one, other) + _LEAST_GAIN
    return (y, x) if is_better else (0.0, 0.0)


def _band(plane: Pixels) -> Pixels:
    band: Pixels = gaussian_filter(plane, _FINE_PX) - gaussian_filter(plane, _COARSE_PX)
    return band


def _alike(one: Pixels, other: Pixels) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])

"""How the sample moves sideways in a movie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift
from skimage.registration import phase_cross_correlation

from napari_deepz.movies.brightness import Brightness
from napari_deepz.movies.movie import Movie
from napari_deepz.watch import UNWATCHED, Progress, Watch

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

_LOOKED_AT = 9
_MOST_AVERAGED = 64
_ROUNDS = 2
_FINER = 10
_FINE_PX, _COARSE_PX = 1.5, 6.0
_BRIGHTEST_PERCENT = 99.5


@dataclass(frozen=True, eq=False)
class Motion:
    """How frames are to be moved to lie on one another.

    Attributes
    ----------
    shift_px : ndarray
        (T, 2) along y and x.
    template : ndarray
        (K, Y, X) float32, the median of frames that were moved so, above the offset.
    pixel_um : float
        Pixel size.
    """

    shift_px: Array
    template: Pixels
    pixel_um: float

    def moved_at(self, places_um: Array, t: int) -> Array:
        """(N, 2) how far places, (N, 2) y and x in the template, have moved in frame t, µm."""
        return np.broadcast_to(-self.shift_px[t] * self.pixel_um, places_um.shape)

    def straightened(self, frame: Pixels, t: int) -> Pixels:
        """(K, Y, X) a frame where it would be if the sample had not moved; repeated at edges."""
        by_px = (0.0, *self.shift_px[t].tolist())
        return np.asarray(shift(frame, by_px, order=3, mode="nearest"), np.float32)

    def bent(self, picture: Pixels, t: int) -> Pixels:
        """(K, Y, X) how what looks so in the template, looks in frame t; repeated at edges."""
        by_px = (0.0, *(-self.shift_px[t]).tolist())
        return np.asarray(shift(picture, by_px, order=1, mode="nearest"), np.float32)


def measure_motion(movie: Movie, brightness: Brightness, watch: Watch = UNWATCHED) -> Motion:
    """Compare each frame with a template, first the middle frame, then the median of those moved.

    Parameters
    ----------
    movie : Movie
        Its frames are read three times.
    brightness : Brightness
        Of the movie.
    watch : Watch, optional
        Says when to stop, and hears the progress.
    """
    count = len(movie)
    progress = Progress(_ROUNDS * count)
    template = brightness.of_frame(movie.frame(count // 2), count // 2)
    if not np.ptp(template):
        template = brightness.light
    shifts = np.zeros((count, 2))
    for _ in range(_ROUNDS):
        compared = _Compared(template)
        for t in range(count):
            watch.check()
            found_px = compared.shift_px(brightness.of_frame(movie.frame(t), t))
            # A frame that shows nothing is taken to lie where the one before it does.
            shifts[t] = shifts[t - 1] if found_px is None and t else found_px or (0.0, 0.0)
            progress.advance()
            watch.on_progress(progress)
        shifts -= np.median(shifts, axis=0)
        template = _median(movie, brightness, shifts, watch)
    return Motion(shifts, template, movie.pixel_um)


def largest_shift_um(movie: Movie, brightness: Brightness) -> float:
    """Compare a few frames with the typical one.

    Parameters
    ----------
    movie : Movie
        Of which nine frames, evenly spaced, are read.
    brightness : Brightness
        With the typical frame.
    """
    compared = _Compared(brightness.light)
    found_px = [0.0]
    for t in np.unique(np.linspace(0, len(movie) - 1, _LOOKED_AT).round()).astype(int):
        frame = brightness.of_frame(movie.frame(int(t)), int(t))
        found_px.append(math.hypot(*(compared.shift_px(frame) or (0.0, 0.0))))
    return max(found_px) * movie.pixel_um


class _Compared:
    """Cross-correlation of mid-scale structure with a template.

    Plain cross-correlation: with its phase alone, static patterns of a camera would win. What is
    brighter than nearly all of the template is cut, or one bright granule would decide.
    """

    def __init__(self, template: Pixels) -> None:
        band = _band(template.sum(axis=0))
        self._brightest = np.percentile(band, _BRIGHTEST_PERCENT)
        self._band = band.clip(0, self._brightest)

    def shift_px(self, frame: Pixels) -> tuple[float, float] | None:
        """(y, x) by which a frame (K, Y, X) is to be moved; None where either shows nothing."""
        if not np.ptp(frame) or not self._band.any():
            return None
        seen = _band(frame.sum(axis=0)).clip(0, self._brightest)
        found, _, _ = phase_cross_correlation(
            self._band, seen, normalization=None, upsample_factor=_FINER
        )
        y, x = found.tolist()
        return y, x


def _median(movie: Movie, brightness: Brightness, shifts: Array, watch: Watch) -> Pixels:
    times = np.unique(np.linspace(0, len(movie) - 1, min(len(movie), _MOST_AVERAGED)).round())
    moved = []
    for t in times.astype(int).tolist():
        watch.check()
        frame = brightness.of_frame(movie.frame(t), t)
        moved.append(shift(frame, (0.0, *shifts[t].tolist()), order=3, mode="nearest"))
    return np.asarray(np.median(moved, axis=0), np.float32)


def _band(image: Pixels) -> Pixels:
    band: Pixels = gaussian_filter(image, _FINE_PX) - gaussian_filter(image, _COARSE_PX)
    return band

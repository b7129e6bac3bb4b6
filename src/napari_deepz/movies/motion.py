"""How far the sample moves in a movie."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

from napari_deepz.movies.brightness import Brightness
from napari_deepz.movies.movie import Movie

_LOOKED_AT = 9
_FINE_PX, _COARSE_PX = 1.5, 6.0
_BRIGHTEST_PERCENT = 99.5


def largest_shift_um(movie: Movie, brightness: Brightness) -> float:
    """Compare a few frames with the typical one, by cross-correlation of mid-scale structure.

    Plain cross-correlation: with its phase alone, static patterns of a camera would win. What is
    brighter than nearly all of the typical frame is cut, or one bright granule would decide.

    Parameters
    ----------
    movie : Movie
        Of which nine frames, evenly spaced, are read.
    brightness : Brightness
        With the typical frame.
    """
    typical = _band(brightness.light.sum(axis=0))
    brightest = np.percentile(typical, _BRIGHTEST_PERCENT)
    typical = typical.clip(0, brightest)
    found_px = [0.0]
    for t in np.unique(np.linspace(0, len(movie) - 1, _LOOKED_AT).round()).astype(int):
        frame = brightness.of_frame(movie.frame(int(t)), int(t))
        seen = _band(frame.sum(axis=0)).clip(0, brightest)
        shift, _, _ = phase_cross_correlation(typical, seen, normalization=None)
        found_px.append(math.hypot(*shift.tolist()))
    return max(found_px) * movie.pixel_um


def _band(image: NDArray[np.float32]) -> NDArray[np.float32]:
    band: NDArray[np.float32] = gaussian_filter(image, _FINE_PX) - gaussian_filter(
        image, _COARSE_PX
    )
    return band

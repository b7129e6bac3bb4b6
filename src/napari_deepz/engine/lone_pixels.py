"""Pixels that are no light: hot and dead ones of a camera, and numbers beyond all reason.

Light always reaches a pixel's neighbours too, even that of a point in focus.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SAMPLE_PIXELS = 1 << 20
_FLOAT32_STEPS = 2.0**24
_MOST_CANDIDATES = 0.05
_SEEN_SD, _DARK_SD = 8.0, 10.0
_BRIGHT_TIMES, _DARK_TIMES = 20.0, 6.0
_ABSURD_TIMES = 1000.0
_STUCK = 3
_POPULATION, _FAINT_PERCENT = 10, 10
_MOST_TOGETHER = 3
_LIGHT_SD = 5.0
_FEW_LEVELS = 256
_LEAST_SHARE_OF_RANGE = 1e-3
_HALO_SD, _HALO_SHARE = 2.0, 0.01
_PAD_PX = 2
_SQUARE = [(y, x) for y in range(-2, 3) for x in range(-2, 3)]
_AROUND = [(y, x) for y, x in _SQUARE if max(abs(y), abs(x)) == 1]
_BEYOND = [(y, x) for y, x in _SQUARE if max(abs(y), abs(x)) == 2]


def find_absurd(pixels: Pixels, finite: Mask) -> Mask:
    """Find numbers beside which float32 cannot hold the others' digits.

    Parameters
    ----------
    pixels : ndarray
        (Y, X) float32.
    finite : ndarray
        (Y, X) bool, which of them are.

    Returns
    -------
    ndarray
        (Y, X) bool: further from the median, by 2^24 times, than half of those that differ from
        it.
    """
    none = np.zeros(pixels.shape, bool)
    sample = _sample(pixels, finite).astype(np.float64)
    middle = float(np.median(sample))
    differing = np.abs(sample[sample != middle] - middle)
    if not differing.size:
        return none
    limit = _FLOAT32_STEPS * float(np.median(differing))
    highest = pixels.max(where=finite, initial=-np.inf)
    lowest = pixels.min(where=finite, initial=np.inf)
    if max(float(highest) - middle, middle - float(lowest)) <= limit:
        return none
    absurd: Mask = finite & (np.abs(pixels.astype(np.float64) - middle) > limit)
    return absurd


def find_lone_pixels(pixels: Pixels, usable: Mask | None) -> Mask | None:
    """Find pixels that stand alone far above or below all of their neighbours.

    A bright one is 20 times further from its neighbours' median than any of them, and these are
    no brighter than what is beyond them; a point in focus is not so unless its image is much
    smaller than a pixel. Such points are kept: where others, half as bright or more, are seen by
    their neighbours and are more, and where the image shows nothing but single pixels. Pixels that
    share the image's highest value, and those 1000 times further, are a camera's in any case.

    Parameters
    ----------
    pixels : ndarray
        (Y, X) float32, finite.
    usable : ndarray or None
        (Y, X) bool, where they are to be looked for; None where everywhere.

    Returns
    -------
    ndarray or None
        (Y, X) bool; None where there are none.
    """
    noise = _noise(pixels, usable)
    rows, columns = _candidates(pixels, noise)
    if usable is not None:
        inside = usable[rows, columns]
        rows, columns = rows[inside], columns[inside]
    if not 0 < rows.size <= _MOST_CANDIDATES * pixels.size:
        return None
    padded = _padded(pixels)
    values = pixels[rows, columns].astype(np.float64)
    around = _neighbours(padded, rows, columns)
    middle = np.median(around, axis=1)
    spread = np.maximum(np.abs(around - middle[:, None]).max(axis=1), noise)
    times = (values - middle) / spread
    dark = times < -_DARK_TIMES
    stuck = (times < 0) & (values == values.min())
    if np.count_nonzero(stuck) >= _STUCK:
        dark |= stuck
    halo = middle - np.median(_neighbours(padded, rows, columns, _BEYOND), axis=1)
    glows = halo > np.maximum(_HALO_SD * noise, _HALO_SHARE * (values - middle))
    bright = _are_hot(values, values - middle, np.where(glows, 0, times), pixels, usable, noise)
    lone = dark | bright
    if not lone.any():
        return None
    flagged: Mask = np.zeros(pixels.shape, bool)
    flagged[rows[lone], columns[lone]] = True
    if np.count_nonzero(bright) >= _POPULATION:
        middle_of_all = float(np.median(_sample(pixels, usable)))
        faint = float(np.percentile(values[bright], _FAINT_PERCENT))
        least = middle_of_all + (faint - middle_of_all) / 2
        flagged |= _clusters(pixels, padded, flagged, least, noise)
    return flagged


def from_neighbours(pixels: Pixels, lost: Mask) -> Pixels:
    """Put the median of its neighbours that are not lost in place of each lost pixel.

    Parameters
    ----------
    pixels : ndarray
        (Y, X) float32, finite; it is not changed.
    lost : ndarray
        (Y, X) bool. One without other neighbours takes the median of all.

    Returns
    -------
    ndarray
        (Y, X) float32.
    """
    rows, columns = np.nonzero(lost)
    around = _neighbours(_padded(pixels), rows, columns)
    no_use = _neighbours(_padded(lost.astype(np.float32)), rows, columns) > 0
    no_use[no_use.all(axis=1)] = False
    mended = pixels.copy()
    mended[rows, columns] = np.nanmedian(np.where(no_use, np.nan, around), axis=1)
    return mended


def _sample(pixels: Pixels, usable: Mask | None) -> Pixels:
    stride = max(1, int(np.sqrt(pixels.size / _SAMPLE_PIXELS)))
    sample = pixels[::stride, ::stride]
    if usable is not None:
        kept = usable[::stride, ::stride]
        sample = sample[kept] if kept.any() else pixels[usable]
    return sample.ravel()


def _noise(pixels: Pixels, usable: Mask | None) -> float:
    """Standard deviation of noise, from neighbours' differences; one grey level at least."""
    rows = slice(None, None, max(1, pixels.size // _SAMPLE_PIXELS))
    differences = np.abs(np.diff(pixels[rows], axis=1))
    if usable is not None:
        both = usable[rows, 1:] & usable[rows, :-1]
        differences = differences[both] if both.any() else differences
    noise = float(np.median(differences)) / 0.954
    sample = _sample(pixels, usable)
    levels = np.unique(sample)
    if 1 < levels.size <= _FEW_LEVELS:
        return max(noise, float(np.diff(levels).min()))
    return noise or _LEAST_SHARE_OF_RANGE * float(levels[-1] - levels[0])


def _candidates(pixels: Pixels, noise: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where a pixel stands out from its left and right neighbours."""
    padded = np.pad(pixels, ((0, 0), (1, 1)), mode="reflect")
    left, right = padded[:, :-2], padded[:, 2:]
    above = pixels - np.maximum(left, right) > _SEEN_SD * noise
    below = np.minimum(left, right) - pixels > _DARK_SD * noise
    rows, columns = np.nonzero(above | below)
    return rows, columns


def _padded(pixels: Pixels) -> Pixels:
    return np.pad(pixels, _PAD_PX, mode="reflect")


def _neighbours(
    padded: Pixels,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    places: list[tuple[int, int]] = _AROUND,
) -> NDArray[np.float64]:
    """Values of the n neighbours at some places, the eight nearest by default, (pixels, n)."""
    around = [padded[rows + _PAD_PX + y, columns + _PAD_PX + x] for y, x in places]
    return np.stack(around, axis=1).astype(np.float64)


def _are_hot(
    values: NDArray[np.float64],
    heights: NDArray[np.float64],
    times: NDArray[np.float64],
    pixels: Pixels,
    usable: Mask | None,
    noise: float,
) -> Mask:
    """Which of the bright ones are a camera's and not points of light."""
    bright = times > _BRIGHT_TIMES
    if not bright.any():
        return bright
    highest = values.max()
    stuck = bright & (values == highest)
    certain = bright & (times > _ABSURD_TIMES)
    if np.count_nonzero(stuck) >= _STUCK:
        certain |= stuck
    seen = np.sort(heights[(heights > 0) & ~bright])
    alone = np.sort(heights[bright])
    as_bright = [ranked.size - np.searchsorted(ranked, heights / 2) for ranked in (alone, seen)]
    rare = as_bright[0] > as_bright[1]
    middle = float(np.median(_sample(pixels, usable)))
    light = np.count_nonzero(pixels > middle + _LIGHT_SD * noise) - alone.size
    return certain | (bright & rare & bool(light >= alone.size))


def _clusters(pixels: Pixels, padded: Pixels, flagged: Mask, least: float, noise: float) -> Mask:
    """Find up to four hot pixels side by side, which hide each other, above a value."""
    found = np.zeros(pixels.shape, bool)
    rows, columns = np.nonzero((pixels > least) & ~flagged)
    if not 0 < rows.size <= _MOST_CANDIDATES * pixels.size:
        return found
    around = np.sort(_neighbours(padded, rows, columns), axis=1)[:, :-_MOST_TOGETHER]
    level = np.median(around, axis=1)
    spread = np.maximum(np.abs(around - level[:, None]).max(axis=1), noise)
    lone = pixels[rows, columns] - level > _BRIGHT_TIMES * spread
    found[rows[lone], columns[lone]] = True
    return found

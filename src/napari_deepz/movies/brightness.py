"""How bright a movie is from frame to frame: what bleaching and the lamp do to all of it alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_deepz.movies.movie import Movie
from napari_deepz.watch import UNWATCHED, Progress, Watch

Array = NDArray[np.float64]

_MOST_SAMPLED = 64
_BLOCK_PX = 8
_LEAST = 1e-3
_LEAST_CHANGE = 0.2


@dataclass(frozen=True, eq=False)
class Brightness:
    """The light that is common to all frames.

    Attributes
    ----------
    typical : ndarray
        (K, Y, X) float32, the temporal median.
    relative : ndarray
        (T,) brightness of each frame as a share of that of the typical one.
    offset : float
        Counts without light.
    highest : ndarray
        (T,) the brightest pixel of each frame.
    """

    typical: NDArray[np.float32]
    relative: Array
    offset: float
    highest: Array

    @property
    def light(self) -> NDArray[np.float32]:
        """(K, Y, X) the typical frame above the offset."""
        return np.asarray(np.maximum(self.typical - np.float32(self.offset), 0))

    def of_frame(self, frame: NDArray[np.float32], t: int) -> NDArray[np.float32]:
        """(K, Y, X) a frame above the offset, as bright as the typical one."""
        return (frame - np.float32(self.offset)) / np.float32(self.relative[t])


def measure_brightness(
    movie: Movie, offset: float | None = None, watch: Watch = UNWATCHED
) -> Brightness:
    """Compare each frame with the temporal median.

    The light of small blocks of a frame is divided by that of the typical frame; the median over
    all blocks, most of which hold no active cell, is the brightness of the frame.

    Parameters
    ----------
    movie : Movie
        Its frames are read twice.
    offset : float, optional
        Counts of the camera without light. Where not given, what frames of different brightness
        have in common where they change by a tenth and more, else the darkest pixel.
    watch : Watch, optional
        Says when to stop, and hears the progress.
    """
    times = np.unique(np.linspace(0, len(movie) - 1, min(len(movie), _MOST_SAMPLED)).round())
    progress = Progress(len(times) + len(movie))
    sampled = []
    for t in times.astype(int):
        watch.check()
        sampled.append(movie.frame(int(t)))
        progress.advance()
        watch.on_progress(progress)
    typical = np.median(sampled, axis=0).astype(np.float32)
    darkest = float(np.min(sampled))
    del sampled
    of_typical = _blocks(typical)
    blocks, highest = np.empty((len(movie), len(of_typical))), np.empty(len(movie))
    for t in range(len(movie)):
        watch.check()
        frame = movie.frame(t)
        blocks[t], highest[t] = _blocks(frame), frame.max()
        progress.advance()
        watch.on_progress(progress)
    if offset is None:
        offset = _common_offset(blocks, of_typical, darkest)
    lit = of_typical > offset
    if not lit.any():
        return Brightness(typical, np.ones(len(movie)), offset, highest)
    ratios = (blocks[:, lit] - offset) / (of_typical[lit] - offset)
    return Brightness(typical, np.maximum(np.median(ratios, axis=1), _LEAST), offset, highest)


def _blocks(frame: NDArray[np.float32]) -> Array:
    """(B,) means of square blocks of all planes."""
    height, width = (side - side % _BLOCK_PX for side in frame.shape[1:])
    tiled = frame[:, :height, :width].reshape(
        len(frame), height // _BLOCK_PX, _BLOCK_PX, width // _BLOCK_PX, _BLOCK_PX
    )
    return np.asarray(tiled.mean(axis=(2, 4), dtype=np.float64).reshape(-1))


def _common_offset(blocks: Array, of_typical: Array, darkest: float) -> float:
    """Where the lines of blocks against each other, one for each frame, meet."""
    middle = np.median(of_typical)
    bright = of_typical > middle
    if not bright.any():
        return darkest
    low, high = (np.median(blocks[:, part], axis=1) for part in (~bright, bright))
    typical_low, typical_high = np.median(of_typical[~bright]), np.median(of_typical[bright])
    slopes = (high - low) / (typical_high - typical_low)
    if np.ptp(slopes) < _LEAST_CHANGE:
        return darkest
    change = 1 - slopes
    found = float(((low - slopes * typical_low) * change).sum() / (change**2).sum())
    return float(np.clip(found, min(0.0, darkest), darkest))

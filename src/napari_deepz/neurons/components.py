"""A movie as a few pictures: its rest, and the strongest components of what changes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

Pixels = NDArray[np.float32]

_COMPONENTS = 64
_LEAST_VARIANCE_SHARE = 0.05

_MOST_TIMES, _NOISE, _BESIDE = 3.0, 20.0, 11
"""Of the typical frame, what neurons add to it. Where it is more, as where a granule passes, all
are taken to be at rest."""


def components_of(
    frames: Iterable[NDArray[np.floating]], typical: Pixels, bin_px: int
) -> Pixels | None:
    """Keep what frames show and how it changes, in memory that does not grow with their number.

    Parameters
    ----------
    frames : iterable of ndarray
        (K, Y, X) each, counts above the offset of the camera; each is looked at once.
    typical : ndarray
        (K, Y, X) their temporal median.
    bin_px : int
        Side of the square blocks of pixels that are summed.

    Returns
    -------
    ndarray or None
        (1 + C + 1, K, Y / bin, X / bin) float32: the typical frame times the square root of the
        number of frames, the strongest components of what differs from it, and what a count
        weighs; all in standard deviations of the noise. None without light, or of one frame.
    """
    rest = _binned(typical, bin_px)
    spread = np.sqrt(np.maximum(rest, _LEAST_VARIANCE_SHARE * rest.mean()))
    if not rest.any():
        return None
    kept: list[Pixels] = []
    before: Pixels | None = None
    squares, count = np.zeros(rest.shape), 0
    for frame in frames:
        change = _binned(frame, bin_px) - rest
        if (brighter := change > _MOST_TIMES * rest + _NOISE * spread).any():
            change[maximum_filter(brighter, (1, _BESIDE, _BESIDE))] = 0
        change /= spread
        if before is not None:
            squares += (change - before) ** 2 / 2
        before = change
        kept.append(change)
        count += 1
        if len(kept) == 2 * _COMPONENTS:
            kept = list(_strongest(np.stack(kept)))
    if count < 2:
        return None
    noise = np.sqrt(np.median(squares / (count - 1)))
    whole = np.concatenate([np.sqrt(count) * (rest / spread)[None], _strongest(np.stack(kept))])
    return np.asarray(np.concatenate([whole / max(noise, 1e-12), 1 / spread[None]]), np.float32)


def _strongest(rows: Pixels) -> Pixels:
    """(C, K, Y, X) orthogonal components of rows (R, K, Y, X)."""
    flat = rows.reshape(len(rows), -1)
    _, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    strongest = vectors[:, ::-1][:, :_COMPONENTS].T.astype(np.float32)
    return (strongest @ flat).reshape(-1, *rows.shape[1:])


def _binned(frame: NDArray[np.floating], bin_px: int) -> Pixels:
    """(K, Y, X) sums of square blocks."""
    height, width = (side - side % bin_px for side in frame.shape[1:])
    tiled = frame[:, :height, :width].reshape(
        len(frame), height // bin_px, bin_px, width // bin_px, bin_px
    )
    return np.asarray(tiled.sum(axis=(2, 4)), np.float32)

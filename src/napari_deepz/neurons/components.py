"""A movie as a few pictures: its rest, and the strongest components of what changes.

They are looked at part by part, each with what surrounds it, so that a large field takes no more
memory than a small one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import maximum_filter

from napari_deepz.neurons.footprints import Footprints

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

_PIXEL_UM, _FIELD_PX = 0.65, 160
_COMPONENTS = 64
_LEAST_VARIANCE_SHARE = 0.05

_MOST_TIMES, _NOISE, _BESIDE = 3.0, 20.0, 11
"""Of the typical frame, what neurons add to it. Where it is more, as where a granule passes, all
are taken to be at rest."""


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the field, seen with what surrounds it.

    Attributes
    ----------
    pictures : ndarray
        As of `Components`.
    corner_um : ndarray
        (3,) z, y and x of its first pixel's centre.
    own_um : ndarray
        (2, 2) between which y, and which x, from its corner, neurons are its own.
    """

    pictures: Pixels
    corner_um: Array
    own_um: Array
    pixel_um: float

    def sees(self, places_um: Array) -> NDArray[np.bool_]:
        """(N,) which places, from its corner, it shows."""
        reach_um = np.array(self.pictures.shape[2:]) * self.pixel_um
        return np.asarray(((places_um[:, 1:] > 0) & (places_um[:, 1:] < reach_um)).all(axis=1))

    def owns(self, places_um: Array) -> NDArray[np.bool_]:
        """(N,) which places, from its corner, are left to no other part."""
        low_um, high_um = self.own_um.T
        return np.asarray(((places_um[:, 1:] >= low_um) & (places_um[:, 1:] < high_um)).all(axis=1))


@dataclass(frozen=True, eq=False)
class Components:
    """What frames show and how it changes, in memory that does not grow with their number.

    Attributes
    ----------
    pictures : ndarray
        (1 + C + 1, K, Y / bin, X / bin) float32: the typical frame times the square root of the
        number of frames, the strongest components of what differs from it, and what a count
        weighs; all in standard deviations of the noise.
    bin_px : int
        Side of the square blocks of pixels that were summed.
    pixel_um : float
        Of the pictures.
    """

    pictures: Pixels
    bin_px: int
    pixel_um: float

    @classmethod
    def of(
        cls, frames: Iterable[NDArray[np.floating]], typical: Pixels, pixel_um: float
    ) -> Components | None:
        """Look at each frame once; None without light, or of one frame.

        Parameters
        ----------
        frames : iterable of ndarray
            (K, Y, X) each, counts above the offset of the camera, as bright as the typical one.
        typical : ndarray
            (K, Y, X) their temporal median.
        pixel_um : float
            Of the frames.
        """
        bin_px = max(1, round(_PIXEL_UM / pixel_um))
        pictures = _pictures(frames, typical, bin_px)
        return None if pictures is None else cls(pictures, bin_px, bin_px * pixel_um)

    def parts(self, margin_px: int) -> Iterator[Part]:
        """Go through the field, with so many pixels around each part."""
        height, width = self.pictures.shape[2:]
        tops, lefts = range(0, height, _FIELD_PX), range(0, width, _FIELD_PX)
        for top, left in itertools.product(tops, lefts):
            y, x = max(0, top - margin_px), max(0, left - margin_px)
            bottom, right = top + _FIELD_PX + margin_px, left + _FIELD_PX + margin_px
            seen = np.ascontiguousarray(self.pictures[:, :, y:bottom, x:right])
            begin = np.array([top - y, left - x])
            own_um = np.stack([begin, begin + _FIELD_PX], axis=1) * self.pixel_um
            yield Part(seen, np.array([0.0, y, x]) * self.pixel_um, own_um, self.pixel_um)


def binned_footprints(
    footprints: Footprints, places_um: Array, shape: tuple[int, ...], bin_px: int
) -> Pixels:
    """(K * Y * X, N) footprints in pictures of a shape (K, Y, X) whose pixels are blocks."""
    planes, height, width = shape
    fine = (planes, height * bin_px, width * bin_px)
    entries = sparse.coo_array(footprints.matrix(places_um, fine[1:]))
    plane, y, x = np.unravel_index(entries.row, fine)
    rows = (plane * height + y // bin_px) * width + x // bin_px
    size = (planes * height * width, len(places_um))
    found = sparse.coo_array((entries.data, (rows, entries.col)), shape=size)
    return np.asarray(found.toarray(), np.float32)


def _pictures(
    frames: Iterable[NDArray[np.floating]], typical: Pixels, bin_px: int
) -> Pixels | None:
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

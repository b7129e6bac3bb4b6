"""How bright each neuron is in each frame: weighted non-negative least squares on footprints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import maximum_filter
from scipy.optimize import nnls

Array = NDArray[np.float64]

_RIDGE, _RIDGE_OF_PARTS = 1e-9, 1e-6
_MOST_TIMES, _NOISE, _BESIDE_PX = 3.0, 20.0, 41
"""Of the typical frame, what may be left over of a frame. Where it is more, as where a granule
passes, pixels and what is around them are left out of that frame."""

_ROWS_AT_ONCE = 1 << 14
_LEAST_VARIANCE_SHARE = 0.05
SEPARABLE_ERROR = 0.35
"""Largest error of a neuron's light at rest, as a share of it, with which it can be told apart."""


@dataclass(frozen=True, eq=False)
class Demixed:
    """What each neuron emits.

    Attributes
    ----------
    light : ndarray
        (T, N) in the units of the frames, summed over the footprint.
    error : ndarray
        (N,) standard error of the light in one frame, its neighbours being unknown too.
    background : ndarray
        (T, K) even light per pixel of each input plane.
    """

    light: Array
    error: Array
    background: Array


class Demixer:
    """Explains frames by footprints and an even background in each input plane.

    Pixels are weighed with the inverse of their variance, which grows with the light (shot noise);
    that of the typical frame is taken for all, so that one system serves them all.

    Parameters
    ----------
    footprints : sparse array
        (K * Y * X, N), see `Footprints.matrix`.
    typical : ndarray
        (K, Y, X) mean frame, as counts above the offset of the camera.
    """

    def __init__(self, footprints: sparse.csr_array, typical: NDArray[np.float32]) -> None:
        planes, pixels = len(typical), typical[0].size
        self._shape = typical.shape
        even = sparse.block_diag([np.ones((pixels, 1))] * planes, format="csr")
        self._count, self._planes = footprints.shape[1], planes
        self._matrix = sparse.csr_array(sparse.hstack([footprints, even], format="csr"))
        flat = typical.reshape(-1).astype(np.float64)
        least = max(_LEAST_VARIANCE_SHARE * float(flat.mean()), 1e-12)
        self._weights = 1 / np.maximum(flat, least)
        weighed = self._matrix.multiply(self._weights[:, None]).tocsr()
        self._transposed = sparse.csr_array(weighed.T)
        gram = _products(self._matrix, self._weights)
        self._scale = np.sqrt(np.maximum(np.diag(gram), 1e-30))
        self._gram = gram / self._scale / self._scale[:, None]
        self._factor = scipy.linalg.cholesky(self._gram + _RIDGE * np.eye(len(gram)))
        inverse = scipy.linalg.cho_solve((self._factor, False), np.eye(len(gram)))
        self._spread = np.sqrt(np.maximum(np.diag(inverse), 0)) / self._scale

    def solve(self, frame: NDArray[np.floating]) -> Array:
        """Light of each neuron, then the background of each plane, (N + K,), of (K, Y, X)."""
        flat = frame.reshape(-1).astype(np.float64)
        solution = self._solved(self._factor, self._transposed @ flat)
        if not (strange := self._strange(flat - self.explained(solution))).any():
            return solution
        # What passes over some pixels is no neuron: these are left out.
        part = self._matrix[strange]
        weighed = part.multiply(self._weights[strange, None])
        lost = (part.T @ weighed).toarray() / self._scale / self._scale[:, None]
        gram = self._gram - lost + _RIDGE_OF_PARTS * np.eye(len(lost))
        kept = np.where(strange, 0, flat)
        return self._solved(scipy.linalg.cholesky(gram), self._transposed @ kept)

    def _solved(self, factor: Array, projected: Array) -> Array:
        target = scipy.linalg.solve_triangular(factor, projected / self._scale, trans=1)
        found, _ = nnls(factor, target, maxiter=30 * len(target))
        solution: Array = found / self._scale
        return solution

    def _strange(self, rest: Array) -> NDArray[np.bool_]:
        """(K * Y * X,) where far more is left over than is usual, and what is around that."""
        usual = 1 / self._weights
        brighter = (rest > _MOST_TIMES * usual + _NOISE * np.sqrt(usual)).reshape(self._shape)
        if not brighter.any():
            return np.zeros(rest.size, bool)
        return np.asarray(maximum_filter(brighter, (1, _BESIDE_PX, _BESIDE_PX)).reshape(-1))

    def explained(self, solution: Array) -> Array:
        """(K * Y * X,) what footprints and background of a solution add up to."""
        return np.asarray(self._matrix @ solution)

    def demix(self, frames: Iterable[NDArray[np.floating]]) -> Demixed:
        """Solve every frame, (K, Y, X) each, counts above the offset of the camera."""
        return demix_each((self, frame) for frame in frames)

    def misfit(self, frame: NDArray[np.floating], solution: Array) -> float:
        """Mean weighed square of what a solution does not explain; one where noise is all."""
        rest = frame.reshape(-1) - self.explained(solution)
        return float((self._weights * rest**2).mean())

    @property
    def spread(self) -> Array:
        """(N,) standard error of the light in a frame with a misfit of one."""
        return self._spread[: self._count]


def demix_each(pairs: Iterable[tuple[Demixer, NDArray[np.floating]]]) -> Demixed:
    """Solve every frame with a demixer of its own: of neurons that move."""
    found, misfits, spreads = [], [], []
    for demixer, frame in pairs:
        solution = demixer.solve(frame)
        found.append(solution)
        misfits.append(demixer.misfit(frame, solution))
        spreads.append(demixer.spread)
    every, count = np.array(found), len(spreads[0])
    return Demixed(
        light=every[:, :count],
        error=np.median(spreads, axis=0) * np.sqrt(np.median(misfits)),
        background=every[:, count:],
    )


def _products(matrix: sparse.csr_array, weights: Array) -> Array:
    """(N, N) weighed products of the columns; dense by parts, as most footprints overlap."""
    gram = np.zeros((matrix.shape[1], matrix.shape[1]))
    for first in range(0, matrix.shape[0], _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        part = matrix[rows].toarray() * np.sqrt(weights[rows])[:, None]
        gram += part.T @ part
    return gram

"""Neurons that the virtual volume does not show apart, found in what the known ones leave over.

A movie is kept as its rest, the typical frame, and as the strongest components of what changes.
Both are explained by the footprints of the known neurons; wherever another footprint explains much
of what is left, and does so with a time course of its own, there is a neuron.
"""

from __future__ import annotations

import itertools

import numpy as np
import scipy.fft
import scipy.linalg
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from napari_deepz.neurons.components import Components, binned_footprints
from napari_deepz.neurons.footprints import Footprints

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

_Z_STEP_UM = 1.0
_ROUNDS, _MOST_LOOKED_AT = 2, 40
_FINER_UM = tuple(itertools.product((-0.6, 0, 0.6), (-0.3, 0, 0.3), (-0.3, 0, 0.3)))

APART_UM = (3.0, 2.0)
"""Half axes along z and across of the ellipsoid that a neuron has to itself."""

_WRONG = 0.2
"""By which share of their light footprints are believed to be wrong."""

_MOST_WRONG = 24
_AT_ONCE = 4096
_LEAST_GAIN, _LEAST_GAIN_SHARE = 300.0, 0.01
"""What a neuron must explain: in units of noise, and as a share of what a known one does."""

_LEAST_REST, _MOST_CHANGE = 0.6, 0.7
"""Its light at rest as a share of that of a known one, and how much of that the changes may be:
what only passes through the field has no rest."""


def find_hidden(
    places_um: Array,
    footprints: Footprints,
    components: Components,
    range_um: tuple[float, float],
) -> Array:
    """Find further neurons in what those known leave over of a movie.

    Parameters
    ----------
    places_um : ndarray
        (N, 3) z, y and x of known neurons, from the centre of the first pixel.
    footprints : Footprints
        What a neuron leaves; they must reach as far as `range_um`.
    components : Components
        Of the movie.
    range_um : tuple of float
        Between which depths neurons are looked for.

    Returns
    -------
    ndarray
        (M, 3) places of further neurons, those first that explain most.
    """
    bin_px = components.bin_px
    found = [np.empty((0, 3))]
    for part in components.parts(footprints.side_px // 2 // bin_px):
        near = places_um - part.corner_um
        near = near[part.sees(near)]
        if len(near):
            new = _Field(footprints, part.pictures, bin_px, near).search(range_um)
            found.append(new[part.owns(new)] + part.corner_um)
    return np.concatenate(found)


def _correlated(transforms: NDArray[np.complex64], kernel: Pixels, size: tuple[int, ...]) -> Pixels:
    """(C, Y, X) correlation of images (C, K, Y, X), as transforms, with (K, Y, X), over planes."""
    seen = scipy.fft.rfft2(kernel, workers=-1).conj()
    return np.asarray(
        scipy.fft.irfft2((transforms * seen).sum(axis=1), s=size, workers=-1), np.float32
    )


class _Field:
    """Components of a part of the field, explained by neurons as far as these are known.

    With the whitened footprints A = Q L^T, Q orthonormal, what a footprint `a` adds is its part
    that is orthogonal to Q. Rows of `_light` are the neurons, and columns the components.
    """

    def __init__(
        self, footprints: Footprints, components: Pixels, bin_px: int, places_um: Array
    ) -> None:
        self._footprints, self._bin_px = footprints, bin_px
        self._pixel_um = bin_px * footprints.optics.sampling.pixel_size_um
        self._shape = components.shape[1:]
        self._weights = components[-1].reshape(-1)
        self._data = components[:-1].reshape(len(components) - 1, -1)
        self._places_um = places_um
        planes = self._shape[0]
        even = np.repeat(np.eye(planes), self._weights.size // planes, axis=0)
        known = np.column_stack([even * self._weights[:, None], self._columns(places_um)])
        gram = known.T @ known
        gram[np.diag_indices_from(gram)] *= 1 + 1e-6
        self._lower = scipy.linalg.cholesky(gram, lower=True)
        solved = scipy.linalg.solve_triangular(self._lower, known.T, lower=True)
        self._basis = np.asarray(solved, np.float32)
        self._rest = self._data - (self._data @ self._basis.T) @ self._basis
        self._traces = light = self._light()
        error = np.linalg.norm(np.linalg.inv(self._lower)[:, planes:], axis=0)
        self._least_light = _LEAST_REST * float(np.median(light[:, 0]))
        gains = (light[:, 0] / error) ** 2
        self._least_gain = max(_LEAST_GAIN, _LEAST_GAIN_SHARE * float(np.median(gains)))

    def search(self, range_um: tuple[float, float]) -> Array:
        """(M, 3) further places, the best first; each is known to those that follow."""
        known = len(self._places_um)
        for _ in range(_ROUNDS):
            places = self._candidates(range_um)
            columns = self._columns(places)
            before = len(self._places_um)
            while len(places):
                gains = np.where(self._apart(places), self._gains(columns), 0)
                best = int(gains.argmax())
                if gains[best] < self._least_gain:
                    break
                place, column = self._polished(places[best], range_um)
                places = np.delete(places, best, axis=0)
                columns = np.delete(columns, best, axis=1)
                if self._apart(place[None])[0] and self._gains(column)[0] >= self._least_gain:
                    self._add(place, column[:, 0])
            if len(self._places_um) == before:
                break
        return self._places_um[known:]

    def _light(self) -> Array:
        """(N, 1 + C) least-squares light of each neuron."""
        projected = self._basis @ self._data.T
        solved = scipy.linalg.solve_triangular(self._lower, projected, lower=True, trans=1)
        return np.asarray(solved[self._shape[0] :], np.float64)

    def _add(self, place_um: Array, column: Pixels) -> None:
        overlap = self._basis @ column
        alone = column - overlap @ self._basis
        norm = float(np.linalg.norm(alone))
        alone = alone / norm
        size = len(overlap)
        lower = np.zeros((size + 1, size + 1))
        lower[:size, :size], lower[size, :size], lower[size, size] = self._lower, overlap, norm
        self._lower, self._basis = lower, np.vstack([self._basis, alone])
        self._rest = self._rest - np.outer(self._rest @ alone, alone)
        self._places_um = np.vstack([self._places_um, place_um])
        self._traces = self._light()

    def _columns(self, places_um: Array) -> Pixels:
        """(K * Y * X, M) whitened footprints."""
        each = binned_footprints(self._footprints, places_um, self._shape, self._bin_px)
        return np.asarray(each * self._weights[:, None])

    def _candidates(self, range_um: tuple[float, float]) -> Array:
        """(M, 3) where footprints add most, of a grid over the field."""
        planes, height, width = self._shape
        half = self._footprints.side_px // 2 // self._bin_px + 1
        side = (2 * half + 1, 2 * half + 1)
        size = tuple(
            scipy.fft.next_fast_len(length + half, real=True) for length in self._shape[1:]
        )
        rest, basis, squares = (
            scipy.fft.rfft2((part * power).reshape(-1, *self._shape), s=size, workers=-1)
            for part, power in (
                (self._rest, self._weights),
                (self._basis, self._weights),
                (self._weights, self._weights),
            )
        )
        depths_um = np.arange(range_um[0], range_um[1] + _Z_STEP_UM / 2, _Z_STEP_UM)
        centre_um = (half + 0.5) * self._pixel_um - self._pixel_um / self._bin_px / 2
        gains = np.zeros((len(depths_um), height, width))
        for index, z_um in enumerate(depths_um):
            centre = np.array([[z_um, centre_um, centre_um]])
            kernel = binned_footprints(self._footprints, centre, (planes, *side), self._bin_px)
            wide = np.zeros((planes, *size), np.float32)
            wide[:, : side[0], : side[1]] = kernel.reshape(planes, *side)
            wide = np.roll(wide, (-half, -half), axis=(1, 2))
            match, overlap, norm = (
                _correlated(part, seen, size)[:, :height, :width].reshape(len(part), -1)
                for part, seen in ((rest, wide), (basis, wide), (squares, wide**2))
            )
            promising = np.flatnonzero(
                (match**2).sum(axis=0)
                > self._least_gain * np.maximum(norm[0] - (overlap**2).sum(axis=0), 0.02 * norm[0])
            )
            for first in range(0, len(promising), _AT_ONCE):
                at = promising[first : first + _AT_ONCE]
                found = self._tested(match[:, at], overlap[:, at], norm[0, at])
                gains[index].reshape(-1)[at] = found
        peaks = (gains == maximum_filter(gains, (3, 5, 5))) & (gains >= self._least_gain)
        peaks[[0, -1]] = False
        at = np.argwhere(peaks)
        at = at[np.argsort(-gains[peaks], kind="stable")]
        within = (at[:, 1:] + 0.5) * self._pixel_um - self._pixel_um / self._bin_px / 2
        places = np.column_stack([depths_um[at[:, 0]], within])
        return places[self._apart(places)][:_MOST_LOOKED_AT]

    def _apart(self, places_um: Array) -> NDArray[np.bool_]:
        """(M,) whether places lie in no neuron that is known."""
        scale = 1 / np.array([APART_UM[0], APART_UM[1], APART_UM[1]])
        away = (places_um[:, None] - self._places_um) * scale
        return np.asarray((np.linalg.norm(away, axis=2) >= 1).all(axis=1))

    def _polished(self, place_um: Array, range_um: tuple[float, float]) -> tuple[Array, Pixels]:
        for finer in (1, 2):
            tried = place_um + np.array(_FINER_UM) / finer
            tried[:, 0] = tried[:, 0].clip(*range_um)
            columns = self._columns(tried)
            best = int(self._gains(columns).argmax())
            place_um = tried[best]
        return place_um, columns[:, [best]]

    def _gains(self, columns: Pixels) -> Array:
        """(M,) what footprints (P, M) add, in units of noise; 0 for what is no neuron."""
        overlap = np.asarray(self._basis @ columns)
        squares = np.asarray((columns**2).sum(axis=0))
        return self._tested(np.asarray(self._rest @ columns, np.float32), overlap, squares)

    def _tested(self, match: Pixels, overlap: Pixels, squares: Pixels) -> Array:
        """(M,) the same from products with what is left, with the basis and with itself.

        A footprint that is wrong leaves light over with the time course of its own neuron. Such
        light counts as noise; time courses are those that the known neurons have beside the new.
        """
        planes, light = self._shape[0], self._traces
        alone = np.sqrt(np.maximum(squares - (overlap**2).sum(axis=0), 0.02 * squares) + 1e-30)
        found = match / alone
        energy = (found**2).sum(axis=0)
        change = np.sqrt((found[1:] ** 2).sum(axis=0))
        is_neuron = (found[0] >= self._least_light * alone) & (change <= _MOST_CHANGE * found[0])
        shared = (self._lower @ overlap)[planes:] / alone
        lower = scipy.linalg.solve_triangular(self._lower, overlap, lower=True, trans=1)
        taken = lower[planes:] / alone
        alike = light @ found
        own = light @ light.T
        squared = np.diag(own)[:, None] - 2 * taken * alike + taken**2 * energy
        wrong = _WRONG * np.abs(shared) * np.sqrt(np.maximum(squared, 0))
        most = min(_MOST_WRONG, len(light))
        chosen = np.argpartition(-wrong, most - 1, axis=0)[:most]
        at = np.arange(found.shape[1])
        shared, taken, alike = (_WRONG * shared)[chosen, at], taken[chosen, at], alike[chosen, at]
        crossed = taken[:, None] * (alike - taken * energy / 2)
        gram = own[chosen[:, None], chosen[None]] - crossed - np.swapaxes(crossed, 0, 1)
        gram = np.moveaxis(gram * shared[:, None] * shared[None], 2, 0)
        gram[:, range(most), range(most)] += 1
        seen = (shared * (alike - taken * energy)).T
        lost = (seen * np.linalg.solve(gram, seen[..., None])[..., 0]).sum(axis=1)
        return np.asarray(np.where(is_neuron, energy - lost - len(found), 0))

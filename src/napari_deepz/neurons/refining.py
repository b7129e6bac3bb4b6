"""Where exactly neurons are, and how large: fitted together to what the frames show.

Footprints that are a little wrong leave light of one neuron to its neighbours. The places of all
neurons, and the radius that they have in common, are therefore moved (Gauss, Newton) until their
light, solved anew in each round, explains best the typical frame and the components of what
changes. A place moves the less, the further it is from where the neuron was found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.optimize import nnls

from napari_deepz.neurons.components import Components, binned_footprints
from napari_deepz.neurons.footprints import Footprints

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

_ROUNDS = 4
_STEPS_UM = np.array([0.25, 0.1, 0.1, 0.1])
_SCATTER_UM = np.array([0.8, 0.3, 0.3])
"""Along z, y and x, of where neurons are found about where they are."""

_MOST_UM = np.array([2.0, 0.7, 0.7])
_RADII_UM = (0.5, 2.0)
_FIRST_RADIUS_UM, _RADIUS_SCATTER_UM = 1.2, 0.4


@dataclass(frozen=True, eq=False)
class Refined:
    """Neurons as the frames show them.

    Attributes
    ----------
    places_um : ndarray
        (N, 3) z, y and x from the centre of the first pixel.
    radius_um : float
        What they have in common.
    """

    places_um: Array
    radius_um: float


def refine(
    places_um: Array, footprints: Footprints, components: Components, *, moves: bool = True
) -> Refined:
    """Fit places and the common radius of neurons.

    Parameters
    ----------
    places_um : ndarray
        (N, 3) z, y and x of all neurons, from the centre of the first pixel.
    footprints : Footprints
        What a neuron leaves; they must reach 2 µm further than the places.
    components : Components
        Of the movie.
    moves : bool, optional
        Whether places are fitted too, and not the radius alone.
    """
    bin_px = components.bin_px
    refined = places_um.copy()
    radii: list[float] = []
    for part in components.parts(footprints.side_px // 2 // bin_px):
        away_um = places_um - part.corner_um
        near = part.sees(away_um)
        inside = near & part.owns(away_um)
        if inside.any():
            fit = _Fit(footprints, part.pictures, bin_px, away_um[near])
            for _ in range(_ROUNDS):
                fit.move(moves=moves)
            refined[inside] = (fit.places_um + part.corner_um)[inside[near]]
            radii += [fit.radius_um] * int(inside.sum())
    return Refined(refined, float(np.mean(radii)) if radii else footprints.radius_um)


class _Fit:
    """Neurons of a part of the field, with what explains its pictures best."""

    def __init__(
        self, footprints: Footprints, pictures: Pixels, bin_px: int, places_um: Array
    ) -> None:
        self._footprints, self._bin_px, self._shape = footprints, bin_px, pictures.shape[1:]
        self._found_um, self.places_um = places_um, places_um
        self.radius_um = _FIRST_RADIUS_UM
        self._weights = pictures[-1].reshape(-1)
        self._data = pictures[:-1].reshape(len(pictures) - 1, -1)
        planes = self._shape[0]
        even = np.repeat(np.eye(planes), self._weights.size // planes, axis=0)
        self._even = np.asarray(even * self._weights[:, None], np.float32)

    def move(self, *, moves: bool) -> None:
        """Solve the light, and move all by one step."""
        known = np.hstack([self._even, self._columns(self.places_um, self.radius_um)])
        size = np.maximum(np.linalg.norm(known, axis=0), 1e-9)
        known /= size
        gram = np.asarray(known.T @ known, np.float64)
        gram[np.diag_indices_from(gram)] += 1e-6
        factor = scipy.linalg.cholesky(gram)
        light = scipy.linalg.solve_triangular(factor, known.T @ self._data.T, trans=1)
        at_rest = nnls(factor, light[:, 0], maxiter=30 * len(light))[0]
        light = scipy.linalg.solve_triangular(factor, light)
        light[:, 0] = at_rest
        rest = self._data - np.asarray(known @ light.astype(np.float32)).T
        light = (light / size[:, None])[self._shape[0] :]
        # Neurons and the ways in which each may go; what its light can do as well does not count.
        slopes = self._slopes(moves)
        ways, count = slopes.shape[1] // len(light), len(light)
        overlap = np.asarray(known.T @ slopes, np.float64)
        solved = scipy.linalg.cho_solve((factor, False), overlap)
        square = np.asarray(slopes.T @ slopes, np.float64) - overlap.T @ solved
        square *= np.tile(light @ light.T, (ways, ways))
        along = ((slopes.T @ rest.T) * np.tile(light, (ways, 1))).sum(axis=1)
        scatter = np.repeat(_SCATTER_UM, count)
        away = (self.places_um - self._found_um).T.reshape(-1)
        if not moves:
            scatter, away = scatter[:0], away[:0]
        # All have one radius.
        one = scipy.linalg.block_diag(np.eye(len(scatter)), np.ones((count, 1)))
        scatter = np.append(scatter, _RADIUS_SCATTER_UM)
        away = np.append(away, self.radius_um - _FIRST_RADIUS_UM)
        noise = max(1.0, float((rest[0] ** 2).mean()))
        square = one.T @ square @ one / noise + np.diag(scatter**-2)
        step = np.linalg.solve(square, one.T @ along / noise - away / scatter**2)
        step = step.clip(-scatter, scatter)
        self.radius_um = float(np.clip(self.radius_um + step[-1], *_RADII_UM))
        if moves:
            moved = self.places_um + step[:-1].reshape(3, count).T
            self.places_um = moved.clip(self._found_um - _MOST_UM, self._found_um + _MOST_UM)

    def _slopes(self, moves: bool) -> Pixels:
        """(P, 4 N) how footprints change along z, y and x and with the radius; or with that."""
        steps = np.diag(_STEPS_UM) if moves else np.diag(_STEPS_UM)[-1:]
        found = []
        for *step_um, larger_um in steps:
            after, before = (
                self._columns(
                    self.places_um + way * np.array(step_um), self.radius_um + way * larger_um
                )
                for way in (1, -1)
            )
            found.append((after - before) / np.float32(2 * (sum(step_um) + larger_um)))
        return np.hstack(found)

    def _columns(self, places_um: Array, radius_um: float) -> Pixels:
        """(P, N) whitened footprints."""
        sized = self._footprints.of_radius(radius_um)
        each = binned_footprints(sized, places_um, self._shape, self._bin_px)
        return np.asarray(each * self._weights[:, None])

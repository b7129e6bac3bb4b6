"""Places of neurons, moved until their footprints explain the mean frame best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_deepz.neurons.demixing import Demixer
from napari_deepz.neurons.footprints import Footprints

Array = NDArray[np.float64]

_ROUNDS = 8
_LOOSE_UM = np.array([0.8, 0.25, 0.25])
"""How far places are believed to be off, along z, y and x, as found in the virtual volume."""

_NUDGE_UM = np.array([0.2, 0.05, 0.05])
_FARTHEST = 2.0


def fit_places(places_um: Array, footprints: Footprints, mean: NDArray[np.float32]) -> Array:
    """Fit places to the mean frame by damped Gauss-Newton steps, amplitudes solved in between.

    Parameters
    ----------
    places_um : ndarray
        (N, 3) z, y and x, as they were found.
    footprints : Footprints
        What a neuron leaves.
    mean : ndarray
        (K, Y, X) mean frame, counts above the offset of the camera.

    Returns
    -------
    ndarray
        (N, 3), none further from where it was found than twice what places may be off.
    """
    shape = (mean.shape[1], mean.shape[2])
    start, places = places_um, places_um.copy()
    flat = mean.reshape(-1).astype(np.float64)
    weights = 1 / np.maximum(flat, 0.05 * flat.mean())
    for _ in range(_ROUNDS):
        matrix = footprints.matrix(places, shape)
        demixer = Demixer(matrix, mean)
        solution = demixer.solve(mean)
        light = solution[: len(places)]
        rest = flat - demixer.explained(solution)
        noise = float((weights * rest**2).mean())
        slopes = []
        for axis in range(3):
            nudge = np.zeros(3)
            nudge[axis] = _NUDGE_UM[axis]
            ahead = footprints.matrix(places + nudge, shape)
            behind = footprints.matrix(places - nudge, shape)
            slopes.append((ahead - behind).multiply(light / (2 * _NUDGE_UM[axis])))
        jacobian = sparse.csr_array(sparse.hstack([*slopes, matrix], format="csr"))
        transposed = sparse.csr_array(jacobian.multiply(weights[:, None]).T)
        gram = (transposed @ jacobian).toarray() / noise
        count = len(places)
        believed = np.concatenate([np.full(count, 1 / loose**2) for loose in _LOOSE_UM])
        gram[np.diag_indices(3 * count)] += believed
        gram[np.diag_indices_from(gram)] += 1e-9 * np.diag(gram).max()
        pull = transposed @ rest / noise
        pull[: 3 * count] += believed * (start - places).T.reshape(-1)
        step = np.linalg.solve(gram, pull)[: 3 * count].reshape(3, count).T
        step = np.clip(step, -_LOOSE_UM, _LOOSE_UM)
        places = np.clip(
            places + step, start - _FARTHEST * _LOOSE_UM, start + _FARTHEST * _LOOSE_UM
        )
        if (np.abs(step) < 0.05 * _LOOSE_UM).all():
            break
    return places

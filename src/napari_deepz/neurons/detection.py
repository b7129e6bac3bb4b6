"""Bright spots of a volume: peaks of its Laplacian of Gaussian."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_laplace, maximum_filter

Array = NDArray[np.float64]

SPOT_UM = (1.2, 0.8)
"""Scale of a nucleus along z and across, of the Gaussian."""


def find_spots(
    volume: NDArray[np.float32], voxel_um: tuple[float, float, float], z_start_um: float
) -> tuple[Array, Array]:
    """Find peaks, the highest first.

    Parameters
    ----------
    volume : ndarray
        (Z, Y, X), positive; its square root is searched, in which photon noise is even.
    voxel_um : tuple of float
        (z, y, x).
    z_start_um : float
        Depth of the first plane.

    Returns
    -------
    places_um : ndarray
        (N, 3) z, y and x from the centre of the first pixel, between pixels too.
    heights : ndarray
        (N,) of the response, in units of its noise.
    """
    sigma = np.array([SPOT_UM[0], SPOT_UM[1], SPOT_UM[1]]) / voxel_um
    root = np.sqrt(np.maximum(volume - volume.min(), 0)).astype(np.float32)
    response = -gaussian_laplace(root, sigma, mode="nearest")
    size = tuple(2 * max(1, round(float(side))) + 1 for side in sigma)
    is_peak = (response == maximum_filter(response, size)) & (response > 0)
    is_peak[[0, -1]] = False
    peaks = np.argwhere(is_peak)
    spread = float(np.median(np.abs(response - np.median(response)))) * 1.4826
    heights = response[tuple(peaks.T)] / max(spread, 1e-12)
    order = np.argsort(-heights, kind="stable")
    places = peaks[order] + _between(response, peaks[order])
    return places * voxel_um + [z_start_um, 0, 0], heights[order]


def _between(response: NDArray[np.float32], peaks: NDArray[np.int64]) -> Array:
    """(N, 3) where the parabolas through a peak and its neighbours are highest, in voxels."""
    moved = np.zeros(peaks.shape)
    for axis in range(3):
        last = response.shape[axis] - 1
        inside = (peaks[:, axis] > 0) & (peaks[:, axis] < last)
        here = response[tuple(peaks[inside].T)]
        sides = []
        for step in (-1, 1):
            beside = peaks[inside].copy()
            beside[:, axis] += step
            sides.append(response[tuple(beside.T)])
        bend = sides[0] - 2 * here + sides[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = 0.5 * (sides[0] - sides[1]) / bend
        moved[inside, axis] = np.where(bend < 0, np.clip(shift, -0.5, 0.5), 0)
    return moved

"""Spots are found where they are, between voxels too."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from napari_deepz.neurons.detection import find_spots

VOXEL_UM = (0.5, 0.325, 0.325)


def test_spots_are_found_between_voxels(rng: np.random.Generator) -> None:
    shape = (41, 96, 96)
    truth = np.array([[-4.2, 8.1, 9.7], [0.3, 20.0, 15.15], [5.6, 12.33, 24.9]])
    grid = np.meshgrid(*(np.arange(n) * step for n, step in zip(shape, VOXEL_UM, strict=True)),
                       indexing="ij")  # fmt: skip
    volume = np.full(shape, 50.0)
    for z, y, x in truth:
        away = ((grid[0] - 10 - z) / 1.2) ** 2 + ((grid[1] - y) ** 2 + (grid[2] - x) ** 2) / 0.64
        volume += 900 * np.exp(-away / 2)
    volume = rng.poisson(volume).astype(np.float32)
    places, heights = find_spots(volume, VOXEL_UM, -10.0)
    assert (np.diff(heights) <= 0).all()
    nearest = cdist(truth, places[:3]).min(axis=1)
    assert (nearest < 0.25).all()
    assert heights[2] > 3 * heights[3]

"""What glows in a simulated volume: compact objects, dense tissue, or both."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_deepz.training.any_objective import textures
from napari_deepz.training.phantoms import Kind, draw_phantom

SHAPE = (128, 256, 256)
"""(Z, Y, X) of a volume; 128 planes reach 20 waves to either side of each."""

_UNIT_20X_UM = 0.52 / 0.75
_POINTS: tuple[Kind, ...] = (
    *("beads", "sparse-beads", "dense-beads", "tilted-beads", "curved-beads"),
    *("neurons", "neurons", "head", "worm", "worm"),
)
_DENSE = ("tissue", "membranes", "filaments", "cells", "cells")


def draw_specimen(
    rng: np.random.Generator, voxel_um: tuple[float, float, float]
) -> tuple[NDArray[np.float32], str]:
    """Draw what glows: one kind of object, often with a second among or around it.

    Returns
    -------
    volume : ndarray
        `SHAPE`, float32.
    kind : str
        What it is.
    """
    extent_um = np.array(SHAPE) * voxel_um
    thickness_um = float(extent_um[0] * np.exp(rng.uniform(*np.log((0.04, 1.0)))))
    dense = rng.uniform() < 0.55
    first = str(rng.choice(_DENSE if dense else _POINTS))
    volume = one_kind(rng, first, voxel_um, thickness_um)
    names = [first]
    if rng.uniform() < (0.5 if dense else 0.6):
        second = str(rng.choice(_DENSE if not dense or rng.uniform() < 0.5 else _POINTS))
        share = np.exp(rng.uniform(*np.log((0.1, 3.0) if dense else (0.03, 2.0))))
        volume += np.float32(share) * one_kind(rng, second, voxel_um, thickness_um)
        names.append(second)
    if dense and rng.uniform() < 0.4:
        volume *= textures.body(rng, SHAPE, voxel_um) + np.float32(0.03 * rng.uniform())
        names.append("body")
    return volume, "+".join(names)


def one_kind(
    rng: np.random.Generator,
    kind: str,
    voxel_um: tuple[float, float, float],
    thickness_um: float,
) -> NDArray[np.float32]:
    """Draw one kind of object, such as "cells" or "worm", of mean one; (Z, Y, X) float32.

    `thickness_um` is the depth of the layer in which it lies.
    """
    if kind == "cells":
        volume = textures.cells(rng, SHAPE, voxel_um, thickness_um)
    elif kind in _DENSE:
        volume = getattr(textures, kind)(rng, SHAPE, voxel_um)
        volume *= _layer(voxel_um[0], thickness_um)
    else:
        volume = _points(rng, kind, voxel_um, thickness_um)  # type: ignore[arg-type]
    volume /= max(float(volume.mean()), 1e-12)
    return volume


def _layer(step_um: float, thickness_um: float) -> NDArray[np.float32]:
    """A layer of the sample with soft borders, (Z, 1, 1)."""
    planes = SHAPE[0]
    if thickness_um > 0.8 * planes * step_um:
        return np.ones((planes, 1, 1), np.float32)
    distance_um = (np.abs(np.arange(planes) - planes / 2) * step_um) - thickness_um / 2
    soft_um = max(0.1 * thickness_um, 0.5 * step_um)
    layer: NDArray[np.float32] = 1 / (1 + np.exp(np.clip(4 * distance_um / soft_um, -30, 30)))
    return layer.astype(np.float32)[:, None, None]


def _points(
    rng: np.random.Generator,
    kind: Kind,
    voxel_um: tuple[float, float, float],
    thickness_um: float,
) -> NDArray[np.float32]:
    """Compact objects as in `phantoms`, as large against λ/NA as they are at 20x/0.75."""
    scale = voxel_um[1] / _UNIT_20X_UM / rng.uniform(0.25, 0.6) * math.exp(rng.normal(0, 0.3))
    phantom = draw_phantom(
        kind,
        rng,
        field_um=SHAPE[1] * voxel_um[1] / scale,
        half_depth_um=max(thickness_um / 2 / scale, 1.0),
    )
    return splat_around(phantom.points_um * scale, phantom.brightness, voxel_um)


def splat_around(
    points_um: NDArray[np.float64],
    brightness: NDArray[np.float64],
    voxel_um: tuple[float, float, float],
) -> NDArray[np.float32]:
    """Share each point's brightness among the eight voxels around it; borders meet."""
    position = points_um / voxel_um + np.array(SHAPE) / 2
    base = np.floor(position).astype(np.int64)
    fraction = position - base
    volume = np.zeros(math.prod(SHAPE), np.float32)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, fraction, 1 - fraction), axis=1) * brightness
        index = np.ravel_multi_index(tuple(((base + corner) % SHAPE).T), SHAPE)
        np.add.at(volume, index, weight.astype(np.float32))
    return volume.reshape(SHAPE)

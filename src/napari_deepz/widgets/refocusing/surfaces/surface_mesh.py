"""A surface as a mesh of few triangles: cheap enough to be drawn while the user moves it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from napari_deepz.surfaces import AlongPath, Curved, FromImage, Surface, Tilted

MOST_NODES = 48
_PATH_STEP = 4
"""A surface along a path is worked out at every fourth pixel only."""


@dataclass(frozen=True, eq=False)
class DepthGrid:
    """Depths of a surface at a few rows and columns of an image.

    Attributes
    ----------
    y_um, x_um : ndarray
        (n,) and (m,) float64, positions from the centre of the first pixel in µm, both ends of the
        image included.
    z_um : ndarray
        (n, m) float64, depths in µm relative to the image's plane.
    """

    y_um: NDArray[np.float64]
    x_um: NDArray[np.float64]
    z_um: NDArray[np.float64]

    @property
    def faces(self) -> NDArray[np.intp]:
        """Triangles between neighbouring nodes, (k, 3) indices into the flattened grid."""
        return _faces(*self.z_um.shape)


def depth_grid(
    surface: Surface, shape: tuple[int, int], pixel_size_um: float, *, focus_um: float = 0.0
) -> DepthGrid:
    """Sample a surface on at most 48 x 48 nodes from the first pixel to the last.

    Nodes lie a common distance apart along y and x, with shorter cells at the ends.

    Parameters
    ----------
    surface : Surface
        What to sample.
    shape : tuple of int
        (Y, X) of the image in pixels.
    pixel_size_um : float
        Size of a pixel in µm.
    focus_um : float, optional
        Depth of the one plane that stands for a range of level planes.

    Raises
    ------
    ValueError
        If the surface does not suit an image of this shape.
    """
    if surface.uniform_z_um is not None:
        y_px, x_px = (np.unique([0.0, size - 1.0]) for size in shape)
        z_um = np.full((len(y_px), len(x_px)), focus_um)
    elif isinstance(surface, FromImage):
        y_px, x_px, z_um = _sampled(surface, shape, pixel_size_um)
    else:
        y_px, x_px, z_um = _evaluated(surface, shape, pixel_size_um)
    return DepthGrid(y_px * pixel_size_um, x_px * pixel_size_um, z_um)


_Nodes = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _sampled(surface: FromImage, shape: tuple[int, int], pixel_size_um: float) -> _Nodes:
    if surface.depths_um.shape != shape:
        surface.dpm(shape, pixel_size_um)
    rows, columns = (
        np.unique(np.rint(np.linspace(0, size - 1, MOST_NODES)).astype(int)) for size in shape
    )
    z_um = surface.depths_um[np.ix_(rows, columns)].astype(np.float64)
    return rows.astype(np.float64), columns.astype(np.float64), z_um


def _evaluated(surface: Surface, shape: tuple[int, int], pixel_size_um: float) -> _Nodes:
    # Ends of the image may fall into the first and last cell: one node is kept for each.
    step_px = max(1.0, (max(shape) - 1) / (MOST_NODES - 2))
    counts = tuple(int(np.ceil((size - 1) / step_px - 1e-9)) + 1 for size in shape)
    finer = _PATH_STEP if isinstance(surface, AlongPath) else 1
    finer_shape = tuple((count - 1) * finer + 1 for count in counts)
    fine_um = surface.dpm((finer_shape[0], finer_shape[1]), pixel_size_um * step_px / finer)
    z_um: NDArray[np.float64] = fine_um[::finer, ::finer].astype(np.float64)
    nodes = []
    for axis, (size, count) in enumerate(zip(shape, counts, strict=True)):
        beyond_px = (count - 1) * step_px - (size - 1)
        first_px = -beyond_px / 2 if _is_centred(surface) else 0.0
        there_px = first_px + step_px * np.arange(count)
        wanted_px = np.clip(there_px, 0, size - 1)
        z_um = np.apply_along_axis(partial(np.interp, wanted_px, there_px), axis, z_um)
        nodes.append(wanted_px)
    return nodes[0], nodes[1], z_um


def _is_centred(surface: Surface) -> bool:
    """Whether a surface is placed by the centre of the image, not by its first pixel."""
    return isinstance(surface, Tilted) or (
        isinstance(surface, Curved) and surface.centre_um is None
    )


@lru_cache(maxsize=8)
def _faces(rows: int, columns: int) -> NDArray[np.intp]:
    node = np.arange(rows * columns).reshape(rows, columns)
    upper_left, upper_right = node[:-1, :-1], node[:-1, 1:]
    lower_left, lower_right = node[1:, :-1], node[1:, 1:]
    faces = np.concatenate(
        [
            np.stack([upper_left, upper_right, lower_left], axis=-1).reshape(-1, 3),
            np.stack([upper_right, lower_right, lower_left], axis=-1).reshape(-1, 3),
        ]
    )
    faces.setflags(write=False)
    return faces

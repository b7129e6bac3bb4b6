"""The surface that follows a line drawn through the image, such as along a worm's body."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator, RectBivariateSpline
from scipy.spatial import KDTree

from napari_deepz.surfaces.base import Length, Surface
from napari_deepz.surfaces.geometry import Coordinates, Depths, evaluate_um

MAX_VERTICES = 2000
_SAMPLES_A_PIXEL = 2
_MOST_SAMPLES = 200_000
_STEP_PX = 4


class AlongPath(Surface):
    """Each pixel has the depth of the nearest point of a line; across the line it is level.

    Between the vertices the line runs straight in y and x, and its depth is interpolated over its
    length without overshooting (Fritsch & Butland 1984, doi:10.1137/0905021). Beyond its ends the
    depth stays that of the end. It is evaluated at every fourth pixel and interpolated linearly.

    Parameters
    ----------
    points_um : array-like
        (N, 3), one row (y, x, z) in µm for each vertex, y and x from the first pixel's centre;
        2 <= N <= 2000.

    Raises
    ------
    ValueError
        If there are fewer than two vertices at different positions, or too many, or a coordinate
        is not finite.
    """

    kind: Literal["path"] = "path"
    points_um: tuple[tuple[Length, Length, Length], ...]

    def __init__(self, /, points_um: ArrayLike, **settings: Any) -> None:
        rows = np.asarray(points_um).tolist() if isinstance(points_um, np.ndarray) else points_um
        super().__init__(points_um=rows, **settings)
        if len(self.points_um) > MAX_VERTICES:
            raise ValueError(
                f"A line of {len(self.points_um)} vertices is too long; give at most "
                f"{MAX_VERTICES}."
            )
        if len(self._vertices()) < 2:
            raise ValueError(
                "A surface along a line needs at least two vertices at different positions."
            )

    def describe(self) -> str:
        """Say along how long a line, such as 'along a line of 5 vertices, 120 µm long'."""
        vertices = self._vertices()
        length_um = _lengths_um(vertices)[-1]
        return f"along a line of {len(vertices)} vertices, {length_um:.3g} µm long"

    def _vertices(self) -> Coordinates:
        """Vertices without those that repeat the one before."""
        vertices = np.array(self.points_um, np.float64).reshape(-1, 3)
        moved = np.any(np.diff(vertices[:, :2], axis=0) != 0, axis=1)
        return vertices[np.concatenate([[True], moved])] if len(vertices) else vertices

    def _depths_um(self, shape: tuple[int, int], pixel_size_um: float, index: int) -> Depths:
        vertices = self._vertices()
        along_um = _lengths_um(vertices)
        count = round(along_um[-1] / pixel_size_um * _SAMPLES_A_PIXEL) + len(vertices)
        at_um = np.linspace(0, along_um[-1], min(max(count, 2), _MOST_SAMPLES))
        line = np.column_stack([np.interp(at_um, along_um, axis) for axis in vertices[:, :2].T])
        depth_um = PchipInterpolator(along_um, vertices[:, 2])(at_um)
        tree = KDTree(line)

        nodes = [
            np.linspace(0, (size - 1) * pixel_size_um, max(2, -(-size // _STEP_PX) + 1))
            for size in shape
        ]
        nearest = tree.query(np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1))[1]
        spline = RectBivariateSpline(*nodes, depth_um[nearest], kx=1, ky=1)
        return evaluate_um(shape, pixel_size_um, lambda y, x: spline(y[:, 0], x[0]))


def _lengths_um(vertices: Coordinates) -> Coordinates:
    """Length of the line from its start to each vertex."""
    steps = np.linalg.norm(np.diff(vertices[:, :2], axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])

"""The surface through a few measured points."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, PrivateAttr
from scipy.interpolate import RBFInterpolator, RectBivariateSpline
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from napari_deepz.surfaces.base import Length, Surface
from napari_deepz.surfaces.geometry import Coordinates, Depths, evaluate_um, fit_plane

MAX_POINTS = 2000
SAME_POSITION_UM = 0.01
DIRECT_PIXELS = 256 * 256
COARSEST_STEP_PX = 32
UPSAMPLING_ERROR_UM = 0.02


class FromPoints(Surface):
    """The smoothest surface through points: a thin plate, or a plane where there are only three.

    Points within 0.01 µm of each other in y and x are replaced by their mean, and points on one
    line by the plane that fits them best and is level across the line; its notes say
    so. Thin plate: Duchon, 1977, doi:10.1007/BFb0086566. On images above 256 x 256 pixels the
    plate is evaluated on a coarse grid and upsampled; the grid is refined until the two differ by
    less than 0.02 µm wherever they are compared.

    Parameters
    ----------
    points_um : array-like
        (N, 3), one row (y, x, z) in µm for each point, y and x from the first pixel's centre;
        3 <= N <= 2000.
    smoothing : float, optional
        0 passes through every point; larger values approach the best-fitting plane
        (`scipy.interpolate.RBFInterpolator`, positions in µm).

    Raises
    ------
    ValueError
        If there are fewer than three points at different positions, or too many, or a coordinate
        is not finite.
    """

    kind: Literal["points"] = "points"
    points_um: tuple[tuple[Length, Length, Length], ...]
    smoothing: Annotated[float, Field(ge=0)] = 0.0
    _distinct: Coordinates = PrivateAttr()

    def __init__(self, /, points_um: ArrayLike, smoothing: float = 0.0, **settings: Any) -> None:
        rows = np.asarray(points_um).tolist() if isinstance(points_um, np.ndarray) else points_um
        super().__init__(points_um=rows, smoothing=smoothing, **settings)
        if len(self.points_um) > MAX_POINTS:
            raise ValueError(
                f"A surface through {len(self.points_um)} points is too large; "
                f"give at most {MAX_POINTS}, or an image of the depths."
            )
        self._distinct = _merge_duplicates(np.array(self.points_um).reshape(-1, 3))
        count = len(self._distinct)
        if count < 3:
            raise ValueError(
                f"A surface through points needs at least three at different positions, not "
                f"{count}; add points."
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """Say where points were merged, or do not set the tilt."""
        notes, count = [], len(self._distinct)
        if count < len(self.points_um):
            notes.append(
                f"{len(self.points_um)} points lie at only {count} different positions; points at "
                "the same position were replaced by their mean depth."
            )
        if fit_plane(self._distinct).on_one_line:
            notes.append(
                f"The {count} points of the surface lie on one line; the plane that fits them best "
                "is used, level across the line. Add a point to the side to set its tilt there."
            )
        return tuple(notes)

    def __eq__(self, other: object) -> bool:
        """Compare what was given, not what was derived from it."""
        return (
            isinstance(other, FromPoints)
            and self.points_um == other.points_um
            and self.smoothing == other.smoothing
        )

    def describe(self) -> str:
        """Say through how many points, such as 'thin plate through 12 points'."""
        count = len(self._distinct)
        if fit_plane(self._distinct).on_one_line:
            return f"plane fitted to {count} points on one line"
        if count == 3:
            return "plane through 3 points"
        return f"{'smoothed ' if self.smoothing else ''}thin plate through {count} points"

    def _depths_um(self, shape: tuple[int, int], pixel_size_um: float, index: int) -> Depths:
        plane = fit_plane(self._distinct)
        if plane.on_one_line or len(self._distinct) == 3:
            return evaluate_um(shape, pixel_size_um, plane.depth_um)
        plate = _ThinPlate(self._distinct, self.smoothing)
        if shape[0] * shape[1] <= DIRECT_PIXELS or min(shape) == 1:
            return evaluate_um(shape, pixel_size_um, plate.on_grid)
        return plate.upsampled(shape, pixel_size_um)


def _on_pixels(spline: Any, y_um: Coordinates, x_um: Coordinates) -> Coordinates:
    depths: Coordinates = spline(y_um[:, 0], x_um[0])
    return depths


class _ThinPlate:
    def __init__(self, points_um: Coordinates, smoothing: float) -> None:
        self.positions_um = points_um[:, :2]
        self.interpolator = RBFInterpolator(
            self.positions_um, points_um[:, 2], smoothing=smoothing, kernel="thin_plate_spline"
        )

    def on_grid(self, y_um: Coordinates, x_um: Coordinates) -> Coordinates:
        """Depth (n, m) in µm at y (n, 1) and x (1, m)."""
        y_um, x_um = np.broadcast_arrays(y_um, x_um)
        depths: Coordinates = self.interpolator(np.stack([y_um.ravel(), x_um.ravel()], axis=-1))
        return depths.reshape(y_um.shape)

    def upsampled(self, shape: tuple[int, int], pixel_size_um: float) -> Depths:
        """Depth (Y, X) in µm from the coarsest grid that is fine enough."""
        step_px = COARSEST_STEP_PX
        while step_px > 1:
            nodes = [
                np.linspace(0, (size - 1) * pixel_size_um, max(4, (size - 2) // step_px + 2))
                for size in shape
            ]
            spline = RectBivariateSpline(*nodes, self.on_grid(nodes[0][:, None], nodes[1][None]))
            probes = self._probes_um(nodes)
            error_um = np.abs(spline.ev(*probes.T) - self.interpolator(probes)).max()
            if error_um < UPSAMPLING_ERROR_UM:
                return evaluate_um(shape, pixel_size_um, partial(_on_pixels, spline))
            step_px //= 2
        return evaluate_um(shape, pixel_size_um, self.on_grid)

    def _probes_um(self, nodes: list[Coordinates]) -> Coordinates:
        """Positions (N, 2) where upsampling is worst: the points, and the cells around them."""
        limits = np.array([axis[-1] for axis in nodes])
        cell = np.array([axis[1] for axis in nodes])
        shifts = np.stack(np.meshgrid([-1, -0.5, 0, 0.5, 1], [-1, -0.5, 0, 0.5, 1]), -1)
        around = self.positions_um[:, None] + shifts.reshape(1, -1, 2) * cell
        probes: Coordinates = np.clip(around.reshape(-1, 2), 0, limits)
        return probes


def _merge_duplicates(points_um: Coordinates) -> Coordinates:
    count = len(points_um)
    if count == 0:
        return points_um
    pairs = KDTree(points_um[:, :2]).query_pairs(SAME_POSITION_UM, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    groups, label = connected_components(links, directed=False)
    size = np.bincount(label, minlength=groups)
    sums = [np.bincount(label, weights=column, minlength=groups) for column in points_um.T]
    merged: Coordinates = np.stack(sums, axis=-1) / size[:, np.newaxis]
    return merged

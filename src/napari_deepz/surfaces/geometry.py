"""Positions, planes and depth maps shared by the surfaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Depths = NDArray[np.float32]
Coordinates = NDArray[np.float64]


class Plane(NamedTuple):
    """The plane z = z_um + slope_y (y - y_um) + slope_x (x - x_um), positions in µm."""

    y_um: float
    x_um: float
    z_um: float
    slope_y: float
    slope_x: float
    on_one_line: bool

    def depth_um(self, y_um: Any, x_um: Any) -> Any:
        """Depth in µm at positions in µm; numbers or arrays that broadcast."""
        return self.z_um + self.slope_y * (y_um - self.y_um) + self.slope_x * (x_um - self.x_um)


def fit_plane(points_um: Coordinates) -> Plane:
    """Fit a plane to points by least squares; exact for three that are not on one line.

    Points whose spread across their main direction is below a thousandth of the spread along it
    count as lying on one line; the plane is then level across that line.

    Parameters
    ----------
    points_um : ndarray
        (N, 3) float64, one row (y, x, z) in µm for each point.
    """
    y_um, x_um, z_um = points_um.mean(axis=0)
    centred = points_um - (y_um, x_um, z_um)
    slopes, _, rank, _ = np.linalg.lstsq(centred[:, :2], centred[:, 2], rcond=1e-3)
    return Plane(
        float(y_um), float(x_um), float(z_um), float(slopes[0]), float(slopes[1]), bool(rank < 2)
    )


def evaluate_um(
    shape: tuple[int, int],
    pixel_size_um: float,
    depth: Callable[[Coordinates, Coordinates], Coordinates],
) -> Depths:
    """Fill a (Y, X) float32 array from a function of position, a band of rows at a time.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) in pixels.
    pixel_size_um : float
        Size of a pixel in µm.
    depth : callable
        Depth in µm, (n, X) float64, at y (n, 1) and x (1, X) in µm from the first pixel's centre.
    """
    depths = np.empty(shape, np.float32)
    y_um, x_um = (np.arange(size, dtype=np.float64) * pixel_size_um for size in shape)
    rows = max(1, 2**20 // shape[1])
    for first in range(0, shape[0], rows):
        band = slice(first, first + rows)
        depths[band] = depth(y_um[band, np.newaxis], x_um[np.newaxis])
    return depths


def image_centre_um(shape: tuple[int, int], pixel_size_um: float) -> tuple[float, float]:
    """Position (y, x) in µm of the centre of a (Y, X) image, from the first pixel's centre."""
    return (shape[0] - 1) / 2 * pixel_size_um, (shape[1] - 1) / 2 * pixel_size_um

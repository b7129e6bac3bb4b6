"""A smooth displacement over the field, as a sum of splines, and how much it is bent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

Array = NDArray[np.float64]

_APART_UM = 16.0
"""From one spline to the next: what is shorter than a few of these is no motion of the sample."""


class Sheet:
    """Cubic B-splines over the field, of which a displacement is made.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the frames.
    pixel_um : float
        Pixel size.
    """

    def __init__(self, shape: tuple[int, int], pixel_um: float) -> None:
        self._lengths_um = [max(side - 1, 1) * pixel_um for side in shape]
        counts = [max(1, round(length_um / _APART_UM)) for length_um in self._lengths_um]
        self._splines = [
            BSpline(np.arange(-3, count + 4) * (length_um / count), np.eye(count + 3), 3)
            for count, length_um in zip(counts, self._lengths_um, strict=True)
        ]
        self.shape = (counts[0] + 3, counts[1] + 3)

    def along(self, axis: int, at_um: Array, order: int = 0) -> Array:
        """(P, B) splines of an axis or their derivatives; beyond the field those at its edge."""
        within = np.clip(at_um, 0, self._lengths_um[axis])
        return np.asarray(self._splines[axis](within, nu=order))

    def energy(self) -> Array:
        """(B * B', B * B') of a thin plate that is displaced so, in µm."""
        products = []
        for axis, length_um in enumerate(self._lengths_um):
            at_um, step_um = np.linspace(0, length_um, 32 * self.shape[axis], retstep=True)
            each = [self.along(axis, at_um, order) for order in range(3)]
            products.append([values.T @ values * step_um for values in each])
        y, x = products
        found = np.kron(y[2], x[0]) + 2 * np.kron(y[1], x[1]) + np.kron(y[0], x[2])
        return np.asarray(found)

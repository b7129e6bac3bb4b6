"""What there was before, and what was taken back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

NO_ROWS: Rows = np.empty((0, 3))


class History:
    """States of a table of (N, 3) rows, of which one is present."""

    def __init__(self) -> None:
        self.present = NO_ROWS
        self._past: list[Rows] = []
        self._future: list[Rows] = []
        self._shifting = False

    def record(self, rows: Rows) -> bool:
        """Make a copy of rows the present state, and say whether it differs from the one before."""
        if np.array_equal(rows, self.present):
            return False
        self._past.append(self.present)
        self._future.clear()
        self.present = rows.copy()
        self._shifting = False
        return True

    def shift(self, dz_um: float) -> bool:
        """Move all rows in depth; shifts that follow each other are one step, as in a drag."""
        merge = self._shifting
        if not self.record(self.present + np.array([0, 0, dz_um])):
            return False
        if merge:
            self._past.pop()
        self._shifting = True
        return True

    def back(self) -> bool:
        """Make the state before the present one, and say whether there was one."""
        return self._go(self._past, self._future)

    def forward(self) -> bool:
        """Make the state that was taken back last the present one again, if there is one."""
        return self._go(self._future, self._past)

    def _go(self, source: list[Rows], other: list[Rows]) -> bool:
        if not source:
            return False
        self._shifting = False
        other.append(self.present)
        self.present = source.pop()
        return True

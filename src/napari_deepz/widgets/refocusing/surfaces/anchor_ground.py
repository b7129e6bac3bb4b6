"""The image on which anchors lie: where its two copies are shown, and what is beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_deepz.widgets.refocusing.surfaces.anchor_history import Rows
from napari_deepz.widgets.shared.placement import Frame

_SIDE_PER_MARKER = 40


@dataclass(frozen=True)
class Ground:
    """The image on which anchors lie, and where it is shown.

    Positions are (y, x) in µm from the first pixel of the virtual copy.

    Attributes
    ----------
    frame : Frame
        Where the measured image lies.
    shape : tuple of int
        (Y, X) in pixels.
    range_um : tuple of float
        Smallest and largest depth of the colours.
    shift_um : float
        How far to the right of the measured image its virtual copy lies; 0 where it lies over it.
    """

    frame: Frame
    shape: tuple[int, int]
    range_um: tuple[float, float]
    shift_um: float

    @property
    def marker_um(self) -> float:
        """Diameter of an anchor."""
        return max(self.shape) * self.frame.pixel_size_um / _SIDE_PER_MARKER

    def placing(self) -> dict[str, Any]:
        """Arguments of a layer of such positions, 1 µm a unit."""
        return self.frame.flat(step_um=1.0, right_um=self.shift_um)

    def fold(self, positions_um: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Move positions on the measured image to where its virtual copy shows the same.

        Returns
        -------
        tuple of ndarray
            The positions (N, 2), and (N,) whether each lies on the image.
        """
        there = np.array(positions_um, np.float64).reshape(-1, 2)
        mirrored = there + self.frame.along_image_um([[0, self.shift_um]])
        inside = self._covers(there)
        moved = ~inside & self._covers(mirrored)
        there[moved] = mirrored[moved]
        return there, inside | moved

    def kept(self, rows: Rows, before: Rows) -> tuple[Rows, bool]:
        """Fold what was set or moved; what is then outside goes back, or is dropped if it is new.

        Parameters
        ----------
        rows, before : ndarray
            (N, 3) and (M, 3), y, x and z now and before; new rows are at the end.

        Returns
        -------
        tuple
            The rows, and whether some were outside.
        """
        old = len(before)
        if len(rows) < old:
            return rows, False
        touched = np.ones(len(rows), bool)
        touched[:old] = (rows[:old, :2] != before[:, :2]).any(axis=1)
        folded, inside = self.fold(rows[:, :2])
        places = np.where(touched[:, np.newaxis], folded, rows[:, :2])
        astray = touched & ~inside
        places[:old][astray[:old]] = before[astray[:old], :2]
        kept = ~astray | (np.arange(len(rows)) < old)
        return np.column_stack([places, rows[:, 2]])[kept], bool(astray.any())

    def part_inside(self, ends_um: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Ends of the part of a line that lies on the image, (2, 2); None where there is none."""
        along = np.linspace(0, 1, 500)[:, np.newaxis]
        places, inside = self.fold(ends_um[0] + along * (ends_um[1] - ends_um[0]))
        return places[inside][[0, -1]] if inside.any() else None

    def _covers(self, positions_um: NDArray[np.float64]) -> NDArray[np.bool_]:
        pixels = positions_um / self.frame.pixel_size_um
        covered: NDArray[np.bool_] = np.all(
            (pixels >= -0.5) & (pixels <= np.array(self.shape) - 0.5), axis=1
        )
        return covered

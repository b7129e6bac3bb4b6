"""Cuts in depth through a measured and a virtual stack, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QRectF
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.widgets.shared.plot import REFOCUSED, UNREFOCUSED, Plot, line

_HEIGHT_PX = {1: 420, 2: 230}
_WIDE_PX = 560
_ONE_PLANE_UM = 1.0
_STACKS = ("Measured", "Virtual")
_AXES = ("x", "y")


@dataclass(frozen=True, eq=False)
class Volume:
    """A stack to be cut.

    Attributes
    ----------
    planes : ndarray
        (Z, Y, X).
    z_um : tuple of float
        Depth of each plane relative to the input plane, evenly spaced, rising or falling.
    pixel_size_um : float
        Along y and x.
    """

    planes: NDArray[Any]
    z_um: tuple[float, ...]
    pixel_size_um: float

    def cut(self, axis: str, row: int, column: int) -> NDArray[Any]:
        """Cut along x through a row, or along y through a column: (Z, X) or (Z, Y), z rising."""
        cut = self.planes[:, row, :] if axis == "x" else self.planes[:, :, column]
        return cut if self.z_um[0] <= self.z_um[-1] else cut[::-1]

    def extent_um(self, axis: str) -> QRectF:
        """Where such a cut lies: the edges of its pixels; the first pixel's centre is at 0."""
        lowest, highest = sorted((self.z_um[0], self.z_um[-1]))
        steps = len(self.z_um) - 1
        step_um = (highest - lowest) / steps if steps else _ONE_PLANE_UM
        length = self.planes.shape[2 if axis == "x" else 1]
        return QRectF(
            -self.pixel_size_um / 2,
            lowest - step_um / 2,
            length * self.pixel_size_um,
            step_um * len(self.z_um),
        )


class Sections(QWidget):  # type: ignore[misc]
    """The xz and yz sections of two stacks, all with one contrast, in µm with equal axes.

    Parameters
    ----------
    viewer : napari.Viewer
        Gives the colours.

    Attributes
    ----------
    images : dict of (str, str) to pyqtgraph.ImageItem
        By stack ("Measured" or "Virtual") and axis ("x" or "y").
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._view = pg.GraphicsLayoutWidget()
        self._view.setBackground(None)
        self._view.ci.setContentsMargins(0, 0, 0, 0)
        self._plots: dict[tuple[str, str], Plot] = {}
        self._crosses: dict[tuple[str, str], pg.InfiniteLine] = {}
        self.images: dict[tuple[str, str], pg.ImageItem] = {}
        self._wholes: dict[str, QRectF] = {}
        self._columns = 0
        for stack in _STACKS:
            for axis in _AXES:
                self._add(stack, axis)
        self._arrange(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)

    def _add(self, stack: str, axis: str) -> None:
        plot = Plot(self._viewer, f"{stack}, {axis} and z in µm")
        plot.view.setAspectLocked(True)
        plot.view.invertY(True)
        plot.view.sigResized.connect(self._fit)
        image = pg.ImageItem(axisOrder="row-major")
        plot.draw(image)
        plot.draw(line(0, 0, UNREFOCUSED, dotted=True), in_bounds=False)
        cross = line(0, 90, REFOCUSED)
        plot.draw(cross, in_bounds=False)
        self._plots[stack, axis] = plot
        self._crosses[stack, axis] = cross
        self.images[stack, axis] = image

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Lay measured and virtual side by side where there is room, else under each other."""
        super().resizeEvent(event)
        self._arrange(2 if event.size().width() >= _WIDE_PX else 1)

    def _arrange(self, columns: int) -> None:
        if columns == self._columns:
            return
        if self._columns:
            for plot in self._plots.values():
                self._view.ci.removeItem(plot)
        self._columns = columns
        self._view.setFixedHeight(_HEIGHT_PX[columns])
        in_rows = [self._plots[stack, axis] for axis in _AXES for stack in _STACKS]
        for place, plot in enumerate(in_rows):
            self._view.ci.addItem(plot, *divmod(place, columns))

    def show_cuts(
        self,
        measured: Volume | None,
        virtual: Volume,
        *,
        row: int,
        column: int,
        contrast: tuple[float, float],
    ) -> None:
        """Cut both stacks through one pixel.

        Parameters
        ----------
        measured : Volume or None
            None while its planes are not in memory.
        virtual : Volume
            Of the same size in y and x.
        row, column : int
            The pixel.
        contrast : tuple of float
            Intensities that are drawn black and white.
        """
        for stack, volume in zip(_STACKS, (measured, virtual), strict=True):
            for axis, at in (("x", column), ("y", row)):
                image = self.images[stack, axis]
                if volume is None:
                    image.clear()
                    continue
                cut = volume.cut(axis, row, column)
                image.setImage(np.asarray(cut, np.float32), levels=contrast, autoLevels=False)
                image.setRect(volume.extent_um(axis))
                self._crosses[stack, axis].setValue(at * volume.pixel_size_um)
        there = [volume for volume in (measured, virtual) if volume is not None]
        self._wholes = {axis: _united(volume.extent_um(axis) for volume in there) for axis in _AXES}
        self._fit()

    def _fit(self, _: Any = None) -> None:
        """Show all of both stacks at the same magnification."""
        for (_, axis), plot in self._plots.items():
            if axis in self._wholes:
                plot.view.setRange(self._wholes[axis], padding=0)

    def clear(self) -> None:
        """Show nothing."""
        for image in self.images.values():
            image.clear()

    def recolour(self) -> None:
        """Take the colours of the viewer's theme."""
        for plot in self._plots.values():
            plot.recolour()


def _united(extents: Iterable[QRectF]) -> QRectF:
    whole = QRectF()
    for extent in extents:
        whole = whole.united(extent)
    return whole

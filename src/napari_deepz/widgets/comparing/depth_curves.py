"""Scores over depth, and the depth that is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.analysis.evaluation import COMPARED, DepthScores
from napari_deepz.widgets.shared.plot import (
    AT_ZERO,
    GREY,
    REFOCUSED,
    UNREFOCUSED,
    Plot,
    line,
    text_colour,
)

MEASURES = {
    "Detail (correlation of what is sharp)": "detail",
    "Correlation": "correlation",
    "Structural similarity (SSIM)": "ssim",
    "Signal-to-noise ratio (PSNR, dB)": "psnr",
}

_HEIGHT_PX = 220
_LEGEND = (
    f'<span style="color: {REFOCUSED}">● refocused</span> &nbsp; '
    f'<span style="color: {AT_ZERO}">● self</span> &nbsp; '
    f'<span style="color: {UNREFOCUSED}">● input</span>'
)


class DepthCurves(QWidget):  # type: ignore[misc]
    """Three curves over z, a line at the input plane, and one at the shown plane to be dragged.

    Parameters
    ----------
    viewer : napari.Viewer
        Gives the colours.

    Attributes
    ----------
    dragged : Signal
        Emitted with the depth in µm to which the user drags the line.
    refocused, at_zero, unrefocused : pyqtgraph.PlotDataItem
        The curves, one point for each depth; a score that is not finite leaves a gap.
    shown_line : pyqtgraph.InfiniteLine
        Where the viewer is.
    model_range : pyqtgraph.LinearRegionItem
        Shaded: the depths for which the model was trained.
    """

    dragged = Signal(float)

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._view = pg.GraphicsLayoutWidget()
        self._view.setBackground(None)
        self._view.setFixedHeight(_HEIGHT_PX)
        self.plot = Plot(viewer, _LEGEND)
        self.plot.bottom.setLabel("z from the input plane (µm)")
        self._view.addItem(self.plot, 0, 0)
        self.refocused = _curve(self.plot, REFOCUSED)
        self.unrefocused = _curve(self.plot, UNREFOCUSED)
        self.at_zero = _curve(self.plot, AT_ZERO, dashed=True)  # Often just above the former.
        self.model_range = pg.LinearRegionItem(movable=False, pen=pg.mkPen(None))
        self.model_range.setBrush(pg.mkBrush(127, 127, 127, 45))
        self.model_range.setZValue(-10)
        self.input_lines = [line(0, 90, GREY, dotted=True)]
        self.shown_line = line(0, 90, GREY, width=2)
        self.shown_line.setMovable(True)
        for item in (self.model_range, *self.input_lines, self.shown_line):
            self.plot.draw(item, in_bounds=False)
        self.shown_line.sigDragged.connect(self._on_dragged)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)
        self.shade(None)
        self.recolour()

    def show_scores(self, depths: Sequence[DepthScores], measure: str) -> None:
        """Draw one measure, a field of `Scores`."""
        z_um = np.array([depth.z_um for depth in depths])
        for which in COMPARED.values():
            curve = getattr(self, which)
            values = np.array([getattr(getattr(depth, which), measure) for depth in depths])
            # Infinity is no place on an axis; NaN leaves a gap.
            curve.setData(z_um, np.where(np.isfinite(values), values, math.nan))
        title = {field: name for name, field in MEASURES.items()}[measure]
        self.plot.left.setLabel(title.split(" (")[0])

    def shade(self, axial_range_um: tuple[float, float] | None) -> None:
        """Shade the depths for which the model was trained, where they are known."""
        self.model_range.setVisible(axial_range_um is not None)
        if axial_range_um is not None:
            self.model_range.setRegion(axial_range_um)

    def mark_inputs(self, at_um: Sequence[float]) -> None:
        """Draw a dotted line where each input plane was taken."""
        for item in self.input_lines:
            self.plot.view.removeItem(item)
        self.input_lines = [line(z_um, 90, GREY, dotted=True) for z_um in at_um]
        for item in self.input_lines:
            self.plot.draw(item, in_bounds=False)

    def set_shown(self, z_um: float) -> None:
        """Move the line to the depth that the viewer shows."""
        if not self.shown_line.moving:
            self.shown_line.setValue(z_um)

    def _on_dragged(self, line: pg.InfiniteLine) -> None:
        self.dragged.emit(float(line.value()))

    def recolour(self) -> None:
        """Take the colours of the viewer's theme."""
        self.plot.recolour()
        self.shown_line.setPen(text_colour(self._viewer), width=2)


def _curve(plot: Plot, colour: str, *, dashed: bool = False) -> pg.PlotDataItem:
    style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
    curve = pg.PlotDataItem(
        pen=pg.mkPen(colour, width=2, style=style),
        symbol=None if dashed else "o",
        symbolSize=4,
        symbolBrush=colour,
        symbolPen=None,
        connect="finite",
    )
    plot.draw(curve)
    return curve

"""The traces of the selected neurons, and the time that is shown."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QEvent, QPointF, Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.widgets.shared.plot import (
    AT_ZERO,
    GREY,
    REFOCUSED,
    UNREFOCUSED,
    Plot,
    line,
    text_colour,
)

DFF, LIGHT = "dF/F", "F and F0"
_HEIGHT_PX = 170
_COLOURS = (REFOCUSED, UNREFOCUSED, AT_ZERO, "#d55e9c")
MOST_SHOWN = len(_COLOURS)


class TracePlot(QWidget):  # type: ignore[misc]
    """Curves over time; a click, or the line dragged, goes to a time.

    Parameters
    ----------
    viewer : napari.Viewer
        Gives the colours.

    Attributes
    ----------
    went : Signal
        Emitted with the time to which the user goes.
    cursor_line : pyqtgraph.InfiniteLine
        The time that is shown.
    """

    went = Signal(float)

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._view = pg.GraphicsLayoutWidget()
        self._view.setBackground(None)
        self._view.setFixedHeight(_HEIGHT_PX)
        self._view.viewport().installEventFilter(self)
        self.plot = Plot(viewer, "")
        self._view.addItem(self.plot, 0, 0)
        self.cursor_line = line(0, 90, GREY, width=2)
        self.cursor_line.setMovable(True)
        self.plot.draw(self.cursor_line, in_bounds=False)
        self.cursor_line.sigDragged.connect(lambda item: self.went.emit(float(item.value())))
        self.curves: list[Any] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)
        self.recolour()

    def show_traces(self, found: NeuronTraces | None, ids: Collection[int], kind: str) -> None:
        """Draw the traces of neurons that are separable; the title names the others.

        Parameters
        ----------
        found : NeuronTraces or None
            What was measured.
        ids : collection of int
            Which neurons; the first four are drawn.
        kind : str
            `DFF`, with marks where a rise begins, or `LIGHT`, with F0 dotted.
        """
        for curve in self.curves:
            self.plot.view.removeItem(curve)
        self.curves = []
        if found is None or not ids:
            self.plot.say("Select neurons to see what they do." if found is not None else "")
            return
        told = []
        for colour, one in zip(_COLOURS, ids, strict=False):
            row = found.neurons.row(one)
            if not found.separable[row]:
                told.append(f'<span style="color: {colour}">{one}: not separable, no trace</span>')
                continue
            told.append(f'<span style="color: {colour}">● {one}</span>')
            self._draw(found, row, colour, kind)
        if len(ids) > MOST_SHOWN:
            told.append(f"and {len(ids) - MOST_SHOWN} more")
        self.plot.say(" &nbsp; ".join(told))
        self.plot.left.setLabel(kind if kind == DFF else "light (counts)")
        self.plot.bottom.setLabel("time (s)" if found.rate_hz else "frame")

    def _draw(self, found: NeuronTraces, row: int, colour: str, kind: str) -> None:
        traces, t_s = found.activity, found.t_s
        values = traces.dff[row] if kind == DFF else traces.light[row]
        self._add(pg.PlotDataItem(t_s, values, pen=pg.mkPen(colour, width=1), connect="finite"))
        if kind != DFF:
            dotted = pg.mkPen(colour, width=1, style=Qt.PenStyle.DotLine)
            self._add(pg.PlotDataItem(t_s, traces.rest[row], pen=dotted, connect="finite"))
            return
        begins = np.flatnonzero(traces.events[row])
        self._add(
            pg.ScatterPlotItem(
                t_s[begins], values[begins], symbol="t1", size=7, brush=colour, pen=None
            )
        )

    def _add(self, item: Any) -> None:
        self.plot.draw(item)
        self.curves.append(item)

    def set_time(self, t_s: float) -> None:
        """Move the line to the time that is shown."""
        if not self.cursor_line.moving:
            self.cursor_line.setValue(t_s)

    def eventFilter(self, watched: Any, event: QEvent) -> bool:  # noqa: N802
        """Go to the time that is double-clicked."""
        if event.type() == QEvent.Type.MouseButtonDblClick:
            scene = self._view.mapToScene(event.pos())
            at = self.plot.view.mapSceneToView(QPointF(scene))
            self.went.emit(float(at.x()))
            return True
        return bool(super().eventFilter(watched, event))

    def recolour(self) -> None:
        """Take the colours of the viewer's theme."""
        self.plot.recolour()
        self.cursor_line.setPen(text_colour(self._viewer), width=2)

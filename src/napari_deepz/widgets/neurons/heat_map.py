"""The activity of all neurons under each other."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.neurons.ordering import OrderedBy, separable_rows
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.widgets.shared.plot import GREY, Plot, line, text_colour

_HEIGHT_PX = 220
_PERCENTILES = (1.0, 99.5)


class HeatMap(QWidget):  # type: ignore[misc]
    """dF/F, a line for each separable neuron; a click selects a neuron and goes to a time.

    Parameters
    ----------
    viewer : napari.Viewer
        Gives the colours.

    Attributes
    ----------
    went : Signal
        Emitted with the id and the time that are clicked.
    image : pyqtgraph.ImageItem
        The picture.
    """

    went = Signal(int, float)

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._view = pg.GraphicsLayoutWidget()
        self._view.setBackground(None)
        self._view.setFixedHeight(_HEIGHT_PX)
        self._view.viewport().installEventFilter(self)
        self.plot = Plot(viewer, "")
        self._view.addItem(self.plot, 0, 0)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.image.setColorMap(pg.colormap.get("viridis"))
        self.plot.draw(self.image)
        self.cursor_line = line(0, 90, GREY, width=2)
        self.marks: list[Any] = []
        self.plot.draw(self.cursor_line, in_bounds=False)
        self.plot.view.invertY(True)
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._step_s = 1.0
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)
        self.recolour()

    def show_activity(self, found: NeuronTraces | None, by: OrderedBy) -> None:
        """Draw all separable neurons in an order; nothing without any."""
        rows = np.empty(0, np.int64) if found is None else separable_rows(found, by)
        self.image.setVisible(len(rows) > 0)
        self._ids = rows
        if found is None or not len(rows):
            self.plot.say("")
            return
        self._ids = found.neurons.ids[rows]
        dff = np.nan_to_num(found.activity.dff[rows])
        low, high = np.percentile(dff, _PERCENTILES)
        self._step_s = float(found.t_s[1] - found.t_s[0]) if len(found.t_s) > 1 else 1.0
        self.image.setImage(dff, levels=(min(low, 0.0), max(high, 0.1)))
        length_s = self._step_s * len(found.t_s)
        self.image.setRect(-self._step_s / 2, 0, length_s, len(rows))
        self.plot.view.setRange(xRange=(0, length_s), yRange=(0, len(rows)), padding=0)
        self.plot.say(f"dF/F of {len(rows)} neurons, from {min(low, 0.0):.2g} to {high:.2g}")
        self.plot.left.setLabel(f"by {by}")
        self.plot.bottom.setLabel("time (s)" if found.rate_hz else "frame")

    def mark(self, ids: Collection[int]) -> None:
        """Frame the lines of neurons."""
        for item in self.marks:
            self.plot.view.removeItem(item)
        self.marks = []
        colour = text_colour(self._viewer)
        for row in np.flatnonzero(np.isin(self._ids, list(ids))).tolist():
            for at in (row, row + 1):
                item = line(at, 0, colour)
                self.plot.draw(item, in_bounds=False)
                self.marks.append(item)

    def set_time(self, t_s: float) -> None:
        """Move the line to the time that is shown."""
        self.cursor_line.setValue(t_s)

    def eventFilter(self, watched: Any, event: QEvent) -> bool:  # noqa: N802
        """Go where the user clicks."""
        if event.type() == QEvent.Type.MouseButtonPress and len(self._ids):
            at = self.plot.view.mapSceneToView(QPointF(self._view.mapToScene(event.pos())))
            row = int(np.floor(at.y()))
            if 0 <= row < len(self._ids):
                self.went.emit(int(self._ids[row]), float(at.x()))
                return True
        return bool(super().eventFilter(watched, event))

    def recolour(self) -> None:
        """Take the colours of the viewer's theme."""
        self.plot.recolour()
        self.cursor_line.setPen(text_colour(self._viewer), width=1)

"""What ever more planes tell of a stack, drawn for the dock."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.analysis.exposures import ExposurePlan
from napari_deepz.widgets.shared.plot import GREY, REFOCUSED, UNREFOCUSED, Plot, line

_HEIGHT_PX = 190
_LEGEND = (
    f'<span style="color: {REFOCUSED}">● refocused</span> '
    f'<span style="color: {UNREFOCUSED}">● interpolated</span>'
)


class ExposureCurves(QWidget):  # type: ignore[misc]
    """Detail kept over the number of planes, at the best spacing of each; dotted: recommended.

    Parameters
    ----------
    viewer : napari.Viewer
        Gives the colours.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        view = pg.GraphicsLayoutWidget()
        view.setBackground(None)
        view.setFixedHeight(_HEIGHT_PX)
        self.plot = Plot(viewer, _LEGEND)
        self.plot.left.setLabel("detail of the stack (%)")
        self.plot.bottom.setLabel("planes taken")
        view.addItem(self.plot, 0, 0)
        self.refocused, self.interpolated = (self._curve(c) for c in (REFOCUSED, UNREFOCUSED))
        self.recommended = line(0, 90, GREY, dotted=True)
        self.plot.draw(self.recommended, in_bounds=False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(view)
        self.hide()

    def show_plan(self, plan: ExposurePlan) -> None:
        """Draw what was tried."""
        best = [plan.best(count) for count in plan.counts]
        self.refocused.setData(plan.counts, [100 * one.refocused for one in best])
        self.interpolated.setData(plan.counts, [100 * one.interpolated for one in best])
        self.recommended.setValue(len(plan.recommended.indices))
        self.show()

    def _curve(self, colour: str) -> pg.PlotDataItem:
        curve = pg.PlotDataItem(
            pen=pg.mkPen(colour, width=2),
            symbol="o",
            symbolSize=5,
            symbolBrush=colour,
            symbolPen=None,
        )
        self.plot.draw(curve)
        return curve

"""Plots for docks: two axes and a title in the colours of napari's window."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt

REFOCUSED = "#3fa7ff"
AT_ZERO = "#4cc38a"
UNREFOCUSED = "#e69f00"
GREY = "#888888"


class Plot(pg.GraphicsLayout):  # type: ignore[misc]
    """A title, an axis at the left and one below, about what is drawn.

    Pyqtgraph's own plot brings menus, which outlive the window, and zooms when the wheel should
    scroll the dock.

    Parameters
    ----------
    viewer : napari.Viewer
        Gives the colours.
    title : str
        As HTML.

    Attributes
    ----------
    view : pyqtgraph.ViewBox
        What is drawn.
    left, bottom : pyqtgraph.AxisItem
        The axes.
    """

    def __init__(self, viewer: Any, title: str) -> None:
        super().__init__()
        self._viewer = viewer
        self._title = self.addLabel(title, row=0, col=1, size="8pt")
        self.view = self.addViewBox(row=1, col=1, enableMenu=False, enableMouse=False)
        self.left, self.bottom = pg.AxisItem("left"), pg.AxisItem("bottom")
        self.addItem(self.left, row=1, col=0)
        self.addItem(self.bottom, row=2, col=1)
        for axis in (self.left, self.bottom):
            axis.linkToView(self.view)
            axis.enableAutoSIPrefix(False)
        self.setContentsMargins(0, 0, 0, 0)
        self.layout.setSpacing(0)
        self.recolour()

    def draw(self, item: Any, *, in_bounds: bool = True) -> None:
        """Add something; the axes fit to what is in bounds."""
        self.view.addItem(item, ignoreBounds=not in_bounds)

    def say(self, title: str) -> None:
        """Change the title."""
        self._title.setText(title, color=text_colour(self._viewer))

    def recolour(self) -> None:
        """Take the colours of the viewer's theme."""
        colour = text_colour(self._viewer)
        for axis in (self.left, self.bottom):
            axis.setPen(colour)
            axis.setTextPen(colour)
        self._title.setText(self._title.text, color=colour)


def text_colour(viewer: Any) -> str:
    """Colour of text in the viewer's theme, as hex."""
    return str(get_theme(viewer.theme).text.as_hex(format="long"))


def line(at: float, angle: int, colour: str, *, width: int = 1, dotted: bool = False) -> Any:
    """Line from edge to edge of a plot: upright at 90 degrees, level at 0."""
    style = Qt.PenStyle.DotLine if dotted else Qt.PenStyle.SolidLine
    return pg.InfiniteLine(pos=at, angle=angle, pen=pg.mkPen(colour, width=width, style=style))

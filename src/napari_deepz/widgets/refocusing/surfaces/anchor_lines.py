"""Lines that belong to anchors: one that the user draws, and one that joins the anchors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Layer, Shapes, Vectors
from numpy.typing import NDArray

from napari_deepz.widgets.shared.placement import lay

_DRAWN, _JOINED = "Draw in focus", "Line through the anchors"


class LineTool:
    """A layer for drawing straight lines; each is handed on and vanishes when it is finished.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer while the tool is in use.
    on_line : callable
        Gets the ends of each line, (2, 2) y and x in µm on the axes of the layer.
    bind : callable
        Gets the layer when it is made, to give it its keys.
    """

    def __init__(
        self,
        viewer: Any,
        on_line: Callable[[NDArray[np.float64]], None],
        bind: Callable[[Shapes], None],
    ) -> None:
        self._viewer = viewer
        self._on_line = on_line
        self._bind = bind
        self._layer: Shapes | None = None

    @property
    def in_use(self) -> bool:
        """Whether a drag with the mouse draws a line now."""
        return self._layer is not None and self._viewer.layers.selection.active == self._layer

    def take(self, placing: dict[str, Any], width_um: float) -> None:
        """Begin to draw: make the layer with these axes, or choose the one that is there."""
        if self._layer is None or self._layer not in self._viewer.layers:
            self._layer = self._viewer.add_shapes(
                None, ndim=2, name=_DRAWN, edge_width=width_um, edge_color="white", **placing
            )
            self._layer.events.data.connect(self._on_data)
            self._bind(self._layer)
        self._viewer.layers.selection.active = self._layer
        self._layer.mode = "add_line"

    def move(self, placing: dict[str, Any]) -> None:
        """Lay the layer over another place."""
        if self._layer is not None:
            lay(self._layer, placing)

    def put_away(self) -> None:
        """Remove the layer."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _on_data(self, event: Any) -> None:
        if self._layer is not None and event.action == "added" and self._layer.data:
            ends = np.array([self._layer.data[-1][0], self._layer.data[-1][-1]], np.float64)
            self._layer.data = []
            self._on_line(ends)


class JoiningLine:
    """Straight lines from anchor to anchor, below them; nobody can take hold of these.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer while there are at least two anchors to join.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Vectors | None = None

    def show(
        self,
        positions_um: NDArray[np.float64],
        below: Layer,
        placing: dict[str, Any],
        width_um: float,
    ) -> None:
        """Join (N, 2) positions in their order; fewer than two have no line."""
        if len(positions_um) < 2:
            self.remove()
            return
        steps = np.stack([positions_um[:-1], np.diff(positions_um, axis=0)], axis=1)
        if self._layer is None or self._layer not in self._viewer.layers:
            self._layer = self._add(steps, below, placing)
        self._layer.data = steps
        self._layer.edge_width = width_um
        lay(self._layer, placing)

    def remove(self) -> None:
        """Take the line away."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _add(self, steps: NDArray[np.float64], below: Layer, placing: dict[str, Any]) -> Vectors:
        layers = self._viewer.layers
        active = layers.selection.active
        layer = Vectors(steps, name=_JOINED, edge_color="white", vector_style="line", **placing)
        layers.insert(layers.index(below), layer)
        layers.selection.active = active
        return layer

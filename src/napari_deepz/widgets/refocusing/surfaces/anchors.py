"""Anchors: places of the image that are in focus at a depth which the user has found for them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Points
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_deepz.widgets.refocusing.surfaces.anchor_ground import Ground
from napari_deepz.widgets.refocusing.surfaces.anchor_history import NO_ROWS, History, Rows
from napari_deepz.widgets.refocusing.surfaces.anchor_layer import (
    add_layer,
    dress,
    label,
    read,
    write,
)
from napari_deepz.widgets.refocusing.surfaces.anchor_lines import JoiningLine, LineTool
from napari_deepz.widgets.shared.placement import Frame
from napari_deepz.widgets.shared.plain_text import show_info

_LINE_PART = 0.15
_NO_IMAGE = "Open an image first: anchors lie on one."
_OUTSIDE = "An anchor must lie on the image: this place is outside of it."
_NOTHING_CHOSEN = "Choose anchors first: press Move and click them."


class Tool(StrEnum):
    """What the mouse does with anchors."""

    NONE = "none"
    PICK = "add"
    MOVE = "select"
    DRAW = "draw"


class Anchors:
    """Positions with a depth each, in a points layer that is made when it is first needed.

    Whatever the user does with that layer in napari (click, drag, delete, paste, delete the layer)
    is one step that can be undone.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer.

    Attributes
    ----------
    changed : Signal
        Emitted when there are other anchors.
    tool_changed : Signal
        Emitted when the mouse may do something else.
    """

    changed = Signal()
    tool_changed = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Points | None = None
        self._ground: Ground | None = None
        self._history = History()
        self._line_tool = LineTool(viewer, self._add_line, self._bind_keys)
        self._joining_line = JoiningLine(viewer)
        self._visible, self._joined = True, False
        self._writing = False
        self._tidy_timer = QTimer()
        self._tidy_timer.setSingleShot(True)
        self._tidy_timer.timeout.connect(self._tidy)
        self.depth_um = 0.0
        """The depth in µm of anchors that are set from now on."""
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._on_tool)
        viewer.scene.camera.events.zoom.connect(self._on_zoom)

    @property
    def layer(self) -> Points | None:
        """The points; None before they are needed, and when the user has deleted them."""
        return self._layer

    def show_at(
        self,
        frame: Frame,
        shape: tuple[int, int],
        *,
        range_um: tuple[float, float],
        shift_um: float = 0.0,
    ) -> None:
        """Say on which image the anchors lie; a layer that is there moves to it.

        Parameters
        ----------
        frame : Frame
            Of the measured image.
        shape : tuple of int
            (Y, X) of the image in pixels.
        range_um : tuple of float
            Smallest and largest depth, for the colours.
        shift_um : float, optional
            How far to the right of the measured image its virtual copy is shown.
        """
        ground = Ground(frame, shape, range_um, shift_um)
        if ground == self._ground:
            return
        self._ground = ground
        self._line_tool.move(ground.placing())
        if self._layer is not None:
            dress(self._layer, ground)
            self._tidy_timer.start()

    def rows_um(self) -> Rows:
        """(N, 3) y, x and z in µm from the image's first pixel, in the order they were set."""
        return self._history.present.copy()

    def replace(self, rows_um: ArrayLike) -> None:
        """Set other anchors, rows of (y, x, z) in µm, in one step that can be undone."""
        if self._history.record(np.array(rows_um, np.float64).reshape(-1, 3)):
            self._show_present()

    def shift_z(self, dz_um: float) -> None:
        """Move all anchors in depth; shifts that follow each other are one step."""
        if self._history.shift(dz_um):
            self._show_present()

    def set_selected_z(self, z_um: float) -> None:
        """Give the selected anchors this depth."""
        rows = self.rows_um()
        chosen = sorted(self._layer.selected_data) if self._layer is not None else []
        if not chosen:
            show_info(_NOTHING_CHOSEN)
        rows[chosen, 2] = z_um
        self.replace(rows)

    def delete_selected(self) -> None:
        """Delete the selected anchors."""
        if self._layer is None or not self._layer.selected_data:
            show_info(_NOTHING_CHOSEN)
        else:
            self._layer.remove_selected()

    def clear(self) -> None:
        """Delete all anchors."""
        self.replace(NO_ROWS)

    def undo(self, _: Layer | None = None) -> None:
        """Take the last step back."""
        if self._history.back():
            self._show_present()

    def redo(self, _: Layer | None = None) -> None:
        """Do the step again that was taken back last."""
        if self._history.forward():
            self._show_present()

    @property
    def tool(self) -> Tool:
        """What the mouse does with anchors in the canvas; setting it makes their layer active."""
        if self._line_tool.in_use:
            return Tool.DRAW
        if self._layer is not None and self._viewer.layers.selection.active == self._layer:
            return {tool.value: tool for tool in Tool}.get(self._layer.mode, Tool.NONE)
        return Tool.NONE

    @tool.setter
    def tool(self, tool: Tool) -> None:
        if tool != Tool.DRAW:
            self._line_tool.put_away()
        if tool == Tool.NONE:
            if self._layer is not None:
                self._layer.mode = "pan_zoom"
        elif self._ground is None:
            show_info(_NO_IMAGE)
        else:
            self._take(tool, self._ground)
        self._on_tool()

    def _take(self, tool: Tool, ground: Ground) -> None:
        self._viewer.dims.ndisplay = 2
        self.visible = True
        layer = self._made(ground)
        if tool == Tool.DRAW:
            self._line_tool.take(ground.placing(), ground.marker_um * _LINE_PART)
        else:
            self._viewer.layers.selection.active = layer
            layer.mode = tool.value

    @property
    def visible(self) -> bool:
        """Whether the anchors can be seen; hiding them puts the tools away."""
        return self._visible

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._visible = visible
        if not visible:
            self.tool = Tool.NONE
        if self._layer is not None:
            self._layer.visible = visible
        self._tidy_timer.start()

    @property
    def joined(self) -> bool:
        """Whether a line joins the anchors in their order."""
        return self._joined

    @joined.setter
    def joined(self, joined: bool) -> None:
        self._joined = joined
        self._tidy_timer.start()

    def _made(self, ground: Ground) -> Points:
        if self._layer is None:
            layer = self._layer = add_layer(self._viewer, ground, visible=self._visible)
            layer.events.data.connect(self._on_data)
            layer.events.features.connect(self._on_features)
            layer.selected_data.events.items_changed.connect(self._on_selection)
            layer.events.mode.connect(self._on_tool)
            self._bind_keys(layer)
        return self._layer

    def _bind_keys(self, layer: Layer) -> None:
        layer.bind_key("Control-Z", self.undo)
        layer.bind_key("Control-Shift-Z", self.redo)

    def _on_data(self, event: Any) -> None:
        if event.action == "added":
            self._take_over(event.data_indices)
        elif event.action == "changed" and self._layer is not None:
            self._take_over(range(len(self._history.present), len(self._layer.data)))
        elif event.action == "removed":
            self._take_over()

    def _on_features(self, _: Any) -> None:
        # While an anchor is being dragged napari tells of features that are as they were.
        if self._layer is not None:
            positions_um = self._history.present[:, :2]
            if np.array_equal(self._layer.data, positions_um):
                self._take_over()

    def _on_selection(self, _: Any) -> None:
        """See what was pasted, of which napari does not tell otherwise."""
        self._take_over()

    def _take_over(self, added: Iterable[int] = ()) -> None:
        """Make what is in the layer the present state; what has no depth yet gets it."""
        if self._layer is None or self._writing:
            return
        before, found = self._history.present, read(self._layer)
        rows = found.copy()
        rows[list(added), 2] = self.depth_um
        unknown = np.isnan(rows[:, 2])
        rows[unknown, 2] = before[unknown, 2] if len(before) == len(rows) else self.depth_um
        if self._ground is not None:
            rows, some_outside = self._ground.kept(rows, before)
            if some_outside:
                show_info(_OUTSIDE)
        is_new = self._history.record(rows)
        if not np.array_equal(rows, found):
            self._write(self._layer)
        if is_new:
            self._tidy_timer.start()
            self.changed.emit()

    def _add_line(self, ends_um: NDArray[np.float64]) -> None:
        """Set anchors at both ends of a drawn line, or where it leaves the image."""
        if self._ground is None or np.ptp(ends_um, axis=0).max() < self._ground.marker_um:
            return
        ends = self._ground.part_inside(ends_um)
        if ends is None:
            show_info(_OUTSIDE)
            return
        rows = np.column_stack([ends, [self.depth_um, self.depth_um]])
        self.replace(np.concatenate([self.rows_um(), rows]))

    def _show_present(self) -> None:
        if self._ground is not None and (self._layer is not None or len(self._history.present)):
            self._write(self._made(self._ground))
        self._tidy_timer.start()
        self.changed.emit()

    def _write(self, layer: Points) -> None:
        self._writing = True
        try:
            write(layer, self._history.present)
            label(layer, self._viewer.scene.camera.zoom)
        finally:
            self._writing = False

    def _tidy(self) -> None:
        """Keep the layers of lines as they should be; not while napari changes its layers."""
        if not self._line_tool.in_use:
            self._line_tool.put_away()
        if self._layer is not None:
            label(self._layer, self._viewer.scene.camera.zoom)
        if self._joined and self._visible and self._layer is not None and self._ground is not None:
            positions_um = self._history.present[:, :2]
            width_um = self._ground.marker_um * _LINE_PART
            self._joining_line.show(positions_um, self._layer, self._ground.placing(), width_um)
        else:
            self._joining_line.remove()

    def _on_zoom(self, _: Any) -> None:
        self._tidy_timer.start()

    def _on_tool(self, _: Any = None) -> None:
        self._tidy_timer.start()
        self.tool_changed.emit()

    def _on_inserted(self, event: Any) -> None:
        """Keep the anchors above images that come later."""
        if self._layer is not None and isinstance(event.value, Image):
            layers = self._viewer.layers
            layers.move(layers.index(self._layer), len(layers))

    def _on_removed(self, event: Any) -> None:
        if self._layer is not None and event.value == self._layer:
            self._layer = None
            self._history.record(NO_ROWS)
            self.changed.emit()
            self._on_tool()

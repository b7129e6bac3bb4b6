"""The form in which the user makes a surface of anchors."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox, PushButton
from psygnal import Signal
from qtpy import compat
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_deepz.surfaces import Surface
from napari_deepz.widgets.refocusing.resolving import Ground, SurfaceMaker
from napari_deepz.widgets.refocusing.surfaces.anchor_surfaces import (
    ALONG,
    EXACT_UM,
    PLANE,
    SMOOTH,
    surface_through,
    what_next,
)
from napari_deepz.widgets.refocusing.surfaces.anchors import Anchors, Tool
from napari_deepz.widgets.shared.forms import Rows
from napari_deepz.widgets.shared.plain_text import PlainLabel
from napari_deepz.widgets.shared.sliders import SliderBox

_ALMOST_PLANE_UM = 10_000.0


class AnchorForm:
    """What the anchors stand for, the tools that set them, and how many there are.

    Parameters
    ----------
    anchors : Anchors
        The anchors.

    Attributes
    ----------
    changed : Signal
        Emitted when the surface may be another one.
    find_clicked : Signal
        Emitted when the user wants anchors to be found in a virtual stack.
    find : PushButton
        Serves every kind of surface, to be put into a window by itself.
    widget : QWidget
        The rest, to put into a window.
    """

    changed = Signal()
    find_clicked = Signal()

    def __init__(self, anchors: Anchors) -> None:
        self.anchors = anchors
        self.form = ComboBox(
            label="Form",
            choices=[PLANE, SMOOTH, ALONG],
            tooltip="Plane: the tilted plane that fits the anchors best. Smooth surface: a thin "
            "plate through them. Along the line: follows the line from anchor to anchor, such as a "
            "worm's body, and is level across it.",
        )
        self.smoothing = SliderBox(
            "Smooth over (µm)",
            "Bends of the surface that are shorter than this many µm are smoothed away: "
            f"{EXACT_UM:g} µm passes through every anchor, several times the width of the image "
            "is almost the plane.",
            limits=(EXACT_UM, _ALMOST_PLANE_UM),
            span=(EXACT_UM, _ALMOST_PLANE_UM),
            logarithmic=True,
        )
        self.pick = _toggle(
            "Pick",
            "Scroll through the stack or move the focus until a cell is sharp, then click the "
            "cell, in either image: an anchor with the depth of the focus in µm appears there.",
        )
        self.move = _toggle(
            "Move",
            "Drag an anchor to another place; click one, or drag a box around some, to choose "
            "them. The Delete key deletes what is chosen.",
        )
        self.draw = _toggle(
            "Draw a line",
            "Drag a line along what is sharp at the depth of the focus: anchors of this depth in "
            "µm appear at its ends. Two lines at different depths make a plane.",
        )
        self.set_z = _button(
            "Set z to focus", "Give the chosen anchors the depth of the focus, in µm."
        )
        self.undo = _button("Undo", "Take the last change of the anchors back (Ctrl+Z).")
        self.redo = _button("Redo", "Make the change again (Ctrl+Shift+Z).")
        self.delete = _button("Delete", "Delete the chosen anchors.")
        self.delete_all = _button("Delete all", "Delete all anchors; Undo brings them back.")
        self.find = _button(
            "Find surface",
            "Look through a virtual stack of the image for the depths in µm at which it is "
            "sharpest, and set anchors there.",
        )
        self.text = PlainLabel()
        self._tools = {Tool.PICK: self.pick, Tool.MOVE: self.move, Tool.DRAW: self.draw}
        self._settings = Rows(self.form, self.smoothing)
        self.widget = QWidget()
        layout = QGridLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._settings, 0, 0, 1, 3)
        buttons = (
            (self.pick, self.move, self.draw),
            (self.undo, self.redo, self.set_z),
            (self.delete, self.delete_all),
        )
        for row, beside in enumerate(buttons, start=1):
            for column, button in enumerate(beside):
                layout.addWidget(button.native, row, column)
        layout.addWidget(self.text, len(buttons) + 1, 0, 1, 3)
        self._connect()
        self._on_change()

    def _connect(self) -> None:
        anchors = self.anchors
        for setting in (self.form, self.smoothing):
            setting.changed.connect(self._on_change)
        for tool, toggle in self._tools.items():
            toggle.changed.connect(lambda on, tool=tool: self._use(tool, on))
        self.set_z.changed.connect(lambda _: anchors.set_selected_z(anchors.depth_um))
        self.undo.changed.connect(lambda _: anchors.undo())
        self.redo.changed.connect(lambda _: anchors.redo())
        self.delete.changed.connect(lambda _: anchors.delete_selected())
        self.delete_all.changed.connect(lambda _: anchors.clear())
        self.find.changed.connect(lambda _: self.find_clicked.emit())
        anchors.changed.connect(self._on_change)
        anchors.tool_changed.connect(self._show_tool)

    def restore(self) -> None:
        """Set the settings back; the anchors stay."""
        self.form.value = PLANE
        self.smoothing.value = EXACT_UM
        self.anchors.tool = Tool.NONE

    def maker(self) -> SurfaceMaker:
        """What makes the surface that the anchors stand for now.

        It raises a `ValueError` of one sentence where there are too few anchors.
        """
        form, smooth_um, rows_um = self.form.value, self.smoothing.value, self.anchors.rows_um()

        def surface(ground: Ground) -> tuple[Surface, tuple[str, ...]]:
            made = surface_through(
                form,
                rows_um,
                ground.plane.shape,
                ground.sampling.pixel_size_um,
                smooth_um=smooth_um,
            )
            return made, made.notes

        return surface

    def _use(self, tool: Tool, on: bool) -> None:
        self.anchors.tool = tool if on else Tool.NONE

    def _show_tool(self) -> None:
        if not compat.isalive(self.widget):  # The viewer outlives the dock.
            return
        in_use = self.anchors.tool
        for tool, toggle in self._tools.items():
            with toggle.changed.blocked():
                toggle.value = tool == in_use

    def _on_change(self) -> None:
        self._settings.show_row(self.smoothing, self.form.value == SMOOTH)
        self.anchors.joined = self.form.value == ALONG
        self.text.setText(what_next(self.form.value, self.anchors.rows_um()))
        self.changed.emit()


def _button(text: str, tooltip: str) -> PushButton:
    return PushButton(text=text, tooltip=tooltip)


def _toggle(text: str, tooltip: str) -> Any:
    button = _button(text, tooltip)
    button.native.setCheckable(True)
    return button

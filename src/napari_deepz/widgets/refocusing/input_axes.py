"""Which plane, time point and channel of a layer is the input: pinned, or as the sliders stand."""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from magicgui.widgets import CheckBox, PushButton, SpinBox
from napari.layers import Image
from psygnal import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.widgets.shared.forms import Rows, side_by_side
from napari_deepz.widgets.shared.layer_sizes import drive_axis_of, z_axis_of
from napari_deepz.widgets.shared.layers import axis_names
from napari_deepz.widgets.shared.placement import axis_lengths


class InputAxes:
    """A row for each axis before y and x: where the input lies on it, counted from 0.

    Each layer keeps what is pinned of it.

    Attributes
    ----------
    changed : Signal
        Emitted when the user pins or types something.
    use_clicked : Signal
        Emitted with an axis along which the input is to be what the slider shows.
    widget : QWidget
        What to put into a window.
    """

    changed = Signal()
    use_clicked = Signal(int)

    def __init__(self) -> None:
        self.widget = QWidget()
        self._layout = QVBoxLayout(self.widget)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._rows: Rows | None = None
        self._shown_axes: tuple[tuple[str, int], ...] = ()
        self._layer: Image | None = None
        self._pins: WeakKeyDictionary[Image, dict[int, int]] = WeakKeyDictionary()
        self.boxes: list[SpinBox] = []
        self.uses: list[PushButton] = []
        self.pins: list[CheckBox] = []

    def pinned(self, layer: Image | None) -> Mapping[int, int]:
        """Index by axis, where the input stays whatever the sliders do."""
        return {} if layer is None else self._pins.get(layer, {})

    def show(self, layer: Image | None, index: tuple[int, ...]) -> None:
        """Show where the input lies: `index` has a number for each axis before y and x."""
        axes: tuple[tuple[str, int], ...] = ()
        if layer is not None:
            axes = tuple(zip(axis_names(layer), axis_lengths(layer), strict=True))
        if axes != self._shown_axes:
            self._make_rows(axes)
        self.widget.setVisible(bool(axes))
        self._layer = layer
        pinned = self.pinned(layer)
        for axis, (box, pin, at) in enumerate(zip(self.boxes, self.pins, index, strict=True)):
            with box.changed.blocked(), pin.changed.blocked():
                box.value, pin.value = at, axis in pinned

    def pin_z(self, layer: Image, index: tuple[int, ...]) -> None:
        """Keep the plane along z, whose slider shows the depths of results from now on."""
        self._pin(layer, z_axis_of(layer), index)

    def pin_drive(self, layer: Image, index: tuple[int, ...]) -> None:
        """Keep the plane along the axis on which further input planes lie."""
        self._pin(layer, drive_axis_of(layer), index)

    def _pin(self, layer: Image, axis: int | None, index: tuple[int, ...]) -> None:
        if axis is not None and axis not in self.pinned(layer):
            self._pins.setdefault(layer, {})[axis] = index[axis]
            self.show(layer, index)

    def _make_rows(self, axes: tuple[tuple[str, int], ...]) -> None:
        if self._rows is not None:
            self._layout.removeWidget(self._rows)
            self._rows.deleteLater()
        self._shown_axes, self.boxes, self.uses, self.pins, rows = axes, [], [], [], []
        for axis, (name, length) in enumerate(axes):
            box = SpinBox(
                min=0,
                max=length - 1,
                tooltip=f"Position along {name} of the image that is refocused, from 0 to "
                f"{length - 1}.",
            )
            box.native.setKeyboardTracking(False)
            pin = CheckBox(
                text="Pin",
                tooltip="Stays the input while the slider is moved; otherwise the input is what "
                "the slider shows. Refocusing pins z.",
            )
            use = PushButton(
                text="Use shown",
                tooltip=f"Take the {name} that the slider shows as the input.",
            )
            use.changed.connect(lambda _, axis=axis: self.use_clicked.emit(axis))
            box.changed.connect(lambda at, axis=axis: self._on_typed(axis, at))
            pin.changed.connect(lambda pinned, axis=axis: self._on_pin(axis, pinned))
            row = side_by_side(box, use, pin)
            row.label, row.tooltip = name, box.tooltip
            self.boxes.append(box)
            self.uses.append(use)
            self.pins.append(pin)
            rows.append(row)
        self._rows = Rows(*rows)
        self._layout.addWidget(self._rows)

    def take(self, axis: int, at: int) -> None:
        """Pin an axis at a position."""
        with self.boxes[axis].changed.blocked():
            self.boxes[axis].value = at
        self._on_typed(axis, at)

    def _on_typed(self, axis: int, at: int) -> None:
        if self._layer is not None:
            self._pins.setdefault(self._layer, {})[axis] = at
            with self.pins[axis].changed.blocked():
                self.pins[axis].value = True
            self.changed.emit()

    def _on_pin(self, axis: int, pinned: bool) -> None:
        if self._layer is None:
            return
        pins = self._pins.setdefault(self._layer, {})
        if pinned:
            pins[axis] = self.boxes[axis].value
        else:
            pins.pop(axis, None)
        self.changed.emit()

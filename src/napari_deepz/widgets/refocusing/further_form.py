"""The form in which the user names further input planes of the same place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, PushButton
from napari.layers import Image
from psygnal import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.engine.planes.shares import Merge
from napari_deepz.engine.planes.spreading import NO_PERCENTAGE
from napari_deepz.widgets.shared.forms import Rows, side_by_side
from napari_deepz.widgets.shared.layer_sizes import drive_axis_of, said_z_step_um
from napari_deepz.widgets.shared.layers import axis_names, names_of
from napari_deepz.widgets.shared.placement import View, shown_index
from napari_deepz.widgets.shared.plain_text import ends_of

_FARTHEST_UM = 1000.0
_ADD, _PIN = "Add shown plane", "Pin as first plane"
_USUAL_UM = 3.0

BEST = "best"
"""Of the merges: that which is best by measurement with the model."""

_MERGES: list[tuple[str, Merge | Literal["best"]]] = [
    ("best by measurement", "best"),
    ("blended: refocused and interpolated", "blended"),
    ("learned: by the network", "learned"),
    ("distance: refocused, the nearer the more", "distance"),
    ("nearest: refocused, of the nearest", "nearest"),
    ("linear: interpolated, no network", "linear"),
]


@dataclass(frozen=True, eq=False)
class FurtherInput:
    """A further input plane.

    Attributes
    ----------
    layer : Image
        In which it is: that of the input, or another one.
    index : int or None
        Where it lies along z, or in a movie along time, in the layer of the input; None for
        another layer.
    at_um : float or None
        How far it lies from the input; None where the z step of the layer says it.
    """

    layer: Image
    index: int | None
    at_um: float | None

    def depth_um(self, input_index: int) -> float | None:
        """How far it lies from an input plane of this index; None where nothing says it."""
        if self.at_um is not None or self.index is None:
            return self.at_um
        step_um = said_z_step_um(self.layer)
        return None if step_um is None else round((self.index - input_index) * step_um, 6)


class FurtherForm:
    """Further planes of the chosen layer, or other layers, each with its distance from the input.

    Each layer keeps those that were named for it.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are offered.
    can_be_input : callable
        Whether a layer is an image that can be refocused.

    Attributes
    ----------
    changed : Signal
        Emitted when the user adds, moves or removes a plane, or merges in another way.
    pin_clicked : Signal
        Emitted when the input is to stay where it is, so that others can be shown and added.
    estimate_clicked : Signal
        Emitted with the number of a plane whose distance the images are to tell.
    widget : QWidget
        What to put into a window.
    """

    changed = Signal()
    pin_clicked = Signal()
    estimate_clicked = Signal(int)

    def __init__(self, viewer: Any, can_be_input: Callable[[Image], bool]) -> None:
        self._viewer, self._can_be_input = viewer, can_be_input
        self._layer: Image | None = None
        self._index: tuple[int, ...] = ()
        self._is_pinned = self._learned = False
        self._chosen: WeakKeyDictionary[Image, tuple[FurtherInput, ...]] = WeakKeyDictionary()
        self._spread_of: WeakKeyDictionary[Image, bool] = WeakKeyDictionary()
        self.add_shown = PushButton(
            text=_ADD,
            tooltip="Several planes tell more than one: pin the first, move the slider to another "
            "one, and add that.",
        )
        self.add_layer = ComboBox(
            choices=lambda _: [("Add layer…", None), *self._offered()],
            tooltip="Refocus from another image of the same place too.",
        )
        self.merge = ComboBox(
            label="Merge",
            choices=lambda _: [one for one in _MERGES if self._learned or one[1] != "learned"],
            tooltip="How what the planes say is put together.",
        )
        self.spread = CheckBox(
            text="Show how far it may be off",
            tooltip="Show, on the scale of the image, where the planes disagree. " + NO_PERCENTAGE,
        )
        adding = side_by_side(self.add_shown, self.add_layer)
        adding.label, adding.tooltip = "More planes", self.add_shown.tooltip
        self._adding, self._merging = Rows(adding), Rows(self.merge, self.spread)
        self._rows: Rows | None = None
        self._shown: list[FurtherInput] = []
        self.boxes: list[FloatSpinBox] = []
        self.estimates: list[PushButton] = []
        self.removes: list[PushButton] = []
        self.widget = QWidget()
        self._layout = QVBoxLayout(self.widget)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addWidget(self._adding)
        self._layout.addWidget(self._merging)
        self._merging.hide()
        self.add_shown.changed.connect(self._on_add_shown)
        self.add_layer.changed.connect(self._on_add_layer)
        self.merge.changed.connect(self.changed.emit)
        self.spread.changed.connect(self._on_spread)

    @property
    def chosen_merge(self) -> Merge | None:
        """How to merge; None for what is best by measurement."""
        value = self.merge.value
        return None if value == BEST else value

    def offer_learned(self, offered: bool) -> None:
        """Offer the merge of the network itself where the model has learned it."""
        if offered != self._learned:
            self._learned = offered
            self.merge.reset_choices()

    def chosen(self, layer: Image | None) -> tuple[FurtherInput, ...]:
        """What was named for a layer and is still there."""
        if layer is None:
            return ()
        there = self._viewer.layers
        return tuple(one for one in self._chosen.get(layer, ()) if one.layer in there)

    def show(self, layer: Image | None, index: tuple[int, ...], *, is_pinned: bool) -> None:
        """Show what was named for the input, which lies at `index` of its layer."""
        if layer is not self._layer:
            with self.spread.changed.blocked():
                self.spread.value = layer is not None and self._spread_of.get(layer, False)
        self._layer, self._index, self._is_pinned = layer, index, is_pinned
        axis = None if layer is None else drive_axis_of(layer)
        self.add_shown.visible = axis is not None
        self.add_shown.text = _ADD if is_pinned else _PIN
        self.add_shown.enabled = not is_pinned or self._shown_plane() is not None
        others = self._offered()
        with self.add_layer.changed.blocked():
            self.add_layer.reset_choices()
            self.add_layer.value = None
        self.add_layer.visible = bool(others)
        self._adding.setVisible(axis is not None or bool(others))
        chosen = list(self.chosen(layer))
        if [(one.layer, one.index) for one in chosen] != [
            (one.layer, one.index) for one in self._shown
        ]:
            self._make_rows(chosen)
        self._merging.setVisible(bool(chosen))
        for box, one in zip(self.boxes, chosen, strict=True):
            depth_um = one.depth_um(self._input_index())
            with box.changed.blocked():
                box.value = depth_um or 0.0

    def _input_index(self) -> int:
        axis = None if self._layer is None else drive_axis_of(self._layer)
        return 0 if axis is None or axis >= len(self._index) else self._index[axis]

    def _offered(self) -> list[tuple[str, Image]]:
        taken = [one.layer for one in self.chosen(self._layer) if one.index is None]
        return [
            (ends_of(name), layer)
            for name, layer in names_of(self._viewer.layers, self._can_be_input)
            if layer is not self._layer and layer not in taken and self._layer is not None
        ]

    def _shown_plane(self) -> int | None:
        """Index of the plane that the slider shows, where it can be added."""
        layer = self._layer
        axis = None if layer is None else drive_axis_of(layer)
        if layer is None or axis is None or self._viewer.dims.ndisplay == 3:
            return None
        shown = shown_index(layer, View.of(self._viewer))[axis]
        taken = [one.index for one in self.chosen(layer) if one.layer is layer]
        return None if shown == self._input_index() or shown in taken else shown

    def _on_add_shown(self) -> None:
        if not self._is_pinned:
            self.pin_clicked.emit()
            return
        shown = self._shown_plane()
        if self._layer is not None and shown is not None:
            self._set((*self.chosen(self._layer), FurtherInput(self._layer, shown, None)))

    def _on_add_layer(self, layer: Image | None) -> None:
        if self._layer is not None and layer is not None:
            deepest = max((one.at_um or 0.0 for one in self.chosen(self._layer)), default=0.0)
            added = FurtherInput(layer, None, deepest + _USUAL_UM)
            self._set((*self.chosen(self._layer), added))

    def _set(self, chosen: tuple[FurtherInput, ...]) -> None:
        if self._layer is not None:
            self._chosen[self._layer] = chosen
            self.show(self._layer, self._index, is_pinned=self._is_pinned)
            self.changed.emit()

    def _make_rows(self, chosen: list[FurtherInput]) -> None:
        if self._rows is not None:
            self._layout.removeWidget(self._rows)
            self._rows.hide()  # It is deleted only when the event loop comes round.
            self._rows.deleteLater()
        self._shown, self.boxes, self.estimates, self.removes, rows = chosen, [], [], [], []
        for number, one in enumerate(chosen):
            box = FloatSpinBox(
                min=-_FARTHEST_UM,
                max=_FARTHEST_UM,
                step=0.1,
                tooltip="How far it lies from the input plane, in µm; positive is deeper.",
            )
            box.native.setDecimals(3)
            box.native.setSuffix(" µm")
            box.native.setKeyboardTracking(False)
            remove = PushButton(text="Remove", tooltip="Refocus without this plane.")
            box.changed.connect(lambda at_um, number=number: self._on_typed(number, at_um))
            remove.changed.connect(lambda _, number=number: self._on_remove(number))
            estimate = PushButton(
                text="Estimate",
                tooltip="Let the images tell how far apart the two lie. Not all models can tell "
                "which of them is the deeper one: then the sign stays as it is.",
            )
            estimate.changed.connect(lambda _, number=number: self.estimate_clicked.emit(number))
            row = side_by_side(box, estimate, remove)
            row.label = self._name(one)
            row.tooltip = box.tooltip
            self.boxes.append(box)
            self.estimates.append(estimate)
            self.removes.append(remove)
            rows.append(row)
        self._rows = Rows(*rows)
        self._layout.insertWidget(1, self._rows)

    def _name(self, one: FurtherInput) -> str:
        axis = drive_axis_of(one.layer)
        if one.index is None or axis is None:
            return ends_of(one.layer.name)
        return f"{axis_names(one.layer)[axis]} {one.index}"

    def place(self, layer: Image, one: FurtherInput, at_um: float) -> None:
        """Take how far a plane lies from the input, where that plane is still named."""
        if layer is self._layer and one in self.chosen(layer):
            self._on_typed(self.chosen(layer).index(one), at_um)

    def _on_spread(self, shown: bool) -> None:
        if self._layer is not None:
            self._spread_of[self._layer] = shown
        self.changed.emit()

    def _on_typed(self, number: int, at_um: float) -> None:
        chosen = list(self.chosen(self._layer))
        chosen[number] = replace(chosen[number], at_um=at_um)
        self._set(tuple(chosen))

    def _on_remove(self, number: int) -> None:
        chosen = self.chosen(self._layer)
        self._set((*chosen[:number], *chosen[number + 1 :]))

"""The form in which the user chooses the input: which image, and which plane of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox
from napari.layers import Image, Layer
from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_deepz.widgets.refocusing.further_form import FurtherForm
from napari_deepz.widgets.refocusing.input_axes import InputAxes
from napari_deepz.widgets.refocusing.size_form import SizeForm
from napari_deepz.widgets.shared.contrast import suit_contrast
from napari_deepz.widgets.shared.forms import Rows, side_by_side
from napari_deepz.widgets.shared.layer_sizes import drive_axis_of, z_axis_of
from napari_deepz.widgets.shared.layers import input_plane, names_of
from napari_deepz.widgets.shared.placement import (
    View,
    axis_lengths,
    placing_of,
    shown_index,
)
from napari_deepz.widgets.shared.plain_text import tooltip
from napari_deepz.widgets.shared.results import is_inferred

_NARROWEST_CHARACTERS = 14


class ImageForm:
    """A menu of the image layers, the plane of the chosen one, and its sizes where it lacks them.

    The image is that of the layer list's selection until the user pins it.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are offered.

    Attributes
    ----------
    changed : Signal
        Emitted when another image or plane is chosen, or another size entered.
    follows_selection : bool
        Not while a layer is wanted for something else than as the image.
    widget : QWidget
        What to put into a window.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.choice = ComboBox(
            label="Image",
            choices=lambda _: names_of(viewer.layers, can_be_refocused),
            nullable=True,
            tooltip="The measured image.",
        )
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self.choice.native.setSizeAdjustPolicy(policy)
        self.choice.native.setMinimumContentsLength(_NARROWEST_CHARACTERS)
        self.pin = CheckBox(
            text="Pin",
            tooltip="Stay with this image when other layers are selected in the layer list.",
        )
        chosen = side_by_side(self.choice, self.pin)
        chosen.label, chosen.tooltip = "Image", "The measured image."
        self.axes = InputAxes()
        self.sizes = SizeForm(viewer, self._input_z, self._keeping_plane, self._of_same_place)
        self.further = FurtherForm(viewer, can_be_refocused)
        self.follows_selection = True
        self.widget = QWidget()
        layout = QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (Rows(chosen), self.axes.widget, self.sizes.widget, self.further.widget):
            layout.addWidget(part)
        self.choice.changed.connect(self._on_choice)
        self.axes.changed.connect(self.changed.emit)
        self.axes.use_clicked.connect(self._use_shown)
        self.further.changed.connect(self._on_further)
        self.further.pin_clicked.connect(self._pin_first)
        self.sizes.changed.connect(self.changed.emit)
        viewer.layers.selection.events.active.connect(self._on_selected)

    @property
    def layer(self) -> Image | None:
        """The chosen layer."""
        return self.choice.value

    @property
    def input_view(self) -> View:
        """What the viewer would show if the input were what it shows."""
        view = View.of(self._viewer)
        return view if self.layer is None else view.pinned(self.layer, self.pinned)

    @property
    def pinned(self) -> Mapping[int, int]:
        """Index by axis of the chosen layer, where the input stays."""
        return self.axes.pinned(self.layer)

    def show_input(self) -> None:
        """Show where in its layer the input is now, and ask for what is not known of its sizes."""
        layer = self.layer
        self.axes.show(layer, self.index())
        self.sizes.review(layer)
        axis = None if layer is None else drive_axis_of(layer)
        self.further.show(layer, self.index(), is_pinned=axis in self.pinned)

    def pin_z(self) -> None:
        """Keep the plane, as the slider for z shows the depths of results from now on."""
        if self.layer is not None:
            self.axes.pin_z(self.layer, self.index())

    def _of_same_place(self) -> list[Image]:
        chosen = self.further.chosen(self.layer)
        return [one.layer for one in chosen if one.layer is not self.layer]

    def _on_further(self) -> None:
        self.sizes.share()
        self.changed.emit()

    def _pin_first(self) -> None:
        if self.layer is not None:
            self.axes.pin_drive(self.layer, self.index())
        self.show_input()

    def reset_choices(self) -> None:
        """Look again which layers there are; a new one is chosen where there was none."""
        before = self.layer
        with self.choice.changed.blocked():  # A menu loses a layer that is renamed for a moment.
            self.choice.reset_choices()
            if before is not None and before in self.choice.choices:
                self.choice.value = before
            elif before is None and len(self.choice.choices) > 1:
                self.choice.value = self.choice.choices[1]
        if self.layer is not before:
            self.choice.changed.emit(self.layer)

    def _input_z(self) -> float:
        """Where the input plane lies along z, in the units of its layer."""
        layer = self.layer
        axis = None if layer is None else z_axis_of(layer)
        if layer is None or axis is None:
            return 0.0
        placing = placing_of(layer)
        return (
            placing.starts[axis] + shown_index(layer, self.input_view)[axis] * placing.steps[axis]
        )

    @contextmanager
    def _keeping_plane(self) -> Iterator[None]:
        """Show the same plane of the image again, wherever it lies now."""
        before = self.index()
        yield
        self._show_plane(before)

    def index(self) -> tuple[int, ...]:
        """Where the input lies on the axes of its layer before y and x."""
        return () if self.layer is None else shown_index(self.layer, self.input_view)

    def _use_shown(self, axis: int) -> None:
        """Take the plane that the slider shows as the input."""
        layer = self.layer
        if layer is not None:
            self.axes.take(axis, shown_index(layer, View.of(self._viewer))[axis])

    def _show_plane(self, index: tuple[int, ...]) -> None:
        """Move napari's sliders to a plane of the image."""
        if self.layer is None or not index:
            return
        view = View.of(self._viewer).pinned(self.layer, dict(enumerate(index)))
        dims = self._viewer.dims
        axes = [axis for axis in range(dims.ndim) if axis in dims.not_displayed]
        dims.set_point(axes, [view.point[axis] for axis in axes])

    def _show_if_hidden(self) -> None:
        """Show the middle of a chosen stack of which napari shows nothing, as it lies elsewhere."""
        layer = self.layer
        if layer is None or layer.ndim < 3 or self._viewer.dims.ndisplay == 3:
            return
        view = self.input_view
        nearest = view.pinned(layer, dict(enumerate(shown_index(layer, view))))
        steps = [abs(step) for step in placing_of(layer).steps]
        away = np.abs(np.subtract(nearest.position(layer), view.position(layer)))[: len(steps)]
        if (away > np.array(steps) / 2 + 1e-9).any():
            self._show_plane(tuple(length // 2 for length in axis_lengths(layer)))

    def _on_choice(self, layer: Image | None) -> None:
        self.choice.native.setToolTip(tooltip("" if layer is None else layer.name))
        with suppress(ValueError, OSError):  # What is wrong with it is said elsewhere.
            self._show_if_hidden()
            if layer is not None:
                suit_contrast(layer, input_plane(layer, self.input_view))
        self.changed.emit()

    def _on_selected(self, _: Any) -> None:
        """Follow the layer list, but not to what is no measured image."""
        layer = self._viewer.layers.selection.active
        if self.pin.value or not self.follows_selection or layer is self.layer:
            return
        if layer in self._viewer.layers and can_be_refocused(layer):
            self.reset_choices()
            self.choice.value = layer


def can_be_refocused(layer: Layer | None) -> bool:
    """Whether a layer is an image that no network has made."""
    return isinstance(layer, Image) and not is_inferred(layer)

"""The form in which the user chooses the measured image, and says its pixel size if it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magicgui.widgets import ComboBox, FloatSpinBox, PushButton
from napari.layers import Image, Layer
from psygnal import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.optics import PLAUSIBLE_PIXELS_UM
from napari_deepz.widgets.refocusing.input_axes import InputAxes
from napari_deepz.widgets.shared.forms import Rows
from napari_deepz.widgets.shared.layers import (
    is_plausible,
    likely_pixel_size_um,
    names_of,
    pixel_size_um,
    set_pixel_size,
)
from napari_deepz.widgets.shared.placement import View, shown_index
from napari_deepz.widgets.shared.plain_text import show_error
from napari_deepz.widgets.shared.results import is_inferred


class ImageForm:
    """A menu of the image layers, and a pixel size for those that have none.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are offered.

    Attributes
    ----------
    changed : Signal
        Emitted when another image is chosen, or another pixel size entered.
    widget : QWidget
        What to put into a window.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.choice = ComboBox(
            label="Image",
            choices=lambda _: names_of(viewer.layers, _can_be_refocused),
            nullable=True,
            tooltip="The measured image.",
        )
        self.pixel_size = FloatSpinBox(
            label="Pixel size (µm)",
            min=PLAUSIBLE_PIXELS_UM[0],
            max=PLAUSIBLE_PIXELS_UM[1],
            step=0.005,
            tooltip="Width of a pixel in the sample, in µm: camera pixel divided by magnification.",
        )
        self.pixel_size.native.setDecimals(4)
        self.write = PushButton(
            text="Write to layer", tooltip="Give the image layer this pixel size now."
        )
        self.axes = InputAxes()
        self.rows = Rows(self.pixel_size, self.write)
        self.widget = QWidget()
        layout = QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (Rows(self.choice), self.axes.widget, self.rows):
            layout.addWidget(part)
        self.ask_pixel_size(False)
        self._typed_for: Image | None = None
        self.choice.changed.connect(lambda _: self.changed.emit())
        self.pixel_size.changed.connect(self._on_typed)
        self.write.changed.connect(self._on_write)
        self.axes.changed.connect(self.changed.emit)

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

    def show_axes(self) -> None:
        """Show where in its layer the input is now."""
        layer = self.layer
        self.axes.show(layer, () if layer is None else shown_index(layer, self.input_view))

    def pin_z(self) -> None:
        """Keep the plane, as the slider for z shows the depths of results from now on."""
        if self.layer is not None:
            self.axes.pin_z(self.layer, shown_index(self.layer, self.input_view))

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

    def suggest_pixel_size(self, model_um: float | None) -> None:
        """Fill in what the layer's scale suggests, or else the model's pixel size.

        What the user has typed for this layer stays.
        """
        if self.layer is not None and self.layer is not self._typed_for:
            guess_um = likely_pixel_size_um(self.layer) or model_um
            if guess_um is not None and is_plausible(guess_um):
                with self.pixel_size.changed.blocked():
                    self.pixel_size.value = guess_um

    def _on_typed(self, _: float) -> None:
        self._typed_for = self.layer
        self.changed.emit()

    def _on_write(self, _: Any) -> None:
        try:
            self.write_pixel_size()
        except ValueError as error:
            show_error(str(error))

    def write_pixel_size(self) -> None:
        """Write the entered pixel size into a layer that has none.

        Raises
        ------
        ValueError
            If the layer cannot be refocused; one sentence.
        """
        layer = self.layer
        if layer is not None and pixel_size_um(layer) is None:
            set_pixel_size(layer, self.pixel_size.value)
            self._viewer.reset_view()
            self.changed.emit()

    def ask_pixel_size(self, wanted: bool) -> None:
        """Show the row for the pixel size, or hide it."""
        for row in (self.pixel_size, self.write):
            self.rows.show_row(row, wanted)


def _can_be_refocused(layer: Layer) -> bool:
    return isinstance(layer, Image) and not is_inferred(layer)

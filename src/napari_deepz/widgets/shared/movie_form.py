"""The form in which the user chooses a movie: its layers, its sizes and its optics."""

from __future__ import annotations

import math
from typing import Any

from magicgui.widgets import ComboBox, FloatSpinBox, LineEdit
from napari.layers import Image, Layer
from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_deepz.optics import PLAUSIBLE_PIXELS_UM
from napari_deepz.sampling import Sampling
from napari_deepz.widgets.shared.forms import Rows
from napari_deepz.widgets.shared.layer_sizes import (
    TYPED,
    pixel_size_um,
    said_pixel_size_um,
    set_pixel_size,
    z_axis_of,
)
from napari_deepz.widgets.shared.layers import names_of, stated_optics
from napari_deepz.widgets.shared.movie_layers import (
    LayerMovie,
    can_be_movie,
    layer_movie,
    name_axes,
    rate_hz_of,
)
from napari_deepz.widgets.shared.optics_form import OpticsForm
from napari_deepz.widgets.shared.placement import LayerError, View
from napari_deepz.widgets.shared.plain_text import PlainLabel

NO_MOVIE = "Open a movie: an image with an axis t."
_DIGITS, _NARROWEST_CHARACTERS = 4, 14
_NARROW = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon


class MovieForm:
    """A menu of the movies, a second one of another input plane, and what they do not say.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are offered.

    Attributes
    ----------
    changed : Signal
        Emitted when another movie, size or optics is chosen.
    widget : QWidget
        What to put into a window.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.choice = ComboBox(
            label="Movie",
            choices=lambda _: names_of(viewer.layers, can_be_movie),
            nullable=True,
            tooltip="Measured frames over time.",
        )
        self.further = ComboBox(
            label="Second plane",
            choices=lambda _: names_of(viewer.layers, self._can_be_further),
            nullable=True,
            tooltip="A movie of the same place and time, taken at another depth.",
        )
        self.at = LineEdit(
            label="Planes at (µm)",
            tooltip="Where the input planes were taken, such as 0, 6; nothing: as the layer says.",
        )
        self.pixel_size = FloatSpinBox(
            label="Pixel size (µm)",
            min=0,
            max=PLAUSIBLE_PIXELS_UM[1],
            step=0.005,
            tooltip="Width of a pixel in the sample, in µm: camera pixel divided by magnification.",
        )
        self.rate = FloatSpinBox(
            label="Frames per second",
            min=0,
            max=1e5,
            step=1,
            tooltip="How many frames were taken per second; 0: not known.",
        )
        for box in (self.pixel_size, self.rate):
            box.native.setDecimals(_DIGITS)
            box.native.setKeyboardTracking(False)
        self.optics, self._has_planes = OpticsForm(), False
        self.says = PlainLabel()
        for menu in (self.choice, self.further):
            menu.native.setSizeAdjustPolicy(_NARROW)
            menu.native.setMinimumContentsLength(_NARROWEST_CHARACTERS)
        self._rows = Rows(self.choice, self.further, self.at, self.pixel_size, self.rate)
        self.widget = QWidget()
        layout = QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self._rows, self.optics.widget, self.says):
            layout.addWidget(part)
        self.choice.changed.connect(self._on_choice)
        for widget in (self.further, self.at, self.pixel_size, self.rate):
            widget.changed.connect(self._on_change)
        self.optics.changed.connect(self._on_change)
        self._on_choice()

    @property
    def layer(self) -> Image | None:
        """The chosen movie."""
        return self.choice.value

    def reset_choices(self) -> None:
        """Look again which layers there are; napari calls this when they change."""
        before = self.layer
        self.choice.reset_choices()
        if self.layer is None and len(self.choice.choices) > 1:
            self.choice.value = self.choice.choices[1]
        self.further.reset_choices()
        if self.layer is before:
            self._review()

    def movie(self) -> LayerMovie:
        """The movie that is chosen; what was entered is written into its layer.

        Raises
        ------
        LayerError, ValueError
            If there is none that can be used; one sentence.
        """
        layer, further = self.layer, self.further.value
        if layer is None:
            raise LayerError(NO_MOVIE)
        layers = [layer] if further is None else [layer, further]
        for one in layers:
            name_axes(one)
            self._write_size(one)
        size_um = pixel_size_um(layer)
        assert size_um is not None
        optics = {name: value for name, value in self.optics.values().items() if value}
        return layer_movie(
            layers,
            View.of(self._viewer),
            sampling=Sampling(pixel_size_um=size_um, **optics),
            at_um=self._at_um(),
            rate_hz=self.rate.value or None,
        )

    def _write_size(self, layer: Image) -> None:
        size_um, typed_um = pixel_size_um(layer), self.pixel_size.value
        if size_um is not None and (TYPED not in layer.metadata or size_um == typed_um):
            return
        if not typed_um:
            raise LayerError(f"The pixel size of '{layer.name}' is not known: enter it.")
        if size_um is None:
            layer.metadata[TYPED] = said_pixel_size_um(layer)
        set_pixel_size(layer, typed_um)

    def _at_um(self) -> list[float] | None:
        text = self.at.value.strip()
        if not text or not self._has_planes:
            return None
        try:
            depths_um = [float(word) for word in text.replace(";", ",").split(",")]
        except ValueError:
            depths_um = [math.nan]
        if not all(map(math.isfinite, depths_um)):
            raise LayerError(f"'Planes at' takes depths in µm such as 0, 6, not '{text}'.")
        return depths_um

    def _can_be_further(self, layer: Layer) -> bool:
        own = self.layer
        return (
            own is not None
            and layer is not own
            and can_be_movie(layer)
            and layer.data.shape == own.data.shape
        )

    def _on_choice(self, _: Any = None) -> None:
        layer = self.layer
        self.optics.suggest(layer, {} if layer is None else stated_optics(layer))
        if layer is not None and TYPED in layer.metadata:
            with self.pixel_size.changed.blocked():
                self.pixel_size.value = pixel_size_um(layer) or 0.0
        with self.rate.changed.blocked():
            self.rate.value = (0.0 if layer is None else rate_hz_of(layer)) or 0.0
        self.further.reset_choices()
        self._review()
        self.changed.emit()

    def _on_change(self, _: Any = None) -> None:
        self._review()
        self.changed.emit()

    def _review(self) -> None:
        layer = self.layer
        self._has_planes = layer is not None and (
            self.further.value is not None or _has_input_planes(layer)
        )
        self._rows.show_row(self.further, len(self.further.choices) > 1)
        self._rows.show_row(self.at, self._has_planes)
        self._rows.show_row(self.pixel_size, layer is not None and _lacks_size(layer))
        self._rows.show_row(self.rate, layer is not None)
        self.optics.widget.setVisible(layer is not None)
        self.says.setText(NO_MOVIE if layer is None else "")
        self.says.setVisible(layer is None)


def _has_input_planes(layer: Image) -> bool:
    axis = z_axis_of(layer)
    return axis is not None and layer.ndim > 3 and layer.data.shape[axis] > 1


def _lacks_size(layer: Image) -> bool:
    try:
        return pixel_size_um(layer) is None or TYPED in layer.metadata
    except ValueError:
        return False

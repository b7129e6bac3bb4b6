"""The form in which the user says the sizes of an image that does not say them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from typing import Any
from weakref import ref

from magicgui.widgets import FloatSpinBox, PushButton
from napari.layers import Image
from psygnal import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.optics import PLAUSIBLE_PIXELS_UM, PLAUSIBLE_Z_STEPS_UM
from napari_deepz.widgets.shared.forms import Rows
from napari_deepz.widgets.shared.layer_files import file_of
from napari_deepz.widgets.shared.layer_sizes import (
    TYPED,
    adopt_is_due,
    adopt_sizes,
    count_z_in_um,
    is_plausible,
    lacks_z_step,
    likely_pixel_size_um,
    pixel_size_um,
    said_pixel_size_um,
    set_pixel_size,
    set_z_step,
)
from napari_deepz.widgets.shared.layers import slice_again
from napari_deepz.widgets.shared.plain_text import PlainLabel, show_error
from napari_deepz.widgets.shared.results import pictures_of


class SizeForm:
    """Pixel size and distance of planes, asked for where nothing says them.

    What is entered is written into the layer at once, and everything works with it from then on.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose view is set anew when a layer becomes larger or smaller.
    input_z : callable
        Where the input plane of the chosen image lies along z in the world: it stays there.
    keeping_plane : callable
        Context in which the sizes of an image change and the plane that is shown does not.
    of_same_place : callable
        Other layers of the same place: one that does not say its pixel size gets that of the image.

    Attributes
    ----------
    changed : Signal
        Emitted when something was entered.
    widget : QWidget
        What to put into a window.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: Any,
        input_z: Callable[[], float],
        keeping_plane: Callable[[], AbstractContextManager[None]],
        of_same_place: Callable[[], Iterable[Image]],
    ) -> None:
        self._viewer, self._input_z, self._keeping_plane = viewer, input_z, keeping_plane
        self._of_same_place = of_same_place
        self.pixel_size = FloatSpinBox(
            label="Pixel size (µm)",
            min=PLAUSIBLE_PIXELS_UM[0],
            max=PLAUSIBLE_PIXELS_UM[1],
            step=0.005,
            tooltip="Width of a pixel in the sample, in µm: camera pixel divided by magnification.",
        )
        self.use = PushButton(
            text="Use this pixel size",
            tooltip="Give the image this pixel size; entering another one does so by itself.",
        )
        self.z_step = FloatSpinBox(
            label="z step (µm)",
            min=0,
            max=PLAUSIBLE_Z_STEPS_UM[1],
            step=0.1,
            tooltip="Distance of neighbouring planes of the stack; 0: not known.",
        )
        for box in (self.pixel_size, self.z_step):
            box.native.setDecimals(4)
            box.native.setKeyboardTracking(False)
        self.source = PlainLabel()
        self._rows = Rows(self.pixel_size, self.use, self.z_step)
        self.widget = QWidget()
        layout = QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._rows)
        layout.addWidget(self.source)
        self._layer: ref[Image] | None = None
        self.review(None)
        self.pixel_size.changed.connect(self._on_typed)
        self.pixel_size.native.lineEdit().returnPressed.connect(lambda: self._on_typed(None))
        self.use.changed.connect(self._on_typed)
        self.z_step.changed.connect(self._on_step)

    def suggest(self, layer: Image | None, model_um: float | None) -> None:
        """Fill in what the image's scale suggests, or the model's pixel size.

        Parameters
        ----------
        layer : Image or None
            The chosen image.
        model_um : float or None
            Pixel size that the model works at.
        """
        self._layer = None if layer is None else ref(layer)
        if layer is None or _size_of(layer) is not None:
            return
        guess_um = likely_pixel_size_um(layer) or model_um
        if guess_um is not None and is_plausible(guess_um):
            with self.pixel_size.changed.blocked():
                self.pixel_size.value = guess_um

    def take_from_file(self) -> None:
        """Give the chosen image what its file says of its sizes, if who opened it left that out.

        Not while napari is changing its layers.
        """
        layer = self._chosen()
        if layer is None or layer not in self._viewer.layers:
            return
        series = file_of(layer).series
        if series is not None and adopt_is_due(layer, series):
            with self._keeping_plane():
                adopt_sizes(layer, series)
            slice_again(self._viewer, layer)
            self._viewer.reset_view()

    def review(self, layer: Image | None) -> None:
        """Ask for what is not known of an image, and say where a suggestion comes from."""
        size_um = None if layer is None else _size_of(layer)
        typed = layer is not None and TYPED in layer.metadata
        asks = layer is not None and (size_um is None or typed)
        if typed and size_um is not None and not self.pixel_size.native.hasFocus():
            with self.pixel_size.changed.blocked():
                self.pixel_size.value = size_um
        self._rows.show_row(self.pixel_size, asks)
        self._rows.show_row(self.use, asks and size_um is None)
        lacks_step = layer is not None and lacks_z_step(layer)
        self._rows.show_row(self.z_step, lacks_step)
        self.source.setText(self._about(layer, size_um, typed))
        self.source.setVisible(bool(self.source.text()))
        self.widget.setVisible(asks or lacks_step)

    def write(self) -> None:
        """Give an image without a pixel size the one that is entered.

        Raises
        ------
        ValueError
            If the layer cannot be refocused; one sentence.
        """
        layer = self._chosen()
        if layer is None or pixel_size_um(layer) is not None:
            return
        _enter(layer, self.pixel_size.value)
        self.share()
        self._viewer.reset_view()

    def share(self) -> None:
        """Give other layers of the same place the pixel size of the image, if they say none."""
        layer = self._chosen()
        size_um = None if layer is None else _size_of(layer)
        if size_um is None:
            return
        for other in self._of_same_place():
            with suppress(ValueError):  # What is wrong with it is said elsewhere.
                if TYPED in other.metadata:
                    set_pixel_size(other, size_um)
                elif pixel_size_um(other) is None:
                    _enter(other, size_um)

    def _chosen(self) -> Image | None:
        return None if self._layer is None else self._layer()

    def _about(self, layer: Image | None, size_um: float | None, typed: bool) -> str:
        if layer is None:
            return ""
        if size_um is None:
            if likely_pixel_size_um(layer) is not None:
                return "The layer's scale suggests it, but has no unit."
            return "Nothing says how large its pixels are: the model's are filled in; enter yours."
        return "As entered: the image does not say it." if typed else ""

    def _on_typed(self, _: Any) -> None:
        layer = self._chosen()
        if layer is None:
            return
        try:
            if pixel_size_um(layer) is None:
                self.write()
            elif TYPED in layer.metadata:
                set_pixel_size(layer, self.pixel_size.value)
                self.share()
                self._viewer.reset_view()
        except ValueError as error:
            show_error(str(error))
        self.changed.emit()

    def _on_step(self, z_step_um: float) -> None:
        layer = self._chosen()
        if layer is not None and lacks_z_step(layer) and z_step_um >= PLAUSIBLE_Z_STEPS_UM[0]:
            set_z_step(layer, z_step_um, fixed_um=self._input_z())
            pictures = pictures_of(self._viewer, layer)
            for made in pictures:
                count_z_in_um(made)
            slice_again(self._viewer, layer, *pictures)
            self._viewer.reset_view()
            self.changed.emit()


def _enter(layer: Image, size_um: float) -> None:
    said_um = said_pixel_size_um(layer)
    set_pixel_size(layer, size_um)
    layer.metadata[TYPED] = said_um


def _size_of(layer: Image) -> float | None:
    try:
        return pixel_size_um(layer)
    except ValueError:
        return None

"""One focus: the dock's slider for the depth and napari's slider for z show the same place."""

from __future__ import annotations

from typing import Any, NamedTuple

from napari.layers import Image
from psygnal import Signal

from napari_deepz.widgets.refocusing.image_form import ImageForm
from napari_deepz.widgets.shared.layer_sizes import z_axis_of
from napari_deepz.widgets.shared.layers import frame_of
from napari_deepz.widgets.shared.placement import View, length_um
from napari_deepz.widgets.shared.results import (
    input_z_um,
    record_of,
    results_in,
    shown_depth_um,
)
from napari_deepz.widgets.shared.sliders import SliderBox

_SAME_UM = 1e-6


class _ZSlider(NamedTuple):
    """Napari's slider for z: its axis, its unit in µm, and where on it, in µm, the input lies."""

    axis: int
    unit_um: float
    input_um: float


class OneFocus:
    """Couples the two sliders, each of which the user may move.

    Parameters
    ----------
    viewer : napari.Viewer
        With the slider for z.
    image : ImageForm
        Tells where the input lies.
    focus : SliderBox
        The slider of the dock, µm relative to the input.

    Attributes
    ----------
    changed : Signal
        Emitted when one of them has moved the other.
    """

    changed = Signal()

    def __init__(self, viewer: Any, image: ImageForm, focus: SliderBox) -> None:
        self._viewer, self._image, self._focus = viewer, image, focus
        self._is_coupling = False
        self._moved_to: tuple[float, ...] = ()
        focus.changed.connect(self._on_focus)

    def follow_slider(self, *, is_live: bool, input_changed: bool = False) -> None:
        """Take the depth at which napari's slider stands, where something virtual is seen there.

        Parameters
        ----------
        is_live : bool
            Whether there is a live picture.
        input_changed : bool, optional
            Whether depths count from another plane than before.
        """
        own_move = tuple(self._viewer.dims.point) == self._moved_to and not input_changed
        if self._is_coupling or own_move:
            return
        self._moved_to = ()
        slider = self._slider()
        depth_um = self._depth_of_result(slider)
        if depth_um is None and is_live and slider is not None:
            depth_um = self._viewer.dims.point[slider.axis] * slider.unit_um - slider.input_um
        low_um, high_um = self._focus.limits
        if depth_um is None or not low_um <= depth_um <= high_um:
            return
        self._is_coupling = True
        try:
            self._focus.value = depth_um
        finally:
            self._is_coupling = False
        self.changed.emit()

    def _depth_of_result(self, slider: _ZSlider | None) -> float | None:
        """Depth of the plane that the newest visible result shows, if made of the present input."""
        results = [layer for layer in results_in(self._viewer) if layer.visible]
        record = record_of(results[-1]) if results else None
        if record is None:
            return None
        input_um = input_z_um(results[-1], record)
        if input_um is None:
            return None
        if slider is not None and abs(input_um - slider.input_um) > _SAME_UM:
            return None
        return shown_depth_um(results[-1], View.of(self._viewer))

    def _on_focus(self, focus_um: float) -> None:
        slider = self._slider()
        if self._is_coupling or slider is None:
            return
        self._is_coupling = True
        try:
            self._viewer.dims.set_point(slider.axis, (slider.input_um + focus_um) / slider.unit_um)
            self._moved_to = tuple(self._viewer.dims.point)
        finally:
            self._is_coupling = False
        self.changed.emit()

    def _slider(self) -> _ZSlider | None:
        """None where there is no slider, or it would choose another input: z is not pinned."""
        layer: Image | None = self._image.layer
        dims = self._viewer.dims
        axes = [axis for axis in dims.not_displayed if dims.axis_labels[axis] == "z"]
        if layer is None or not axes or dims.nsteps[axes[0]] < 2:
            return None
        own = z_axis_of(layer)
        if own is not None and own not in self._image.pinned:
            return None
        try:
            input_um = frame_of(layer, self._image.input_view).z_um
        except ValueError:
            return None
        unit_um = length_um(dims.units[axes[0]]) if dims.units else None
        return _ZSlider(axes[0], unit_um or 1.0, input_um)

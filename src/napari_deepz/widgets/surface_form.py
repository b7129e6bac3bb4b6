"""The form in which the user says onto which surface to refocus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox
from napari.layers import Image, Layer, Points
from psygnal import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.generators.spec import ModelSpec
from napari_deepz.surfaces import Curved, Flat, Surface, Tilted
from napari_deepz.widgets.forms import Rows
from napari_deepz.widgets.layers import LayerError, names_of
from napari_deepz.widgets.session import whole_steps

FLAT, TILTED, CURVED, LAYER = "Flat range", "Tilted plane", "Curved surface", "From a layer"

_FURTHEST_UM = 10_000.0
_LARGEST_RADIUS_UM = 10_000_000.0
_DEFAULT_STEP_UM = 0.5
_DEFAULT_RADIUS_UM = 500.0


class SurfaceForm:
    """One page of settings for each kind of surface, of which one is shown.

    Parameters
    ----------
    layers : callable
        The layers of the viewer, asked for whenever the menu of layers is filled.

    Attributes
    ----------
    changed : Signal
        Emitted when a setting changes.
    widget : QWidget
        What to put into a window.
    """

    changed = Signal()

    def __init__(self, layers: Callable[[], Any]) -> None:
        self.kind = ComboBox(
            label="Surface",
            choices=[FLAT, TILTED, CURVED, LAYER],
            tooltip="Where the image shall be in focus, relative to its own plane (z = 0).",
        )
        self.start = _um("From", "Depth of the first plane in µm; the image itself is at 0.")
        self.stop = _um("To", "Depth of the last plane in µm.")
        self.step = _um("Step", "Distance from plane to plane in µm.", lowest=0.01)
        self.tilt_x = _degrees("Tilt along x", "Positive: z grows towards the right.")
        self.tilt_y = _degrees("Tilt along y", "Positive: z grows towards the bottom.")
        self.tilt_offset = _um("Depth at centre", "Depth at the centre of the image in µm.")
        self.form = ComboBox(
            label="Form",
            choices=["cylinder", "sphere", "paraboloid"],
            tooltip="How the surface bends.",
        )
        self.radius = _um(
            "Radius",
            "Radius of curvature in µm; positive: z grows away from the centre.",
            furthest=_LARGEST_RADIUS_UM,
        )
        self.centred = CheckBox(
            text="Centre of the image", value=True, tooltip="Put the vertex there."
        )
        self.centre_x = _um("Vertex x", "In µm from the left edge of the image.", lowest=0)
        self.centre_y = _um("Vertex y", "In µm from the top edge of the image.", lowest=0)
        self.vertex = _um("Depth at vertex", "Depth of the vertex in µm.")
        self.axis = _degrees(
            "Axis", "Direction of the cylinder's axis: 0 along x, 90 along y.", most=180
        )
        self.layer = ComboBox(
            label="Layer",
            choices=lambda _: names_of(layers(), _can_be_surface),
            nullable=True,
            tooltip="An image of depths in µm, as large as the image to refocus, or a points layer "
            "with three or more points (z, y, x) on the surface.",
        )
        pages = {
            FLAT: (self.start, self.stop, self.step),
            TILTED: (self.tilt_x, self.tilt_y, self.tilt_offset),
            CURVED: (
                self.form,
                self.radius,
                self.vertex,
                self.axis,
                self.centred,
                self.centre_x,
                self.centre_y,
            ),
            LAYER: (self.layer,),
        }
        self._pages = {kind: Rows(*settings) for kind, settings in pages.items()}
        self.widget = QWidget()
        layout = QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.kind.native, *self._pages.values()):
            layout.addWidget(part)
        self._quiet = False
        for setting in (self.kind, *(setting for page in pages.values() for setting in page)):
            setting.changed.connect(self._on_change)
        self._show_what_matters()

    def restore(self, spec: ModelSpec | None) -> None:
        """Set everything back, the flat range to the whole range of a model."""
        low_um, high_um = spec.axial_range_um if spec else (-10.0, 10.0)
        defaults = {
            self.kind: FLAT,
            self.start: low_um,
            self.stop: high_um,
            self.step: _DEFAULT_STEP_UM,
            self.tilt_x: 0.0,
            self.tilt_y: 0.0,
            self.tilt_offset: 0.0,
            self.form: "cylinder",
            self.radius: _DEFAULT_RADIUS_UM,
            self.centred: True,
            self.centre_x: 0.0,
            self.centre_y: 0.0,
            self.vertex: 0.0,
            self.axis: 0.0,
            self.layer: None,
        }
        self._quiet = True
        for widget, value in defaults.items():
            widget.value = value
        self._quiet = False
        self._on_change()

    def reset_choices(self) -> None:
        """Look again which layers there are."""
        self.layer.reset_choices()

    def surface(self, from_layer: Callable[[Layer], Surface]) -> Surface:
        """Make the surface that the form describes.

        Parameters
        ----------
        from_layer : callable
            Makes a surface from a layer.

        Raises
        ------
        ValueError
            If a setting does not make sense; one sentence.
        """
        kind = self.kind.value
        if kind == FLAT:
            step_um = self.step.value if self.stop.value >= self.start.value else -self.step.value
            return whole_steps(Flat(self.start.value, self.stop.value, step_um))
        if kind == TILTED:
            return Tilted(self.tilt_x.value, self.tilt_y.value, self.tilt_offset.value)
        if kind == CURVED:
            centre = (self.centre_y.value, self.centre_x.value)
            return Curved(
                form=self.form.value,
                radius_um=self.radius.value,
                centre_um=None if self.centred.value else centre,
                offset_um=self.vertex.value,
                axis_deg=self.axis.value,
            )
        if self.layer.value is None:
            raise LayerError(
                "Choose a layer for the surface: an image of depths in µm, or points with z."
            )
        return from_layer(self.layer.value)

    def _on_change(self) -> None:
        if not self._quiet:
            self._show_what_matters()
            self.changed.emit()

    def _show_what_matters(self) -> None:
        for kind, page in self._pages.items():
            page.setVisible(kind == self.kind.value)
        curved = self._pages[CURVED]
        curved.show_row(self.axis, self.form.value == "cylinder")
        for coordinate in (self.centre_x, self.centre_y):
            curved.show_row(coordinate, not self.centred.value)


def _can_be_surface(layer: Layer) -> bool:
    return isinstance(layer, Image | Points)


def _um(
    label: str, tooltip: str, *, lowest: float | None = None, furthest: float = _FURTHEST_UM
) -> FloatSpinBox:
    return _number(f"{label} (µm)", tooltip, -furthest if lowest is None else lowest, furthest)


def _degrees(label: str, tooltip: str, *, most: float = 80.0) -> FloatSpinBox:
    return _number(f"{label} (°)", tooltip, -most, most)


def _number(label: str, tooltip: str, lowest: float, highest: float) -> FloatSpinBox:
    return FloatSpinBox(
        label=label, tooltip=tooltip, min=lowest, max=highest, step=0.5, value=max(0, lowest)
    )

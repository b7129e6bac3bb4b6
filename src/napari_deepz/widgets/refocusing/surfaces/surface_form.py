"""The form in which the user says onto which surface to refocus."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox
from napari.layers import Image, Layer, Points
from psygnal import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.models.spec import ModelSpec
from napari_deepz.surfaces import Curved, Flat, Surface, Tilted
from napari_deepz.widgets.refocusing.resolving import Ground, SurfaceMaker, whole_steps
from napari_deepz.widgets.refocusing.surfaces.anchor_form import AnchorForm
from napari_deepz.widgets.refocusing.surfaces.usual_range import usual_range, usual_tilt
from napari_deepz.widgets.shared.forms import Rows, side_by_side
from napari_deepz.widgets.shared.layers import names_of, surface_from_layer
from napari_deepz.widgets.shared.placement import LayerError
from napari_deepz.widgets.shared.sliders import SliderBox

FLAT, TILTED, CURVED = "Flat range", "Tilted plane", "Curved surface"
ANCHORS, LAYER = "Through anchors", "From a layer"
UP, DOWN = "Towards +z", "Towards −z"

_FURTHEST_UM = 10_000.0
_LARGEST_RADIUS_UM = 10_000_000.0
_USUAL_RADII_UM = (20.0, 20_000.0)
_USUAL_TILTS = (-30.0, 30.0)
_USUAL_DEPTHS_UM = (-10.0, 10.0)
_DEFAULT_RADIUS_UM = 500.0


class SurfaceForm:
    """One page of settings for each kind of surface, of which one is shown.

    Parameters
    ----------
    layers : callable
        The layers of the viewer, asked for whenever the menu of layers is filled.
    anchors : AnchorForm
        The page for surfaces through anchors.

    Attributes
    ----------
    changed : Signal
        Emitted when a setting changes.
    focus : SliderBox
        The depth that is looked at, to be put into a window by itself.
    widget : QWidget
        The rest, to put into a window.
    """

    changed = Signal()

    def __init__(self, layers: Callable[[], Any], anchors: AnchorForm) -> None:
        self.anchors = anchors
        self.kind = ComboBox(
            label="Surface",
            choices=[FLAT, TILTED, CURVED, ANCHORS, LAYER],
            tooltip="Where the image shall be in focus, relative to its own plane (z = 0).",
        )
        self.start = _um("From", "Depth of the first plane in µm; the image itself is at 0.")
        self.stop = _um("To", "Depth of the last plane in µm.")
        self.step = _um("Step", "Distance from plane to plane in µm.", lowest=0.01)
        self.focus = _depth(
            "Focus",
            "Depth in µm of the plane that is shown, and of the anchors that are being set.",
        )
        self.tilt_x = _tilt("Tilt along x", "In degrees; positive: z grows towards the right.")
        self.tilt_y = _tilt("Tilt along y", "In degrees; positive: z grows towards the bottom.")
        self.tilt_offset = _depth("Depth at centre", "Depth at the centre of the image in µm.")
        self.form = ComboBox(
            label="Form",
            choices=["cylinder", "sphere", "paraboloid"],
            tooltip="How the surface bends.",
        )
        self.radius = SliderBox(
            "Radius (µm)",
            "Radius of curvature in µm; positive: z grows away from the centre.",
            limits=(-_LARGEST_RADIUS_UM, _LARGEST_RADIUS_UM),
            span=_USUAL_RADII_UM,
            logarithmic=True,
        )
        self.bend = ComboBox(
            label="Bends",
            choices=[UP, DOWN],
            tooltip="Where the surface goes away from its vertex: the sign of the radius.",
        )
        self.centred = CheckBox(
            text="Centre of the image", value=True, tooltip="Put the vertex there."
        )
        self.centre_x = _um("Vertex x", "In µm from the left edge of the image.", lowest=0)
        self.centre_y = _um("Vertex y", "In µm from the top edge of the image.", lowest=0)
        self.vertex = _depth("Depth at vertex", "Depth of the vertex in µm.")
        self.axis = SliderBox(
            "Axis (°)",
            "Direction of the cylinder's axis in degrees: 0 along x, 90 along y.",
            limits=(-180.0, 180.0),
            span=(-90.0, 90.0),
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
                self.bend,
                self.vertex,
                self.axis,
                self.centred,
                self.centre_x,
                self.centre_y,
            ),
            LAYER: (self.layer,),
        }
        self._curved = Rows(*pages[CURVED])
        self._pages: dict[str, QWidget] = {
            FLAT: Rows(*pages[FLAT]),
            TILTED: Rows(*pages[TILTED]),
            CURVED: self._curved,
            ANCHORS: anchors.widget,
            LAYER: Rows(*pages[LAYER]),
        }
        self.widget = QWidget()
        layout = QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (Rows(side_by_side(self.kind, anchors.find)), *self._pages.values()):
            layout.addWidget(part)
        self._range_um = _USUAL_DEPTHS_UM
        self._proposed = usual_range(_USUAL_DEPTHS_UM)
        self._quiet = False
        self.radius.changed.connect(self._follow_radius)
        self.bend.changed.connect(self._turn_radius)
        for setting in (self.kind, self.start, self.stop):
            setting.changed.connect(self._limit_focus)
        settings = [setting for page in pages.values() for setting in page]
        for setting in (self.kind, self.focus, *settings):
            if setting is not self.bend:
                setting.changed.connect(self._on_change)
        anchors.changed.connect(self._on_change)
        self._show_what_matters()

    def restore(self, spec: ModelSpec | None) -> None:
        """Set everything back, the flat range and the sliders to the whole range of a model."""
        self._range_um = spec.axial_range_um if spec else _USUAL_DEPTHS_UM
        self._proposed = low_um, high_um, step_um = usual_range(self._range_um)
        defaults = {
            self.kind: FLAT,
            self.start: low_um,
            self.stop: high_um,
            self.step: step_um,
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
        for depth in (self.tilt_offset, self.vertex):
            depth.span = (low_um, high_um)
        self._limit_focus()
        self.focus.value = min(max(0.0, low_um), high_um)
        self.anchors.restore()
        self._quiet = False
        self._on_change()

    def follow(self, known_um: tuple[float, float], field_um: tuple[float, float]) -> bool:
        """Propose the range that is known for other input planes, unless the user has set one.

        A model of any objective reaches further through one objective than through another, every
        further input plane reaches as far again, and a plane may be tilted further in a small image
        than in a large one.

        Parameters
        ----------
        known_um : tuple of float
            The depths that the model knows from the input planes.
        field_um : tuple of float
            Height and width of the image.

        Returns
        -------
        bool
            Whether the range has changed.
        """
        for tilt, length_um in zip((self.tilt_y, self.tilt_x), field_um, strict=True):
            tilt.span, tilt.resolution = usual_tilt(known_um, length_um)
        proposed = usual_range(known_um)
        if known_um == self._range_um:
            return False
        self._range_um = known_um
        if (self.start.value, self.stop.value, self.step.value) == self._proposed:
            self._quiet = True
            for widget, value in zip((self.start, self.stop, self.step), proposed, strict=True):
                widget.value = value
            self._quiet = False
            self._proposed = proposed
        for depth in (self.tilt_offset, self.vertex):
            depth.span = proposed[:2]
        self._limit_focus()
        self._on_change()
        return True

    def show_anchors(self) -> None:
        """Turn to the surface through anchors."""
        self.kind.value = ANCHORS

    def reset_choices(self) -> None:
        """Look again which layers there are."""
        self.layer.reset_choices()

    def maker(self) -> SurfaceMaker:
        """What makes the surface that the form describes now, for any image.

        It raises a `ValueError` of one sentence where a setting does not make sense.
        """
        kind = self.kind.value
        if kind == FLAT:
            step_um = self.step.value if self.stop.value >= self.start.value else -self.step.value
            ends_um = self.start.value, self.stop.value
            return _always(lambda: whole_steps(Flat(*ends_um, step_um)))
        if kind == TILTED:
            tilt = self.tilt_x.value, self.tilt_y.value, self.tilt_offset.value
            return _always(lambda: Tilted(*tilt))
        if kind == CURVED:
            settings = {
                "form": self.form.value,
                "radius_um": self.radius.value,
                "centre_um": None
                if self.centred.value
                else (self.centre_y.value, self.centre_x.value),
                "offset_um": self.vertex.value,
                "axis_deg": self.axis.value,
            }
            return _always(lambda: Curved(**settings))
        if kind == ANCHORS:
            return self.anchors.maker()
        return partial(_from_layer, self.layer.value)

    def move(self, dz_um: float) -> bool:
        """Move the surface along z, as far as the form allows.

        Parameters
        ----------
        dz_um : float
            By how much, in µm.

        Returns
        -------
        bool
            Whether the present kind of surface has a depth that can be moved.
        """
        if self.kind.value == ANCHORS:
            self.anchors.anchors.shift_z(dz_um)
            return True
        depth = {TILTED: self.tilt_offset, CURVED: self.vertex}.get(self.kind.value)
        if depth is None:
            return False
        low_um, high_um = depth.limits
        depth.value = min(max(depth.value + dz_um, low_um), high_um)
        return True

    def _follow_radius(self, radius_um: float) -> None:
        if radius_um:
            with self.bend.changed.blocked():
                self.bend.value = UP if radius_um > 0 else DOWN

    def _turn_radius(self, bend: str) -> None:
        self.radius.value = math.copysign(self.radius.value, 1.0 if bend == UP else -1.0)

    def _limit_focus(self) -> None:
        if self.kind.value == FLAT:
            ends_um = (self.start.value, self.stop.value, *usual_range(self._range_um)[:2])
            low_um, high_um = min(ends_um), max(ends_um)
        else:
            low_um, high_um = self._range_um
        self.focus.limits = self.focus.span = (low_um, high_um)
        self.focus.mark(0.0, self._range_um)

    def _on_change(self) -> None:
        if not self._quiet:
            self._show_what_matters()
            self.changed.emit()

    def _show_what_matters(self) -> None:
        for kind, page in self._pages.items():
            page.setVisible(kind == self.kind.value)
        self.focus.native.setVisible(self.kind.value in (FLAT, ANCHORS))
        self._curved.show_row(self.axis, self.form.value == "cylinder")
        for coordinate in (self.centre_x, self.centre_y):
            self._curved.show_row(coordinate, not self.centred.value)


def _always(make: Callable[[], Surface]) -> SurfaceMaker:
    """A surface that does not depend on the image."""

    def surface(_: Ground) -> tuple[Surface, tuple[str, ...]]:
        made = make()
        return made, made.notes

    return surface


def _from_layer(layer: Layer | None, ground: Ground) -> tuple[Surface, tuple[str, ...]]:
    if layer is None:
        raise LayerError(
            "Choose a layer for the surface: an image of depths in µm, or points with z."
        )
    return surface_from_layer(layer, ground.view, ground.frame)


def _can_be_surface(layer: Layer) -> bool:
    return isinstance(layer, Image | Points)


def _um(label: str, tooltip: str, *, lowest: float = -_FURTHEST_UM) -> FloatSpinBox:
    return FloatSpinBox(
        label=f"{label} (µm)",
        tooltip=tooltip,
        min=lowest,
        max=_FURTHEST_UM,
        step=0.5,
        value=max(0, lowest),
    )


def _depth(label: str, tooltip: str) -> SliderBox:
    limits = (-_FURTHEST_UM, _FURTHEST_UM)
    return SliderBox(f"{label} (µm)", tooltip, limits=limits, span=_USUAL_DEPTHS_UM)


def _tilt(label: str, tooltip: str) -> SliderBox:
    return SliderBox(f"{label} (°)", tooltip, limits=(-80.0, 80.0), span=_USUAL_TILTS)

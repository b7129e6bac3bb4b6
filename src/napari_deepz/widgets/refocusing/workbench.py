"""What shows the surface while it is being set: the live picture, the mesh, the anchors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from magicgui.widgets import CheckBox
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.engine.preview import Stage
from napari_deepz.surfaces import Surface
from napari_deepz.widgets.refocusing.canvas_text import CanvasText, depth_in_words, seen_of
from napari_deepz.widgets.refocusing.image_form import ImageForm
from napari_deepz.widgets.refocusing.live.live_task import Shown
from napari_deepz.widgets.refocusing.live.live_view import Live
from napari_deepz.widgets.refocusing.models.model_form import ModelForm
from napari_deepz.widgets.refocusing.one_focus import OneFocus
from napari_deepz.widgets.refocusing.resolving import Resolved
from napari_deepz.widgets.refocusing.surfaces.anchors import Anchors, Tool
from napari_deepz.widgets.refocusing.surfaces.surface_form import ANCHORS, FLAT, SurfaceForm
from napari_deepz.widgets.refocusing.surfaces.surface_view import SurfaceView
from napari_deepz.widgets.refocusing.view_form import ViewForm
from napari_deepz.widgets.shared.flipping import end_flips, flipped
from napari_deepz.widgets.shared.input_plane import InputPlane
from napari_deepz.widgets.shared.placement import Frame, shown_index
from napari_deepz.widgets.shared.plain_text import PlainLabel, tooltip
from napari_deepz.widgets.shared.requests import RefocusRequest
from napari_deepz.widgets.shared.results import (
    made_of,
    record_of,
    results_in,
    shows,
)

_MB = 1e6
_BEING_PREPARED = "being prepared"
_MOST_LIVE_PIXELS = 1 << 27
"""The whole image is refocused in the background: more would take minutes and much memory."""
_PREPARING_AFTER_MS = 200
"""What is there sooner need not be announced."""
_MOVES = ("data", "scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class Workbench(QObject):  # type: ignore[misc]
    """Follows the forms of the dock, without a run.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layers.
    resolved : callable
        What the settings mean now.
    image, model, surface
        The forms.
    anchors : Anchors
        Those of the surface form.
    encoding : LastEncoding
        Shared with the runs of the dock.
    planes : PlaneCache
        Likewise.
    view : ViewForm
        Tells where pictures lie.
    parent : QObject
        With whose destruction the work ends.

    Attributes
    ----------
    live_widget : QWidget
        The switch for the live picture and what is said of it, to put into a window.
    mesh_switch : CheckBox
        That for the surface in the viewer.
    image_changed : Signal
        The chosen image has got other pixels or another place, or another plane of it is shown.
    awake : bool
        Whether anything is shown at all; not for a dock that is closed.
    follows_slider : bool
        Whether the focus is being set to the depth that napari's slider shows.
    """

    image_changed = Signal()

    def __init__(
        self,
        viewer: Any,
        resolved: Callable[[], Resolved],
        image: ImageForm,
        model: ModelForm,
        surface: SurfaceForm,
        anchors: Anchors,
        encoding: LastEncoding,
        planes: PlaneCache,
        view: ViewForm,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._view = viewer, view
        self._resolved, self._anchors = resolved, anchors
        self._image, self._surface = image, surface
        self._planes = planes
        self._tool = Tool.NONE
        self._live_text = _BEING_PREPARED
        self._live_request: RefocusRequest | None = None
        self._live_digest = ""
        self.awake = True
        self._watched: Image | None = None
        self._index: tuple[int, ...] = ()
        self._is_following = self.follows_slider = self._ends_flip = False
        # Scale, position and unit of a layer change one after the other: waits for all of them.
        self._image_timer = QTimer(self, singleShot=True, interval=0)
        self._image_timer.timeout.connect(self.image_changed)
        self.live = Live(viewer, encoding, planes, self)
        self.mesh = SurfaceView(viewer)
        self.live_switch = CheckBox(
            text="L&ive",
            value=True,
            tooltip="Show the surface (of a flat range: the plane at Focus) refocused while you "
            "change it.",
        )
        self.mesh_switch = CheckBox(
            text="Show the surface",
            tooltip="As a sheet coloured by depth in µm: over the image, and in 3D where it lies; "
            "there Shift + drag moves it.",
        )
        self.message = PlainLabel()
        self.message.setVisible(False)
        self.live_widget = QWidget()
        layout = QHBoxLayout(self.live_widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.live_switch.native)
        layout.addWidget(self.message, 1)
        self._preparing = QTimer(self, singleShot=True, interval=_PREPARING_AFTER_MS)
        self._preparing.timeout.connect(lambda: self._say("preparing…"))
        for switch in (self.live_switch, self.mesh_switch):
            switch.changed.connect(self.follow)
        self._canvas_text = CanvasText(viewer, self)
        self._one_focus = OneFocus(viewer, image, surface.focus)
        self._one_focus.changed.connect(self.say_what_is_seen)
        view.panes.arranged.connect(self.say_what_is_seen)
        self.live.shown.connect(self._on_shown)
        self.live.failed.connect(self._on_failed)
        self.mesh.dragged.connect(self._on_dragged)
        anchors.tool_changed.connect(self._on_tool)
        # Before anything else hears of it: the next picture is to be made with the new model.
        model.changed.connect(self.live.forget, priority=1)
        self.mesh.removed.connect(self._on_mesh_removed)
        viewer.layers.events.removed.connect(self._on_removed)
        # napari moves its sliders in the middle of adding a layer, and does not survive that layers
        # are added or moved there.
        self._dims_timer = QTimer(self, singleShot=True, interval=0)
        self._dims_timer.timeout.connect(self._follow_dims)
        viewer.dims.events.point.connect(self._on_dims)

    def follow(self, _: Any = None, *, is_setting: bool = False) -> None:
        """Show what the forms say now; a new setting ends flipping if that does not show it."""
        if not self.awake:
            return
        if self._is_following:
            self._on_image()
            return
        self._is_following = True
        self._ends_flip = is_setting and not self.follows_slider
        try:
            self._follow()
        finally:
            self._is_following = self._ends_flip = False

    def _follow(self) -> None:
        resolved = self._resolved()
        is_other_plane = self._watch(resolved.layer)
        self._view.show(resolved.layer)
        uses_anchors = self._surface.kind.value == ANCHORS
        if self._anchors.visible != uses_anchors:
            self._anchors.visible = uses_anchors
        self._anchors.depth_um = self._surface.focus.value
        if not (uses_anchors or self.live_switch.value or self.mesh_switch.value):
            self.rest()
            return
        layer, frame, request = resolved.layer, resolved.frame, resolved.shown
        range_um = resolved.known_um
        if layer is None or frame is None or request is None or range_um is None:
            self.rest(resolved.shown_problem)
            return
        plane = request.plane
        try:
            self._show_mesh(request.surface, plane, frame, range_um)
        except ValueError as error:
            self.rest(str(error))
            return
        too_large = math.prod(plane.shape) > _MOST_LIVE_PIXELS
        if self.live_switch.value and too_large:
            self._stop_live()
            self._say(
                f"This image has {math.prod(plane.shape) / 1e6:.0f} megapixels, too many for Live."
            )
        elif self.live_switch.value:
            self._image.pin_z()
            if is_other_plane:
                self._one_focus.follow_slider(is_live=True, input_changed=True)
            self._preparing.start()
            before = self.live.target
            self.live.show(request, layer, frame, beside=self._view.beside)
            if self.live.target is not before:
                self._live_text = _BEING_PREPARED
            self._live_request = request
            self._show_on_top(layer)
        else:
            self._stop_live()
        if uses_anchors:
            self._anchors.show_at(
                frame,
                plane.shape,
                range_um=range_um,
                shift_um=self._shift_um(layer),
            )

    def say_what_is_seen(self) -> None:
        """Write on the canvas what of the image is seen there."""
        if not self.awake:
            return
        target = self.live.target
        live, request = None, self._live_request
        if target is not None and target.layer.visible and request is not None:
            live = seen_of(target.layer, request, self._live_text)
        self._canvas_text.show(self._image.layer, live)
        self._view.tell_flipped()

    def _show_on_top(self, layer: Image) -> None:
        """Show the live picture over results, but not where a result shows the same."""
        target, request = self.live.target, self._live_request
        if target is None or request is None or not target.is_there:
            return
        between = flipped(self._viewer)
        seen = [
            result
            for result in results_in(self._viewer)
            if result in made_of(self._viewer, layer)
            and (result.visible or result in between or self._view.panes.has_put_away(result))
        ]
        is_new = not any(shows(result, request, self._live_digest) for result in seen)
        if target.layer in between or (between and not (is_new and self._ends_flip)):
            target.layer.visible &= target.layer in between
            return
        end_flips(self._viewer)
        target.layer.visible = is_new
        layers = self._viewer.layers
        highest = max((layers.index(result) for result in seen), default=-1)
        if target.layer.visible and layers.index(target.layer) < highest:
            layers.move(layers.index(target.layer), highest + 1)
        self._view.show(layer)
        self.say_what_is_seen()

    def rest(self, why: str = "") -> None:
        """Show nothing, and say why to a user who has switched Live on."""
        self._stop_live()
        self.mesh.hide()
        if why and self.live_switch.value and self._image.layer is not None:
            self._say(why)

    def close(self) -> None:
        """Show nothing any more, until `awake` is set again."""
        self.awake = False
        self._anchors.tool = Tool.NONE
        self._watch(None)
        self._view.close()
        self.rest()
        self._canvas_text.clear()

    def place(self) -> None:
        """Put the live picture and the anchors where the view wants them."""
        self.live.place(beside=self._view.beside)
        self.follow()

    def _shift_um(self, image: Image) -> float:
        """How far to the right of an image its virtual one lies; 0 where there is none there."""
        if not self._view.beside:
            return 0.0
        if self.live.target is not None:
            return self.live.target.beside_um
        records = map(record_of, made_of(self._viewer, image))
        return max((record.beside_um for record in records if record is not None), default=0.0)

    def _show_mesh(
        self, surface: Surface, plane: InputPlane, frame: Frame, range_um: tuple[float, float]
    ) -> None:
        if self.mesh_switch.value:
            focus_um = self._surface.focus.value
            self.mesh.show(surface, plane.shape, frame, range_um, focus_um=focus_um)
        else:
            self.mesh.hide()

    def _stop_live(self) -> None:
        self.live.stop()
        self._preparing.stop()
        self.message.setVisible(False)
        self.say_what_is_seen()

    def _on_shown(self, shown: Shown) -> None:
        depths_um = shown.surface.uniform_z_um
        where = f"{depths_um[0]:+g} µm, " if depths_um else ""
        is_exact = shown.preview.stage is Stage.EXACT
        more = "" if is_exact else "; preparing the whole…"
        text = f"{where}{shown.preview.stage}, {shown.seconds * 1e3:.0f} ms{more}"
        self._preparing.stop()
        where = depth_in_words(depths_um[0] if depths_um else None)
        self._live_text, self._live_digest = f"{where}, live", shown.digest
        if self._watched is not None:
            self._show_on_top(self._watched)
        kept = ""
        if count := len(self._planes):
            used_mb, limit_mb = self._planes.used_bytes / _MB, self._planes.limit_bytes / _MB
            planes = "1 plane" if count == 1 else f"{count} planes"
            kept = f"{planes} kept, {used_mb:.1f} of {limit_mb:.0f} MB"
        self._say(text, kept)

    def _on_failed(self, error: Exception) -> None:
        self._preparing.stop()
        self._say(str(error))

    def _say(self, text: str, more: str = "") -> None:
        self.message.setText(text)
        self.message.setToolTip(tooltip(more))
        self.message.setVisible(True)

    def _on_tool(self) -> None:
        """Show the focus while anchors are picked, and the surface through them otherwise."""
        if not self.awake:
            return
        if self._surface.kind.value == ANCHORS and self._anchors.tool != self._tool:
            self._tool = self._anchors.tool
            self.follow()

    def _on_dragged(self, dz_um: float) -> None:
        if self._surface.kind.value == FLAT:
            low_um, high_um = self._surface.focus.limits
            focus_um = self._surface.focus.value + dz_um
            self._surface.focus.value = min(max(focus_um, low_um), high_um)
        else:
            self._surface.move(dz_um)

    def _on_mesh_removed(self) -> None:
        if self.awake:
            self.mesh_switch.value = False

    def _on_removed(self, _: Any) -> None:
        target = self.live.target
        if self.awake and target is not None and not target.is_there:
            self.live_switch.value = False

    def _watch(self, layer: Image | None) -> bool:
        """Notice when a layer, and no other, gets other pixels or another place.

        Says whether another plane of the same layer is the input now.
        """
        before = self._index
        if layer is not None:
            self._index = shown_index(layer, self._image.input_view)
        if layer is self._watched:
            return before != self._index
        for watched in (self._watched, layer):
            if watched is None:
                continue
            events = watched.events
            for event in (getattr(events, name) for name in _MOVES):
                if watched is layer:
                    event.connect(self._on_image)
                else:
                    event.disconnect(self._on_image)
        self._watched = layer
        return False

    def _on_image(self, _: Any = None) -> None:
        self._image_timer.start()

    def _on_dims(self, _: Any) -> None:
        self._dims_timer.start()

    def _follow_dims(self) -> None:
        """Show another plane of the image, or take the depth that the slider shows as the focus."""
        if not self.awake:
            return
        layer = self._watched
        if layer is not None and layer not in self._viewer.layers:
            return  # It is being deleted: the menu of images will tell.
        if layer is not None and shown_index(layer, self._image.input_view) != self._index:
            self._on_image()
            return
        self.follows_slider = True
        try:
            self._one_focus.follow_slider(is_live=self.live.target is not None)
        finally:
            self.follows_slider = False
        self.say_what_is_seen()

"""The one job of the dock: refocusing, looking for a surface, exporting, bringing a model."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_deepz.analysis.autofocus import Form
from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.provenance import Provenance
from napari_deepz.widgets.refocusing.all_forms import AllForms
from napari_deepz.widgets.refocusing.distance_task import DistanceFound, find_distance
from napari_deepz.widgets.refocusing.exporting.export_task import ExportRequest, export_planes
from napari_deepz.widgets.refocusing.models.model_task import ModelReady
from napari_deepz.widgets.refocusing.refocus_task import PlaneDone, refocus_planes
from napari_deepz.widgets.refocusing.resolving import Resolved, resolve
from napari_deepz.widgets.refocusing.result_layer import ResultLayer, show_confidence
from napari_deepz.widgets.refocusing.surfaces.anchor_surfaces import SMOOTH
from napari_deepz.widgets.refocusing.surfaces.find_task import (
    SurfaceFound,
    find_focus,
    range_to_search,
)
from napari_deepz.widgets.refocusing.texts import cautions_for, result_facts
from napari_deepz.widgets.shared.background import Job, Work, tell
from napari_deepz.widgets.shared.layers import frame_of
from napari_deepz.widgets.shared.news import Advance
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.plain_text import show_error, show_warning
from napari_deepz.widgets.shared.run_state import Phase, RunState

_REFRESH_EVERY_MS = 100
_REFRESH_3D_EVERY_MS = 250


class Runs(QObject):  # type: ignore[misc]
    """Starts jobs one at a time, and takes what they send.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the results.
    forms : AllForms
        What is to be done, and where anchors and models that are found go.
    state : RunState
        Tells how far the job is.
    encoding : LastEncoding
        Shared with the live picture.
    planes : PlaneCache
        Likewise.
    parent : QObject
        With whose destruction the work ends.

    Attributes
    ----------
    ended : Signal
        Emitted when a job has ended, in whatever way.
    """

    ended = Signal()

    def __init__(
        self,
        viewer: Any,
        forms: AllForms,
        state: RunState,
        encoding: LastEncoding,
        planes: PlaneCache,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._forms, self._state = viewer, forms, state
        self._encoding, self._planes = encoding, planes
        self._job: Job | None = None
        self._what, self._total, self._started_s = "", 0, 0.0
        self._found, self._said = "", set[str]()
        self._ended_early = False
        self._result: ResultLayer | None = None
        self._waiting: list[Resolved] = []
        self._one_plane = self._beside = False
        self._refresh_timer = QTimer(self, singleShot=True)
        self._refresh_timer.timeout.connect(self._refresh)
        self.device = forms.compute.describe()
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def are_idle(self) -> bool:
        """Whether a job could be started."""
        return bool(self._state.phase is Phase.IDLE)

    def refocus(self, wanted: Iterable[Resolved], *, one_plane: bool, beside: bool) -> None:
        """Refocus one input after the other, each into a layer of its own.

        Parameters
        ----------
        wanted : iterable of Resolved
            What the settings mean for each; their sizes are settled.
        one_plane : bool
            Make only the plane that is looked at.
        beside : bool
            Put the layers to the right of the image.
        """
        if self.are_idle:
            self._waiting = [*wanted]
            self._one_plane, self._beside = one_plane, beside
            self._refocus_next()

    def _refocus_next(self) -> bool:
        if not self._waiting:
            return False
        resolved = self._waiting.pop(0)
        request = resolved.shown if self._one_plane else resolved.request
        layer = resolved.layer
        if request is None or layer is None or resolved.frame is None:
            self._waiting = []
            show_error(resolved.problem or resolved.shown_problem)
            return False
        try:
            said = {*request.notes, *cautions_for(resolved, request)}
            result = ResultLayer(
                self._viewer,
                layer,
                resolved.frame,
                request,
                beside=self._beside,
                focus_um=self._forms.surface.focus.value,
            )
        except ValueError as error:
            self._waiting = []
            show_error(str(error))
            return False
        except MemoryError:
            self._waiting = []
            what = result_facts(request.surface, request.plane.shape)
            show_error(f"There is no memory for {what}.")
            return False
        if self._beside:
            self._viewer.reset_view()
        self._result, self._said = result, said
        work = partial(
            refocus_planes,
            request,
            result.canvas,
            result.shown_um,
            self._encoding,
            self._planes,
        )
        left = f" ({len(self._waiting)} more to come)" if self._waiting else ""
        self.start(work, f"Refocusing{left}", total=len(request.surface))
        return True

    def find_surface(self, settled: Resolved) -> None:
        """Look for the surface on which the image is sharpest, and set anchors on it."""
        forms, model = self._forms, settled.model
        if not self.are_idle or model is None or settled.layer is None:
            return
        form: Form = "smooth" if forms.anchors.form.value == SMOOTH else "plane"
        everywhere = range_to_search(settled.known_um or model.spec.axial_range_um)
        settings = replace(forms.settings(), make_surface=lambda _: (everywhere, ()), spread=False)
        searched = resolve(settings, settled.layer, View.of(self._viewer))
        if searched.request is None:
            show_error(searched.problem)
            return
        work = partial(find_focus, searched.request, form, self._encoding)
        self.start(work, "Finding the surface")

    def estimate(self, settled: Resolved, number: int) -> None:
        """Let the images tell how far a further input plane lies from the first."""
        layer, request = settled.layer, settled.shown
        if not self.are_idle or layer is None:
            return
        if request is None:
            show_error(settled.shown_problem)
            return
        plane = self._forms.image.further.chosen(layer)[number]
        work = partial(find_distance, request, number, layer, plane)
        self.start(work, "Estimating the distance")

    def export(self, request: ExportRequest) -> None:
        """Save a result."""
        self.start(partial(export_planes, request), "Exporting", total=len(request.planes))
        self._found = f" Saved: {request.path}"

    def start(self, work: Work, what: str, *, total: int = 0) -> None:
        """Do some work in the background, if nothing is running."""
        if not self.are_idle:
            show_warning("Something is still running: try again when it has ended.")
            return
        self._what, self._total, self._started_s = what, total, time.monotonic()
        self._ended_early, self._found = False, ""
        self._job = Job(work, self)
        self._job.received.connect(self._on_received)
        self._job.finished.connect(self._on_finished)
        self._job.aborted.connect(self._on_aborted)
        self._job.errored.connect(self._on_errored)
        self._state.start(f"{what}…")
        self._job.start()

    def cancel(self) -> None:
        """Stop the job that is running, if any, and what waits for its end."""
        self._waiting = []
        if self._job is not None:
            self._job.cancel()
            self._state.cancel()

    def forget_failure(self) -> None:
        """Say no longer that a job has failed, or was cancelled: the user has changed something."""
        if self._ended_early and self.are_idle:
            self._ended_early = False
            self._state.message = f"Computes on {self.device}."

    def _on_received(self, item: object) -> None:
        if isinstance(item, Advance):
            self._state.advance(item.fraction, f"{self._what}: {item.text}")
        elif isinstance(item, Provenance) and self._result is not None:
            self.device = item.device or self.device
            self._result.describe(item)
            for note in item.notes:
                if note not in self._said:
                    self._said.add(note)
                    show_warning(note)
        elif isinstance(item, PlaneDone) and self._result is not None:
            self._result.take(item)
            self._refresh_soon()
        elif isinstance(item, SurfaceFound):
            self._take_surface(item)
        elif isinstance(item, DistanceFound):
            self._found = f" {item.text}"
            self._forms.image.further.place(item.layer, item.plane, item.at_um)
        elif isinstance(item, ModelReady):
            self._forms.model.add(item.package)
            for note in item.notes:
                show_warning(note)

    def _take_surface(self, found: SurfaceFound) -> None:
        image = self._forms.image
        self._found = f" {found.text}"
        self._forms.surface.show_anchors()
        self._forms.anchors.anchors.replace(found.rows_um)
        show_confidence(self._viewer, found.confidence, frame_of(image.layer, image.input_view))

    def _on_finished(self) -> None:
        where = f" on {self.device}" if self._result is not None else ""
        seconds = time.monotonic() - self._started_s
        self._end(f"{self._what} took {seconds:.1f} s{where}.{self._found}")

    def _on_aborted(self) -> None:
        self._ended_early = True
        self._end(f"{self._what} was cancelled.")

    def _on_errored(self, error: Exception) -> None:
        self._waiting, self._ended_early = [], True
        tell(error)
        self._end(f"{self._what} failed.")

    def _end(self, message: str) -> None:
        self._refresh_timer.stop()
        try:
            if self._result is not None:
                kept = self._result.finish()
                if kept < self._total:
                    message += f" {kept} of {self._total} planes are there."
        finally:  # napari draws all layers anew, of which one may be of a file that has changed.
            self._job = self._result = None
            self._found = ""
            self._state.end(message)
            if not self._refocus_next():
                self.ended.emit()

    def _refresh_soon(self) -> None:
        if not self._refresh_timer.isActive():
            in_3d = self._viewer.dims.ndisplay == 3
            self._refresh_timer.start(_REFRESH_3D_EVERY_MS if in_3d else _REFRESH_EVERY_MS)

    def _refresh(self) -> None:
        if self._result is not None:
            self._result.refresh()

    def _on_removed(self, _: Any) -> None:
        if self._result is not None and self._result.is_lost:
            self.cancel()

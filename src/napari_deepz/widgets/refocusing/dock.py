"""The dock `Virtual refocusing`: one measured image in, virtual planes out, as they are made."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

try:
    import torch  # noqa: F401
except OSError as error:  # https://github.com/pytorch/pytorch/issues/166628
    raise ImportError(
        "PyTorch, which refocusing needs, cannot be loaded: install it again (on Windows also "
        "Microsoft's Visual C++ Redistributable), restart napari and open this dock first."
    ) from error

from magicgui.widgets import ComboBox
from napari.layers import Image
from qtpy.QtCore import QEvent, QSize
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_deepz.analysis.autofocus import Form
from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.provenance import Provenance
from napari_deepz.widgets.refocusing.all_forms import AllForms
from napari_deepz.widgets.refocusing.exporting.copying import CopyButton
from napari_deepz.widgets.refocusing.exporting.export_dialog import ask_export
from napari_deepz.widgets.refocusing.exporting.export_task import export_planes
from napari_deepz.widgets.refocusing.facts import Facts
from napari_deepz.widgets.refocusing.models.model_dialogs import (
    NewModelDialog,
    ask_adding,
    ask_conversion,
)
from napari_deepz.widgets.refocusing.models.model_task import (
    ModelReady,
    add_to_models,
    convert_model,
)
from napari_deepz.widgets.refocusing.refocus_task import PlaneDone, refocus_planes
from napari_deepz.widgets.refocusing.resolving import resolve
from napari_deepz.widgets.refocusing.result_layer import ResultLayer, show_confidence
from napari_deepz.widgets.refocusing.run_panel import RunPanel
from napari_deepz.widgets.refocusing.surfaces.anchor_surfaces import SMOOTH
from napari_deepz.widgets.refocusing.surfaces.find_task import (
    SurfaceFound,
    find_focus,
    range_to_search,
)
from napari_deepz.widgets.refocusing.texts import cautions_for, result_facts
from napari_deepz.widgets.refocusing.workbench import Workbench
from napari_deepz.widgets.shared.activity import Activity
from napari_deepz.widgets.shared.background import Job, Work, tell
from napari_deepz.widgets.shared.forms import (
    FOCUS_STYLE,
    Rows,
    Scrolled,
    group,
    single_shot,
)
from napari_deepz.widgets.shared.layers import frame_of
from napari_deepz.widgets.shared.news import Advance
from napari_deepz.widgets.shared.plain_text import show_error, show_warning
from napari_deepz.widgets.shared.remembering import Memory
from napari_deepz.widgets.shared.results import place, results_in
from napari_deepz.widgets.shared.run_state import Phase, RunState

BESIDE, OVER = "Beside the image", "Over the image"

_NARROWEST_PX = 360
"""Wide enough for every kind of surface, so that the canvas keeps its size when it is changed."""
_REVIEW_AFTER_MS = 150
_REFRESH_EVERY_MS = 100
_REFRESH_3D_EVERY_MS = 250


class VirtualRefocusing(QWidget):  # type: ignore[misc]
    """The dock: settings, what to know about them, and the run.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose layers are refocused and which gets the results.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.forms = forms = AllForms(self.viewer)
        self.image, self.model, self.compute = forms.image, forms.model, forms.compute
        self.surface, self.anchors = forms.surface, forms.anchors
        self._device = self.compute.describe()
        self.state = RunState(message=f"Computes on {self._device}.")
        self._activity = Activity(self.state, self)
        self._encoding, self._planes = LastEncoding(), PlaneCache()
        self._job: Job | None = None
        self._what, self._total, self._started_s = "", 0, 0.0
        self._found, self._said = "", set[str]()
        self._asking: tuple[NewModelDialog, Callable[..., None], str] | None = None
        self._result: ResultLayer | None = None
        self.workbench = Workbench(
            self.viewer,
            forms.resolved,
            self.image,
            self.model,
            self.surface,
            self.anchors.anchors,
            self._encoding,
            self._planes,
            self,
        )
        self.placement = ComboBox(
            label="Show it",
            choices=[BESIDE, OVER],
            tooltip="Where results lie; also moves those that are there.",
        )
        self.facts = Facts(self.viewer)
        self.panel = RunPanel(self.state, CopyButton(self._chosen_result))
        self._lay_out()

        self._review_timer = single_shot(self, self.review)
        self._refresh_timer = single_shot(self, self._refresh)
        forms.changed.connect(self._on_setting)
        self.workbench.image_changed.connect(self._on_setting)
        self.anchors.find_clicked.connect(self.find_surface)
        self.model.changed.connect(self._on_model)
        self.compute.changed.connect(self._on_model)
        self.model.found_saved_model.connect(self._ask_conversion)
        self.model.found_bioimageio.connect(self._ask_adding)
        self.placement.changed.connect(self._place_results)
        self.panel.refocus_clicked.connect(self.refocus)
        self.panel.cancel_clicked.connect(self.cancel)
        self.panel.export_clicked.connect(self.export)
        self.panel.restore_clicked.connect(self.restore_defaults)
        self.viewer.dims.events.point.connect(self._review_soon)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self.surface.restore(self.model.spec)
        Memory("virtual_refocusing").keep(
            placement=self.placement,
            live=self.workbench.live_switch,
            show_surface=self.workbench.mesh_switch,
            z_step_um=self.surface.step,
        )
        self.reset_choices()
        self.review()

    def _lay_out(self) -> None:
        facts, look, forms = self.facts, self.workbench.widget, self.forms
        about_image = self.image.widget, forms.optics.widget, facts.image, facts.samples
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(
            Scrolled(
                group("Measured image", *about_image),
                group("Model", self.model.widget, facts.about_model, self.compute.widget),
                group("Refocus onto", self.surface.widget, look, facts.result),
                facts.cautions,
                group("Result", Rows(self.placement), facts.shown),
            ),
            1,
        )
        layout.addWidget(self.panel)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setStyleSheet(FOCUS_STYLE)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """As wide as what is in it, but no narrower for the surfaces that need little room."""
        return super().minimumSizeHint().expandedTo(QSize(_NARROWEST_PX, 0))

    def event(self, event: QEvent) -> bool:
        """Cancel the run of a dock that is taken out of its window."""
        if event.type() == QEvent.Type.ParentChange:
            self.workbench.awake = self.parent() is not None
            if self.parent() is None:
                self.cancel()
                self.workbench.close()
        return bool(super().event(event))

    def reset_choices(self, _: Any = None) -> None:
        """Look again which layers there are; napari calls this when they change."""
        self.forms.reset_choices()
        self._review_soon()

    def restore_defaults(self) -> None:
        """Set every setting back."""
        self.forms.restore()
        self.placement.value = BESIDE
        self.workbench.live_switch.value = self.workbench.mesh_switch.value = False

    def review(self) -> None:
        """Show what there is to know about the present settings."""
        if self.state.phase is not Phase.IDLE:
            return
        resolved = self.forms.resolved()
        model, plane = resolved.model, resolved.plane
        if model is not None and plane is not None:
            pixel_um = plane.pixel_size_um or self.image.sizes.pixel_size.value
            field_um = plane.shape[0] * pixel_um, plane.shape[1] * pixel_um
            if self.surface.follow(model.spec, field_um):
                resolved = self.forms.resolved()
        self.facts.review(resolved, package=self.model.package)
        self.image.show_input()
        can_run = resolved.layer is not None and resolved.model is not None
        self.workbench.say_what_is_seen()
        self.panel.allow(refocus=can_run, export=bool(results_in(self.viewer)))

    def refocus(self) -> None:
        """Start a run with the present settings."""
        if self.state.phase is not Phase.IDLE:
            return
        resolved = self.forms.settle()
        layer, request = resolved.layer, resolved.request
        if layer is None or resolved.model is None:
            return
        if request is None:
            show_error(resolved.problem)
            return
        try:
            said = {*request.notes, *cautions_for(resolved)}
            self.image.pin_z()
            frame = frame_of(layer, self.image.input_view)
            result = ResultLayer(self.viewer, layer, frame, request, beside=self._beside)
        except ValueError as error:
            show_error(str(error))
            return
        except MemoryError:
            what = result_facts(request.surface, request.plane.shape)
            show_error(f"There is no memory for {what}.")
            return
        self.viewer.reset_view()
        self._result, self._said = result, said
        work = partial(refocus_planes, request, result.canvas, self._encoding, self._planes)
        self._start(work, "Refocusing", total=len(request.surface))
        self.workbench.follow()  # The result is black until its first plane is there.

    def find_surface(self) -> None:
        """Look for the surface on which the image is sharpest, and set anchors on it."""
        resolved = self.forms.resolved()
        model = resolved.model
        if self.state.phase is not Phase.IDLE or model is None or resolved.layer is None:
            return
        form: Form = "smooth" if self.anchors.form.value == SMOOTH else "plane"
        everywhere = range_to_search(model.spec.axial_range_um)
        settings = replace(self.forms.settings(), make_surface=lambda _: (everywhere, ()))
        searched = resolve(settings, resolved.layer, self.image.input_view)
        if searched.request is None:
            show_error(searched.problem)
            return
        self.image.sizes.write()
        work = partial(find_focus, searched.request, form, self._encoding)
        self._start(work, "Finding the surface")

    @property
    def _beside(self) -> bool:
        return bool(self.placement.value == BESIDE)

    def cancel(self) -> None:
        """Stop the job that is running, if any."""
        if self._job is not None:
            self._job.cancel()
            self.state.cancel()

    def export(self) -> None:
        """Ask where to save the selected result, or else the newest, and save it."""
        layer = self._chosen_result()
        if self.state.phase is not Phase.IDLE or layer is None:
            return
        request = ask_export(self, layer)
        if request is not None:
            self._start(partial(export_planes, request), "Exporting", total=len(request.planes))

    def _chosen_result(self) -> Image | None:
        """The selected result, or else the newest."""
        results, active = results_in(self.viewer), self.viewer.layers.selection.active
        if not results:
            return None
        return active if active in results else results[-1]

    def _ask_conversion(self, folder: Path) -> None:
        dialog = ask_conversion(folder, self)
        self._on_accept(dialog, partial(convert_model, folder), "Converting the model")

    def _ask_adding(self, path: Path) -> None:
        dialog = ask_adding(path, self)
        self._on_accept(dialog, partial(add_to_models, path), "Adding the model")

    def _on_accept(self, dialog: NewModelDialog, work: Callable[..., None], what: str) -> None:
        self._asking = dialog, work, what
        dialog.accepted.connect(self._bring_model)
        dialog.open()

    def _bring_model(self) -> None:
        if self._asking is None:
            return
        dialog, work, what = self._asking
        self._asking = None
        if self.state.phase is Phase.IDLE:
            self._start(partial(work, dialog.fields()), what)
        else:
            show_warning("Something is still running: open the model again when it has ended.")

    def _start(self, work: Work, what: str, *, total: int = 0) -> None:
        self._what, self._total, self._started_s = what, total, time.monotonic()
        self._job = Job(work, self)
        self._job.received.connect(self._on_received)
        self._job.finished.connect(self._on_finished)
        self._job.aborted.connect(self._on_aborted)
        self._job.errored.connect(self._on_errored)
        self.state.start(f"{what}…")
        self._job.start()

    def _on_received(self, item: object) -> None:
        if isinstance(item, Advance):
            self.state.advance(item.fraction, f"{self._what}: {item.text}")
        elif isinstance(item, Provenance) and self._result is not None:
            self._device = item.device or self._device
            self._result.describe(item)
            for note in item.notes:
                if note not in self._said:
                    self._said.add(note)
                    show_warning(note)
        elif isinstance(item, PlaneDone) and self._result is not None:
            self._result.take(item)
            self._refresh_soon()
        elif isinstance(item, SurfaceFound):
            self._found = f" {item.text}"
            self.anchors.anchors.replace(item.rows_um)
            show_confidence(
                self.viewer, item.confidence, frame_of(self.image.layer, self.image.input_view)
            )
        elif isinstance(item, ModelReady):
            self.model.add(item.package)
            for note in item.notes:
                show_warning(note)

    def _on_finished(self) -> None:
        where = f" on {self._device}" if self._result is not None else ""
        seconds = time.monotonic() - self._started_s
        self._end(f"{self._what} took {seconds:.1f} s{where}.{self._found}")

    def _on_aborted(self) -> None:
        self._end(f"{self._what} was cancelled.")

    def _on_errored(self, error: Exception) -> None:
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
            self.state.end(message)
            self.review()
            self.workbench.follow()

    def _refresh_soon(self) -> None:
        if not self._refresh_timer.isActive():
            in_3d = self.viewer.dims.ndisplay == 3
            self._refresh_timer.start(_REFRESH_3D_EVERY_MS if in_3d else _REFRESH_EVERY_MS)

    def _refresh(self) -> None:
        if self._result is not None:
            self._result.refresh()

    def _on_setting(self) -> None:
        self.workbench.follow()
        self._review_soon()

    def _review_soon(self, _: Any = None) -> None:
        self._review_timer.start(_REVIEW_AFTER_MS)

    def _on_removed(self, _: Any) -> None:
        if self._result is not None and self._result.is_lost:
            self.cancel()

    def _on_model(self) -> None:
        self.forms.suggest_sizes()
        if self.state.phase is Phase.IDLE:
            self._device = self.compute.describe()
            self.state.message = f"Computes on {self._device}."

    def _place_results(self, _: Any) -> None:
        for layer in results_in(self.viewer):
            place(layer, beside=self._beside)
        self.workbench.place(beside=self._beside)
        self.viewer.reset_view()

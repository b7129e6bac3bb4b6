"""The dock `Virtual refocusing`: one measured image in, virtual planes out, as they are made."""

from __future__ import annotations

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

from napari.layers import Image
from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.widgets.refocusing.all_forms import AllForms
from napari_deepz.widgets.refocusing.applying import ask_inputs, others_in
from napari_deepz.widgets.refocusing.exporting.copying import CopyButton
from napari_deepz.widgets.refocusing.exporting.export_dialog import ask_export
from napari_deepz.widgets.refocusing.facts import Facts
from napari_deepz.widgets.refocusing.models.model_dialogs import (
    NewModelDialog,
    ask_adding,
    ask_conversion,
)
from napari_deepz.widgets.refocusing.models.model_task import add_to_models, convert_model
from napari_deepz.widgets.refocusing.resolving import NO_SIZE, Resolved
from napari_deepz.widgets.refocusing.run_panel import RunPanel
from napari_deepz.widgets.refocusing.runs import Runs
from napari_deepz.widgets.refocusing.surfaces.surface_form import ANCHORS
from napari_deepz.widgets.refocusing.texts import cautions_for, stack_facts
from napari_deepz.widgets.refocusing.trust_strip import TrustStrip
from napari_deepz.widgets.refocusing.view_form import LINKED, ViewForm
from napari_deepz.widgets.refocusing.workbench import Workbench
from napari_deepz.widgets.shared.activity import Activity
from napari_deepz.widgets.shared.forms import (
    FOCUS_STYLE,
    Rows,
    Scrolled,
    Section,
    group,
    single_shot,
)
from napari_deepz.widgets.shared.plain_text import show_error
from napari_deepz.widgets.shared.remembering import Memory
from napari_deepz.widgets.shared.results import place, results_in
from napari_deepz.widgets.shared.run_state import Phase, RunState

_NARROWEST_PX = 360
"""Wide enough for every kind of surface, so that the canvas keeps its size when it is changed."""
_MARGIN_PX = 9
_REVIEW_AFTER_MS = 150


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
        self.state = RunState()
        self._activity = Activity(self.state, self)
        encoding, planes = LastEncoding(), PlaneCache()
        self.runs = Runs(self.viewer, forms, self.state, encoding, planes, self)
        self.state.message = f"Computes on {self.runs.device}."
        self._asking: tuple[NewModelDialog, Callable[..., None], str] | None = None
        self.view = ViewForm(self.viewer, self)
        self.workbench = Workbench(
            self.viewer,
            forms.resolved,
            self.image,
            self.model,
            self.surface,
            self.anchors.anchors,
            encoding,
            planes,
            self.view,
            self,
        )
        self.facts, self.trust = Facts(self.viewer), TrustStrip()
        self.panel = RunPanel(self.state, CopyButton(self._chosen_result))
        self._lay_out()

        self._review_timer = single_shot(self, self.review)
        forms.changed.connect(self._on_setting)
        self.workbench.image_changed.connect(self._on_image)
        self.anchors.find_clicked.connect(self.find_surface)
        self.image.further.estimate_clicked.connect(self.estimate_distance)
        self.model.changed.connect(self._on_model)
        self.compute.changed.connect(self._on_model)
        self.model.found_saved_model.connect(self._ask_conversion)
        self.model.found_bioimageio.connect(self._ask_adding)
        self.view.changed.connect(self._place_results)
        self.panel.keep_clicked.connect(self.keep)
        self.panel.refocus_clicked.connect(self.refocus)
        self.panel.apply_clicked.connect(self.apply)
        self.panel.cancel_clicked.connect(self.cancel)
        self.panel.export_clicked.connect(self.export)
        self.panel.restore_clicked.connect(self.restore_defaults)
        self.runs.ended.connect(self._on_ended)
        self.viewer.dims.events.point.connect(self._review_soon)
        self.surface.restore(self.model.spec)
        Memory("virtual_refocusing").keep(
            model=self.model.remembered,
            placement=self.view.choice,
            live=self.workbench.live_switch,
            show_surface=self.workbench.mesh_switch,
            z_step_um=self.surface.step,
        )
        self.reset_choices()
        self.review()

    def _lay_out(self) -> None:
        facts, look, forms = self.facts, self.workbench, self.forms
        self.model_card = Section(
            "Model", self.model.widget, facts.model, self.compute.widget, folded=True
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(
            Scrolled(
                group(
                    "Input",
                    *(self.image.widget, forms.optics.widget),
                    *(facts.image, facts.planes, facts.samples),
                ),
                self.model_card,
                group("Surface", self.surface.widget, Rows(look.mesh_switch), facts.result),
                group("View", self.view.widget, facts.shown),
            ),
            1,
        )
        focus_card = group("Focus (µm)", self.surface.focus.native, look.live_widget)
        focus_card.setContentsMargins(_MARGIN_PX, 0, _MARGIN_PX, 0)
        layout.addWidget(focus_card)
        layout.addWidget(self.trust)
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
                self._review_timer.stop()
                self.cancel()
                self.workbench.close()
        return bool(super().event(event))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Give the strip the part of another height that it may take."""
        super().resizeEvent(event)
        self.trust.fit()

    def reset_choices(self, _: Any = None) -> None:
        """Look again which layers there are; napari calls this when they change."""
        self.forms.reset_choices()
        self._review_soon()

    def restore_defaults(self) -> None:
        """Set every setting back."""
        self.forms.restore()
        self.view.choice.value = LINKED
        self.view.same_contrast.value = self.workbench.live_switch.value = True
        self.workbench.mesh_switch.value = False

    def review(self) -> None:
        """Show what there is to know about the present settings."""
        if self.state.phase is not Phase.IDLE:
            return
        self.image.sizes.take_from_file()
        resolved = self.forms.resolved()
        known_um, plane = resolved.known_um, resolved.plane
        if known_um is not None and plane is not None:
            pixel_um = plane.pixel_size_um or self.image.sizes.pixel_size.value
            field_um = plane.shape[0] * pixel_um, plane.shape[1] * pixel_um
            if self.surface.follow(known_um, field_um):
                resolved = self.forms.resolved()
        try:
            cautions = cautions_for(resolved)
        except ValueError as error:
            cautions = [str(error)]
            resolved = replace(resolved, request=None, problem=str(error))
        if self.surface.kind.value == ANCHORS:  # What is missing is said beside the anchors.
            cautions = [text for text in cautions if text != self.anchors.text.text()]
        if plane is not None and plane.is_size_typed:  # The strip says that it was entered.
            cautions = [text for text in cautions if not text.startswith(NO_SIZE)]
        self.facts.review(resolved, package=self.model.package)
        self.trust.review(resolved, cautions)
        self._name_model(resolved)
        self.image.show_input()
        self.workbench.say_what_is_seen()
        request = resolved.request
        self.panel.offer(stack_facts(request) if request else "", why_not=resolved.problem)
        self.panel.allow(
            refocus=request is not None,
            export=bool(results_in(self.viewer)),
            apply=bool(others_in(resolved.layer)),
        )

    def _name_model(self, resolved: Resolved) -> None:
        """Say in the title of its card which model is chosen, and unfold it where there is none."""
        model = resolved.model
        self.model_card.rename("Model" if model is None else f"Model: {model.name}")
        if model is None:
            self.model_card.folded = False

    def refocus(self) -> None:
        """Refocus onto the whole surface: all planes of a flat range."""
        self._run(one_plane=False)

    def keep(self) -> None:
        """Refocus onto the one plane that is looked at, and keep it as a layer."""
        self._run(one_plane=True)

    def apply(self) -> None:
        """Ask for which other planes, times and channels the same is done, and do it."""
        resolved = self.forms.settle()
        if self.state.phase is not Phase.IDLE or resolved.layer is None:
            return
        inputs = ask_inputs(self, resolved, self.image.index())
        if inputs:
            self.image.pin_z()
            wanted = [self.forms.resolved(also_pinned=pins) for pins in inputs]
            self.runs.refocus(wanted, one_plane=False, beside=self.view.beside)
            self.workbench.follow()

    def _run(self, *, one_plane: bool) -> None:
        if self.state.phase is not Phase.IDLE:
            return
        resolved = self.forms.settle()
        if resolved.layer is None or resolved.model is None:
            return
        if resolved.request is None:
            show_error(resolved.problem)
            return
        self.image.pin_z()
        self.runs.refocus([resolved], one_plane=one_plane, beside=self.view.beside)
        self.workbench.follow()  # The result is black until its first plane is there.

    def find_surface(self) -> None:
        """Look for the surface on which the image is sharpest, and set anchors on it."""
        self.image.sizes.write()
        self.runs.find_surface(self.forms.resolved())

    def estimate_distance(self, number: int) -> None:
        """Let the images tell how far a further input plane lies from the first."""
        self.image.sizes.write()
        self.runs.estimate(self.forms.resolved(), number)

    def cancel(self) -> None:
        """Stop the job that is running, if any."""
        self.runs.cancel()

    def export(self) -> None:
        """Ask where to save the selected result, or else the newest, and save it."""
        layer = self._chosen_result()
        if self.state.phase is not Phase.IDLE or layer is None:
            return
        request = ask_export(self, layer)
        if request is not None:
            self.runs.export(request)

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
        if self._asking is not None:
            dialog, work, what = self._asking
            self._asking = None
            self.runs.start(partial(work, dialog.fields()), what)

    def _on_ended(self) -> None:
        if not self.workbench.awake:
            return
        self.review()
        self.workbench.follow()

    def _on_setting(self) -> None:
        if not self.workbench.follows_slider:
            self.runs.forget_failure()
        self._on_image()

    def _on_image(self) -> None:
        self.workbench.follow(is_setting=True)
        self._review_soon()

    def _review_soon(self, _: Any = None) -> None:
        self._review_timer.start(_REVIEW_AFTER_MS)

    def _on_model(self) -> None:
        self.forms.suggest_sizes()
        if self.state.phase is Phase.IDLE:
            self.runs.device = self.compute.describe()
            self.state.message = f"Computes on {self.runs.device}."

    def _place_results(self) -> None:
        for layer in results_in(self.viewer):
            place(layer, beside=self.view.beside)
        self.workbench.place()
        if self.view.choice.value != LINKED:
            self.viewer.reset_view()

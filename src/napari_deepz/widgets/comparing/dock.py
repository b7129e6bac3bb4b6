"""The dock `Compare with measured stack`: virtual planes beside those the microscope took."""

from __future__ import annotations

from functools import partial
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FloatSlider
from napari.layers import Image
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray
from qtpy.QtCore import QEvent

from napari_deepz.analysis.evaluation import DepthScores
from napari_deepz.analysis.verdict import verdict
from napari_deepz.widgets.comparing.compare_panel import ComparePanel
from napari_deepz.widgets.comparing.compare_task import (
    Basis,
    DifferenceDone,
    StackRead,
    compare,
    subtract,
)
from napari_deepz.widgets.comparing.cursor_sections import CursorSections, world_unit_um
from napari_deepz.widgets.comparing.depth_curves import MEASURES, DepthCurves
from napari_deepz.widgets.comparing.pair_form import PairForm
from napari_deepz.widgets.comparing.pair_view import Look, PairView
from napari_deepz.widgets.comparing.pairing import Pairing, difference_arguments
from napari_deepz.widgets.shared.activity import Activity
from napari_deepz.widgets.shared.background import Job, Work, tell
from napari_deepz.widgets.shared.contrast import link_contrast, unlink_contrast
from napari_deepz.widgets.shared.flipping import FLIP_KEY
from napari_deepz.widgets.shared.forms import HOW_FAR, Link, Rows, Scrolled, group, single_shot
from napari_deepz.widgets.shared.news import Advance
from napari_deepz.widgets.shared.plain_text import PlainLabel
from napari_deepz.widgets.shared.run_state import Phase, RunState

_REVIEW_AFTER_MS = 150
_WATCHED = ("data", "set_data", "translate", "scale", "rotate", "shear", "affine", "units")
_DIVERGING = Colormap(
    [(0.25, 0.65, 1.0), (0.0, 0.0, 0.0), (1.0, 0.6, 0.1)], name="blue-black-orange"
)
_NO_VIRTUAL = (
    "There are no virtual planes: make some in the dock Virtual refocusing, or open a saved stack."
)
_NO_MEASURED = "Choose the focal stack that was measured at the same place."
_CHANGED = "The layers have changed: press Compare again."


class StackComparison(Scrolled):
    """The dock: two stacks, how they are looked at, scores over depth, sections.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose layers are compared.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.state = RunState()
        self._activity = Activity(self.state, self)
        self.depths: list[DepthScores] = []
        self._pairing: Pairing | None = None
        self._compared: Pairing | None = None
        self._read: NDArray[Any] | None = None
        self._job: Job | None = None
        self._job_pairing: Pairing | None = None
        self._job_lost = self._has_left = False
        self._placing: dict[str, Any] = {}
        self._what = ""
        self._watched: list[Image] = []

        self.form = PairForm(self.viewer)
        self.match, self.verdict, self.basis = PlainLabel(), PlainLabel(), PlainLabel()
        self.look = ComboBox(
            label="View",
            choices=[look.value for look in Look],
            tooltip="How the two layers lie; 'As they are' puts everything back.",
        )
        self.blend = FloatSlider(
            label="Virtual share",
            min=0,
            max=1,
            step=0.05,
            value=0.5,
            tooltip="Opacity of the virtual planes over the measured ones.",
        )
        self.link = CheckBox(
            text="Link contrast",
            tooltip="Both layers get the contrast limits of the measured one, and keep them alike.",
        )
        self.flip_hint = PlainLabel()
        self.measure = ComboBox(label="Score", choices=list(MEASURES))
        self.panel = ComparePanel(self.state)
        self.curves = DepthCurves(self.viewer)
        self.sections = CursorSections(self.viewer)
        self._pair_view = PairView(self.viewer, self.flip, self.look_as_before)
        self._linked: tuple[Image, Image] | None = None
        self._lay_out()

        self._review_timer = single_shot(self, self.review)
        self.form.changed.connect(self._on_choice)
        self.look.changed.connect(self._on_look)
        self.blend.changed.connect(self._pair_view.blend)
        self.link.changed.connect(self._link)
        self.measure.changed.connect(self._draw_curves)
        self.curves.dragged.connect(self._go_to)
        self.panel.compare_clicked.connect(self.compare)
        self.panel.difference_clicked.connect(self.subtract)
        self.panel.cancel_clicked.connect(self.cancel)
        self.viewer.dims.events.point.connect(self._on_point)
        self.viewer.events.theme.connect(self._recolour)
        self.reset_choices()
        self._on_choice()
        self.review()

    def _lay_out(self) -> None:
        looking = Rows(self.look, self.blend, self.link)
        scores = (self.panel, self.verdict, Rows(self.measure), self.curves, self.basis)
        self.add(
            group("Stacks", self.form.widget, self.match),
            group("Look at them", looking, self.flip_hint),
            group("Scores over depth", *scores),
            group("Sections at the cursor", self.sections),
            Link("How far to trust", HOW_FAR),
        )

    def event(self, event: QEvent) -> bool:
        """Leave the viewer as it was when the dock is taken out of its window."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._leave()
        return bool(super().event(event))

    def _leave(self) -> None:
        self._has_left = True
        self._review_timer.stop()
        self.cancel()
        self._pair_view.restore()
        self._pair_view.flip.release_key()
        self._unlink()
        self._watch([])
        self.sections.leave()
        self.viewer.dims.events.point.disconnect(self._on_point)
        self.viewer.events.theme.disconnect(self._recolour)

    def reset_choices(self, _: Any = None) -> None:
        """Look again which layers there are; napari calls this when they change."""
        self.form.reset_choices()
        self._review_soon()

    def review(self) -> None:
        """Show what can be compared, and forget scores of what has changed since."""
        self.form.suggest()
        self._pairing, text = self._find_pairing()
        self.match.setText(text)
        self.curves.mark_inputs((0.0,) if self._pairing is None else self._pairing.at_um)
        for compared in (self._compared, self._job_pairing):
            if compared is not None and not self._still(compared):
                self._forget()
                break
        self.panel.allow(self._pairing is not None)
        has_key = self._pair_view.flip.claim_key()
        self.flip_hint.setText(
            f"{FLIP_KEY} flips between virtual and measured."
            if has_key
            else f"The key {FLIP_KEY} is used by something else; choose the view above."
        )
        self._follow_slider()
        self._draw_sections()

    def _find_pairing(self) -> tuple[Pairing | None, str]:
        if self.form.virtual is None:
            return None, _NO_VIRTUAL
        if self.form.measured is None:
            return None, _NO_MEASURED
        try:
            found = self.form.pairing()
        except ValueError as error:
            return None, f"⚠ {error}"
        return found, found.sentence

    def _still(self, compared: Pairing) -> bool:
        return self._pairing is not None and self._pairing.compares_as(compared)

    def _forget(self) -> None:
        self._compared, self._read, self.depths = None, None, []
        self.curves.shade(None)
        self.basis.setText("")
        self.verdict.setText("")
        self._draw_curves()
        if self._job is not None:
            self._job_lost = True
            self.cancel()
        else:
            self.state.message = _CHANGED

    def compare(self) -> None:
        """Score all matched planes."""
        self.review()
        if self.state.phase is not Phase.IDLE or self._pairing is None:
            return
        self._compared, self._read, self.depths = self._pairing, None, []
        self.verdict.setText("")
        self._draw_curves()
        self._start(partial(compare, self._pairing), "Comparing")

    def subtract(self) -> None:
        """Add a layer of differences."""
        self.review()
        if self.state.phase is not Phase.IDLE or self._pairing is None:
            return
        self._placing = difference_arguments(self.form.measured, self._pairing)
        self._start(partial(subtract, self._pairing), "Subtracting")

    def cancel(self) -> None:
        """Stop the job that is running, if any."""
        if self._job is not None:
            self._job.cancel()
            self.state.cancel()

    def _start(self, work: Work, what: str) -> None:
        self._what, self._job_pairing, self._job_lost = what, self._pairing, False
        self._job = Job(work, self)
        self._job.received.connect(self._on_received)
        self._job.finished.connect(self._on_finished)
        self._job.aborted.connect(self._on_aborted)
        self._job.errored.connect(self._on_errored)
        self.state.start(f"{what}…")
        self._job.start()

    def _on_received(self, item: object) -> None:
        if self._job_lost:
            return
        if isinstance(item, Advance):
            self.state.advance(item.fraction, f"{self._what}: {item.text}")
        elif isinstance(item, DepthScores):
            self.depths.append(item)
            self._draw_curves()
        elif isinstance(item, StackRead):
            self._read = item.planes
            self._draw_sections()
        elif isinstance(item, Basis):
            self._show_basis(item)
        elif isinstance(item, DifferenceDone):
            self._add_difference(item)

    def _on_finished(self) -> None:
        self.verdict.setText(verdict(self.depths))
        self._end("")

    def _on_aborted(self) -> None:
        self._end(f"{self._what} was cancelled.")

    def _on_errored(self, error: Exception) -> None:
        self._end(f"{self._what} failed.")
        tell(error)

    def _end(self, message: str) -> None:
        self._job = self._job_pairing = None
        self.state.end(_CHANGED if self._job_lost else message)
        self._review_soon()

    def _show_basis(self, basis: Basis) -> None:
        self.curves.shade(basis.axial_range_um)
        several = self._job_pairing is not None and len(self._job_pairing.at_um) > 1
        baseline = "what is interpolated between the input planes" if several else "the input plane"
        shaded = (
            "Shaded: the depths that the model was trained for."
            if basis.axial_range_um is not None
            else "The model is not there any more, so its range is not known."
        )
        self.basis.setText(
            f"PSNR and SSIM refer to a range of {basis.data_range:.4g}, from the 0.1st to the "
            "99.9th percentile of the measured planes. Refocusing counts only where it beats both "
            f"{baseline} and self, the network at 0 µm, which takes away noise alone. "
            f"{shaded} Infinite or undefined scores are left out."
        )

    def _add_difference(self, done: DifferenceDone) -> None:
        stack = self._job_pairing.measured if self._job_pairing is not None else None
        if stack is None:
            return
        lengths = [1] * len(stack.index)
        lengths[stack.z_axis] = len(done.planes)
        self.viewer.add_image(
            done.planes.reshape(*lengths, *done.planes.shape[1:]),
            colormap=_DIVERGING,
            contrast_limits=(-done.limit, done.limit),
            **self._placing,
        )

    def flip(self) -> None:
        """Show the other one of the two layers; the first time, show only the virtual one."""
        if self.look.value == Look.FLIP.value:
            self._pair_view.flip.flip()
        else:
            self.look.value = Look.FLIP.value

    def look_as_before(self) -> None:
        """Show both layers as they were before they were arranged here."""
        self.look.value = Look.AS_THEY_ARE.value

    def _on_choice(self) -> None:
        layers = [layer for layer in (self.form.virtual, self.form.measured) if layer is not None]
        self._watch(layers)
        self._on_look()
        self._link()
        self._review_soon()

    def _watch(self, layers: list[Image]) -> None:
        for layer in self._watched:
            for name in _WATCHED:
                getattr(layer.events, name).disconnect(self._review_soon)
        self._watched = layers
        for layer in layers:
            for name in _WATCHED:
                getattr(layer.events, name).connect(self._review_soon)

    def _on_look(self, _: Any = None) -> None:
        look = Look(self.look.value)
        self.blend.enabled = look is Look.OVER
        virtual, measured = self.form.virtual, self.form.measured
        self._pair_view.show(look, virtual, measured, blend=self.blend.value)

    def _link(self, _: Any = None) -> None:
        self._unlink()
        virtual, measured = self.form.virtual, self.form.measured
        if self.link.value and virtual is not None and measured is not None:
            self._linked = measured, virtual
            link_contrast(self.viewer, *self._linked)

    def _unlink(self) -> None:
        if self._linked is not None:
            unlink_contrast(self.viewer, *self._linked)
        self._linked = None

    def _draw_curves(self, _: Any = None) -> None:
        self.curves.show_scores(self.depths, MEASURES[self.measure.value])

    def _draw_sections(self) -> None:
        self.sections.follow(self._pairing, self.form.measured, self._read)

    def _on_point(self, _: Any) -> None:
        self._follow_slider()
        self._review_soon()

    def _follow_slider(self) -> None:
        if self._pairing is not None:
            axis, unit_um = self._slider(self._pairing)
            world_um = self.viewer.dims.point[axis] * unit_um
            self.curves.set_shown(world_um - self._pairing.input_z_um)

    def _go_to(self, z_um: float) -> None:
        if self._pairing is not None:
            axis, unit_um = self._slider(self._pairing)
            self.viewer.dims.set_point(axis, (self._pairing.input_z_um + z_um) / unit_um)

    def _slider(self, pairing: Pairing) -> tuple[int, float]:
        """Which of the viewer's axes is z, and how many µm its unit is."""
        dims = self.viewer.dims
        axis = dims.ndim + pairing.z_axis
        return axis, world_unit_um(self.viewer, axis)

    def _review_soon(self, _: Any = None) -> None:
        if not self._has_left:
            self._review_timer.start(_REVIEW_AFTER_MS)

    def _recolour(self, _: Any = None) -> None:
        self.curves.recolour()
        self.sections.sections.recolour()

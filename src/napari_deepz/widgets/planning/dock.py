"""The dock `Plan exposures`: how many planes of a sample like this one are enough."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox
from numpy.typing import NDArray
from qtpy.QtWidgets import QGridLayout, QProgressBar, QPushButton, QWidget

from napari_deepz.analysis.exposures import ExposurePlan, plan_exposures
from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.library import list_models, load_model
from napari_deepz.sampling import Sampling
from napari_deepz.watch import Watch
from napari_deepz.widgets.planning.curves import ExposureCurves
from napari_deepz.widgets.shared.activity import Activity
from napari_deepz.widgets.shared.background import Job, tell
from napari_deepz.widgets.shared.forms import Rows, Scrolled, group
from napari_deepz.widgets.shared.layer_sizes import pixel_size_um
from napari_deepz.widgets.shared.layers import names_of, stated_optics
from napari_deepz.widgets.shared.measured import LayerStack, can_be_measured, measured_stack
from napari_deepz.widgets.shared.news import Advance, Send
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.plain_text import PlainLabel
from napari_deepz.widgets.shared.run_state import Phase, RunState

_BAR_STEPS = 1000
_NO_STACK = "Open a focal stack that was measured of a sample like yours."


def plan_work(
    stack: LayerStack,
    package: Path,
    sampling: Sampling | None,
    send: Send,
    watch: Watch,
) -> None:
    """Read a stack, try ever more of its planes, and send the `ExposurePlan`.

    Raises
    ------
    Cancelled
        When asked to stop.
    ValueError
        If the stack or the model cannot be worked with; one sentence.
    """
    planes: NDArray[Any] = np.stack([stack[index] for index in range(len(stack))])
    step_um = abs(stack.z_um[1] - stack.z_um[0]) if len(stack) > 1 else 0.0
    model = load_model(package)
    send(plan_exposures(planes, step_um, model, sampling=sampling, watch=watch))


class PlanExposures(Scrolled):
    """The dock: a measured stack, a model, and what is recommended.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose layers are offered.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer, self.state = napari_viewer, RunState()
        self._activity = Activity(self.state, self)
        self._job: Job | None = None
        self.plan: ExposurePlan | None = None
        self.stack = ComboBox(
            label="Stack",
            choices=lambda _: names_of(self.viewer.layers, can_be_measured),
            nullable=True,
            tooltip="A focal stack that was measured of a sample like yours.",
        )
        self.model = ComboBox(
            label="Model",
            choices=lambda _: [(name, str(path)) for name, path in list_models().items()],
            tooltip="What refocuses from fewer planes.",
        )
        self.start, self.stop = QPushButton("Plan"), QPushButton("Cancel")
        self.start.setToolTip("Refocus from ever more planes onto all of them, and score that.")
        self.bar, self.message, self.says = QProgressBar(), PlainLabel(), PlainLabel()
        self.bar.setTextVisible(False)
        self.curves = ExposureCurves(self.viewer)
        buttons = QWidget()
        layout = QGridLayout(buttons)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.start, 0, 0)
        layout.addWidget(self.stop, 0, 1)
        layout.addWidget(self.bar, 1, 0, 1, 2)
        layout.addWidget(self.message, 2, 0, 1, 2)
        self.add(
            group("How many planes are enough?", Rows(self.stack, self.model), buttons),
            group("Recommended", self.says, self.curves),
        )
        self.start.clicked.connect(self.begin)
        self.stop.clicked.connect(self.cancel)
        self.state.events.connect(self._show)
        self.stack.changed.connect(self._forget)
        self.model.changed.connect(self._forget)
        self.reset_choices()
        self.model.value = str(list_models()[DEFAULT_MODEL])
        self._show()

    def reset_choices(self, _: Any = None) -> None:
        """Look again which layers there are; napari calls this when they change."""
        self.stack.reset_choices()
        self.model.reset_choices()
        if self.stack.value is None and len(self.stack.choices) > 1:
            self.stack.value = self.stack.choices[1]
        self._show()

    def begin(self) -> None:
        """Try what fewer planes tell of the stack."""
        layer = self.stack.value
        if self.state.phase is not Phase.IDLE or layer is None:
            return
        try:
            stack = measured_stack(layer, View.of(self.viewer))
            pixel_um = pixel_size_um(layer)
            optics = {key: value for key, value in stated_optics(layer).items() if value}
            sampling = None if pixel_um is None else Sampling(pixel_size_um=pixel_um, **optics)
        except ValueError as error:
            tell(error)
            return
        self._forget()
        self._job = Job(partial(plan_work, stack, Path(self.model.value), sampling), self)
        self._job.received.connect(self._on_received)
        self._job.finished.connect(lambda: self._end(""))
        self._job.aborted.connect(lambda: self._end("Planning was cancelled."))
        self._job.errored.connect(self._on_errored)
        self.state.start("Planning…")
        self._job.start()

    def cancel(self) -> None:
        """Stop planning."""
        if self._job is not None:
            self._job.cancel()
            self.state.cancel()

    def _on_received(self, item: object) -> None:
        if isinstance(item, Advance):
            self.state.advance(item.fraction, f"Planning: {item.text}")
        elif isinstance(item, ExposurePlan) and self.state.phase is Phase.RUNNING:
            self.plan = item
            self.says.setText(item.describe())
            self.curves.show_plan(item)

    def _on_errored(self, error: Exception) -> None:
        self._end("Planning failed.")
        tell(error)

    def _end(self, message: str) -> None:
        self._job = None
        self.state.end(message)

    def _forget(self, _: Any = None) -> None:
        self.cancel()  # What is on its way is of another stack or model.
        self.plan = None
        self.says.setText("" if self.stack.value is not None else _NO_STACK)
        self.curves.hide()

    def _show(self, _: Any = None) -> None:
        state = self.state
        self.start.setEnabled(state.phase is Phase.IDLE and self.stack.value is not None)
        self.stop.setEnabled(state.phase is Phase.RUNNING)
        self.bar.setRange(0, 0 if state.fraction is None else _BAR_STEPS)
        self.bar.setValue(round((state.fraction or 0.0) * _BAR_STEPS))
        self.message.setText(state.message)
        if self.stack.value is None:
            self.says.setText(_NO_STACK)

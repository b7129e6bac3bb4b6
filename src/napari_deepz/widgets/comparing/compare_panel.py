"""Buttons and progress bar of the comparison."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QProgressBar, QPushButton, QWidget

from napari_deepz.widgets.shared.plain_text import PlainLabel
from napari_deepz.widgets.shared.run_state import Phase, RunState

_BAR_STEPS = 1000


class ComparePanel(QWidget):  # type: ignore[misc]
    """Shows a `RunState`, and offers what can be done in it.

    Parameters
    ----------
    state : RunState
        What is shown.
    """

    compare_clicked = Signal()
    difference_clicked = Signal()
    cancel_clicked = Signal()

    def __init__(self, state: RunState) -> None:
        super().__init__()
        self._state = state
        self._can_compare = False
        self.compare = QPushButton("Compare")
        self.compare.setToolTip("Score every matched plane against the measured one.")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; the scores that are ready stay.")
        self.difference = QPushButton("Difference layer")
        self.difference.setToolTip(
            "Add a layer with the measured planes minus the virtual ones, in their own intensity "
            "units: orange where the measured image is brighter, blue where the virtual one is."
        )
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.message = PlainLabel()
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.compare, 0, 0)
        layout.addWidget(self.difference, 0, 1)
        layout.addWidget(self.cancel, 0, 2)
        layout.addWidget(self.bar, 1, 0, 1, 3)
        layout.addWidget(self.message, 2, 0, 1, 3)
        self.compare.clicked.connect(self.compare_clicked)
        self.difference.clicked.connect(self.difference_clicked)
        self.cancel.clicked.connect(self.cancel_clicked)
        state.events.connect(self._show)
        self._show()

    def allow(self, compare: bool) -> None:
        """Say whether there is something to compare, if nothing were running."""
        self._can_compare = compare
        self._show()

    def _show(self) -> None:
        state = self._state
        ready = state.phase is Phase.IDLE and self._can_compare
        self.compare.setEnabled(ready)
        self.difference.setEnabled(ready)
        self.cancel.setEnabled(state.phase is Phase.RUNNING)
        self.cancel.setText("Cancelling…" if state.phase is Phase.CANCELLING else "Cancel")
        self.bar.setRange(0, 0 if state.fraction is None else _BAR_STEPS)
        self.bar.setValue(round((state.fraction or 0.0) * _BAR_STEPS))
        self.message.setText(state.message)

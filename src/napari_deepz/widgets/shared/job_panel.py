"""Buttons, progress bar and message of the one job of a dock."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_deepz.widgets.shared.plain_text import PlainLabel
from napari_deepz.widgets.shared.run_state import Phase, RunState

_BAR_STEPS, _BAR_PX = 1000, 8


class JobPanel(QWidget):  # type: ignore[misc]
    """Shows a `RunState` below the button that begins a job and the one that cancels it.

    Parameters
    ----------
    state : RunState
        What is shown.
    start, start_tooltip, cancel_tooltip : str
        What the buttons say.

    Attributes
    ----------
    start, cancel : QPushButton
        The buttons.
    bar : QProgressBar
        How much is done.
    message : PlainLabel
        What is being done.
    """

    def __init__(
        self, state: RunState, start: str, start_tooltip: str, cancel_tooltip: str
    ) -> None:
        super().__init__()
        self._state, self._can_start = state, False
        self.start, self.cancel = QPushButton(start), QPushButton("Cancel")
        self.start.setToolTip(start_tooltip)
        self.cancel.setToolTip(cancel_tooltip)
        self.bar, self.message = QProgressBar(), PlainLabel()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(_BAR_PX)
        self.bar.setToolTip("How much of the work is done.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        layout.addLayout(row)
        row.addWidget(self.start, 1)
        row.addWidget(self.cancel)
        layout.addWidget(self.bar)
        layout.addWidget(self.message)
        state.events.connect(self._show)
        self._show()

    def allow(self, can_start: bool) -> None:
        """Say whether the job would make sense if nothing were running."""
        self._can_start = can_start
        self._show()

    def _show(self) -> None:
        state = self._state
        self.start.setEnabled(state.phase is Phase.IDLE and self._can_start)
        self.cancel.setEnabled(state.phase is Phase.RUNNING)
        self.cancel.setText("Cancelling…" if state.phase is Phase.CANCELLING else "Cancel")
        # A progress bar paints itself at once, and the whole window with it.
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, 0 if state.fraction is None else _BAR_STEPS)
        self.bar.setValue(round((state.fraction or 0.0) * _BAR_STEPS))
        self.bar.setUpdatesEnabled(True)
        self.message.setText(state.message)

"""The work of a dock in napari's activity dock, beside that of other plugins."""

from __future__ import annotations

from io import StringIO
from typing import Any

from napari.utils import progress
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_deepz.widgets.shared.forms import single_shot
from napari_deepz.widgets.shared.run_state import Phase, RunState

_STEPS = 1000
_EVERY_MS = 200


class Activity:
    """Shows a `RunState` in napari's activity dock as long as something is running.

    napari handles all waiting events when one of its bars moves. So bars move from the event loop,
    and never in the middle of what else the dock does.

    Parameters
    ----------
    state : RunState
        What is shown.
    parent : QWidget
        The dock.
    """

    def __init__(self, state: RunState, parent: QWidget) -> None:
        self._state = state
        self.bar: Any = None
        self._timer: QTimer = single_shot(parent, self._show)
        state.events.connect(self._show_soon)

    def _show_soon(self) -> None:
        if not self._timer.isActive():
            self._timer.start(_EVERY_MS)

    def _show(self) -> None:
        state, bar = self._state, self.bar
        if state.phase is Phase.IDLE:
            self.bar = None
            if bar is not None:
                bar.close()
            return
        if bar is None:
            bar = self.bar = progress(total=_STEPS, file=StringIO())  # Nothing on the terminal.
        message, fraction = state.message, state.fraction
        bar.set_description(message)
        if fraction is not None and bar is self.bar:
            bar.update(max(0, round(fraction * _STEPS) - bar.n))

"""Buttons and progress bar of a dock's one job."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_deepz.widgets.shared.forms import Link
from napari_deepz.widgets.shared.plain_text import PlainLabel, tooltip
from napari_deepz.widgets.shared.run_state import Phase, RunState

KEEP = "&Keep this image"
_KEEPS = "Refocus onto the plane at Focus, and keep it as a layer."

_BAR_STEPS, _BAR_PX = 1000, 8
_HELP = "https://github.com/napari-deepz/napari-deepz/blob/main/docs/tutorials/straighten_a_worm.md"


class RunPanel(QWidget):  # type: ignore[misc]
    """Shows a `RunState`, and offers what can be done in it.

    Parameters
    ----------
    state : RunState
        What is shown.
    copy : QWidget
        The button that copies a result, beside the one that exports it.
    """

    keep_clicked = Signal()
    refocus_clicked = Signal()
    apply_clicked = Signal()
    cancel_clicked = Signal()
    export_clicked = Signal()
    restore_clicked = Signal()

    def __init__(self, state: RunState, copy: QWidget) -> None:
        super().__init__()
        self._state = state
        self.copy = copy
        self._can_refocus = self._can_export = self._can_apply = False
        self.keep = _button(KEEP, _KEEPS)
        self.refocus = _button(KEEP, "")
        self.apply = _button(
            "&Apply to…", "Do the same with other planes, time points and channels of this layer."
        )
        self.cancel = _button("Cancel", "Stop; the planes that are ready are kept.")
        self.export = _button(
            "Export…", "Save the virtual planes, a depth-coded picture, a movie or the surface."
        )
        self.restore = _button("Defaults", "Set everything in this dock back.")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(_BAR_PX)
        self.message = PlainLabel()
        self.bar.setToolTip("How much of the work is done.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(9, 4, 9, 6)
        layout.setSpacing(4)
        layout.addWidget(self.refocus)
        _add_row(layout, (self.keep, 1), (self.apply, 1))
        layout.addWidget(self.message)
        _add_row(layout, (self.bar, 1), (Link("Help", _HELP), 0), (self.cancel, 0))
        _add_row(layout, (self.export, 1), (copy, 1), (self.restore, 1))
        for button, clicked in (
            (self.keep, self.keep_clicked),
            (self.refocus, self.refocus_clicked),
            (self.apply, self.apply_clicked),
            (self.cancel, self.cancel_clicked),
            (self.export, self.export_clicked),
            (self.restore, self.restore_clicked),
        ):
            button.clicked.connect(clicked)
        state.events.connect(self._show)
        self.offer("")
        self._show()

    def offer(self, stack: str, why_not: str = "") -> None:
        """Say what a run would make.

        Parameters
        ----------
        stack : str
            Planes and memory of a stack, such as "41 planes, 172 MB"; nothing where it would be
            one picture.
        why_not : str, optional
            Why nothing can be made.
        """
        self.keep.setVisible(bool(stack))
        self.refocus.setText(f"&Make stack ({stack})" if stack else KEEP)
        does = (
            "Compute the virtual planes, those next to the present depth first."
            if stack
            else "Refocus onto the surface, and keep the picture as a layer."
        )
        self.refocus.setToolTip(tooltip(why_not) or does)
        self.keep.setToolTip(tooltip(why_not) or _KEEPS)

    def allow(self, *, refocus: bool, export: bool, apply: bool = False) -> None:
        """Say what would make sense if nothing were running."""
        self._can_refocus, self._can_export, self._can_apply = refocus, export, apply
        self.apply.setVisible(apply)
        self._show()

    def _show(self) -> None:
        state = self._state
        idle = state.phase is Phase.IDLE
        for button in (self.keep, self.refocus):
            button.setEnabled(idle and self._can_refocus)
        self.apply.setEnabled(idle and self._can_refocus and self._can_apply)
        self.export.setEnabled(idle and self._can_export)
        self.copy.setEnabled(self._can_export)
        self.restore.setEnabled(idle)
        self.cancel.setEnabled(state.phase is Phase.RUNNING)
        self.cancel.setText("Cancelling…" if state.phase is Phase.CANCELLING else "Cancel")
        self._show_fraction(state.fraction)
        self.message.setText(state.message)

    def _show_fraction(self, fraction: float | None) -> None:
        # A progress bar paints itself at once, and the whole window with it; without updates it
        # waits for the next round of the event loop.
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, 0 if fraction is None else _BAR_STEPS)
        self.bar.setValue(round((fraction or 0.0) * _BAR_STEPS))
        self.bar.setUpdatesEnabled(True)


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    return button


def _add_row(layout: QVBoxLayout, *stretched: tuple[QWidget, int]) -> None:
    row = QHBoxLayout()
    # Before it is filled: PySide6 must see who owns the widgets, or it deletes them a second time.
    layout.addLayout(row)
    for widget, stretch in stretched:
        row.addWidget(widget, stretch)

"""The one place where work moves to another thread and its news come back to the main one."""

from __future__ import annotations

import threading
from collections.abc import Callable

from napari.qt.threading import GeneratorWorkerSignals, WorkerBase
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject, QTimer, Signal

from napari_deepz.watch import Cancelled, StopCondition
from napari_deepz.widgets.shared.news import Send
from napari_deepz.widgets.shared.plain_text import harmless, show_error

Work = Callable[[Send, StopCondition], None]

_ITEMS_UNDERWAY = 4
_ASK_EVERY_S = 0.05


def tell(error: Exception) -> None:
    """Show the sentence of an error that is meant for the user, or all about any other."""
    if isinstance(error, ValueError | OSError):
        show_error(str(error))
    else:
        text = str(error)
        if harmless(text) != text:
            error = RuntimeError(harmless(text)).with_traceback(error.__traceback__)
        notification_manager.receive_error(type(error), error, error.__traceback__)


class _Worker(WorkerBase):  # type: ignore[misc]
    """Runs the work in a thread of Qt's pool; `quit` is what its stop condition sees."""

    def __init__(self, work: Work) -> None:
        super().__init__(SignalsClass=GeneratorWorkerSignals)
        self.what = work
        self.room = threading.Semaphore(_ITEMS_UNDERWAY)

    def work(self) -> None:
        try:
            self.what(self.send, self.should_stop)
        except Cancelled:
            self.aborted.emit()

    def send(self, item: object) -> None:
        while not self.abort_requested:
            if self.room.acquire(timeout=_ASK_EVERY_S):
                self.yielded.emit(item)
                return
        raise Cancelled

    def should_stop(self) -> bool:
        return bool(self.abort_requested)


class Job(QObject):  # type: ignore[misc]
    """Work in another thread, as the main thread sees it.

    After `started`, `received` brings every item that the work sends and `warned` every warning.
    The end is exactly one of `finished`, `aborted` (after `cancel`) and `errored`, when the work
    has closed what it opened and its thread is free again. No more than four items are on their
    way at a time, so that a fast worker cannot flood the main thread.

    Parameters
    ----------
    work : callable
        Called in the other thread with a function that sends an item and a stop condition; raises
        `Cancelled` when it was stopped, and closes its generators and files itself.
    parent : QObject
        When it is destroyed, the work is cancelled and nobody is told.
    """

    started = Signal()
    received = Signal(object)
    warned = Signal(object)
    finished = Signal()
    aborted = Signal()
    errored = Signal(object)

    def __init__(self, work: Work, parent: QObject) -> None:
        super().__init__(parent)
        self._error: Exception | None = None
        self._was_aborted = False
        self._worker = _Worker(work)
        self._worker.started.connect(self.started)
        self._worker.yielded.connect(self._on_item)
        self._worker.warned.connect(self._on_warning)
        self._worker.errored.connect(self._on_error)
        self._worker.aborted.connect(self._on_abort)
        self._worker.finished.connect(self._on_end)
        self.destroyed.connect(self._worker.quit)

    def start(self) -> None:
        """Begin; returns at once."""
        self._worker.start()

    def cancel(self) -> None:
        """Ask the work to stop; returns at once."""
        self._worker.quit()

    def _on_item(self, item: object) -> None:
        # Room is made only after the event loop has been round: painting and typing come first.
        QTimer.singleShot(0, self._worker.room.release)
        self.received.emit(item)

    def _on_warning(self, details: tuple[object, ...]) -> None:
        self.warned.emit(details[0])

    def _on_error(self, error: Exception) -> None:
        self._error = error

    def _on_abort(self) -> None:
        self._was_aborted = True

    def _on_end(self) -> None:
        if self._error is not None:
            self.errored.emit(self._error)
        elif self._was_aborted:
            self.aborted.emit()
        else:
            self.finished.emit()
        self.deleteLater()

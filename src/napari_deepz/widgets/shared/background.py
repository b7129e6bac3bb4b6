"""The one place where work moves to another thread and its news come back to the main one."""

from __future__ import annotations

import threading
from collections.abc import Callable

from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject, QRunnable, QThreadPool, QTimer, Signal

from napari_deepz.watch import Cancelled, Watch
from napari_deepz.widgets.shared.news import Send, Teller
from napari_deepz.widgets.shared.plain_text import harmless, show_error

Work = Callable[[Send, Watch], None]

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


class _News(QObject):  # type: ignore[misc]
    """What comes out of the other thread; it lives in the main one."""

    sent = Signal(object)
    ended = Signal(object)

    def let_go(self) -> None:
        """Keep the executor no longer; a method, as PySide6 never lets go of a function."""
        _running.pop(self, None)


class _Executor(QRunnable):  # type: ignore[misc]
    """Runs work in a thread of Qt's pool, which waits for it when the program ends."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.setAutoDelete(False)  # Python holds it as long as anybody needs it.
        self._work = work
        self._stopping = threading.Event()
        self.room = threading.Semaphore(_ITEMS_UNDERWAY)
        self.news = _News()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        error: BaseException | None = None
        try:
            self._work(self._send, Watch(self._stopping.is_set, Teller(self._send)))
        except BaseException as raised:  # An exception must not leave Qt's thread.
            error = raised
        self.news.ended.emit(error)

    def _send(self, item: object) -> None:
        while not self._stopping.is_set():
            if self.room.acquire(timeout=_ASK_EVERY_S):
                self.news.sent.emit(item)
                return
        raise Cancelled


_running: dict[_News, _Executor] = {}


class Job(QObject):  # type: ignore[misc]
    """Work in another thread, as the main thread sees it.

    `received` brings every item that the work sends, its progress as `Advance` among them. The end
    is exactly one of `finished`, `aborted` (after `cancel`) and `errored`, when the work has closed
    what it opened. No more than four items are on their way at a time, so that a fast worker
    cannot flood the main thread.

    Parameters
    ----------
    work : callable
        Called in the other thread with a function that sends an item and a `Watch`; raises
        `Cancelled` when it was stopped, and closes its generators and files itself.
    parent : QObject
        When it is destroyed, the work is cancelled and nobody is told.
    """

    received = Signal(object)
    finished = Signal()
    aborted = Signal()
    errored = Signal(object)

    def __init__(self, work: Work, parent: QObject) -> None:
        super().__init__(parent)
        self._executor = _Executor(work)
        self._executor.news.sent.connect(self._on_item)
        self._executor.news.ended.connect(self._on_end)
        self.destroyed.connect(self._executor.stop)

    def start(self) -> None:
        """Begin; returns at once."""
        news = self._executor.news
        _running[news] = self._executor
        news.ended.connect(news.let_go)
        QThreadPool.globalInstance().start(self._executor)

    def cancel(self) -> None:
        """Ask the work to stop; returns at once."""
        self._executor.stop()

    def _on_item(self, item: object) -> None:
        # Room is made only after the event loop has been round: painting and typing come first.
        QTimer.singleShot(0, self._executor.room.release)
        self.received.emit(item)

    def _on_end(self, error: BaseException | None) -> None:
        if error is None:
            self.finished.emit()
        elif isinstance(error, Cancelled):
            self.aborted.emit()
        else:
            self.errored.emit(error)
        self.deleteLater()

"""Jobs: the order of their news, and that nothing is left behind."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import QObject, QThreadPool

from napari_deepz.watch import Cancelled, Progress, Watch
from napari_deepz.widgets.shared.background import Job


@pytest.fixture
def start(qtbot: Any) -> Iterator[Any]:
    """Start a job and write down all that it tells."""
    parent = QObject()

    def begin(work: Any) -> tuple[Job, list[Any]]:
        news = []
        job = Job(work, parent)
        job.received.connect(lambda item: news.append(item))
        job.finished.connect(lambda: news.append("finished"))
        job.aborted.connect(lambda: news.append("aborted"))
        job.errored.connect(lambda error: news.append(f"errored: {error}"))
        job.start()
        return job, news

    yield begin
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)


def ended(news: Any) -> Any:
    return bool(news) and str(news[-1]).startswith(("finished", "aborted", "errored"))


def test_items_arrive_in_order_in_the_main_thread(start: Any, qtbot: Any) -> None:
    threads = []

    def work(send: Any, watch: Watch) -> None:
        threads.append(threading.get_ident())
        for item in range(50):
            send(item)

    _, news = start(work)
    qtbot.waitUntil(lambda: ended(news))
    assert news == [*range(50), "finished"]
    assert threads != [threading.get_ident()]


def test_a_fast_worker_waits_for_the_main_thread(start: Any, qtbot: Any) -> None:
    sent = []

    def work(send: Any, watch: Watch) -> None:
        for item in range(20):
            send(item)
            sent.append(item)

    _, news = start(work)
    time.sleep(0.3)
    assert len(sent) <= 4
    qtbot.waitUntil(lambda: ended(news))
    assert len(sent) == 20


def test_cancelling_closes_what_the_work_opened(start: Any, qtbot: Any) -> None:
    closed = threading.Event()

    def work(send: Any, watch: Watch) -> None:
        try:
            while not watch.should_stop():
                send("item")
                time.sleep(0.01)
            raise Cancelled
        finally:
            closed.set()

    job, news = start(work)
    qtbot.waitUntil(lambda: len(news) > 3)
    job.cancel()
    qtbot.waitUntil(lambda: ended(news), timeout=2000)
    assert news[-1] == "aborted"
    assert "finished" not in news
    assert closed.is_set()


def test_cancelling_wakes_a_worker_that_waits_for_the_main_thread(start: Any, qtbot: Any) -> None:
    def work(send: Any, watch: Watch) -> None:
        for item in range(1000):
            send(item)

    job, news = start(work)
    time.sleep(0.2)
    job.cancel()
    qtbot.waitUntil(lambda: ended(news), timeout=2000)
    assert news[-1] == "aborted"


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, OSError])
def test_errors_of_every_kind_arrive(start: Any, qtbot: Any, kind: Any) -> None:
    def work(send: Any, watch: Watch) -> None:
        raise kind("broken")

    _, news = start(work)
    qtbot.waitUntil(lambda: ended(news))
    assert news == ["errored: broken"]


def test_warnings_of_others_stay_where_they_are(
    start: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs that overlap once left `warnings.showwarning` replaced for good."""
    shown = []
    mine = lambda message, *_, **__: shown.append(str(message))  # noqa: E731
    monkeypatch.setattr(warnings, "showwarning", mine)
    first_may_end, second_runs = threading.Event(), threading.Event()

    def first(send: Any, watch: Watch) -> None:
        assert second_runs.wait(5)

    def second(send: Any, watch: Watch) -> None:
        second_runs.set()
        assert first_may_end.wait(5)

    _, one = start(first)
    _, other = start(second)
    qtbot.waitUntil(lambda: ended(one))
    first_may_end.set()
    qtbot.waitUntil(lambda: ended(other))
    assert warnings.showwarning is mine
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = mine
        warnings.warn("of another plugin", UserWarning, stacklevel=1)
    assert shown == ["of another plugin"]


def test_progress_is_told_but_not_too_often(start: Any, qtbot: Any) -> None:
    def work(send: Any, watch: Watch) -> None:
        progress = Progress(1000)
        for _ in range(1000):
            progress.advance()
            watch.on_progress(progress)

    _, news = start(work)
    qtbot.waitUntil(lambda: ended(news))
    assert news[-2].fraction == 1
    assert len(news) < 20


def test_a_cancellation_that_comes_too_late_changes_nothing(start: Any, qtbot: Any) -> None:
    def work(send: Any, watch: Watch) -> None:
        while not watch.should_stop():
            time.sleep(0.01)

    job, news = start(work)
    time.sleep(0.05)
    job.cancel()
    qtbot.waitUntil(lambda: ended(news))
    assert news == ["finished"]

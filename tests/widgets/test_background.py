"""Jobs: the order of their news, and that nothing is left behind."""

from __future__ import annotations

import threading
import time
import warnings

import pytest
from qtpy.QtCore import QObject, QThreadPool

from napari_deepz.watch import Cancelled
from napari_deepz.widgets.shared.background import Job


@pytest.fixture
def start(qtbot):
    """Start a job and write down all that it tells."""
    parent = QObject()

    def begin(work):
        news = []
        job = Job(work, parent)
        job.started.connect(lambda: news.append("started"))
        job.received.connect(lambda item: news.append(item))
        job.warned.connect(lambda warning: news.append(f"warned: {warning}"))
        job.finished.connect(lambda: news.append("finished"))
        job.aborted.connect(lambda: news.append("aborted"))
        job.errored.connect(lambda error: news.append(f"errored: {error}"))
        job.start()
        return job, news

    yield begin
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)


def ended(news):
    return bool(news) and str(news[-1]).startswith(("finished", "aborted", "errored"))


def test_items_arrive_in_order_in_the_main_thread(start, qtbot):
    threads = []

    def work(send, should_stop):
        threads.append(threading.get_ident())
        for item in range(50):
            send(item)

    _, news = start(work)
    qtbot.waitUntil(lambda: ended(news))
    assert news == ["started", *range(50), "finished"]
    assert threads != [threading.get_ident()]


def test_a_fast_worker_waits_for_the_main_thread(start, qtbot):
    sent = []

    def work(send, should_stop):
        for item in range(20):
            send(item)
            sent.append(item)

    _, news = start(work)
    time.sleep(0.3)
    assert len(sent) <= 4
    qtbot.waitUntil(lambda: ended(news))
    assert len(sent) == 20


def test_cancelling_closes_what_the_work_opened(start, qtbot):
    closed = threading.Event()

    def work(send, should_stop):
        try:
            while not should_stop():
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


def test_cancelling_wakes_a_worker_that_waits_for_the_main_thread(start, qtbot):
    def work(send, should_stop):
        for item in range(1000):
            send(item)

    job, news = start(work)
    time.sleep(0.2)
    job.cancel()
    qtbot.waitUntil(lambda: ended(news), timeout=2000)
    assert news[-1] == "aborted"


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, OSError])
def test_errors_of_every_kind_arrive(start, qtbot, kind):
    def work(send, should_stop):
        raise kind("broken")

    _, news = start(work)
    qtbot.waitUntil(lambda: ended(news))
    assert news == ["started", "errored: broken"]


def test_warnings_arrive(start, qtbot):
    def work(send, should_stop):
        warnings.warn("look out", UserWarning, stacklevel=1)

    _, news = start(work)
    qtbot.waitUntil(lambda: ended(news))
    assert news == ["started", "warned: look out", "finished"]


def test_a_cancellation_that_comes_too_late_changes_nothing(start, qtbot):
    def work(send, should_stop):
        while not should_stop():
            time.sleep(0.01)

    job, news = start(work)
    qtbot.waitUntil(lambda: bool(news))
    job.cancel()
    qtbot.waitUntil(lambda: ended(news))
    assert news == ["started", "finished"]

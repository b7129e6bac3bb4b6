"""napari stays usable while planes stream in; benchmarks/responsiveness.py measures it closely."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from napari_deepz.widgets.refocusing import VirtualRefocusing
from tests.widgets.conftest import add_image, run, set_range

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "responsiveness.py"
GENEROUS_S = 0.5


@pytest.fixture
def benchmark(monkeypatch):
    spec = importlib.util.spec_from_file_location("responsiveness", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, member in vars(VirtualRefocusing).copy().items():
        if callable(member):
            monkeypatch.setattr(VirtualRefocusing, name, member)
    return module


def test_no_call_holds_the_main_thread_for_long(benchmark, open_dock, qtbot):
    watch = benchmark.Stopwatch()
    watch.watch(VirtualRefocusing)
    dock = open_dock()
    add_image(dock, benchmark.blobs(512))
    set_range(dock, -10, 10, 1)
    dock.review()
    watch.seconds.clear()
    run(dock, qtbot)

    seconds = {name: max(times) for name, times in watch.seconds.items() if name != "refocus"}
    assert len(watch.seconds["_on_received"]) > 22
    assert "_refresh" in seconds
    assert max(seconds.values()) < GENEROUS_S, seconds

"""napari stays usable while planes stream in; benchmarks/responsiveness.py measures it closely."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.runs import Runs
from tests.widgets.conftest import add_image, run, set_range

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "responsiveness.py"


@pytest.fixture
def responsiveness(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("responsiveness", BENCHMARK)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)
    for name, member in vars(VirtualRefocusing).copy().items():
        if callable(member):
            monkeypatch.setattr(VirtualRefocusing, name, member)
    return module


@pytest.mark.window
def test_planes_are_drawn_less_often_than_they_come(
    responsiveness: Any, open_dock: Callable[..., VirtualRefocusing], qtbot: Any
) -> None:
    watch = responsiveness.Stopwatch()
    watch.watch(Runs)
    dock = open_dock()
    add_image(dock, responsiveness.blobs(1024))
    set_range(dock, -10, 10, 0.5)
    dock.review()
    watch.seconds.clear()
    run(dock, qtbot)

    planes = 41
    assert len(watch.seconds["_on_received"]) > planes
    # None where all came before the first was due: the end draws what is there.
    assert len(watch.seconds["_refresh"]) < planes

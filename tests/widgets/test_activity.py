"""What runs is also in napari's activity dock."""

from __future__ import annotations

from typing import Any

import pytest
from napari.utils import progress
from qtpy.QtWidgets import QWidget

from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.shared.activity import Activity
from napari_deepz.widgets.shared.run_state import RunState
from tests.widgets.conftest import Slowly, wait_idle


@pytest.mark.window
def test_a_run_is_in_the_activity_dock(dock: VirtualRefocusing, qtbot: Any, slowly: Slowly) -> None:
    before = len(progress._all_instances)
    dock.panel.refocus.click()
    qtbot.waitUntil(lambda: dock._activity.bar is not None, timeout=20_000)
    bar = dock._activity.bar
    assert bar.desc.startswith("Refocusing")
    qtbot.waitUntil(lambda: 0 < bar.n < bar.total, timeout=20_000)
    wait_idle(dock, qtbot)
    qtbot.waitUntil(lambda: dock._activity.bar is None, timeout=5000)
    assert len(progress._all_instances) == before


def test_a_bar_never_runs_back(qtbot: Any) -> None:
    state, parent = RunState(), QWidget()
    qtbot.addWidget(parent)
    activity = Activity(state, parent)
    state.start("Refocusing…")
    seen = []
    for fraction in (None, 0.5, 0.25, 1.0):
        state.advance(fraction, "Refocusing: 1 of 4")
        activity._show()
        seen.append(activity.bar.n)
    assert seen == [0, 500, 500, 1000]
    state.end("done")
    qtbot.waitUntil(lambda: activity.bar is None, timeout=5000)

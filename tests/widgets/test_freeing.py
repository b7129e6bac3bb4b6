"""A dock that is closed is freed, whatever was done in it, with PyQt and with PySide."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_deepz.widgets.comparing.pair_view import Look
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.models.model_dialogs import ModelCard, NewModelDialog
from napari_deepz.widgets.refocusing.surfaces.anchors import Tool
from napari_deepz.widgets.refocusing.surfaces.surface_form import ANCHORS, TILTED
from napari_deepz.widgets.shared.run_state import Phase
from tests.widgets.conftest import PIXEL_UM, add_image, run, set_range, wait_idle

pytestmark = pytest.mark.window


@pytest.fixture
def is_freed(qtbot: Any) -> Any:
    """Close a dock that nobody else refers to, and tell whether it is gone."""

    def look(viewer: Any, docks: Any) -> bool:
        gone = weakref.ref(docks[0])
        viewer.window.remove_dock_widget(docks.pop())
        for _ in range(5):
            qtbot.wait(30)
            gc.collect()
            if gone() is None:
                return True
        return False

    return look


def leave_alone(dock: VirtualRefocusing, *_: Any) -> None:
    pass


def refocus_and_live(dock: VirtualRefocusing, qtbot: Any, *_: Any) -> None:
    set_range(dock, -1, 1, 1)
    dock.review()
    dock.workbench.live_switch.value = dock.workbench.mesh_switch.value = True
    run(dock, qtbot)
    qtbot.waitUntil(lambda: dock.workbench.live.is_idle, timeout=20_000)
    dock.surface.kind.value = TILTED
    qtbot.waitUntil(lambda: dock.workbench.live.is_idle, timeout=20_000)


def cancel(dock: VirtualRefocusing, qtbot: Any, *_: Any) -> None:
    dock.review()
    dock.panel.refocus.click()
    qtbot.waitUntil(lambda: dock.state.phase is Phase.RUNNING, timeout=5000)
    dock.panel.cancel.click()
    wait_idle(dock, qtbot)


def set_anchors(dock: VirtualRefocusing, *_: Any) -> None:
    dock.surface.kind.value = ANCHORS
    dock.anchors.anchors.replace([(1, 1, 0), (2, 9, 1), (9, 3, 2)])
    dock.anchors.anchors.tool = Tool.DRAW
    dock.anchors.anchors.joined = True


def open_windows(
    dock: VirtualRefocusing, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dock.model.card.changed.emit(True)
    dock._ask_adding(tmp_path / "a.zip")
    dock._ask_conversion(tmp_path)
    for window in dock.findChildren(ModelCard) + dock.findChildren(NewModelDialog):
        window.reject()


def export_and_copy(
    dock: VirtualRefocusing, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_range(dock, -1, 1, 1)
    dock.review()
    run(dock, qtbot)
    path = str(tmp_path / "out.ome.tif")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (path, ""))
    dock.panel.export.click()
    wait_idle(dock, qtbot)
    dock.panel.copy.command.trigger()
    dock.panel.copy.script.trigger()
    QApplication.clipboard().clear()


USES = (leave_alone, refocus_and_live, cancel, set_anchors, open_windows, export_and_copy)


@pytest.mark.parametrize("use", USES)
def test_a_closed_dock_is_freed(
    open_dock: Callable[..., VirtualRefocusing],
    pixels: np.ndarray,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    is_freed: Any,
    use: Any,
) -> None:
    docks = [open_dock()]
    viewer = docks[0].viewer
    add_image(docks[0], pixels)
    use(docks[0], qtbot, monkeypatch, tmp_path)
    assert is_freed(viewer, docks)


@pytest.mark.parametrize("uses", [False, True])
def test_a_closed_comparison_is_freed(
    open_dock: Callable[..., VirtualRefocusing],
    add_dock: Callable[[Any, str], Any],
    pixels: np.ndarray,
    qtbot: Any,
    is_freed: Any,
    uses: bool,
) -> None:
    dock = open_dock()
    viewer = dock.viewer
    add_image(dock, pixels)
    set_range(dock, -1, 1, 1)
    dock.review()
    run(dock, qtbot)
    stack = np.stack([pixels] * 3)
    add_image(dock, stack, name="measured", translate=(-1, 0, 0), scale=(1, PIXEL_UM, PIXEL_UM))
    docks = [add_dock(viewer, "Compare with measured stack")]
    if uses:
        docks[0].review()
        for button in (docks[0].panel.compare, docks[0].panel.difference):
            button.click()
            wait_idle(docks[0], qtbot)
        assert len(docks[0].depths) == 3
        docks[0].look.value = Look.FLIP.value
        docks[0].link.value = True
        docks[0].resize(800, 900)
        docks[0].curves.dragged.emit(1.0)
    assert is_freed(viewer, docks)


def test_a_closed_movie_is_freed(
    make_viewer: Callable[[], Any],
    add_dock: Callable[[Any, str], Any],
    model: Any,
    pixels: np.ndarray,
    qtbot: Any,
    is_freed: Any,
    tmp_path: Path,
) -> None:
    viewer = make_viewer()
    docks = [add_dock(viewer, "Movie")]
    viewer.add_image(
        np.stack([pixels] * 3),
        axis_labels=("t", "y", "x"),
        scale=(1, PIXEL_UM, PIXEL_UM),
        units=("s", "um", "um"),
    )
    docks[0].settings.model.value = "tiny"
    docks[0].settings.step.value = 5
    docks[0].settings.output.value = str(tmp_path / "out.ome.zarr")
    docks[0].preview.value = True
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=20_000)
    wait_idle(docks[0], qtbot)
    docks[0].make()
    wait_idle(docks[0], qtbot)
    assert docks[0].filled is not None
    assert is_freed(viewer, docks)


def test_closed_neurons_are_freed(
    make_viewer: Callable[[], Any], add_dock: Callable[[Any, str], Any], qtbot: Any, is_freed: Any
) -> None:
    spot = np.zeros((5, 80, 96), np.float32)
    spot[:, 38:43, 45:50] = 2000
    spot += np.random.default_rng(1).poisson(100, spot.shape)
    viewer = make_viewer()
    docks = [add_dock(viewer, "Neurons")]
    viewer.add_image(
        spot, axis_labels=("t", "y", "x"), scale=(1, PIXEL_UM, PIXEL_UM), units=("s", "um", "um")
    )
    optics = docks[0].form.optics
    optics.na.value, optics.immersion_index.value, optics.wavelength_nm.value = 0.75, 1.0, 525
    docks[0].find()
    wait_idle(docks[0], qtbot)
    assert docks[0].found is not None
    docks[0].table.selectRow(0)
    docks[0].map.went.emit(1, 2.0)
    for what in ("add", "delete", "undo"):
        docks[0].buttons.clicked.emit(what)
        wait_idle(docks[0], qtbot)
    assert is_freed(viewer, docks)

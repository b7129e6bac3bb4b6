"""The dock in a real viewer: runs that are cancelled, lose their layers, or fail."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from qtpy.QtCore import QThreadPool

from napari_deepz.engine.refocus import EncodedImage, refocus
from napari_deepz.models.package import Model
from napari_deepz.surfaces import Flat
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.shared.results import record_of
from napari_deepz.widgets.shared.run_state import Phase
from tests.widgets.conftest import PIXEL_UM, Slowly, add_image, run, set_range, wait_idle

TWO_SECONDS_MS = 2000


def start(dock: VirtualRefocusing, qtbot: Any, slowly: Any) -> Any:
    """Press Refocus and wait until three planes are there."""
    dock.panel.refocus.click()
    qtbot.waitUntil(lambda: slowly.given >= 4, timeout=20_000)
    return dock.viewer.layers[-1]


def no_thread_left() -> Any:
    return QThreadPool.globalInstance().activeThreadCount() == 0


def open_files() -> list[Any]:
    """Those of the process, but for the pictures that napari shows while something runs."""
    paths = (file.path for file in psutil.Process().open_files())
    return sorted(path for path in paths if "/napari/resources/" not in path)


@pytest.mark.window
def test_cancel_keeps_the_finished_planes(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any, slowly: Slowly
) -> None:
    slowly.seconds = 0.3
    files_before = open_files()
    layer = start(dock, qtbot, slowly)
    asked = time.monotonic()
    dock.panel.cancel.click()
    assert dock.panel.cancel.text() == "Cancelling…"
    assert not dock.panel.cancel.isEnabled()
    wait_idle(dock, qtbot)
    qtbot.waitUntil(no_thread_left, timeout=TWO_SECONDS_MS)
    assert time.monotonic() - asked < 2
    assert slowly.closed
    assert open_files() == files_before

    count = len(layer.data)
    assert 3 <= count < 9
    expected = refocus(pixels, Flat(-4, 4, 1), model, pixel_size_um=PIXEL_UM)
    lowest = -(count // 2)  # Outwards from 0, the plane that is seen: 0, -1, 1, -2 ...
    np.testing.assert_array_equal(layer.data, expected.data[4 + lowest : 4 + lowest + count])
    np.testing.assert_allclose(layer.translate[0], lowest)
    assert layer.name == f"cells (virtual, {count} of 9 planes)"
    record = record_of(layer)
    assert record.z_um == tuple(range(lowest, lowest + count))
    assert record.provenance.axial_range_um == (lowest, lowest + count - 1)
    assert f"Ended early, after {count} of 9 planes." in record.provenance.notes
    assert f"{count} of 9 planes are there" in dock.panel.message.text()
    dock.surface.step.value = 0.5
    assert "planes are there" not in dock.panel.message.text()
    assert dock.panel.cancel.text() == "Cancel"


def test_cancelling_a_falling_range_keeps_the_planes_in_the_middle(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any, slowly: Slowly
) -> None:
    set_range(dock, 4, -4, 1)
    layer = start(dock, qtbot, slowly)
    dock.panel.cancel.click()
    wait_idle(dock, qtbot)

    count = len(layer.data)
    expected = refocus(pixels, Flat(-4, 4, 1), model, pixel_size_um=PIXEL_UM)
    lowest = -((count - 1) // 2)  # Outwards from 0: 0, 1, -1, 2 ...
    np.testing.assert_array_equal(layer.data, expected.data[4 + lowest : 4 + lowest + count])
    np.testing.assert_allclose(layer.translate[0], lowest)


def test_cancel_before_the_first_plane_leaves_no_layer(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly
) -> None:
    slowly.seconds = 0.5
    dock.panel.refocus.click()
    assert len(dock.viewer.layers) == 2
    dock.panel.cancel.click()
    wait_idle(dock, qtbot)
    assert [layer.name for layer in dock.viewer.layers] == ["cells"]


def test_a_second_run_after_a_cancelled_one(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly
) -> None:
    start(dock, qtbot, slowly)
    dock.panel.cancel.click()
    wait_idle(dock, qtbot)
    slowly.seconds = 0
    layer = run(dock, qtbot)
    assert layer.data.shape == (9, 64, 80)


@pytest.mark.window
def test_the_image_is_deleted_during_a_run(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any, slowly: Slowly
) -> None:
    layer = start(dock, qtbot, slowly)
    dock.viewer.layers.remove("cells")
    wait_idle(dock, qtbot)
    expected = refocus(pixels, Flat(-4, 4, 1), model, pixel_size_um=PIXEL_UM)
    np.testing.assert_array_equal(layer.data, expected.data)


def test_the_image_is_changed_during_a_run(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any, slowly: Slowly
) -> None:
    layer = start(dock, qtbot, slowly)
    before = pixels.copy()
    dock.viewer.layers["cells"].data[:] = 0
    wait_idle(dock, qtbot)
    expected = refocus(before, Flat(-4, 4, 1), model, pixel_size_um=PIXEL_UM)
    np.testing.assert_array_equal(layer.data, expected.data)


@pytest.mark.window
def test_the_result_is_deleted_during_a_run(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly
) -> None:
    layer = start(dock, qtbot, slowly)
    dock.viewer.layers.remove(layer)
    wait_idle(dock, qtbot)
    assert slowly.closed
    assert [layer.name for layer in dock.viewer.layers] == ["cells"]


@pytest.mark.window
def test_the_viewer_is_closed_during_a_run(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly
) -> None:
    start(dock, qtbot, slowly)
    dock.viewer.close()
    qtbot.waitUntil(no_thread_left, timeout=TWO_SECONDS_MS)
    assert slowly.closed


@pytest.mark.window
def test_the_dock_is_closed_during_a_run(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, qtbot: Any, slowly: Slowly
) -> None:
    dock = open_dock()
    add_image(dock, pixels)
    set_range(dock, -4, 4, 1)
    dock.review()
    viewer = dock.viewer
    layer = start(dock, qtbot, slowly)
    viewer.window.remove_dock_widget(dock)
    wait_idle(dock, qtbot)
    assert slowly.closed
    assert layer in viewer.layers

    gone = weakref.ref(dock)
    del dock
    qtbot.wait(50)
    gc.collect()
    assert gone() is None


@pytest.mark.window
def test_a_dock_that_is_destroyed_stops_its_worker(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly
) -> None:
    start(dock, qtbot, slowly)
    dock.setParent(None)
    dock.deleteLater()
    qtbot.waitUntil(no_thread_left, timeout=TWO_SECONDS_MS)
    qtbot.waitUntil(lambda: slowly.closed)


def test_a_model_that_has_gone_is_an_error_in_a_sentence(
    dock: VirtualRefocusing, model: Model, qtbot: Any, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    (model.source / "weights.safetensors").unlink()
    dock.panel.refocus.click()
    wait_idle(dock, qtbot)
    severity, text = notified()[-1]
    assert severity == "error"
    assert "weights.safetensors" in text
    assert [layer.name for layer in dock.viewer.layers] == ["cells"]
    assert "failed" in dock.panel.message.text()


def test_a_run_that_breaks_keeps_what_it_has_and_tells(
    dock: VirtualRefocusing,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    genuine = EncodedImage.iter_refocus

    def breaking(*arguments: Any, **settings: Any) -> Iterator[Any]:
        for plane in genuine(*arguments, **settings):
            if plane.index == 6:
                raise RuntimeError("the graphics card is on fire")
            yield plane

    monkeypatch.setattr(EncodedImage, "iter_refocus", breaking)
    layer = run(dock, qtbot)
    assert ("error", "the graphics card is on fire") in notified()
    assert layer.data.shape == (4, 64, 80)


def test_an_image_that_is_too_small_is_an_error(
    dock: VirtualRefocusing, qtbot: Any, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    add_image(dock, np.zeros((20, 20), np.uint8), "crumb")
    dock.image.choice.value = dock.viewer.layers["crumb"]
    dock.panel.refocus.click()
    wait_idle(dock, qtbot)
    assert any(severity == "error" and "too small" in text for severity, text in notified())


def test_settings_that_make_no_sense_are_an_error(
    dock: VirtualRefocusing, qtbot: Any, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    dock.surface.kind.value = "Curved surface"
    dock.surface.radius.value = 0
    dock.review()
    assert "radius" in dock.trust.cautions.text()
    assert not dock.panel.refocus.isEnabled()
    dock.refocus()
    assert dock.state.phase is Phase.IDLE
    assert any(severity == "error" and "radius" in text for severity, text in notified())


def test_too_little_memory_is_an_error(
    dock: VirtualRefocusing,
    monkeypatch: pytest.MonkeyPatch,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    def no_memory(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("napari_deepz.widgets.refocusing.runs.ResultLayer", no_memory)
    dock.panel.refocus.click()
    assert dock.state.phase is Phase.IDLE
    message = "There is no memory for flat, -4 to 4 µm in steps of 1 µm: 9 planes, 0.184 MB."
    assert notified() == [("error", message)]


def test_colour_images_are_an_error(
    dock: VirtualRefocusing, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    dock.viewer.add_image(np.zeros((64, 64, 3), np.uint8), name="colour", rgb=True)
    dock.image.choice.value = dock.viewer.layers["colour"]
    dock.panel.refocus.click()
    assert any("colour image" in text for _, text in notified())


@pytest.mark.parametrize("stop", [4.0, 12.0])
def test_leaving_the_models_range_is_shown_and_recorded(
    dock: VirtualRefocusing, qtbot: Any, notified: Callable[[], list[tuple[str, str]]], stop: float
) -> None:
    set_range(dock, 0, stop, 4)
    dock.review()
    outside = stop > 10
    assert ("do not trust" in dock.trust.cautions.text()) == outside
    layer = run(dock, qtbot)
    assert not any("trust" in text for _, text in notified())  # It stood in the dock before.
    assert any("trust" in note for note in record_of(layer).provenance.notes) == outside

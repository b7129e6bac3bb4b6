from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari.settings
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.plugins._npe2 import get_widget_contribution
from napari.utils.notifications import notification_manager
from npe2 import PluginManager
from qtpy.QtCore import QEvent, QThreadPool
from qtpy.QtWidgets import QApplication

from napari_deepz.engine.refocus import EncodedImage
from napari_deepz.models.library import load_model
from napari_deepz.models.package import Model
from napari_deepz.recipes.recipe import Recipe
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Surface
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.view_form import BESIDE
from napari_deepz.widgets.shared.input_plane import InputPlane
from napari_deepz.widgets.shared.requests import RefocusRequest
from napari_deepz.widgets.shared.results import results_in
from napari_deepz.widgets.shared.run_state import Phase
from tests.conftest import write_tiny_model

PIXEL_UM = 0.325


@pytest.fixture(autouse=True)
def _settings_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's settings are read, changed or left for the next test."""
    own = str(tmp_path / "config" / "napari.yaml")
    monkeypatch.setattr(napari.settings, "_CFG_PATH", own, raising=False)  # New in napari 0.9.
    monkeypatch.setattr(napari.settings, "_PLUGIN_SETTINGS", {}, raising=False)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model in the folder of the user's models."""
    return load_model(write_tiny_model(Path(os.environ["NAPARI_DEEPZ_MODELS"]) / "tiny"))


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(100, 4000, (64, 80), dtype=np.uint16)


@pytest.fixture
def make_viewer(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Make napari's window for a test marked `window`, else its model, in a tenth of the time."""
    if request.node.get_closest_marker("window") is None:
        PluginManager.instance().discover()
        return ViewerModel
    make_window = request.getfixturevalue("make_napari_viewer_proxy")
    return lambda: make_window(strict_qt="raise")


@pytest.fixture
def add_dock(qapp: QApplication) -> Iterator[Callable[[Any, str], Any]]:
    """Open one of our docks as napari does: in its window, or as a widget that follows its model.

    Only a window can show a dock, close it, or hand it keys.
    """
    alone: list[Any] = []

    def add(viewer: Any, name: str) -> Any:
        if hasattr(viewer, "window"):
            return viewer.window.add_plugin_dock_widget("napari-deepz", name)[1]
        widget = get_widget_contribution("napari-deepz", name)[0](viewer)
        alone.append(widget)
        for event in ("inserted", "removed", "reordered", "renamed"):
            getattr(viewer.layers.events, event).connect(widget.reset_choices)
        return widget

    yield add
    # Not by qtbot, which closes what it has been given before the work in it is waited for.
    for widget in alone:
        widget.close()
        widget.deleteLater()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def open_dock(
    make_viewer: Callable[[], Any], add_dock: Callable[[Any, str], Any], model: Model, qtbot: Any
) -> Iterator[Callable[..., VirtualRefocusing]]:
    """Open the dock with a tiny model; no work may be left at the end.

    Without the live picture and with results to the right of their images in one canvas, as most
    tests are about something else.
    """

    opened: list[Any] = []

    def open_it(viewer: Any = None) -> VirtualRefocusing:
        dock = add_dock(viewer or make_viewer(), "Virtual refocusing")
        dock.model.add(model.source)
        if not opened:  # What another one remembers is its own affair.
            dock.workbench.live_switch.value = False
            dock.view.choice.value = BESIDE
        opened.append(dock.model)
        return dock

    yield open_it
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=5000)


@pytest.fixture
def dock(open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray) -> VirtualRefocusing:
    """The dock with one image of known pixel size and a range of nine planes."""
    dock = open_dock()
    add_image(dock, pixels)
    set_range(dock, -4, 4, 1)
    dock.review()
    return dock


def request_for(
    plane: InputPlane, surface: Surface, package: Path, pixel_size_um: float = PIXEL_UM
) -> RefocusRequest:
    """A run that no form was asked about."""
    recipe = Recipe(
        source=plane.source,
        surfaces=surface,
        sampling=Sampling(pixel_size_um=plane.pixel_size_um or pixel_size_um),
        model=str(package),
    )
    return RefocusRequest(plane, recipe, package, ())


def add_image(dock: VirtualRefocusing, data: Any, name: str = "cells", **changes: Any) -> Any:
    ndim = data.ndim
    settings = {
        "units": ("um",) * ndim,
        "axis_labels": ("t", "z", "y", "x")[-ndim:],
        "scale": (*(1.0,) * (ndim - 2), PIXEL_UM, PIXEL_UM),
    }
    return dock.viewer.add_image(data, name=name, **(settings | changes))


def set_range(dock: VirtualRefocusing, start: float, stop: float, step: float) -> None:
    dock.surface.start.value = start
    dock.surface.stop.value = stop
    dock.surface.step.value = step


def run(dock: Any, qtbot: Any) -> Any:
    """Press Refocus, wait for the end, return the newest result, or else the newest layer."""
    dock.panel.refocus.click()
    wait_idle(dock, qtbot)
    return [*dock.viewer.layers, *results_in(dock.viewer)][-1]


def wait_idle(dock: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=30_000)


def notifications_since(count: int) -> list[tuple[str, str]]:
    return [
        (str(record.severity), str(record.message))
        for record in notification_manager.records[count:]
    ]


@pytest.fixture
def notified() -> Callable[[], list[tuple[str, str]]]:
    """Severity and text of what napari has told the user during the test."""
    count = len(notification_manager.records)
    return lambda: notifications_since(count)


def told(notified: Callable[[], list[tuple[str, str]]], pattern: str) -> bool:
    """Whether the user was warned of something that matches."""
    return any(re.search(pattern, text) for kind, text in notified() if kind == "warning")


class Slowly:
    """Stands for the engine: the real planes with a pause before each, and was it closed?"""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.closed = False
        self.given = 0
        self.genuine = EncodedImage.iter_refocus

    def __call__(self, *arguments: Any, **settings: Any) -> Iterator[Any]:
        planes = self.genuine(*arguments, **settings)
        try:
            for plane in planes:
                time.sleep(self.seconds)
                self.given += 1
                yield plane
        finally:
            planes.close()
            self.closed = True


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Slowly:
    slow = Slowly(0.1)
    monkeypatch.setattr(
        EncodedImage, "iter_refocus", lambda *given, **settings: slow(*given, **settings)
    )
    return slow

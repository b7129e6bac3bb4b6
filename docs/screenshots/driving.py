"""Drive a napari window as a hand does, and save what it shows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.settings import get_plugin_settings, get_settings
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QScrollArea, QWidget

from napari_deepz.training.movies.scene import MovieSettings
from napari_deepz.training.movies.simulation import simulate_movie
from napari_deepz.widgets.shared.layers import OPTICS
from napari_deepz.widgets.shared.run_state import Phase

WINDOW_PX = (1280, 800)
MOVIE_CONTRAST = (100, 600)
GREY_SPREAD = 4
PLUGIN = "napari-deepz"
_CANVAS = "CanvasBackendDesktop"


@contextmanager
def settings_of_its_own() -> Iterator[None]:
    """Start with napari's defaults, and leave the settings of the user alone."""
    with tempfile.TemporaryDirectory() as folder:
        get_settings(path=Path(folder) / "napari.yaml")
        get_plugin_settings(PLUGIN, path_dir=folder)
        yield


@contextmanager
def window(sample: str) -> Iterator[tuple[Any, Any]]:
    """Open a sample and the dock `Virtual refocusing` in a new window: viewer and dock."""
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW_PX)
    viewer.open_sample(PLUGIN, sample)
    viewer.canvas.overlays.scale_bar.visible = True
    dock = open_dock(viewer, "Virtual refocusing")
    dock.restore_defaults()
    settle()
    yield viewer, dock
    viewer.close()


@contextmanager
def movie_window(dock_name: str) -> Iterator[tuple[Any, Any]]:
    """Open a simulated movie of a sparse field and a dock in a new window: viewer and dock."""
    simulated = simulate_movie("sparse", MovieSettings(frames=60, motion_um=0.3), seed=2)
    settings, optics = simulated.settings, simulated.settings.optics
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW_PX)
    viewer.add_image(
        simulated.measured[:, 0],
        name="neurons (simulated)",
        axis_labels=("t", "y", "x"),
        scale=(1 / settings.rate_hz, optics.pixel_size_um, optics.pixel_size_um),
        units=("s", "um", "um"),
        contrast_limits=MOVIE_CONTRAST,
        metadata={
            OPTICS: {
                "na": optics.na,
                "immersion_index": optics.n_immersion,
                "wavelength_um": optics.wavelength_um,
            }
        },
    )
    viewer.canvas.overlays.scale_bar.visible = True
    dock = open_dock(viewer, dock_name)
    settle()
    yield viewer, dock
    viewer.close()


def open_dock(viewer: Any, name: str) -> Any:
    """Open a dock of the plugin, before those that are there."""
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
    settle()
    return dock


def wait(dock: Any) -> None:
    """Wait for the end of what a dock is doing."""
    settle(0.2)
    while dock.state.phase is not Phase.IDLE:
        settle(0.05)
    settle()


def click(viewer: Any, place_um: Sequence[float]) -> None:
    """Click a place (y, x) of the world in the canvas."""
    (canvas,) = (
        widget
        for widget in QApplication.allWidgets()
        if type(widget).__name__ == _CANVAS and widget.isVisible()
    )
    camera, grid = viewer.scene.camera, viewer.canvas.grid
    width = canvas.width()
    if grid.enabled:  # Into the left one of two panes.
        width = (width - grid.spacing) / 2
    y, x = (
        round((place - centre) * camera.zoom + size / 2)
        for place, centre, size in zip(
            place_um, camera.center[-2:], (canvas.height(), width), strict=True
        )
    )
    QTest.qWait(30)
    QTest.mouseMove(canvas, QPoint(x, y))
    QTest.mouseClick(canvas, Qt.LeftButton, Qt.NoModifier, QPoint(x, y))
    settle(0.2)


def reveal(widget: QWidget) -> None:
    """Scroll a dock until a widget of it is seen."""
    settle()
    area = widget.parentWidget()
    while area is not None and not isinstance(area, QScrollArea):
        area = area.parentWidget()
    if area is not None:
        area.ensureWidgetVisible(widget)


def save(viewer: Any, picture: Path) -> None:
    """Save what the whole window shows in 256 colours, half of them shades of grey."""
    settle()
    shown = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
    is_grey = np.ptp(shown, axis=-1) <= GREY_SPREAD
    greys = np.arange(0, 256, 2, np.uint8).repeat(3)
    few = Image.fromarray(shown[~is_grey][None]).quantize(128, method=Image.Quantize.FASTOCTREE)
    palette = Image.new("P", (1, 1))
    palette.putpalette(greys.tobytes() + bytes(few.getpalette()[: 128 * 3]))
    picked = np.array(Image.fromarray(shown).quantize(palette=palette, dither=Image.Dither.NONE))
    picked[is_grey] = shown[is_grey].mean(axis=-1) / 2
    saved = Image.fromarray(picked, "P")
    saved.putpalette(palette.getpalette())
    saved.save(picture, optimize=True)


def settle(seconds: float = 1.0, until: Callable[[], bool] | None = None) -> None:
    """Let the window draw itself, at least until a condition holds if there is one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end or not (until is None or until()):
        QApplication.processEvents()
        time.sleep(0.005)

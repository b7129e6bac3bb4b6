"""From moving a slider to pixels on the screen, with Live on, in a real window.

Run it with a display, or under a virtual one: xvfb-run -a python -m benchmarks.live_latency
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from benchmarks.responsiveness import blobs, wait
from napari_deepz import EncodedImage, load_model
from napari_deepz.engine.preview import Stage
from napari_deepz.surfaces import Flat
from napari_deepz.widgets.refocusing.surfaces.surface_form import FLAT, TILTED

MOVES = 50
PIXEL_UM = 0.325


class Watch:
    """Waits for pictures of a dock's Live."""

    def __init__(self, dock: Any) -> None:
        self.dock = dock
        self.stages: list[Stage] = []
        dock.workbench.live.shown.connect(lambda shown: self.stages.append(shown.preview.stage))

    def first_picture_s(self, move: Callable[[], None], *, exact: bool) -> float:
        """Move something, and wait until a picture that shows it is painted."""
        self.stages.clear()
        start = time.perf_counter()
        move()
        while not self.stages or (exact and self.stages[-1] is not Stage.EXACT):
            QApplication.processEvents()
        self.dock.viewer.screenshot(canvas_only=True, flash=False)
        return time.perf_counter() - start


def main() -> None:
    """Move two sliders 50 times each and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="side of the image in pixels")
    parser.add_argument("--model", type=Path, help="a model package; the bundled one if not given")
    settings = parser.parse_args()
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    image = blobs(settings.size)
    viewer.add_image(image, units=("um",) * 2, axis_labels=("y", "x"), scale=(PIXEL_UM,) * 2)
    _, dock = viewer.window.add_plugin_dock_widget("napari-deepz", "Virtual refocusing")
    if settings.model is not None:
        dock.model.add(settings.model)
    dock.workbench.live_switch.value = False
    dock.surface.kind.value = FLAT
    wait(1.0)
    watch = Watch(dock)
    print(f"{settings.size} x {settings.size}, {dock.model.choice.current_choice}")

    def switch_on() -> None:
        dock.workbench.live_switch.value = True

    first_s = watch.first_picture_s(switch_on, exact=False)
    while Stage.EXACT not in watch.stages:
        QApplication.processEvents()
    print(f"Live switched on, model read: first picture after {first_s * 1e3:.0f} ms")
    depths_um, angles = np.linspace(-8, 8, MOVES), np.linspace(-2, 2, MOVES)
    # A model that does all its work for each surface answers with a part, and is exact later.
    slow = load_model(dock.model.package).network.code_channels == 1
    report("focus slider", timed(watch, dock.surface.focus, depths_um, exact=not slow))
    dock.surface.kind.value = TILTED
    wait(1.0)
    report("angle slider", timed(watch, dock.surface.tilt_x, angles, exact=not slow))
    report("the screenshot alone, which is in all of these", [shot(viewer) for _ in range(10)])
    report("one inference without a window, image encoded anew", plain(image, dock.model.package))
    viewer.close()


def timed(watch: Watch, slider: Any, values: np.ndarray, *, exact: bool) -> list[float]:
    """Seconds from each move of a slider to the picture."""

    def move(value: float) -> Callable[[], None]:
        return lambda: setattr(slider, "value", round(float(value), 2))

    return [watch.first_picture_s(move(value), exact=exact) for value in values]


def shot(viewer: Any) -> float:
    """Seconds for painting the canvas and reading it back."""
    start = time.perf_counter()
    viewer.screenshot(canvas_only=True, flash=False)
    return time.perf_counter() - start


def plain(image: np.ndarray, package: Path) -> list[float]:
    """Seconds of a few runs onto one plane."""
    model, seconds = load_model(package), []
    for _ in range(4):
        start = time.perf_counter()
        EncodedImage(image, model, pixel_size_um=PIXEL_UM).refocus(Flat(3))
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def report(what: str, seconds: list[float]) -> None:
    """Print a line."""
    print(f"{what:52}median {median(seconds) * 1e3:6.0f} ms, worst {max(seconds) * 1e3:6.0f} ms")


if __name__ == "__main__":
    main()

"""How long the dock holds napari's main thread while a stack streams in.

Run it with a display, or under a virtual one: xvfb-run -a python benchmarks/responsiveness.py
"""

from __future__ import annotations

import argparse
import inspect
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter

from napari_deepz.widgets.refocusing.runs import Runs
from napari_deepz.widgets.shared.run_state import Phase

BEAT_MS = 5


class Stopwatch:
    """Times of the outermost calls into a class, by name of the method."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._inside = False

    def watch(self, cls: type) -> None:
        """Time every method that the class itself defines, but not the events of Qt."""
        for name, method in vars(cls).copy().items():
            if inspect.isfunction(method) and name not in ("event", "__init__"):
                setattr(cls, name, self._timed(name, method))

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def timed(*arguments: Any, **settings: Any) -> Any:
            if self._inside:
                return method(*arguments, **settings)
            self._inside = True
            start = time.perf_counter()
            try:
                return method(*arguments, **settings)
            finally:
                self.seconds[name].append(time.perf_counter() - start)
                self._inside = False

        return timed


def blobs(size_px: int) -> np.ndarray:
    """A 16-bit image of blurred points."""
    rng = np.random.default_rng(0)
    points = np.zeros((size_px, size_px), np.float32)
    points[tuple(rng.integers(0, size_px, (2, size_px)))] = 20_000
    return (gaussian_filter(points, 2) + 100).astype(np.uint16)


def main() -> None:
    """Stream a stack once and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="side of the image in pixels")
    parser.add_argument("--model", type=Path, help="a model package; the bundled one if not given")
    parser.add_argument("--in-3d", action="store_true", help="show the stack in 3D")
    settings = parser.parse_args()

    watch = Stopwatch()
    watch.watch(Runs)
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    viewer.add_image(
        blobs(settings.size), units=("um", "um"), axis_labels=("y", "x"), scale=(0.325, 0.325)
    )
    _, dock = viewer.window.add_plugin_dock_widget("napari-deepz", "Virtual refocusing")
    if settings.model is not None:
        dock.model.add(settings.model)
    viewer.dims.ndisplay = 3 if settings.in_3d else 2
    wait(1.0)
    watch.seconds.clear()

    start = time.perf_counter()
    dock.refocus()
    beats = [time.perf_counter()]
    heart = QTimer()
    heart.timeout.connect(lambda: beats.append(time.perf_counter()))
    heart.start(BEAT_MS)
    while dock.state.phase is not Phase.IDLE:
        wait(0.02)
    total_s = time.perf_counter() - start
    heart.stop()

    print(f"{settings.size} x {settings.size}, {dock.state.message} {total_s:.2f} s in all")
    print(f"{'call':24}{'count':>7}{'median ms':>11}{'worst ms':>10}")
    for name, seconds in sorted(watch.seconds.items(), key=lambda item: -max(item[1])):
        median_ms, worst_ms = np.median(seconds) * 1e3, max(seconds) * 1e3
        print(f"{name:24}{len(seconds):7}{median_ms:11.1f}{worst_ms:10.1f}")
    print("refocus is the click itself, in which napari adds the layer; the others stream.")
    gap_ms = np.diff(beats).max() * 1e3
    print(f"longest streaming without a heartbeat, drawing by napari included: {gap_ms:.0f} ms")
    viewer.close()


def wait(seconds: float) -> None:
    """Let events be handled."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


if __name__ == "__main__":
    main()

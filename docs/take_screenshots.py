"""Take the pictures of the real window that the documentation shows.

Run it with a display, or under a virtual one: xvfb-run -a python docs/take_screenshots.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

from napari_deepz.samples import TILTED_BEADS_TILT_X_DEG
from napari_deepz.widgets.refocusing import VirtualRefocusing
from napari_deepz.widgets.session import Phase
from napari_deepz.widgets.surfaces.surface_form import TILTED

WINDOW_PX = (1280, 800)
SHOWN_DEPTH_UM = 5.0


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "images")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    take("worm", onto_range, folder / "refocusing.png")
    take("tilted_beads", onto_tilt, folder / "tilted.png")


def onto_range(dock: VirtualRefocusing) -> None:
    """Refocus onto the whole axial range and show one plane of it."""
    run(dock)
    dock.viewer.dims.set_point(0, SHOWN_DEPTH_UM)


def onto_tilt(dock: VirtualRefocusing) -> None:
    """Refocus onto the plane on which the beads lie."""
    dock.surface.kind.value = TILTED
    dock.surface.tilt_x.value = TILTED_BEADS_TILT_X_DEG
    run(dock)


def take(sample: str, work: Callable[[VirtualRefocusing], None], picture: Path) -> None:
    """Open a sample and the dock in a new window, do the work, save what the window shows."""
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW_PX)
    viewer.open_sample("napari-deepz", sample)
    viewer.canvas.overlays.scale_bar.visible = True
    _, dock = viewer.window.add_plugin_dock_widget("napari-deepz", "Virtual refocusing")
    settle()
    work(dock)
    settle()
    viewer.screenshot(str(picture), canvas_only=False, flash=False)
    viewer.close()


def run(dock: VirtualRefocusing) -> None:
    """Press Refocus and wait for the end."""
    dock.panel.refocus.click()
    while dock.state.phase is not Phase.IDLE:
        settle(0.05)


def settle(seconds: float = 1.0) -> None:
    """Let the window draw itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


if __name__ == "__main__":
    main()

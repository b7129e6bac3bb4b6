"""Take a user's way through the dock with data of their own, as numbered pictures to be looked at.

Run it with a display, or under a virtual one: xvfb-run -a python docs/take_journey.py FOLDER
QT_SCALE_FACTOR=2 in front of it shows what a screen of high resolution does.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import tifffile
from napari.settings import get_settings
from PIL import Image
from screenshots.driving import PLUGIN, WINDOW_PX, open_dock, settings_of_its_own, settle, wait

from napari_deepz import read_image
from napari_deepz.samples import TILTED_BEADS, WORM
from napari_deepz.widgets.refocusing.surfaces.surface_form import TILTED

PIXEL_UM, LARGE_PX = 0.325, 2048
HOT = 53_226
"""One hot pixel, as of a real camera."""
LIVE_TAKES_S = 3.0
LARGE_TAKES_S = 12.0


class Journey:
    """A window, and the pictures that are taken of it.

    Parameters
    ----------
    folder : Path
        Gets the pictures.
    data : Path
        Gets the user's files.
    """

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        self.taken = 0
        self.viewer: Any = None
        self.dock: Any = None

    def start(self) -> None:
        """Open napari and the dock, without anything to refocus."""
        if self.viewer is not None:
            self.viewer.close()
        self.viewer = napari.Viewer()
        self.viewer.window.resize(*WINDOW_PX)
        self.dock = open_dock(self.viewer, "Virtual refocusing")
        self.dock.restore_defaults()

    def take(self, name: str, after_s: float = 0.5) -> None:
        """Take a picture of the window."""
        settle(after_s)
        self.taken += 1
        path = self.folder / f"{self.taken:02d}_{name}.png"
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)

    def refocus(self) -> None:
        """Press Refocus and wait."""
        settle(0.5)
        self.dock.panel.refocus.click()
        wait(self.dock)


def without_metadata(way: Journey) -> None:
    """A PNG that says nothing: the pixel size is asked for, and everything works with it."""
    plane = read_image(WORM).plane(z=10).copy()
    plane[20, 200] = HOT
    Image.fromarray(plane).save(way.data / "2026-11-27 adult unc-119 worm 17 before.png")
    way.start()
    way.take("nothing_open")
    way.viewer.open(way.data / "2026-11-27 adult unc-119 worm 17 before.png", plugin="napari")
    way.take("live_asks_for_the_size", LIVE_TAKES_S)
    way.dock.image.sizes.use.native.click()
    way.take("size_entered", LIVE_TAKES_S)
    way.dock.surface.focus.value = 3
    way.take("focus_3_um", LIVE_TAKES_S)
    way.refocus()
    way.take("stack_made")
    way.dock.surface.kind.value = TILTED
    way.dock.surface.tilt_x.value = 4
    way.take("tilt_over_the_result", LIVE_TAKES_S)
    way.dock.view.flip.native.click()
    way.take("flipped_to_the_measured_image")


def first_run(way: Journey) -> None:
    """Three clicks: the sample, the surface, keep."""
    way.start()
    way.dock.facts.sample_buttons[0].native.click()
    way.take("sample", LIVE_TAKES_S)
    way.dock.anchors.find.native.click()
    wait(way.dock)
    way.take("surface_found", LIVE_TAKES_S)
    way.refocus()
    way.take("kept")


def calibrated_stack(way: Journey) -> None:
    """An OME-TIFF that napari's own reader opens, which loses its sizes."""
    stack = read_image(WORM).stack()
    sizes = {"PhysicalSizeX": PIXEL_UM, "PhysicalSizeY": PIXEL_UM, "PhysicalSizeZ": 1.0}
    path = way.data / "calibrated.ome.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX", **sizes})
    way.start()
    way.viewer.open(path, plugin="napari")
    way.viewer.dims.set_point(0, 8)
    way.take("stack_opened_by_napari", LIVE_TAKES_S)
    way.refocus()
    way.take("plane_8_refocused", LIVE_TAKES_S)
    way.viewer.dims.set_point(0, 12)
    way.take("four_um_deeper", LIVE_TAKES_S)
    way.dock.image.axes.uses[0].native.click()
    way.take("plane_12_is_the_input", LIVE_TAKES_S)


def two_images(way: Journey) -> None:
    """Another image is opened: the dock follows it, and its result covers nothing."""
    way.start()
    way.viewer.open(WORM, plugin=PLUGIN)
    way.refocus()
    way.viewer.open(TILTED_BEADS, plugin=PLUGIN)
    way.take("another_image", LIVE_TAKES_S)
    way.refocus()
    way.take("both_refocused")
    way.viewer.layers.selection.active = way.viewer.layers["worm"]
    way.take("back_to_the_first", LIVE_TAKES_S)


def rotated_layer(way: Journey) -> None:
    """An image that was registered to another one."""
    way.start()
    plane = read_image(TILTED_BEADS).plane(z=10)
    way.viewer.add_image(plane, name="turned", scale=(PIXEL_UM,) * 2, units=("um",) * 2, rotate=30)
    way.viewer.reset_view()
    way.refocus()
    way.take("turned_and_refocused")


def large_image(way: Journey) -> None:
    """2048 x 2048 pixels, the size of today's cameras."""
    way.start()
    plane = read_image(WORM).plane(z=10)
    times = LARGE_PX // len(plane)
    large = np.tile(plane, (times, times))
    way.viewer.add_image(large, name="camera", scale=(PIXEL_UM,) * 2, units=("um",) * 2)
    way.viewer.reset_view()
    way.take("a_large_image_is_prepared", 1.0)
    way.take("live_on_a_large_image", LARGE_TAKES_S)
    way.dock.panel.refocus.click()
    way.take("being_refocused", 1.0)
    wait(way.dock)
    way.take("large_image_refocused")


WAYS: tuple[Callable[[Journey], None], ...] = (
    *(first_run, without_metadata, calibrated_stack, two_images, rotated_layer, large_image),
)


def main() -> None:
    """Take all ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--theme", default="dark")
    parser.add_argument("--font-size", type=int)
    wanted = parser.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    with settings_of_its_own(), tempfile.TemporaryDirectory() as data:
        appearance = get_settings().appearance
        appearance.theme = wanted.theme
        if wanted.font_size is not None:
            appearance.font_size = wanted.font_size
        way = Journey(wanted.folder, Path(data))
        for take in WAYS:
            take(way)
        way.viewer.close()
    print(f"{way.taken} pictures in {wanted.folder}")


if __name__ == "__main__":
    main()

"""Take the pictures of the real window that the documentation shows.

Run it with a display, or under a virtual one: xvfb-run -a python docs/take_screenshots.py
"""

from __future__ import annotations

import argparse
import atexit
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from screenshots.driving import (
    click,
    movie_window,
    open_dock,
    reveal,
    save,
    settings_of_its_own,
    settle,
    wait,
    window,
)

from napari_deepz.samples import TILTED_BEADS_TILT_X_DEG
from napari_deepz.widgets.comparing.pair_view import Look
from napari_deepz.widgets.refocusing.surfaces.anchor_surfaces import ALONG
from napari_deepz.widgets.refocusing.surfaces.surface_form import ANCHORS, TILTED
from napari_deepz.widgets.refocusing.view_form import BESIDE

SHOWN_FRAME = 24
CORD_DEPTH_UM, COMPARED_DEPTH_UM = 3.0, 5.0
PIXEL_UM = 0.325
FIRST_PLANE, SECOND_PLANE_UM, BETWEEN_UM = 8, 3.0, 0.5
BEADS = ((31, 23, -3.0), (240, 15, -3.5), (85, 124, 0.0), (194, 159, 1.0), (161, 206, 2.5))
"""Beads of the sample: y and x in pixels, and at which focus in µm their virtual image is sharp."""
CORD = (
    *((30, 59, -0.5), (52, 65, 0.0), (78, 73, 2.5), (108, 84, 3.5)),
    *((174, 117, 3.0), (222, 148, 3.0), (244, 162, 1.5)),
)
"""Places on the worm's nerve cord, in the same way."""
DIM_GAMMA = 0.6
"""Shows what is dim beside bright nuclei; the same for both images."""


def main() -> None:
    """Take all pictures, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PICTURES)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "images")
    wanted = parser.parse_args()
    wanted.output.mkdir(parents=True, exist_ok=True)
    with settings_of_its_own():
        for name in [wanted.only] if wanted.only else PICTURES:
            shown, work = PICTURES[name]
            opened = movie_window(shown) if shown in MOVIE_DOCKS else window(shown)
            with opened as (viewer, dock):
                work(viewer, dock)
                save(viewer, wanted.output / f"{name}.png")


def range_of_planes(viewer: Any, dock: Any) -> None:
    """Refocus onto the whole axial range and show one plane of it."""
    refocus(dock)
    viewer.dims.set_point(0, CORD_DEPTH_UM)


def tilted_plane(viewer: Any, dock: Any) -> None:
    """Refocus onto the plane on which the beads lie."""
    dock.surface.kind.value = TILTED
    dock.surface.tilt_x.value = TILTED_BEADS_TILT_X_DEG
    refocus(dock)


def anchors_being_picked(viewer: Any, dock: Any) -> None:
    """Pick beads with Live on, each at the focus at which it is sharp."""
    pick(viewer, dock, BEADS)
    viewer.scene.camera.zoom *= 0.9
    reveal(dock.workbench.live_widget)


def found_surface(viewer: Any, dock: Any) -> None:
    """Let the surface be found, and show it in 3D."""
    dock.surface.kind.value = ANCHORS
    dock.workbench.mesh_switch.value = True
    dock.anchors.find.native.click()
    wait(dock)
    viewer.dims.ndisplay = 3
    dock.anchors.anchors.layer.text.visible = False
    viewer.layers.selection.active = dock.workbench.mesh.layer
    viewer.scene.camera.set_view_direction((-0.35, -1, 0.1), up_direction=(1, 0, 0))
    viewer.scene.camera.zoom *= 0.75
    reveal(dock.workbench.live_widget)


def line_along_the_cord(viewer: Any, dock: Any) -> None:
    """Pick places along the nerve cord, and refocus onto the surface that follows them."""
    pick(viewer, dock, CORD, form=ALONG)
    dock.anchors.pick.native.click()
    refocus(dock)
    for layer in viewer.layers:
        if isinstance(layer, Image):
            layer.gamma = DIM_GAMMA
    reveal(dock.workbench.live_widget)


def comparison(viewer: Any, dock: Any) -> None:
    """Compare a virtual stack with the one it was taken from."""
    refocus(dock)
    compare = open_dock(viewer, "Compare with measured stack")
    compare.look.value = Look.BESIDE.value
    compare.panel.compare.click()
    wait(compare)
    viewer.dims.set_point(0, COMPARED_DEPTH_UM)


def two_planes(viewer: Any, dock: Any) -> None:
    """Refocus from two planes of the focal stack together."""
    for layer in viewer.layers:
        layer.visible = layer.ndim == 3
    viewer.layers.selection.active = next(layer for layer in viewer.layers if layer.visible)
    dock.review()
    dock.image.axes.boxes[0].value = FIRST_PLANE
    viewer.dims.set_point(0, SECOND_PLANE_UM)
    dock.review()
    dock.image.further.add_shown.native.click()
    refocus(dock)
    viewer.dims.set_point(0, BETWEEN_UM)
    reveal(dock.image.further.widget)


def spread(viewer: Any, dock: Any) -> None:
    """Show beside the focal stack how far what is refocused from two planes may be off."""
    dock.view.choice.value = BESIDE
    two_planes(viewer, dock)
    dock.image.further.spread.value = True
    refocus(dock)
    reveal(dock.image.further.widget)


def exposures(viewer: Any, _: Any) -> None:
    """Plan how many planes are enough for a sample like the worm."""
    plan = open_dock(viewer, "Plan exposures")
    plan.start.click()
    wait(plan)


def movie(viewer: Any, dock: Any) -> None:
    """Make a 3D movie, and look at it while it fills."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    dock.settings.output.value = str(Path(folder) / "neurons 3D.ome.zarr")
    dock.settings.motion.value = "Move frames onto each other"
    dock.make()
    settle(until=lambda: dock.filled is not None and len(dock.filled.times) > SHOWN_FRAME)
    dock.settings.output.value = "neurons 3D.ome.zarr"
    viewer.dims.set_point(1, viewer.dims.range[1].step * SHOWN_FRAME)
    viewer.dims.set_point(0, CORD_DEPTH_UM)


def neurons(viewer: Any, dock: Any) -> None:
    """Find neurons and select two of them."""
    dock.search.follow.value = "Sideways, as a whole"
    dock.panel.start.click()
    wait(dock)
    busy = np.argsort(-dock.found.activity.events.sum(axis=1))[:2]
    dock.select(dock.found.neurons.ids[busy].tolist())
    viewer.dims.set_point(1, viewer.dims.range[1].step * SHOWN_FRAME)
    settle()


def traces(viewer: Any, dock: Any) -> None:
    """Show the traces of two neurons, and the map of all."""
    neurons(viewer, dock)
    dock.order.value = "similar activity"
    reveal(dock.export_button)


def pick(
    viewer: Any, dock: Any, places: Sequence[tuple[float, float, float]], form: str | None = None
) -> None:
    """Set anchors by clicks, in the measured image, with Live on."""
    dock.surface.kind.value = ANCHORS
    if form is not None:
        dock.anchors.form.value = form
    dock.anchors.pick.native.click()
    for y_px, x_px, z_um in places:
        dock.surface.focus.value = z_um
        click(viewer, (y_px * PIXEL_UM, x_px * PIXEL_UM))
    wait(dock)


def refocus(dock: Any) -> None:
    """Press Refocus and wait for the end."""
    dock.panel.refocus.click()
    wait(dock)


MOVIE_DOCKS = ("Movie", "Neurons")
PICTURES: dict[str, tuple[str, Callable[[Any, Any], None]]] = {
    "refocusing": ("worm", range_of_planes),
    "tilted": ("tilted_beads", tilted_plane),
    "anchors": ("tilted_beads", anchors_being_picked),
    "surface": ("tilted_beads", found_surface),
    "worm_line": ("worm", line_along_the_cord),
    "compare": ("worm", comparison),
    "two_planes": ("worm", two_planes),
    "spread": ("worm", spread),
    "plan": ("worm", exposures),
    "movie": ("Movie", movie),
    "neurons": ("Neurons", neurons),
    "traces": ("Neurons", traces),
}


if __name__ == "__main__":
    main()

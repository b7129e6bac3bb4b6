"""What is made of an image covers no other image, and none of what was made of another one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.view_form import OVER
from napari_deepz.widgets.shared.layers import frame_of
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.results import results_in
from napari_deepz.widgets.shared.room_beside import field_of, room_beside_um
from tests.widgets.conftest import PIXEL_UM, add_image, run

UM = {"scale": (PIXEL_UM, PIXEL_UM), "units": ("um", "um")}


def test_alone_there_is_room_right_beside() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((64, 80)), **UM)
    frame = frame_of(layer, View.of(viewer))
    assert room_beside_um(viewer, {layer}, frame, (64, 80)) == frame.beside_um((64, 80))


@pytest.mark.parametrize("places_px", [[90], [90, 180], [180, 90], [300], [70, 1000]])
@pytest.mark.parametrize("angle", [0, 30, 90])
def test_images_to_the_right_are_passed(places_px: list[int], angle: float) -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((64, 80)), rotate=angle, **UM)
    others = [
        viewer.add_image(np.zeros((64, 80)), translate=(0, PIXEL_UM * place), **UM)
        for place in places_px
    ]
    frame = frame_of(layer, View.of(viewer))
    right_um = room_beside_um(viewer, {layer}, frame, (64, 80))
    made = viewer.add_image(np.zeros((64, 80)), **frame.flat(right_um=right_um))
    assert right_um >= frame.beside_um((64, 80)) - 1e-9
    assert not any(field_of(made).overlaps(field_of(other)) for other in [layer, *others])


def test_what_is_hidden_or_lies_elsewhere_takes_no_room() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((64, 80)), **UM)
    viewer.add_image(np.zeros((64, 80)), translate=(0, 30), visible=False, **UM)
    viewer.add_image(np.zeros((64, 80)), translate=(100, 30), **UM)
    frame = frame_of(layer, View.of(viewer))
    assert room_beside_um(viewer, {layer}, frame, (64, 80)) == frame.beside_um((64, 80))


def test_results_of_two_images_do_not_cover_each_other(
    dock: VirtualRefocusing, pixels: np.ndarray, qtbot: Any
) -> None:
    """Both were opened at the same place, as napari does it."""
    run(dock, qtbot)
    add_image(dock, pixels, "other")
    dock.review()
    run(dock, qtbot)
    fields = [field_of(layer) for layer in results_in(dock.viewer)]
    assert len(fields) == 2
    images = [field_of(dock.viewer.layers[name]) for name in ("cells", "other")]
    for one, another in itertools.combinations(fields, 2):
        assert not one.overlaps(another)
    assert not any(one.overlaps(image) for one in fields for image in images)


def test_a_result_over_its_image_stays_there(dock: VirtualRefocusing, qtbot: Any) -> None:
    dock.view.choice.value = OVER
    assert run(dock, qtbot).translate[-1] == 0


def test_former_results_of_an_image_are_hidden(
    dock: VirtualRefocusing, pixels: np.ndarray, qtbot: Any
) -> None:
    first, second = run(dock, qtbot), run(dock, qtbot)
    assert (first.visible, second.visible) == (False, True)
    add_image(dock, pixels, "other")
    dock.review()
    run(dock, qtbot)
    assert second.visible


def test_live_and_the_run_lie_at_the_same_place(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, qtbot: Any
) -> None:
    dock = open_dock()
    add_image(dock, pixels, "cells")
    add_image(dock, pixels, "right of it", translate=(0, 28))
    dock.viewer.layers.selection.active = dock.viewer.layers["cells"]
    dock.review()
    dock.workbench.live_switch.value = True
    qtbot.waitUntil(lambda: dock.workbench.live.target is not None, timeout=20_000)
    live = dock.workbench.live.target
    assert live is not None
    qtbot.waitUntil(lambda: "exact" in dock.workbench.message.text(), timeout=20_000)
    assert run(dock, qtbot).translate[-1] == live.layer.translate[-1] > 28
    dock.workbench.live_switch.value = False

"""One focus: what the sliders say is what is seen, and the canvas says what that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.surface_form import TILTED
from napari_deepz.widgets.refocusing.view_form import OVER
from napari_deepz.widgets.shared.results import results_in
from tests.widgets.conftest import Slowly, add_image, run, set_range, wait_idle


def live(dock: VirtualRefocusing, qtbot: Any) -> Any:
    """Switch Live on, wait for its picture, and give its layer."""
    dock.workbench.live_switch.value = True
    exact(dock, qtbot)
    assert dock.workbench.live.target is not None
    return dock.workbench.live.target.layer


def exact(dock: VirtualRefocusing, qtbot: Any) -> None:
    live = dock.workbench.live
    qtbot.waitUntil(
        lambda: live.is_idle and "exact" in dock.workbench.message.text(), timeout=20_000
    )


@pytest.fixture(autouse=True)
def _live_off(dock: VirtualRefocusing) -> Any:
    yield
    dock.workbench.live_switch.value = False


def canvas(dock: VirtualRefocusing) -> str:
    overlay = dock.viewer.canvas.overlays.text
    return str(overlay.text) if overlay.visible else ""


def test_the_focus_moves_the_slider_and_the_slider_the_focus(
    dock: VirtualRefocusing, qtbot: Any
) -> None:
    run(dock, qtbot)
    dock.surface.focus.value = 3
    assert dock.viewer.dims.point[0] == 3
    dock.viewer.dims.set_point(0, -2)
    qtbot.waitUntil(lambda: dock.surface.focus.value == -2, timeout=2000)


def test_a_focus_between_two_planes_stays_where_it_is(dock: VirtualRefocusing, qtbot: Any) -> None:
    run(dock, qtbot)
    dock.surface.focus.value = 2.4
    assert dock.surface.focus.value == 2.4
    dock.review()
    assert dock.surface.focus.value == 2.4


def test_the_slider_of_a_measured_stack_moves_the_focus_of_live(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, qtbot: Any
) -> None:
    dock = open_dock()
    add_image(dock, np.stack([pixels] * 9))
    set_range(dock, -4, 4, 1)
    dock.viewer.dims.set_point(0, 5)
    dock.review()
    live(dock, qtbot)
    dock.viewer.dims.set_point(0, 7)
    qtbot.waitUntil(lambda: dock.surface.focus.value == 2, timeout=2000)
    dock.surface.focus.value = -1
    assert dock.viewer.dims.point[0] == 4
    assert dock.image.axes.boxes[0].value == 5
    dock.workbench.live_switch.value = False


def test_live_gives_way_to_a_result_that_shows_the_same(
    dock: VirtualRefocusing, qtbot: Any
) -> None:
    picture = live(dock, qtbot)
    assert picture.visible
    result = run(dock, qtbot)
    exact(dock, qtbot)
    assert (picture.visible, result.visible) == (False, True)
    dock.surface.focus.value = 2.4
    exact(dock, qtbot)
    assert picture.visible
    layers = dock.viewer.layers
    assert layers.index(picture) > layers.index(result)
    dock.surface.focus.value = 3
    exact(dock, qtbot)
    assert not picture.visible


def test_live_is_seen_until_the_result_is_there(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly
) -> None:
    picture = live(dock, qtbot)
    dock.panel.refocus.click()
    layers, result = dock.viewer.layers, results_in(dock.viewer)[-1]
    assert picture.visible
    assert layers.index(picture) > layers.index(result)
    wait_idle(dock, qtbot)
    exact(dock, qtbot)
    assert (picture.visible, result.visible) == (False, True)


def test_live_does_not_give_way_to_a_result_of_other_pixels(
    dock: VirtualRefocusing, qtbot: Any
) -> None:
    picture = live(dock, qtbot)
    run(dock, qtbot)
    exact(dock, qtbot)
    assert not picture.visible
    image = dock.image.layer
    assert image is not None
    image.data = image.data[::-1].copy()
    qtbot.waitUntil(lambda: picture.visible, timeout=20_000)
    run(dock, qtbot)
    qtbot.waitUntil(lambda: not picture.visible, timeout=20_000)


def test_another_surface_is_seen_over_a_result(dock: VirtualRefocusing, qtbot: Any) -> None:
    """With Live on, Refocus and then Tilt the canvas did not change."""
    picture = live(dock, qtbot)
    result = run(dock, qtbot)
    dock.surface.kind.value = TILTED
    dock.surface.tilt_x.value = 4
    exact(dock, qtbot)
    layers = dock.viewer.layers
    assert picture.visible
    assert layers.index(picture) > layers.index(result)


@pytest.mark.window
def test_the_canvas_says_what_is_seen(dock: VirtualRefocusing, qtbot: Any) -> None:
    def says(text: str) -> None:
        qtbot.waitUntil(lambda: canvas(dock) == text, timeout=5000)

    assert canvas(dock) == ""
    picture = live(dock, qtbot)
    says("INFERRED (right)\n+0 µm, live\nfrom cells")
    run(dock, qtbot)
    exact(dock, qtbot)
    assert not picture.visible
    says("INFERRED (right)\n+0 µm\nfrom cells")
    dock.viewer.dims.set_point(0, 3)
    says("INFERRED (right)\n+3 µm\nfrom cells")
    dock.view.choice.value = OVER
    says("INFERRED (over the image)\n+3 µm\nfrom cells")
    dock.workbench.close()
    says("")
    dock.workbench.awake = True
    dock.review()
    says("INFERRED (over the image)\n+3 µm\nfrom cells")
    dock.workbench.live_switch.value = False
    dock.viewer.layers.remove(results_in(dock.viewer)[-1])
    says("")


def test_a_text_of_the_users_own_stays(dock: VirtualRefocusing, qtbot: Any) -> None:
    overlay = dock.viewer.canvas.overlays.text
    overlay.text, overlay.visible = "day 4", True
    run(dock, qtbot)
    qtbot.wait(50)
    assert canvas(dock) == "day 4"


def test_the_focus_returns_to_a_place_where_it_has_been(
    dock: VirtualRefocusing, qtbot: Any
) -> None:
    run(dock, qtbot)
    dock.surface.focus.value = 3
    for depth in (1, 3):
        dock.viewer.dims.set_point(0, depth)
        qtbot.waitUntil(lambda depth=depth: dock.surface.focus.value == depth, timeout=2000)

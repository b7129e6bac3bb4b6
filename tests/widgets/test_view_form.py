"""What is measured and what is inferred, side by side, over each other, or one at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from napari._qt.containers.qt_layer_model import QtLayerListModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_deepz.models.package import Model
from napari_deepz.provenance import Provenance
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.view_form import LINKED, OVER
from napari_deepz.widgets.shared.layer_files import DIFFERENCE, PROVENANCE
from napari_deepz.widgets.shared.results import LIVE, record_of, results_in
from tests.widgets.canvas import canvas_of
from tests.widgets.conftest import PIXEL_UM, add_image, run, set_range, wait_idle


@pytest.fixture
def dock(dock: VirtualRefocusing) -> VirtualRefocusing:
    dock.view.choice.value = LINKED
    return dock


def settle() -> None:
    """Let the timers that wait for napari go off."""
    for _ in range(3):
        QApplication.processEvents()


def panes(viewer: Any) -> list[set[str]]:
    """Names of what is seen in each pane, from left to right."""
    settle()
    grid, layers = viewer.canvas.grid, viewer.layers
    if not grid.enabled:
        return [{layer.name for layer in layers if layer.visible}]
    return [{layers[at].name for at in inside} - hidden(viewer) for inside in inside_of(viewer)]


def inside_of(viewer: Any) -> list[tuple[int, ...]]:
    return [inside for _, inside in viewer.canvas.grid.iter_viewboxes(viewer.layers)]


def hidden(viewer: Any) -> set[str]:
    return {layer.name for layer in viewer.layers if not layer.visible}


def live_on(dock: VirtualRefocusing, qtbot: Any, focus_um: float) -> None:
    dock.workbench.live_switch.value = True
    dock.surface.focus.value = focus_um
    qtbot.waitUntil(
        lambda: (
            dock.workbench.live.is_idle
            and f"{focus_um:+g} µm, exact" in dock.workbench.message.text()
        ),
        timeout=20_000,
    )
    settle()


def test_an_image_alone_fills_the_canvas(dock: VirtualRefocusing) -> None:
    assert panes(dock.viewer) == [{"cells"}]
    assert not dock.view.flip.enabled


def test_a_result_stands_beside_its_image_at_the_same_place(
    dock: VirtualRefocusing, qtbot: Any
) -> None:
    layer = run(dock, qtbot)
    assert panes(dock.viewer) == [{"cells"}, {"cells (virtual)"}]
    np.testing.assert_allclose(layer.translate[-2:], dock.viewer.layers["cells"].translate)
    assert dock.viewer.canvas.grid.shape == (1, -1)


def test_there_are_two_panes_whatever_is_shown_of_the_inferred(
    dock: VirtualRefocusing, qtbot: Any
) -> None:
    run(dock, qtbot)
    live_on(dock, qtbot, 0.3)  # Between two planes of the stack.
    assert panes(dock.viewer) == [{"cells"}, {"cells (live)"}]
    live_on(dock, qtbot, 1)
    qtbot.waitUntil(lambda: panes(dock.viewer) == [{"cells"}, {"cells (virtual)"}])
    overlay = dock.viewer.canvas.overlays.text
    said = "INFERRED (right)\n+1 µm\nfrom cells"
    qtbot.waitUntil(lambda: overlay.text == said, timeout=2000)
    dock.workbench.live_switch.value = False
    assert panes(dock.viewer) == [{"cells"}, {"cells (virtual)"}]
    run(dock, qtbot)
    assert panes(dock.viewer) == [{"cells"}, {"cells (virtual) [1]"}]


def test_the_canvas_names_the_measured_plane_beside_which_it_is(
    dock: VirtualRefocusing, rng: np.random.Generator, qtbot: Any
) -> None:
    stack = rng.integers(100, 4000, (9, 64, 80), dtype=np.uint16)
    dock.image.choice.value = add_image(dock, stack, "stack")
    dock.viewer.dims.set_point(0, 4)
    live_on(dock, qtbot, 0)
    said = dock.viewer.canvas.overlays.text
    qtbot.waitUntil(lambda: said.text == "INFERRED (right)\n+0 µm, live\nfrom stack, z 4")
    picture = dock.workbench.live.target.layer
    assert picture.name == "stack z 4 (live)"
    run(dock, qtbot)
    dock.viewer.dims.set_point(0, 6)
    moved = "INFERRED (right)\n+2 µm\nfrom stack, z 4\nmeasured (left): z 6"
    qtbot.waitUntil(lambda: said.text == moved)
    dock.image.axes.take(0, 6)
    qtbot.waitUntil(lambda: picture.name == "stack z 6 (live)")


def test_a_difference_has_the_right_pane_for_itself(
    dock: VirtualRefocusing, rng: np.random.Generator, qtbot: Any
) -> None:
    run(dock, qtbot)
    record = record_of(results_in(dock.viewer)[0])
    assert record is not None
    about = {DIFFERENCE: "one minus the other", PROVENANCE: record.provenance.to_json()}
    pixels = rng.normal(size=(3, 64, 80)).astype(np.float32)
    difference = add_image(dock, pixels, "Difference", metadata=about)
    dock.reset_choices()
    dock.workbench.follow()
    qtbot.waitUntil(lambda: panes(dock.viewer) == [{"cells"}, {"Difference"}])
    difference.visible = False
    dock.workbench.follow()
    qtbot.waitUntil(lambda: panes(dock.viewer) == [{"cells"}, {"cells (virtual)"}])


def test_a_stack_that_gave_way_to_live_comes_back_with_it(
    dock: VirtualRefocusing, qtbot: Any
) -> None:
    layer = run(dock, qtbot)
    live_on(dock, qtbot, 0.3)
    assert not layer.visible
    dock.workbench.live_switch.value = False
    settle()
    assert layer.visible


def test_anchors_and_the_surface_lie_over_the_measured_image(
    dock: VirtualRefocusing, qtbot: Any
) -> None:
    dock.surface.kind.value = "Through anchors"
    dock.anchors.anchors.replace([(0, 0, 0), (0, 20, 1), (15, 0, -1)])
    dock.workbench.mesh_switch.value = True
    dock.workbench.live_switch.value = True
    qtbot.waitUntil(lambda: "exact" in dock.workbench.message.text(), timeout=20_000)
    measured, inferred = panes(dock.viewer)
    assert measured == {"cells", "Anchors", "Surface (µm)"}
    assert inferred == {"cells (live)"}


def test_the_image_that_is_refocused_is_seen_beside_what_is_made_of_it(
    dock: VirtualRefocusing, pixels: np.ndarray, qtbot: Any
) -> None:
    run(dock, qtbot)
    second = add_image(dock, pixels[::-1], name="second")
    dock.viewer.layers.selection.active = second
    settle()
    run(dock, qtbot)
    assert panes(dock.viewer) == [{"second", "cells"}, {"second (virtual)"}]
    names = [layer.name for layer in dock.viewer.layers]
    assert names.index("cells") < names.index("second")  # It is covered, as always in napari.
    dock.viewer.layers.selection.active = dock.viewer.layers["cells"]
    assert panes(dock.viewer) == [{"cells"}, {"cells (virtual)"}]
    dock.view.choice.value = OVER
    assert panes(dock.viewer) == [{"cells", "second", "cells (virtual)", "second (virtual)"}]


def test_channels_over_each_other_stay(
    dock: VirtualRefocusing, pixels: np.ndarray, qtbot: Any
) -> None:
    add_image(dock, pixels, name="other channel", blending="additive")
    dock.image.choice.value = dock.viewer.layers["cells"]
    run(dock, qtbot)
    assert panes(dock.viewer)[0] == {"cells", "other channel"}


def test_napari_s_own_button_is_obeyed(dock: VirtualRefocusing, qtbot: Any) -> None:
    run(dock, qtbot)
    settle()
    dock.viewer.canvas.grid.enabled = False
    assert dock.view.choice.value == OVER
    settle()
    assert not dock.viewer.canvas.grid.enabled


def test_the_grid_is_as_before_when_it_is_left(dock: VirtualRefocusing, qtbot: Any) -> None:
    grid = dock.viewer.canvas.grid
    grid.stride, grid.shape = 3, (2, 2)
    run(dock, qtbot)
    assert len(panes(dock.viewer)) == 2
    dock.view.choice.value = OVER
    settle()
    assert (grid.enabled, grid.stride, grid.shape) == (False, 3, (2, 2))


def test_the_last_result_is_deleted(dock: VirtualRefocusing, qtbot: Any) -> None:
    layer = run(dock, qtbot)
    settle()
    dock.viewer.layers.remove(layer)
    assert panes(dock.viewer) == [{"cells"}]
    assert not dock.viewer.canvas.grid.enabled


def test_the_same_contrast_can_be_switched_off(dock: VirtualRefocusing, qtbot: Any) -> None:
    layer = run(dock, qtbot)
    source = dock.viewer.layers["cells"]
    source.contrast_limits = (200, 900)
    assert tuple(layer.contrast_limits) == (200, 900)
    dock.view.same_contrast.value = False
    layer.contrast_limits = (300, 500)
    assert tuple(source.contrast_limits) == (200, 900)
    newer = run(dock, qtbot)
    newer.contrast_limits = (10, 20)
    assert tuple(source.contrast_limits) == (200, 900)
    dock.view.same_contrast.value = True
    assert tuple(newer.contrast_limits) == (200, 900)
    newer.contrast_limits = (250, 950)
    assert tuple(source.contrast_limits) == (250, 950)


def test_the_contrast_is_the_same_again_with_its_gamma(dock: VirtualRefocusing, qtbot: Any) -> None:
    layer = run(dock, qtbot)
    dock.view.same_contrast.value = False
    layer.gamma = 0.5
    dock.view.same_contrast.value = True
    assert layer.gamma == dock.viewer.layers["cells"].gamma == 1


def test_each_time_shows_its_own_result(
    dock: VirtualRefocusing, rng: np.random.Generator, qtbot: Any
) -> None:
    data = rng.integers(100, 4000, (3, 64, 80), dtype=np.uint16)
    movie = add_image(dock, data, "movie", axis_labels=("t", "y", "x"), units=("s", "um", "um"))
    dock.image.choice.value = movie
    t_axis = 0
    for t in range(3):
        dock.viewer.dims.set_point(t_axis, t)
        dock.review()
        run(dock, qtbot)
        t_axis = 1  # The axis z comes before it.
    for t in (0, 1, 2, 1):
        dock.viewer.dims.set_point(1, t)
        seen = [{"cells", "movie"}, {f"movie t {t} (virtual)"}]
        qtbot.waitUntil(lambda seen=seen: panes(dock.viewer)[-2:] == seen, timeout=2000)
    said = dock.viewer.canvas.overlays.text.text
    assert said == "INFERRED (right)\n+0 µm\nfrom movie, t 1"


def test_a_saved_stack_that_is_opened_stays_to_be_seen(
    dock: VirtualRefocusing, pixels: np.ndarray, qtbot: Any
) -> None:
    record = Provenance(kind="inferred", model_name="tiny").to_json()
    opened = add_image(
        dock, np.stack([pixels] * 3).astype(np.float32), "opened", metadata={PROVENANCE: record}
    )
    dock.image.choice.value = dock.viewer.layers["cells"]
    settle()
    assert opened.visible
    assert not dock.viewer.canvas.grid.enabled  # Nothing is made of the chosen image yet.
    run(dock, qtbot)
    settle()
    assert opened.visible


def test_an_image_comes_back_when_it_covers_nothing_any_more(
    dock: VirtualRefocusing, pixels: np.ndarray, qtbot: Any
) -> None:
    run(dock, qtbot)
    above = add_image(dock, pixels, "above")
    far = add_image(dock, pixels, "far", translate=(1000, 1000))
    for layer, seen in ((dock.viewer.layers["cells"], False), (far, True)):
        dock.image.choice.value = layer
        settle()
        assert above.visible == seen


def test_the_user_s_own_grid_stays(dock: VirtualRefocusing, qtbot: Any) -> None:
    grid = dock.viewer.canvas.grid
    grid.enabled = True
    dock.workbench.follow()
    settle()
    assert grid.enabled  # There is nothing inferred yet.
    run(dock, qtbot)
    assert len(panes(dock.viewer)) == 2
    dock.view.choice.value = OVER
    settle()
    assert grid.enabled


def test_a_second_plane_that_is_kept_is_seen(dock: VirtualRefocusing, qtbot: Any) -> None:
    for focus_um in (2, 4):
        dock.surface.focus.value = focus_um
        dock.panel.keep.click()
        wait_idle(dock, qtbot)
        newest = results_in(dock.viewer)[-1]
        assert newest.visible
        assert dock.viewer.dims.point[0] == focus_um
        text = f"INFERRED (right)\n{focus_um:+g} µm\nfrom cells"
        qtbot.waitUntil(lambda text=text: dock.viewer.canvas.overlays.text.text == text)


def test_live_does_not_come_over_what_is_flipped(dock: VirtualRefocusing, qtbot: Any) -> None:
    run(dock, qtbot)
    live_on(dock, qtbot, 0.3)
    dock.view.flip_now()
    assert panes(dock.viewer) == [{"cells"}]
    dock.surface.focus.value = 0.4
    qtbot.waitUntil(lambda: "+0.4 µm, exact" in dock.workbench.message.text(), timeout=10_000)
    assert panes(dock.viewer) == [{"cells"}]
    assert dock.viewer.canvas.overlays.text.text == "MEASURED\ncells"


def test_a_setting_that_is_not_flipped_ends_flipping(dock: VirtualRefocusing, qtbot: Any) -> None:
    stack = run(dock, qtbot)
    live_on(dock, qtbot, 0)
    dock.view.flip_now()
    dock.view.flip_now()
    assert panes(dock.viewer) == [{stack.name}]
    dock.viewer.dims.set_point(0, stack.metadata["napari-deepz"].z_um[0])
    qtbot.wait(150)
    assert panes(dock.viewer) == [{stack.name}]  # It has that depth.
    flipped = "INFERRED\n-4 µm\ncells (virtual)"
    qtbot.waitUntil(lambda: dock.viewer.canvas.overlays.text.text == flipped)
    dock.surface.kind.value = "Tilted plane"
    dock.surface.tilt_x.value = 3
    qtbot.waitUntil(lambda: "exact" in dock.workbench.message.text(), timeout=10_000)
    assert dock.workbench.live.target.layer.visible
    assert dock.workbench.live.target.layer.name in set().union(*panes(dock.viewer))
    said = dock.viewer.canvas.overlays.text
    qtbot.waitUntil(lambda: said.text == "INFERRED (right)\non the surface, live\nfrom cells")
    assert dock.view.choice.value == LINKED


def test_live_does_not_come_over_what_is_compared(
    dock: VirtualRefocusing,
    add_dock: Callable[[Any, str], Any],
    rng: np.random.Generator,
    qtbot: Any,
) -> None:
    stack = rng.integers(100, 4000, (9, 64, 80), dtype=np.uint16)
    dock.image.choice.value = add_image(dock, stack, "stack", translate=(-4, 0, 0))
    dock.viewer.dims.set_point(0, 0)
    live_on(dock, qtbot, 0)
    run(dock, qtbot)
    compare = add_dock(dock.viewer, "Compare with measured stack")
    compare.reset_choices()
    compare.review()
    compare.flip()
    compare.flip()
    for depth in (1, 1.3, 2):
        dock.viewer.dims.set_point(0, depth)
        qtbot.wait(150)
        assert panes(dock.viewer) == [{"cells", "stack"}]
    compare.look.value = "As they are"
    compare.close()


def test_a_result_comes_back_when_the_next_run_fails(
    dock: VirtualRefocusing, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = run(dock, qtbot)

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("It cannot be done.")

    monkeypatch.setattr("napari_deepz.widgets.refocusing.refocus_task.load_model", fail)
    run(dock, qtbot)
    assert results_in(dock.viewer) == [layer]
    assert layer.visible


@pytest.mark.window
def test_f_flips_between_both(dock: VirtualRefocusing, qtbot: Any) -> None:
    viewer = dock.viewer
    run(dock, qtbot)
    canvas = canvas_of(viewer)
    for seen, text in (
        ({"cells"}, "MEASURED\ncells"),
        ({"cells (virtual)"}, "INFERRED\n+0 µm\ncells (virtual)"),
        ({"cells"}, "MEASURED\ncells"),
    ):
        QTest.keyClick(canvas, Qt.Key.Key_F)
        assert panes(viewer) == [seen]
        assert viewer.canvas.overlays.text.text == text
    dock.view.choice.value = LINKED
    assert panes(viewer) == [{"cells"}, {"cells (virtual)"}]


@pytest.mark.window
def test_both_panes_are_filled_and_move_as_one(dock: VirtualRefocusing, qtbot: Any) -> None:
    viewer, canvas = dock.viewer, canvas_of(dock.viewer)
    run(dock, qtbot)
    qtbot.wait(300)
    pane_px = (canvas.height(), (canvas.width() - 4) / 2)
    image_px = np.array(dock.image.layer.data.shape) * PIXEL_UM * viewer.scene.camera.zoom
    assert 0.8 < max(image_px / pane_px) <= 1  # Fitted to its pane.
    for zoom in (None, 3 * viewer.scene.camera.zoom):
        if zoom is not None:
            viewer.scene.camera.zoom = zoom
            viewer.scene.camera.center = (0, 5, 5)
            qtbot.wait(100)
        left, right = (half.ravel() for half in halves(viewer, canvas))
        assert np.corrcoef(left, right)[0, 1] > 0.6


def halves(viewer: Any, canvas: Any) -> tuple[np.ndarray, np.ndarray]:
    """What is seen in the left and in the right pane."""
    window = viewer.screenshot(canvas_only=False, flash=False)[..., 0].astype(float)
    at = canvas.mapTo(canvas.window(), QPoint(0, 0))
    seen = window[at.y() : at.y() + canvas.height(), at.x() : at.x() + canvas.width()]
    half = (seen.shape[1] - 4) // 2
    below_the_text = seen[seen.shape[0] // 4 :]
    return below_the_text[:, :half], below_the_text[:, -half:]


@pytest.mark.window
def test_no_layer_is_moved_while_napari_adds_one(dock: VirtualRefocusing, qtbot: Any) -> None:
    """Its layer list does not survive that: napari ends in the middle of painting it."""
    viewer = dock.viewer
    live_on(dock, qtbot, 3)
    log: list[str] = []
    model = canvas_of(viewer).window().findChildren(QtLayerListModel)[0]
    model.rowsAboutToBeInserted.connect(lambda *_: log.append("insert"))
    model.rowsInserted.connect(lambda *_: log.append("inserted"))
    model.rowsAboutToBeMoved.connect(lambda *_: log.append("move"))
    run(dock, qtbot)
    settle()
    assert "insert" in log
    for before, after in pairwise(log):
        assert before != "insert" or after == "inserted", log


@pytest.mark.window
def test_closing_the_dock_leaves_the_grid(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, model: Model, qtbot: Any
) -> None:
    dock = open_dock()
    viewer = dock.viewer
    dock.view.choice.value = LINKED
    add_image(dock, pixels)
    set_range(dock, -1, 1, 1)
    dock.review()
    run(dock, qtbot)
    settle()
    assert viewer.canvas.grid.enabled
    dock.refocus()
    viewer.window.remove_dock_widget(dock.parent())
    qtbot.wait(500)
    assert not viewer.canvas.grid.enabled
    assert not viewer.canvas.overlays.text.visible


def test_live_is_on_by_default_and_says_what_it_does(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, qtbot: Any
) -> None:
    dock = open_dock()
    dock.panel.restore.click()
    assert dock.workbench.live_switch.value
    assert dock.view.choice.value == LINKED
    add_image(dock, np.tile(pixels, (8, 8)))
    qtbot.waitUntil(lambda: dock.workbench.message.text() == "preparing…", timeout=10_000)
    text, said = dock.viewer.canvas.overlays.text, "INFERRED (right)\nbeing prepared\nfrom cells"
    qtbot.waitUntil(lambda: text.text == said, timeout=2000)
    qtbot.waitUntil(lambda: "+0 µm, exact" in dock.workbench.message.text(), timeout=60_000)
    assert any(layer.metadata.get(LIVE) for layer in dock.viewer.layers)
    assert not results_in(dock.viewer)
    wait_idle(dock, qtbot)
    assert PIXEL_UM in dock.viewer.layers["cells"].scale

"""The workbench in a real window: what is set is seen at once, and a surface is found by hand."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QThreadPool
from qtpy.QtTest import QTest

from napari_deepz.engine.preview import Stage
from napari_deepz.engine.refocus import refocus
from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.library import bundled_models, load_model
from napari_deepz.models.package import Model
from napari_deepz.samples import TILTED_BEADS_TILT_X_DEG
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.surfaces.base import Surface
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.anchors import Tool
from napari_deepz.widgets.refocusing.surfaces.surface_form import ANCHORS, TILTED
from napari_deepz.widgets.refocusing.view_form import OVER
from napari_deepz.widgets.shared.results import record_of, results_in
from tests.conftest import write_tiny_model
from tests.widgets.canvas import click
from tests.widgets.conftest import PIXEL_UM, add_image, run, wait_idle


def press(widget: Any) -> None:
    QTest.mouseClick(widget, Qt.LeftButton, pos=widget.rect().center())


def tick(box: Any) -> None:
    """Click the square of a check box, where a person clicks."""
    QTest.mouseClick(box.native, Qt.LeftButton, pos=QPoint(8, box.native.height() // 2))


@pytest.fixture
def live(dock: VirtualRefocusing, qtbot: Any) -> Iterator[Any]:
    """Switch Live on; gives a function that waits for the exact picture and returns its pixels."""
    shown: list[Any] = []
    dock.workbench.live.shown.connect(shown.append)
    tick(dock.workbench.live_switch)
    assert dock.workbench.live_switch.value

    def pixels_on(surface: Surface) -> Any:
        qtbot.waitUntil(
            lambda: (
                bool(shown)
                and shown[-1].preview.stage is Stage.EXACT
                and shown[-1].surface == surface
            ),
            timeout=20_000,
        )
        return dock.viewer.layers["cells (live)"].data

    yield pixels_on
    dock.workbench.rest()
    qtbot.waitUntil(lambda: dock.workbench.live.is_idle, timeout=5000)


def truth(dock: VirtualRefocusing, surface: Surface, model: Any) -> Any:
    source = dock.image.layer
    return refocus(source.data, surface, model, pixel_size_um=PIXEL_UM).data[0]


def test_the_picture_follows_the_focus_slider(
    dock: VirtualRefocusing, live: Any, model: Model
) -> None:
    np.testing.assert_array_equal(live(Flat(0)), truth(dock, Flat(0), model))
    slider = dock.surface.focus.slider
    slider.setFocus()
    for _ in range(3):
        QTest.keyClick(slider, Qt.Key_Right)
    np.testing.assert_array_equal(live(Flat(1.5)), truth(dock, Flat(1.5), model))
    assert "+1.5 µm, exact" in dock.workbench.message.text()


def test_and_the_angle(dock: VirtualRefocusing, live: Any, model: Model) -> None:
    dock.surface.kind.value = TILTED
    slider = dock.surface.tilt_x.slider
    slider.setFocus()
    QTest.keyClick(slider, Qt.Key_Right)
    tilt = Tilted(dock.surface.tilt_x.value, 0)
    assert tilt.tilt_x_deg > 0
    np.testing.assert_array_equal(live(tilt), truth(dock, tilt, model))


def test_live_has_the_pixels_of_the_run(dock: VirtualRefocusing, live: Any, qtbot: Any) -> None:
    dock.surface.kind.value = TILTED
    dock.surface.tilt_y.value = -3
    seen = live(Tilted(0, -3)).copy()
    np.testing.assert_array_equal(run(dock, qtbot).data, seen)


def test_scrolling_through_the_stack_moves_the_focus(
    dock: VirtualRefocusing, live: Any, qtbot: Any, model: Model
) -> None:
    run(dock, qtbot)
    dock.viewer.dims.set_point(0, -2)
    qtbot.waitUntil(lambda: dock.surface.focus.value == -2, timeout=2000)
    np.testing.assert_array_equal(live(Flat(-2)), truth(dock, Flat(-2), model))


@pytest.mark.window
def test_the_live_layer_can_be_deleted_and_so_can_the_image(
    dock: VirtualRefocusing, live: Any, qtbot: Any
) -> None:
    live(Flat(0))
    dock.viewer.layers.remove("cells (live)")
    assert not dock.workbench.live_switch.value
    tick(dock.workbench.live_switch)
    live(Flat(0))
    dock.viewer.layers.remove("cells")
    qtbot.waitUntil(lambda: len(dock.viewer.layers) == 0, timeout=5000)


def test_placement_moves_what_is_live(dock: VirtualRefocusing, live: Any) -> None:
    live(Flat(0))
    layers = dock.viewer.layers
    assert layers["cells (live)"].translate[1] > layers["cells"].extent.world[1, 1]
    dock.view.choice.value = OVER
    np.testing.assert_array_equal(layers["cells (live)"].translate, layers["cells"].translate)


@pytest.mark.window
def test_the_surface_can_be_shown_and_deleted(dock: VirtualRefocusing) -> None:
    tick(dock.workbench.mesh_switch)
    assert "Surface (µm)" in dock.viewer.layers
    dock.viewer.layers.remove("Surface (µm)")
    assert not dock.workbench.mesh_switch.value


def test_dragging_the_surface_moves_the_settings(dock: VirtualRefocusing) -> None:
    dock.surface.kind.value = TILTED
    dock.workbench.mesh.dragged.emit(1.5)
    assert dock.surface.tilt_offset.value == 1.5


@pytest.mark.window
def test_switches_are_remembered(
    open_dock: Callable[..., VirtualRefocusing], make_viewer: Callable[[], Any], pixels: np.ndarray
) -> None:
    viewer = make_viewer()
    first = open_dock(viewer)
    tick(first.workbench.mesh_switch)
    first.view.choice.value = OVER
    viewer.window.remove_dock_widget(first.parent())
    second = open_dock(viewer)
    assert second is not first
    assert second.workbench.mesh_switch.value
    assert second.view.choice.value == OVER
    press(second.panel.restore)
    assert not second.workbench.mesh_switch.value


@pytest.fixture
def on_tilted_beads(
    open_dock: Callable[..., VirtualRefocusing], qtbot: Any
) -> Iterator[Callable[..., VirtualRefocusing]]:
    """The first-run path: one click opens the sample."""
    dock = open_dock()
    dock.model.choice.value = bundled_models()[DEFAULT_MODEL]
    press(dock.facts.sample_buttons[1].native)
    qtbot.waitUntil(lambda: dock.image.layer is not None, timeout=10_000)
    return dock


def rms_from_truth_um(dock: Any, surface: Surface) -> float:
    """How far a surface is from that on which the beads lie, over the whole image."""
    shape = dock.image.layer.data.shape
    true = Tilted(TILTED_BEADS_TILT_X_DEG, 0)
    away_um = surface.dpm(shape, PIXEL_UM) - true.dpm(shape, PIXEL_UM)
    return float(np.sqrt(np.mean(away_um**2)))


@pytest.mark.window
@pytest.mark.slow
def test_a_tilt_is_found_by_clicking_sharp_beads(
    on_tilted_beads: VirtualRefocusing, qtbot: Any
) -> None:
    dock = on_tilted_beads
    model = load_model(DEFAULT_MODEL)
    image = dock.image.layer.data
    stack = refocus(image, Flat(-8, 8, 0.5), model, pixel_size_um=PIXEL_UM).data
    dock.surface.kind.value = ANCHORS
    dock.view.choice.value = OVER
    press(dock.anchors.pick.native)
    assert dock.anchors.anchors.tool == Tool.PICK
    brightest = stack.max(axis=0)
    for rows in (slice(20, 120), slice(136, 236)):
        for columns in (slice(20, 80), slice(100, 160), slice(170, 236)):
            field = brightest[rows, columns]
            y, x = np.unravel_index(field.argmax(), field.shape)
            y, x = y + rows.start, x + columns.start
            window = stack[:, y - 2 : y + 3, x - 2 : x + 3].max(axis=(1, 2))
            dock.surface.focus.value = -8 + 0.5 * float(window.argmax())
            click(dock.viewer, (y * PIXEL_UM, x * PIXEL_UM))
    assert len(dock.anchors.anchors.rows_um()) == 6
    press(dock.anchors.pick.native)
    dock.review()
    run(dock, qtbot)
    (layer,) = results_in(dock.viewer)
    surface = record_of(layer).request.surface
    assert isinstance(surface, Tilted)
    rms_um = rms_from_truth_um(dock, surface)
    print(f"six clicked beads: {rms_um:.2f} µm rms from the true plane")
    assert rms_um < 0.5


@pytest.mark.slow
def test_one_button_finds_the_surface(on_tilted_beads: VirtualRefocusing, qtbot: Any) -> None:
    dock = on_tilted_beads
    dock.surface.kind.value = ANCHORS
    press(dock.anchors.find.native)
    wait_idle(dock, qtbot)
    assert 6 <= len(dock.anchors.anchors.rows_um()) <= 36
    surface = dock.forms.resolved().request.surface
    rms_um = rms_from_truth_um(dock, surface)
    print(f"found: {rms_um:.2f} µm rms from the true plane")
    assert rms_um < 1
    confidence = dock.viewer.layers["Confidence of the focus (0 to 1)"]
    assert not confidence.visible
    assert 0 <= confidence.data.min() < confidence.data.max() <= 1
    press(dock.anchors.undo.native)
    assert len(dock.anchors.anchors.rows_um()) == 0


@pytest.mark.window
def test_three_clicks_lead_to_a_virtual_stack(
    open_dock: Callable[..., VirtualRefocusing], qtbot: Any
) -> None:
    dock = open_dock()  # the first click, in the menu of plugins
    dock.surface.step.value = 10
    press(dock.facts.sample_buttons[0].native)
    qtbot.waitUntil(lambda: dock.image.layer is not None, timeout=10_000)
    qtbot.waitUntil(dock.panel.refocus.isEnabled, timeout=5000)
    press(dock.panel.refocus)
    wait_idle(dock, qtbot)
    assert dock.viewer.layers[-1].data.shape[0] == 3
    assert not dock.facts.sample_buttons[0].native.isVisible()


def test_an_unknown_pixel_size_is_asked_for_and_live_waits(
    dock: VirtualRefocusing, live: Any, rng: np.random.Generator, qtbot: Any
) -> None:
    live(Flat(0))
    bare = add_image(
        dock, rng.integers(0, 99, (40, 50)), "bare", units=("pixel",) * 2, scale=(1, 1)
    )
    dock.image.choice.value = bare
    assert dock.workbench.live.target is None
    dock.image.sizes.pixel_size.value = PIXEL_UM
    press(dock.image.sizes.use.native)
    qtbot.waitUntil(lambda: dock.workbench.live.target is not None, timeout=5000)
    np.testing.assert_array_equal(dock.workbench.live.target.layer.scale, PIXEL_UM)  # type: ignore[attr-defined]


@pytest.fixture
def stack(
    open_dock: Callable[..., VirtualRefocusing], rng: np.random.Generator
) -> tuple[Iterator[Callable[..., VirtualRefocusing]], Any]:
    """The dock with a movie of which the first of three times is shown."""
    dock = open_dock()
    data = rng.integers(100, 4000, (3, 64, 80), dtype=np.uint16)
    layer = add_image(dock, data, axis_labels=("t", "y", "x"), units=("s", "um", "um"))
    dock.viewer.dims.set_point(0, 0)
    return dock, layer


def wait_for_pixels(
    dock: Any,
    qtbot: Any,
    image: Any,
    model: Any,
    surface: Surface = Flat(0),  # noqa: B008
) -> Any:
    """Wait until the live layer has the pixels of a run on an image."""
    expected = refocus(image, surface, model, pixel_size_um=PIXEL_UM).data[0]

    def are_there() -> Any:
        target = dock.workbench.live.target
        return target is not None and np.array_equal(target.layer.data, expected)

    qtbot.waitUntil(are_there, timeout=20_000)
    return dock.workbench.live.target.layer


@pytest.mark.parametrize("shape", [(64, 80), (50, 96)], ids=["same size", "another size"])
def test_live_follows_an_image_whose_data_are_replaced(
    dock: VirtualRefocusing,
    live: Any,
    rng: np.random.Generator,
    qtbot: Any,
    model: Model,
    shape: tuple[int, ...],
) -> None:
    live(Flat(0))
    other = rng.integers(100, 4000, shape, dtype=np.uint16)
    dock.image.layer.data = other
    wait_for_pixels(dock, qtbot, other, model)
    assert dock.workbench.live_switch.value
    assert len(dock.viewer.layers) == 2
    qtbot.waitUntil(lambda: f": {shape[1]} × {shape[0]} pixels" in dock.facts.image.text())


def test_live_follows_an_image_that_is_renamed_and_moved(
    dock: VirtualRefocusing, live: Any, qtbot: Any, model: Model
) -> None:
    live(Flat(0))
    image, shown = dock.image.layer, dock.workbench.live.target.layer
    image.name = "nuclei"
    qtbot.wait(50)
    assert dock.image.layer is image
    assert dock.workbench.live.target.layer is shown
    image.translate = (7, 11)
    qtbot.wait(50)
    layer = wait_for_pixels(dock, qtbot, image.data, model)
    assert layer.translate[0] == 7
    assert layer.translate[1] > image.extent.world[1, 1]
    dock.surface.focus.value = 1
    wait_for_pixels(dock, qtbot, image.data, model, Flat(1))
    assert len(dock.viewer.layers) == 2


def test_live_follows_the_time_that_is_shown(
    stack: tuple[VirtualRefocusing, Any], qtbot: Any, model: Model
) -> None:
    dock, image = stack
    tick(dock.workbench.live_switch)
    layer = wait_for_pixels(dock, qtbot, image.data[0], model)
    dock.viewer.dims.set_point(0, 2)
    assert wait_for_pixels(dock, qtbot, image.data[2], model) is layer
    tick(dock.workbench.live_switch)
    assert list(dock.viewer.layers) == [image]


def test_live_follows_the_frame_of_a_movie_that_is_shown(
    open_dock: Callable[..., VirtualRefocusing], rng: np.random.Generator, qtbot: Any, model: Model
) -> None:
    dock = open_dock()
    movie = rng.integers(100, 4000, (5, 64, 80), dtype=np.uint16)
    image = add_image(dock, movie, axis_labels=("t", "y", "x"), units=("s", "um", "um"))
    dock.viewer.dims.set_point(0, 1)
    tick(dock.workbench.live_switch)
    wait_for_pixels(dock, qtbot, image.data[1], model)
    dock.viewer.dims.set_point(0, 4)
    wait_for_pixels(dock, qtbot, image.data[4], model)
    qtbot.waitUntil(lambda: dock.surface.focus.value == 0, timeout=2000)
    tick(dock.workbench.live_switch)


def test_live_keeps_its_plane_of_a_stack_until_it_is_unpinned(
    open_dock: Callable[..., VirtualRefocusing], rng: np.random.Generator, qtbot: Any, model: Model
) -> None:
    dock = open_dock()
    image = add_image(dock, rng.integers(100, 4000, (5, 64, 80), dtype=np.uint16))
    dock.viewer.dims.set_point(0, 1)
    tick(dock.workbench.live_switch)
    wait_for_pixels(dock, qtbot, image.data[1], model)
    dock.viewer.dims.set_point(0, 4)
    qtbot.waitUntil(lambda: dock.surface.focus.value == 3, timeout=2000)
    dock.review()
    assert dock.image.axes.boxes[0].value == 1
    dock.image.axes.pins[0].value = False
    wait_for_pixels(dock, qtbot, image.data[4], model)
    qtbot.waitUntil(lambda: dock.surface.focus.value == 0, timeout=2000)
    assert dock.image.axes.boxes[0].value == 4
    tick(dock.workbench.live_switch)


def test_an_image_that_is_not_chosen_any_more_is_not_followed(
    dock: VirtualRefocusing, live: Any, rng: np.random.Generator, qtbot: Any
) -> None:
    live(Flat(0))
    before = dock.image.layer
    dock.image.choice.value = add_image(dock, rng.integers(0, 99, (64, 80)), "other")
    asked = []
    dock.workbench.image_changed.connect(lambda: asked.append(1))
    before.data = before.data[::-1]
    qtbot.wait(50)
    assert asked == []


@pytest.mark.window
def test_live_in_3d(dock: VirtualRefocusing, live: Any, qtbot: Any, model: Model) -> None:
    dock.viewer.dims.ndisplay = 3
    dock.surface.focus.value = 2
    np.testing.assert_array_equal(live(Flat(2)), truth(dock, Flat(2), model))


def test_live_keeps_the_tool_that_picks_anchors(dock: VirtualRefocusing, qtbot: Any) -> None:
    dock.surface.kind.value = ANCHORS
    press(dock.anchors.pick.native)
    tick(dock.workbench.live_switch)
    assert dock.anchors.anchors.tool == Tool.PICK
    qtbot.waitUntil(lambda: "exact" in dock.workbench.message.text(), timeout=20_000)
    names = [layer.name for layer in dock.viewer.layers]
    assert sorted(names) == ["Anchors", "cells", "cells (live)"]
    dock.workbench.live_switch.value = False


def test_another_model_is_seen(
    dock: VirtualRefocusing, live: Any, qtbot: Any, tmp_path: Path
) -> None:
    live(Flat(0))
    for base in (6, 8):
        folder = tmp_path / "another"
        shutil.rmtree(folder, ignore_errors=True)
        write_tiny_model(
            folder, name="another", parameters={"base": base, "levels": 2, "planes": 41}
        )
        dock.model.add(folder)
        wait_for_pixels(dock, qtbot, dock.image.layer.data, load_model(folder))


def test_a_model_that_is_deleted_is_told_where_live_is(
    dock: VirtualRefocusing, live: Any, model: Model
) -> None:
    live(Flat(0))
    (model.source / "model.json").unlink()
    dock.surface.focus.value = 1
    assert dock.workbench.message.text() == "Open a model first."
    assert [layer.name for layer in dock.viewer.layers] == ["cells"]
    assert dock.workbench.live_switch.value


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_live_and_the_runs_encode_an_image_once(
    dock: VirtualRefocusing, live: Any, qtbot: Any, precision: str
) -> None:
    dock.compute.precision.value = precision
    live(Flat(0))
    kept = dock.workbench.live._work._encoding._kept
    run(dock, qtbot)
    assert dock.workbench.live._work._encoding._kept is kept


def test_live_says_what_it_waits_for(
    open_dock: Callable[..., VirtualRefocusing], rng: np.random.Generator, qtbot: Any, model: Model
) -> None:
    dock = open_dock()
    tick(dock.workbench.live_switch)
    assert not dock.workbench.message.isVisible()
    bare = dock.viewer.add_image(rng.integers(0, 99, (64, 80)), name="bare")
    assert dock.workbench.message.text() == (
        "The pixel size of the image is not known: enter it below its name."
    )
    dock.image.sizes.pixel_size.value = PIXEL_UM
    press(dock.image.sizes.use.native)
    wait_for_pixels(dock, qtbot, bare.data, model)
    tick(dock.workbench.live_switch)


def test_refocus_while_live_works(
    dock: VirtualRefocusing, live: Any, qtbot: Any, model: Model
) -> None:
    dock.surface.focus.value = 3
    assert not dock.workbench.live.is_idle
    result = run(dock, qtbot)
    expected = refocus(dock.image.layer.data, Flat(-4, 4, 1), model, pixel_size_um=PIXEL_UM).data
    np.testing.assert_array_equal(result.data, expected)
    dock.surface.focus.value = -1
    np.testing.assert_array_equal(live(Flat(-1)), expected[3])


@pytest.mark.window
def test_a_closed_dock_leaves_nothing_behind(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, qtbot: Any
) -> None:
    dock = open_dock()
    image = add_image(dock, pixels)
    viewer = dock.viewer
    for switch in (dock.workbench.live_switch, dock.workbench.mesh_switch):
        tick(switch)
    live = dock.workbench.live
    qtbot.waitUntil(lambda: live.is_idle, timeout=10_000)
    assert len(viewer.layers) == 3
    viewer.window.remove_dock_widget(dock)
    assert list(viewer.layers) == [image]
    dock.surface.focus.value = 1
    image.data = image.data[::-1]
    qtbot.wait(100)
    assert list(viewer.layers) == [image]
    del dock, switch
    gc.collect()


@pytest.mark.window
def test_of_two_docks_one_is_closed(
    dock: VirtualRefocusing, live: Any, qtbot: Any, model: Model
) -> None:
    live(Flat(0))
    viewer, image = dock.viewer, dock.image.layer
    other = VirtualRefocusing(viewer)
    viewer.window.add_dock_widget(other)
    other.model.add(model.source)
    other.workbench.live_switch.value = True
    other.surface.focus.value = 2
    wait_for_pixels(other, qtbot, image.data, model, Flat(2))
    wait_for_pixels(dock, qtbot, image.data, model, Flat(0))
    kept = dock.workbench.live.target.layer
    assert len(viewer.layers) == 3
    viewer.window.remove_dock_widget(other)
    assert list(viewer.layers) == [image, kept]
    dock.surface.focus.value = 3
    np.testing.assert_array_equal(live(Flat(3)), truth(dock, Flat(3), model))
    del other
    gc.collect()


@pytest.mark.window
def test_the_viewer_is_closed_while_live_works(dock: VirtualRefocusing, qtbot: Any) -> None:
    dock.workbench.live_switch.value = True
    assert not dock.workbench.live.is_idle
    dock.viewer.close()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=5000)


def test_a_slow_model_shows_a_part_first_and_its_planes_are_kept(
    dock: VirtualRefocusing, live: Any, qtbot: Any, tmp_path: Path
) -> None:
    package = write_tiny_model(
        tmp_path / "slow",
        name="slow",
        architecture="deepz-unet",
        parameters={"base": 4, "levels": 3},
    )
    live(Flat(0))
    stages = []
    dock.workbench.live.shown.connect(lambda shown: stages.append(shown.preview.stage))
    image = dock.image.layer
    large = np.tile(image.data, (4, 4))
    image.data = large
    dock.model.add(package)
    slow = load_model(package)
    wait_for_pixels(dock, qtbot, large, slow)
    del stages[:]
    dock.surface.focus.value = 2
    wait_for_pixels(dock, qtbot, large, slow, Flat(2))
    assert stages == [Stage.PART, Stage.EXACT]
    text = dock.workbench.message.text()
    assert "+2 µm, exact" in text
    assert "2 planes kept, 0.7 of 500 MB" in dock.workbench.message.toolTip()
    del stages[:]
    dock.surface.focus.value = 0
    wait_for_pixels(dock, qtbot, large, slow)
    assert stages == [Stage.EXACT]

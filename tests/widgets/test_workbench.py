"""The workbench in a real window: what is set is seen at once, and a surface is found by hand."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_deepz.engine.preview import Stage
from napari_deepz.engine.refocus import refocus
from napari_deepz.generators import DEFAULT_MODEL
from napari_deepz.generators.library import bundled_models, load_model
from napari_deepz.samples import TILTED_BEADS_TILT_X_DEG
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.widgets.refocusing import OVER
from napari_deepz.widgets.results import record_of, results_in
from napari_deepz.widgets.surfaces.anchors import Tool
from napari_deepz.widgets.surfaces.surface_form import ANCHORS, TILTED
from tests.widgets.canvas import click
from tests.widgets.conftest import PIXEL_UM, add_image, run, wait_idle

pytestmark = pytest.mark.filterwarnings("ignore::napari_deepz.engine.refocus.RefocusWarning")


def press(widget):
    QTest.mouseClick(widget, Qt.LeftButton, pos=widget.rect().center())


def tick(box):
    """Click the square of a check box, where a person clicks."""
    QTest.mouseClick(box.native, Qt.LeftButton, pos=QPoint(8, box.native.height() // 2))


@pytest.fixture
def live(dock, qtbot):
    """Switch Live on; gives a function that waits for the exact picture and returns its pixels."""
    shown = []
    dock.workbench.live.shown.connect(shown.append)
    tick(dock.workbench.live_switch)
    assert dock.workbench.live_switch.value

    def pixels_on(surface):
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


def truth(dock, surface, model):
    source = dock.image.layer
    return refocus(source.data, surface, model, pixel_size_um=PIXEL_UM).data[0]


def test_the_picture_follows_the_focus_slider(dock, live, model):
    np.testing.assert_array_equal(live(Flat(0)), truth(dock, Flat(0), model))
    slider = dock.surface.focus.slider
    slider.setFocus()
    for _ in range(3):
        QTest.keyClick(slider, Qt.Key_Right)
    np.testing.assert_array_equal(live(Flat(1.5)), truth(dock, Flat(1.5), model))
    assert "z = +1.5 µm, exact" in dock.workbench.message.text()


def test_and_the_angle(dock, live, model):
    dock.surface.kind.value = TILTED
    slider = dock.surface.tilt_x.slider
    slider.setFocus()
    QTest.keyClick(slider, Qt.Key_Right)
    np.testing.assert_array_equal(live(Tilted(0.5, 0)), truth(dock, Tilted(0.5, 0), model))


def test_live_has_the_pixels_of_the_run(dock, live, qtbot):
    dock.surface.kind.value = TILTED
    dock.surface.tilt_y.value = -3
    seen = live(Tilted(0, -3)).copy()
    np.testing.assert_array_equal(run(dock, qtbot).data, seen)


def test_scrolling_through_the_stack_moves_the_focus(dock, live, qtbot, model):
    run(dock, qtbot)
    dock.viewer.dims.set_point(0, -2)
    assert dock.surface.focus.value == -2
    np.testing.assert_array_equal(live(Flat(-2)), truth(dock, Flat(-2), model))


def test_the_live_layer_can_be_deleted_and_so_can_the_image(dock, live, qtbot):
    live(Flat(0))
    dock.viewer.layers.remove("cells (live)")
    assert not dock.workbench.live_switch.value
    tick(dock.workbench.live_switch)
    live(Flat(0))
    dock.viewer.layers.remove("cells")
    qtbot.waitUntil(lambda: len(dock.viewer.layers) == 0, timeout=5000)


def test_placement_moves_what_is_live(dock, live):
    live(Flat(0))
    layers = dock.viewer.layers
    assert layers["cells (live)"].translate[1] > layers["cells"].extent.world[1, 1]
    dock.placement.value = OVER
    np.testing.assert_array_equal(layers["cells (live)"].translate, layers["cells"].translate)


def test_the_surface_can_be_shown_and_deleted(dock):
    tick(dock.workbench.mesh_switch)
    assert "Surface (µm)" in dock.viewer.layers
    dock.viewer.layers.remove("Surface (µm)")
    assert not dock.workbench.mesh_switch.value


def test_dragging_the_surface_moves_the_settings(dock):
    dock.surface.kind.value = TILTED
    dock.workbench.mesh.dragged.emit(1.5)
    assert dock.surface.tilt_offset.value == 1.5


def test_switches_are_remembered(open_dock, make_viewer, pixels):
    viewer = make_viewer()
    first = open_dock(viewer)
    tick(first.workbench.mesh_switch)
    first.placement.value = OVER
    viewer.window.remove_dock_widget(first.parent())
    second = open_dock(viewer)
    assert second is not first
    assert second.workbench.mesh_switch.value
    assert second.placement.value == OVER
    press(second.panel.restore)
    assert not second.workbench.mesh_switch.value


@pytest.fixture
def on_tilted_beads(open_dock, qtbot):
    """The first-run path: one click opens the sample."""
    dock = open_dock()
    dock.model.choice.value = bundled_models()[DEFAULT_MODEL]
    press(dock.samples[1].native)
    qtbot.waitUntil(lambda: dock.image.layer is not None, timeout=10_000)
    return dock


def depth_errors_um(dock, surface):
    """How far a surface is from that on which the beads lie, over the whole image."""
    shape = dock.image.layer.data.shape
    true = Tilted(TILTED_BEADS_TILT_X_DEG, 0)
    return surface.dpm(shape, PIXEL_UM) - true.dpm(shape, PIXEL_UM)


@pytest.mark.slow
def test_a_tilt_is_found_by_clicking_sharp_beads(on_tilted_beads, qtbot):
    dock = on_tilted_beads
    model = load_model(DEFAULT_MODEL)
    image = dock.image.layer.data
    stack = refocus(image, Flat(-8, 8, 0.5), model, pixel_size_um=PIXEL_UM).data
    dock.surface.kind.value = ANCHORS
    dock.placement.value = OVER
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
    run(dock, qtbot)
    (layer,) = results_in(dock.viewer)
    surface = record_of(layer).request.surface
    assert isinstance(surface, Tilted)
    errors_um = depth_errors_um(dock, surface)
    assert np.sqrt(np.mean(errors_um**2)) < 0.5


@pytest.mark.slow
def test_one_button_finds_the_surface(on_tilted_beads, qtbot):
    dock = on_tilted_beads
    dock.surface.kind.value = ANCHORS
    press(dock.anchors.find.native)
    wait_idle(dock, qtbot)
    assert 6 <= len(dock.anchors.anchors.rows_um()) <= 36
    surface = dock.surface.surface(dock.image)
    assert np.sqrt(np.mean(depth_errors_um(dock, surface) ** 2)) < 1
    confidence = dock.viewer.layers["Confidence of the focus (0 to 1)"]
    assert not confidence.visible
    assert 0 <= confidence.data.min() < confidence.data.max() <= 1
    press(dock.anchors.undo.native)
    assert len(dock.anchors.anchors.rows_um()) == 0


def test_three_clicks_lead_to_a_virtual_stack(open_dock, qtbot):
    dock = open_dock()  # the first click, in the menu of plugins
    dock.surface.step.value = 10
    press(dock.samples[0].native)
    qtbot.waitUntil(lambda: dock.image.layer is not None, timeout=10_000)
    qtbot.waitUntil(dock.panel.refocus.isEnabled, timeout=5000)
    press(dock.panel.refocus)
    wait_idle(dock, qtbot)
    assert dock.viewer.layers[-1].data.shape[0] == 3
    assert not dock.samples[0].native.isVisible()


def test_an_unknown_pixel_size_is_asked_for_and_live_waits(dock, live, rng, qtbot):
    live(Flat(0))
    bare = add_image(
        dock, rng.integers(0, 99, (40, 50)), "bare", units=("pixel",) * 2, scale=(1, 1)
    )
    dock.image.choice.value = bare
    assert dock.workbench.live.target is None
    dock.image.pixel_size.value = PIXEL_UM
    press(dock.image.write.native)
    qtbot.waitUntil(lambda: dock.workbench.live.target is not None, timeout=5000)
    np.testing.assert_array_equal(dock.workbench.live.target.layer.scale, PIXEL_UM)

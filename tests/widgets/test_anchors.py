"""Anchors in a real viewer, set and changed with mouse and keys on the canvas."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pytest
from napari.layers import Points, Shapes, Vectors
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_deepz.widgets.refocusing.surfaces.anchors import Anchors, Tool
from napari_deepz.widgets.shared.layers import frame_of
from napari_deepz.widgets.shared.placement import View
from tests.widgets.canvas import canvas_of, click, drag, pixel_of, press_key

SHAPE = (200, 240)
PIXEL_UM = 0.5
ORIGIN_UM = np.array([10.0, 20.0])
SHIFT_UM = 125.0
PLACES = ((20.0, 30.0), (80.0, 40.0), (50.0, 100.0))
DEPTHS = (-6.0, 0.5, 8.0)
CTRL, CTRL_SHIFT = Qt.ControlModifier, Qt.ControlModifier | Qt.ShiftModifier


def at(y_um: float, x_um: float) -> Any:
    """Where the measured image shows a place."""
    return ORIGIN_UM + np.array([y_um, x_um])


@dataclass
class Scene:
    """A measured image, its virtual stack beside it, and anchors."""

    viewer: Any
    anchors: Anchors
    shift_um: float = SHIFT_UM

    def world(self, place_um: Any) -> Any:
        """Where the virtual stack shows a place of the image."""
        return ORIGIN_UM + place_um + np.array([0, self.shift_um])

    def click(self, place_um: Any, z_um: Any) -> None:
        self.anchors.depth_um = z_um
        click(self.viewer, self.world(place_um))

    def pick_all(self) -> None:
        self.anchors.tool = Tool.PICK
        for place, z_um in zip(PLACES, DEPTHS, strict=True):
            self.click(place, z_um)

    def drag(self, start_um: Any, end_um: Any) -> None:
        drag(self.viewer, self.world(start_um), self.world(end_um))

    @property
    def tolerance_um(self) -> Any:
        """A pixel of the canvas."""
        return 1 / self.viewer.scene.camera.zoom


def add_scene(viewer: Any, shift_um: Any = SHIFT_UM) -> Scene:
    plane = np.zeros(SHAPE, np.float32)
    yx = {"scale": (PIXEL_UM, PIXEL_UM), "translate": tuple(ORIGIN_UM)}
    image = viewer.add_image(plane, name="cells", units=("um",) * 2, axis_labels=("y", "x"), **yx)
    viewer.add_image(
        np.zeros((9, *SHAPE), np.float32),
        name="virtual",
        units=("um",) * 3,
        axis_labels=("z", "y", "x"),
        scale=(1, PIXEL_UM, PIXEL_UM),
        translate=(-4, ORIGIN_UM[0], ORIGIN_UM[1] + shift_um),
    )
    viewer.reset_view()
    anchors = Anchors(viewer)
    frame = frame_of(image, View.of(viewer))
    anchors.show_at(frame, SHAPE, range_um=(-10, 10), shift_um=shift_um)
    return Scene(viewer, anchors, shift_um)


@pytest.fixture
def scene(make_viewer: Callable[[], Any]) -> Scene:
    return add_scene(make_viewer())


@pytest.fixture
def three(scene: Scene) -> Scene:
    scene.pick_all()
    return scene


def expected(*rows: Any) -> np.ndarray:
    return np.array(rows).reshape(-1, 3)


ALL_ROWS = np.column_stack([PLACES, DEPTHS])


def assert_rows(scene: Any, rows: Any) -> None:
    found = scene.anchors.rows_um()
    assert found.shape == np.shape(rows)
    np.testing.assert_allclose(found, rows, atol=scene.tolerance_um)
    np.testing.assert_array_equal(found[:, 2], np.asarray(rows)[:, 2])
    layer = scene.anchors.layer
    np.testing.assert_array_equal(layer.data, found[:, :2])
    np.testing.assert_array_equal(layer.features["z_um"], found[:, 2])
    texts = [str(text) for text in layer.text.values]
    assert texts[:1] == [f"  {z_um:+z.1f} µm" for z_um in found[:1, 2]]
    assert all(
        text in ("", f"  {z_um:+z.1f} µm") for text, z_um in zip(texts, found[:, 2], strict=True)
    )
    assert_colours(layer, found[:, 2])


def assert_colours(layer: Any, z_um: float) -> None:
    turbo = matplotlib.colormaps["turbo"]((np.asarray(z_um) + 10) / 20)
    np.testing.assert_allclose(layer.border_color, turbo.reshape(-1, 4), atol=0.02)
    assert not np.any(layer.face_color[:, 3])  # The cell that is marked is seen.


def test_there_is_no_layer_before_it_is_needed(scene: Scene) -> None:
    assert scene.anchors.layer is None
    assert scene.anchors.rows_um().shape == (0, 3)
    assert [layer.name for layer in scene.viewer.layers] == ["cells", "virtual"]


@pytest.mark.window
@pytest.mark.parametrize("shift_um", [SHIFT_UM, 0.0])
def test_clicks_set_anchors_at_the_depth_of_the_focus(
    make_viewer: Callable[[], Any], shift_um: Any
) -> None:
    scene = add_scene(make_viewer(), shift_um)
    changes = []
    scene.anchors.changed.connect(lambda: changes.append(len(scene.anchors.rows_um())))
    scene.pick_all()
    assert_rows(scene, ALL_ROWS)
    assert changes == [1, 2, 3]


def test_the_layer_has_units_and_lies_over_the_virtual_image(three: Scene) -> None:
    layer = three.anchors.layer
    assert layer.name == "Anchors"
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    assert layer.axis_labels == ("y", "x")
    np.testing.assert_array_equal(layer.scale, (1, 1))
    np.testing.assert_array_equal(layer.translate, at(0, SHIFT_UM))


@pytest.mark.window
def test_anchors_are_seen_in_their_colour_at_every_z(three: Scene) -> None:
    canvas = canvas_of(three.viewer)
    for z_um in (-4.0, 4.0):
        three.viewer.dims.set_point(0, z_um)
        seen = three.viewer.screenshot(canvas_only=True, flash=False)
        assert seen.shape[:2] == (canvas.height(), canvas.width())
        for place, depth in zip(PLACES[:2], DEPTHS[:2], strict=True):  # the last one is selected
            pixel = pixel_of(three.viewer, three.world(place))
            turbo = np.array(matplotlib.colormaps["turbo"]((depth + 10) / 20))
            rows, columns = (slice(at - 12, at + 13) for at in (pixel.y(), pixel.x()))
            away = np.abs(seen[rows, columns] / 255 - turbo).max(axis=-1)
            assert away.min() < 0.05  # The ring.
            assert away[12, 12] > 0.2  # What is marked can be seen.


def test_a_click_on_the_measured_image_lands_on_the_virtual_one(scene: Scene) -> None:
    scene.anchors.tool = Tool.PICK
    scene.anchors.depth_um = 3.0
    click(scene.viewer, ORIGIN_UM + PLACES[0])
    assert_rows(scene, expected((*PLACES[0], 3.0)))


@pytest.mark.parametrize("world_um", [at(-4, 30), at(50, -4), at(50, 122.5)])
def test_a_click_outside_of_the_image_is_dropped(
    three: Scene, notified: Callable[[], list[tuple[str, str]]], world_um: Any
) -> None:
    click(three.viewer, world_um)
    assert_rows(three, ALL_ROWS)
    assert [text for _, text in notified()] == [
        "An anchor must lie on the image: this place is outside of it."
    ]
    three.anchors.undo()
    assert_rows(three, ALL_ROWS[:2])


@pytest.mark.window
def test_a_drag_is_one_step(three: Scene) -> None:
    three.anchors.tool = Tool.MOVE
    three.drag(PLACES[1], (60, 70))
    moved = expected(ALL_ROWS[0], (60, 70, DEPTHS[1]), ALL_ROWS[2])
    assert_rows(three, moved)
    press_key(three.viewer, Qt.Key_Z, CTRL)
    assert_rows(three, ALL_ROWS)
    press_key(three.viewer, Qt.Key_Z, CTRL_SHIFT)
    assert_rows(three, moved)


def test_an_anchor_that_is_dragged_outside_goes_back(
    three: Scene, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    three.anchors.tool = Tool.MOVE
    three.drag(PLACES[1], (-6, 40))
    assert_rows(three, ALL_ROWS)
    assert len(notified()) == 1


def test_an_anchor_that_is_dragged_to_the_measured_image_stays_on_the_virtual_one(
    three: Scene,
) -> None:
    three.anchors.tool = Tool.MOVE
    drag(three.viewer, three.world(PLACES[1]), at(60, 70))
    assert_rows(three, expected(ALL_ROWS[0], (60, 70, DEPTHS[1]), ALL_ROWS[2]))


@pytest.mark.window
def test_delete_and_undo_by_keys(three: Scene) -> None:
    three.anchors.tool = Tool.MOVE
    click(three.viewer, three.world(PLACES[0]))
    press_key(three.viewer, Qt.Key_Delete)
    assert_rows(three, ALL_ROWS[1:])
    press_key(three.viewer, Qt.Key_Z, CTRL)
    assert_rows(three, ALL_ROWS)
    for _ in range(3):
        press_key(three.viewer, Qt.Key_Z, CTRL)
    assert_rows(three, np.empty((0, 3)))
    press_key(three.viewer, Qt.Key_Z, CTRL)
    press_key(three.viewer, Qt.Key_Z, CTRL_SHIFT)
    assert_rows(three, ALL_ROWS[:1])


def test_a_new_step_ends_what_can_be_done_again(three: Scene) -> None:
    three.anchors.undo()
    three.click((70, 80), 1.0)
    three.anchors.redo()
    assert_rows(three, expected(*ALL_ROWS[:2], (70, 80, 1.0)))


def test_choosing_an_anchor_does_not_change_the_depth_of_the_next(three: Scene) -> None:
    three.anchors.tool = Tool.MOVE
    click(three.viewer, three.world(PLACES[0]))
    three.anchors.tool = Tool.PICK
    click(three.viewer, three.world((70, 80)))
    assert_rows(three, expected(*ALL_ROWS, (70, 80, DEPTHS[2])))


@pytest.mark.window
def test_pasted_anchors_keep_their_depth(three: Scene) -> None:
    three.anchors.layer.selected_data = {0}
    three.anchors.depth_um = 5.0
    press_key(three.viewer, Qt.Key_C, CTRL)
    press_key(three.viewer, Qt.Key_V, CTRL)
    assert_rows(three, expected(*ALL_ROWS, ALL_ROWS[0]))
    three.anchors.undo()
    assert_rows(three, ALL_ROWS)


def test_data_from_outside_get_the_depth_of_the_focus(three: Scene) -> None:
    three.anchors.depth_um = -2.0
    three.anchors.layer.data = np.array([*PLACES, (5.0, 6.0)])
    assert_rows(three, expected(*ALL_ROWS, (5, 6, -2)))
    three.anchors.layer.data = np.array([(7.0, 8.0)])
    assert_rows(three, expected((7, 8, DEPTHS[0])))


def test_features_without_depth_do_not_lose_it(three: Scene) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of napari, that it cannot colour
        three.anchors.layer.features = {"name": ["a", "b", "c"]}
    assert_rows(three, ALL_ROWS)


def test_no_depth_is_written_over_another_and_closer_up_there_are_more(scene: Scene) -> None:
    scene.anchors.replace([(50, 60, 1), (50, 68, 2), (60, 60, 3), (50, 80, 4)])

    def written(zoom: float) -> list[str]:
        scene.viewer.scene.camera.zoom = zoom
        QApplication.processEvents()
        return [str(text).strip() for text in scene.anchors.layer.text.values]

    all_of_them = ["+1.0 µm", "+2.0 µm", "+3.0 µm", "+4.0 µm"]
    assert written(0.1) == [all_of_them[0], "", "", ""]
    assert written(2) == [all_of_them[0], "", all_of_them[2], ""]  # 20 pixels further down.
    assert written(5) == [all_of_them[0], "", all_of_them[2], all_of_them[3]]
    assert written(20) == all_of_them


def test_features_with_other_depths_are_taken_over(three: Scene) -> None:
    three.anchors.layer.features = {"z_um": [-0.04, np.nan, 3.0]}
    assert_rows(three, np.column_stack([PLACES, (-0.04, DEPTHS[1], 3)]))
    assert list(three.anchors.layer.text.values) == ["  +0.0 µm", "  +0.5 µm", "  +3.0 µm"]


def test_a_deleted_layer_can_be_brought_back(three: Scene) -> None:
    changes = []
    three.anchors.changed.connect(lambda: changes.append(len(three.anchors.rows_um())))
    three.anchors.layer.name = "mine"
    three.viewer.layers.remove("mine")
    assert three.anchors.layer is None
    assert three.anchors.tool is Tool.NONE
    assert changes == [0]
    three.anchors.undo()
    assert_rows(three, ALL_ROWS)
    three.viewer.layers.remove(three.anchors.layer)
    three.pick_all()
    assert_rows(three, ALL_ROWS)
    assert sum(isinstance(layer, Points) for layer in three.viewer.layers) == 1


@pytest.mark.window
def test_the_tool_follows_what_the_user_does_in_napari(three: Scene) -> None:
    anchors, viewer = three.anchors, three.viewer
    tools = []
    anchors.tool_changed.connect(lambda: tools.append(anchors.tool))
    press_key(viewer, Qt.Key_3)  # napari's key for choosing points
    assert tools[-1] is Tool.MOVE
    viewer.layers.selection.active = viewer.layers["virtual"]
    assert tools[-1] is anchors.tool is Tool.NONE
    viewer.layers.selection.active = anchors.layer
    assert tools[-1] is Tool.MOVE
    viewer.dims.ndisplay = 3
    assert tools[-1] is anchors.tool is Tool.NONE
    anchors.tool = Tool.PICK
    assert viewer.dims.ndisplay == 2
    assert tools[-1] is anchors.tool is Tool.PICK
    anchors.tool = Tool.NONE
    assert anchors.layer.mode == "pan_zoom"
    click(viewer, three.world((70, 80)))
    assert_rows(three, ALL_ROWS)


def test_without_an_image_the_tools_say_so(
    make_viewer: Callable[[], Any], notified: Callable[[], list[tuple[str, str]]]
) -> None:
    anchors = Anchors(make_viewer())
    anchors.tool = Tool.PICK
    assert anchors.tool is Tool.NONE
    assert [text for _, text in notified()] == ["Open an image first: anchors lie on one."]


@pytest.mark.window
def test_a_drawn_line_becomes_two_anchors(three: Scene) -> None:
    anchors = three.anchors
    anchors.tool = Tool.DRAW
    assert anchors.tool is Tool.DRAW
    anchors.depth_um = 2.5
    three.drag((15, 10), (90, 70))
    assert_rows(three, expected(*ALL_ROWS, (15, 10, 2.5), (90, 70, 2.5)))
    (drawing,) = (layer for layer in three.viewer.layers if isinstance(layer, Shapes))
    assert drawing.nshapes == 0
    assert [str(unit) for unit in drawing.units] == ["micrometer"] * 2
    anchors.depth_um = -1.5
    three.drag((15, 50), (60, 90))
    assert_rows(
        three,
        expected(*ALL_ROWS, (15, 10, 2.5), (90, 70, 2.5), (15, 50, -1.5), (60, 90, -1.5)),
    )
    press_key(three.viewer, Qt.Key_Z, CTRL)
    assert_rows(three, expected(*ALL_ROWS, (15, 10, 2.5), (90, 70, 2.5)))
    anchors.tool = Tool.PICK
    assert not any(isinstance(layer, Shapes) for layer in three.viewer.layers)


def test_a_line_ends_where_the_image_ends(scene: Scene) -> None:
    scene.anchors.tool = Tool.DRAW
    drag(scene.viewer, at(30, 20), at(-3, 53))
    rows = scene.anchors.rows_um()
    np.testing.assert_allclose(rows, [(30, 20, 0), (0, 50, 0)], atol=0.7)


def test_a_click_draws_no_line(scene: Scene) -> None:
    scene.anchors.tool = Tool.DRAW
    click(scene.viewer, scene.world((30, 20)))
    assert scene.anchors.rows_um().shape == (0, 3)


def test_choosing_another_layer_puts_the_line_away(three: Scene) -> None:
    three.anchors.tool = Tool.DRAW
    three.viewer.layers.selection.active = three.viewer.layers["virtual"]
    assert three.anchors.tool is Tool.NONE
    QApplication.processEvents()
    assert [layer.name for layer in three.viewer.layers] == ["cells", "virtual", "Anchors"]
    assert three.viewer.layers.selection.active.name == "virtual"


@pytest.mark.window
def test_deleting_the_layer_for_drawing_puts_the_line_away(scene: Scene) -> None:
    scene.anchors.tool = Tool.DRAW
    scene.viewer.layers.remove("Draw in focus")
    assert scene.anchors.tool is Tool.NONE
    scene.anchors.tool = Tool.DRAW
    scene.drag((15, 10), (90, 70))
    assert len(scene.anchors.rows_um()) == 2


def joining_lines(scene: Any) -> list[Any]:
    QApplication.processEvents()
    return [layer for layer in scene.viewer.layers if isinstance(layer, Vectors)]


def test_a_line_joins_the_anchors_in_their_order(three: Scene) -> None:
    three.anchors.joined = True
    (line,) = joining_lines(three)
    positions = three.anchors.rows_um()[:, :2]
    np.testing.assert_allclose(line.data[:, 0], positions[:-1], atol=1e-4)
    np.testing.assert_allclose(line.data.sum(axis=1), positions[1:], atol=1e-4)
    np.testing.assert_array_equal(line.translate, at(0, SHIFT_UM))
    assert three.anchors.tool is Tool.PICK
    three.click((70, 80), 1.0)
    assert len(line.data) == 3
    three.anchors.replace(ALL_ROWS[:1])
    assert joining_lines(three) == []
    three.anchors.undo()
    assert len(joining_lines(three)) == 1
    three.viewer.layers.remove(three.anchors.layer)
    assert joining_lines(three) == []


@pytest.mark.window
def test_all_layers_can_be_deleted_together(three: Scene) -> None:
    three.anchors.joined = True
    assert len(joining_lines(three)) == 1
    three.anchors.tool = Tool.DRAW
    three.viewer.layers.select_all()
    three.viewer.layers.remove_selected()
    QApplication.processEvents()
    assert len(three.viewer.layers) == 0
    assert three.anchors.rows_um().shape == (0, 3)


def test_hidden_anchors_take_tools_and_line_with_them(three: Scene) -> None:
    three.anchors.joined = True
    three.anchors.visible = False
    assert not three.anchors.layer.visible
    assert three.anchors.tool is Tool.NONE
    assert joining_lines(three) == []
    three.anchors.visible = True
    assert three.anchors.layer.visible
    assert len(joining_lines(three)) == 1


def test_depths_can_be_changed(three: Scene) -> None:
    anchors = three.anchors
    for _ in range(3):
        anchors.shift_z(0.5)
    assert_rows(three, ALL_ROWS + np.array([0, 0, 1.5]))
    anchors.undo()
    assert_rows(three, ALL_ROWS)
    anchors.redo()
    anchors.shift_z(1.0)
    assert_rows(three, ALL_ROWS + np.array([0, 0, 2.5]))
    anchors.undo()
    anchors.undo()
    assert_rows(three, ALL_ROWS)
    anchors.layer.selected_data = {0, 2}
    anchors.set_selected_z(4.0)
    changed = ALL_ROWS.copy()
    changed[[0, 2], 2] = 4.0
    assert_rows(three, changed)
    assert anchors.layer.selected_data == {0, 2}
    anchors.delete_selected()
    assert_rows(three, ALL_ROWS[1:2])
    anchors.clear()
    assert_rows(three, np.empty((0, 3)))


def test_nothing_chosen_is_said(
    three: Scene, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    three.anchors.layer.selected_data = set()
    three.anchors.set_selected_z(4.0)
    three.anchors.delete_selected()
    assert_rows(three, ALL_ROWS)
    assert [text for _, text in notified()] == [
        "Choose anchors first: press Move and click them."
    ] * 2


def test_anchors_follow_the_image_and_the_range_of_depths(three: Scene) -> None:
    frame = frame_of(three.viewer.layers["cells"], View.of(three.viewer))
    three.anchors.joined = True
    three.anchors.show_at(frame, SHAPE, range_um=(-20, 20))
    np.testing.assert_array_equal(three.anchors.layer.translate, ORIGIN_UM)
    np.testing.assert_array_equal(joining_lines(three)[0].translate, ORIGIN_UM)
    turbo = matplotlib.colormaps["turbo"]((np.array(DEPTHS) + 20) / 40)
    np.testing.assert_allclose(three.anchors.layer.border_color, turbo, atol=0.02)


def test_images_that_come_later_lie_below_the_anchors(three: Scene) -> None:
    three.viewer.add_image(
        np.zeros((4, 4)), name="late", units=("um", "um"), axis_labels=("y", "x")
    )
    names = [layer.name for layer in three.viewer.layers]
    assert names == ["cells", "virtual", "late", "Anchors"]


def test_an_image_in_millimetres(make_viewer: Callable[[], Any]) -> None:
    viewer = make_viewer()
    image = viewer.add_image(
        np.zeros(SHAPE, np.float32),
        units=("mm", "mm"),
        axis_labels=("y", "x"),
        scale=(PIXEL_UM / 1000,) * 2,
        translate=tuple(ORIGIN_UM / 1000),
    )
    viewer.reset_view()
    anchors = Anchors(viewer)
    anchors.show_at(frame_of(image, View.of(viewer)), SHAPE, range_um=(-10, 10))
    anchors.tool = Tool.PICK
    unit_um = (1.0 * viewer.layers.units[-1]).m_as("micrometer")
    click(viewer, (ORIGIN_UM + PLACES[0]) / unit_um)
    np.testing.assert_allclose(anchors.rows_um(), [(*PLACES[0], 0)], atol=0.5)

"""The surface in a real viewer: where it lies, how it is coloured, how a hand moves it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_deepz.surfaces import Curved, Flat, Tilted
from napari_deepz.surfaces.base import Surface
from napari_deepz.widgets.refocusing.surfaces.surface_view import NAME, SurfaceView, moved_along
from napari_deepz.widgets.shared.layers import frame_of
from napari_deepz.widgets.shared.placement import Frame, View
from tests.widgets.canvas import canvas_of, pixel_of

PIXEL_UM = 0.5
SHAPE = (61, 81)
RANGE_UM = (-10.0, 10.0)
FRAME = Frame(PIXEL_UM, (100.0, -20.0), 7.0, (), 0)
SLOPE = math.tan(math.radians(45))
MAGENTA = (255, 0, 255)


@pytest.fixture
def viewer(make_viewer: Callable[[], Any]) -> Callable[[], Any]:
    return make_viewer()


@pytest.fixture
def view(viewer: Any) -> SurfaceView:
    return SurfaceView(viewer)


def world_um(layer: Any) -> np.ndarray:
    """Vertices in the world, (N, ndim)."""
    return np.array([layer.data_to_world(vertex) for vertex in layer.data[0]])


def show(
    view: Any, surface: Surface | None = None, axial_range_um: Any = RANGE_UM, **settings: Any
) -> Any:
    surface = surface or Tilted(45, 0, 1)
    view.show(surface, SHAPE, FRAME, axial_range_um, **settings)
    return view.layer


def test_a_tilted_plane_lies_where_geometry_says(viewer: Any, view: SurfaceView) -> None:
    viewer.dims.ndisplay = 3
    layer = show(view)
    z_um, y_um, x_um = world_um(layer).T
    centre_um = FRAME.origin_um[1] + 80 / 2 * PIXEL_UM
    assert z_um == pytest.approx(7 + 1 + SLOPE * (x_um - centre_um), abs=1e-5)
    assert (y_um.min(), y_um.max()) == pytest.approx((100, 130))
    assert (x_um.min(), x_um.max()) == pytest.approx((-20, 20))
    assert layer.data[2] == pytest.approx(z_um - 7, abs=1e-5)
    assert layer.axis_labels == ("z", "y", "x")
    assert {str(unit) for unit in layer.units} == {"micrometer"}


def test_a_flat_range_is_a_rectangle_at_the_shown_depth(viewer: Any, view: SurfaceView) -> None:
    viewer.dims.ndisplay = 3
    layer = show(view, Flat(-5, 5, 0.5), focus_um=-3)
    assert world_um(layer)[:, 0] == pytest.approx([4] * 4)
    assert len(layer.data[1]) == 2


def test_one_layer_is_updated_in_place(viewer: Any, view: SurfaceView) -> None:
    layer = show(view)
    layer.name, layer.opacity = "mine", 0.7
    show(view, Curved(form="sphere", radius_um=100))
    show(view, Flat(0, 5, 1))
    assert list(viewer.layers) == [layer]
    assert (layer.name, layer.opacity) == ("mine", 0.7)


def test_in_2d_the_z_slider_keeps_its_planes(viewer: Any, view: SurfaceView) -> None:
    stack = viewer.add_image(
        np.zeros((5, *SHAPE)),
        units=("um",) * 3,
        axis_labels=("z", "y", "x"),
        scale=(2, PIXEL_UM, PIXEL_UM),
    )
    ranges = tuple(viewer.dims.range)
    frame = frame_of(stack, View.of(viewer))
    view.show(Tilted(45, 0, 30), SHAPE, frame, RANGE_UM)
    assert tuple(viewer.dims.range) == ranges
    viewer.dims.ndisplay = 3
    assert world_um(view.layer)[:, 0].max() > 40
    viewer.dims.ndisplay = 2
    assert tuple(viewer.dims.range) == ranges


def test_it_follows_the_axes_of_a_movie(viewer: Any, view: SurfaceView) -> None:
    movie = viewer.add_image(
        np.zeros((4, *SHAPE)),
        units=("s", "um", "um"),
        axis_labels=("t", "y", "x"),
        scale=(30, PIXEL_UM, PIXEL_UM),
    )
    show(view)
    viewer.dims.set_point(viewer.dims.ndim - 3, 60)
    view.show(Tilted(10, 0, 0), SHAPE, frame_of(movie, View.of(viewer)), RANGE_UM)
    assert [layer.name for layer in viewer.layers] == [movie.name, NAME]
    assert view.layer.axis_labels == ("z", "t", "y", "x")
    assert [str(unit) for unit in view.layer.units] == ["micrometer", "second", *["micrometer"] * 2]
    np.testing.assert_allclose(world_um(view.layer)[:, 1], 60)
    assert viewer.dims.range[1] == (0, 90, 30)


def colours(layer: Any) -> Any:
    low, high = layer.contrast_limits
    return layer.colormap.map((np.asarray(layer.data[2], np.float64) - low) / (high - low))


def test_what_the_model_does_not_know_is_magenta_and_nothing_else(view: SurfaceView) -> None:
    layer = show(view, Tilted(45, 0, 0))
    depths_um = layer.data[2]
    outside = np.abs(depths_um) > 10.0005
    assert 0 < outside.sum() < len(outside)
    marked = np.all(colours(layer) == (1, 0, 1, 1), axis=1)
    np.testing.assert_array_equal(marked, outside)
    assert layer.contrast_limits == pytest.approx(RANGE_UM, abs=2e-3)
    assert layer.colorbar.visible


def test_a_surface_that_ends_where_the_range_does_is_not_marked(view: SurfaceView) -> None:
    marked = np.all(colours(show(view, Flat(-10, 10, 1), focus_um=10)) == (1, 0, 1, 1), axis=1)
    assert not marked.any()


def test_without_a_model_the_scale_reaches_as_far_as_the_surface(view: SurfaceView) -> None:
    layer = show(view, Tilted(45, 0, 0), axial_range_um=None)
    assert layer.contrast_limits == pytest.approx((-20, 20), abs=1e-4)
    assert layer.colormap.high_color is None
    show(view, Tilted(45, 0, 0), axial_range_um=(-4, 6))
    assert layer.contrast_limits == pytest.approx((-4, 6), abs=2e-3)
    assert layer.colormap.high_color is not None


def painted(viewer: Any) -> np.ndarray:
    canvas_of(viewer)
    return viewer.screenshot(flash=False)[..., :3].astype(int)


def is_magenta(picture: Any) -> Any:
    return np.abs(picture - MAGENTA).max(axis=-1) < 3


@pytest.mark.window
def test_what_is_painted_in_2d_whatever_the_slider_says(viewer: Any, view: SurfaceView) -> None:
    stack = viewer.add_image(
        np.zeros((9, *SHAPE)),
        units=("um",) * 3,
        axis_labels=("z", "y", "x"),
        scale=(3, PIXEL_UM, PIXEL_UM),
    )
    view.show(Tilted(45, 0, 0), SHAPE, frame_of(stack, View.of(viewer)), RANGE_UM)
    view.layer.opacity = 1
    cell_um = np.diff(np.unique(world_um(view.layer)[:, 2])).max()
    for z_um in (0, 12, 24):
        viewer.dims.set_point(0, z_um)
        picture = painted(viewer)
        for depth_um in (-19, -10.5 - cell_um, -9.5 + cell_um, 0, 9.5 - cell_um, 10.5 + cell_um):
            at = pixel_of(viewer, (15, 20 + depth_um))
            assert is_magenta(picture[at.y(), at.x()]) == (abs(depth_um) > 10), depth_um


@pytest.mark.window
def test_what_is_painted_in_3d(viewer: Any, view: SurfaceView) -> None:
    viewer.dims.ndisplay = 3
    show(view, Tilted(45, 0, 0))
    view.layer.opacity = 1
    turned(viewer)
    share = is_magenta(painted(viewer)).mean()
    assert share > 0.01
    show(view, Tilted(20, 0, 0))
    assert not is_magenta(painted(viewer)).any()
    assert (painted(viewer).max(axis=-1) > 60).mean() > share


def test_deleted_it_stays_away_until_it_is_shown_again(viewer: Any, view: SurfaceView) -> None:
    removed = []
    view.removed.connect(lambda: removed.append(True))
    viewer.layers.remove(show(view))
    assert removed == [True]
    assert view.layer is None
    viewer.dims.ndisplay = 3
    assert len(viewer.layers) == 0

    again = show(view)
    assert list(viewer.layers) == [again]
    view.hide()
    view.hide()
    assert len(viewer.layers) == 0
    assert removed == [True]


def test_points_that_are_being_set_stay_active(viewer: Any, view: SurfaceView) -> None:
    points = viewer.add_points(np.zeros((1, 2)), units=("um",) * 2, axis_labels=("y", "x"))
    layer = show(view)
    assert viewer.layers.selection.active == points
    viewer.layers.remove(points)
    view.hide()
    layer = show(view)
    assert viewer.layers.selection.active == layer


def turned(viewer: Any) -> Any:
    """See the surface from 30° above, z upright on the screen, its middle in the middle."""
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    viewer.scene.camera.set_view_direction((0.5, math.sqrt(0.75), 0), (-1, 0, 0))
    canvas = canvas_of(viewer)
    return canvas, QPoint(canvas.width() // 2, canvas.height() // 2)


def drag(canvas: Any, start: Any, by: Any, modifier: Any = Qt.ShiftModifier) -> None:
    """Drag by a number of pixels, in five steps."""
    QTest.mouseMove(canvas, start)
    QTest.mousePress(canvas, Qt.LeftButton, modifier, start)
    for step in range(1, 6):
        at = QPointF(start) + QPointF(by) * (step / 5)
        moved = QMouseEvent(
            QEvent.Type.MouseMove,
            at,
            QPointF(canvas.mapToGlobal(at.toPoint())),
            Qt.NoButton,
            Qt.LeftButton,
            modifier,
        )
        QApplication.sendEvent(canvas, moved)
        QTest.qWait(15)  # the canvas leaves out moves that come within 10 ms
    QTest.mouseRelease(canvas, Qt.LeftButton, modifier, start + by)
    QApplication.processEvents()


@pytest.fixture
def moves(view: SurfaceView) -> list[Any]:
    """What `dragged` has told."""
    told: list[Any] = []
    view.dragged.connect(told.append)
    return told


def camera(viewer: Any) -> Any:
    scene = viewer.scene.camera
    return (*scene.center, *scene.angles)


@pytest.mark.window
@pytest.mark.parametrize("selected", ["surface", "image", "none"])
def test_shift_and_drag_move_the_surface_with_the_mouse(
    viewer: Any, view: SurfaceView, moves: list[Any], selected: str
) -> None:
    show(view, Tilted(5, 0, 0))
    if selected != "surface":
        other = viewer.add_image(
            np.zeros((8, 8)), units=("um",) * 2, translate=(105, -10), visible=False
        )
        viewer.layers.selection.active = other if selected == "image" else None
    canvas, centre = turned(viewer)
    before = camera(viewer)
    drag(canvas, centre, QPoint(0, -80))
    # Seen from 30° above, a step along z is cos 30° as long on the screen.
    expected_um = -80 / viewer.scene.camera.zoom / math.cos(math.radians(30))
    assert sum(moves) == pytest.approx(expected_um, abs=0.051)
    assert len(moves) >= 3
    assert [round(move, 1) for move in moves] == moves
    assert camera(viewer) == before

    moves.clear()
    drag(canvas, centre, QPoint(80, 0))
    assert sum(moves) == pytest.approx(0, abs=1e-9)
    assert camera(viewer) == before


@pytest.mark.window
def test_the_surface_stays_under_the_mouse_while_it_is_dragged(
    viewer: Any, view: SurfaceView
) -> None:
    depth_um = [0.0]

    def follow(dz_um: Any) -> None:
        depth_um[0] += dz_um
        show(view, Tilted(5, 0, depth_um[0]))

    view.dragged.connect(follow)
    show(view, Tilted(5, 0, 0))
    canvas, centre = turned(viewer)
    drag(canvas, centre, QPoint(0, 60))
    px_per_um = viewer.scene.camera.zoom * math.cos(math.radians(30))
    assert depth_um[0] * px_per_um == pytest.approx(60, abs=0.051 * px_per_um)
    drag(canvas, centre + QPoint(0, 60), QPoint(0, -60))
    assert depth_um[0] == pytest.approx(0, abs=0.11)


@pytest.mark.window
def test_what_is_left_to_the_camera(viewer: Any, view: SurfaceView, moves: list[Any]) -> None:
    show(view, Tilted(5, 0, 0))
    canvas, centre = turned(viewer)
    before = camera(viewer)
    drag(canvas, centre, QPoint(40, 40), Qt.NoModifier)
    turned_by_hand = camera(viewer)
    assert turned_by_hand != before
    canvas, centre = turned(viewer)
    drag(canvas, QPoint(5, 5), QPoint(40, 40))
    assert camera(viewer) != before
    viewer.dims.ndisplay = 2
    before = viewer.scene.camera.center
    drag(canvas, centre, QPoint(40, 40))
    assert moves == []

    view.layer.visible = False
    canvas, centre = turned(viewer)
    drag(canvas, centre, QPoint(0, 40))
    assert moves == []


@pytest.mark.window
def test_seen_from_above_the_user_is_told_to_turn_the_view(
    viewer: Any, view: SurfaceView, moves: list[Any]
) -> None:
    show(view, Tilted(5, 0, 0))
    canvas, centre = turned(viewer)
    viewer.scene.camera.set_view_direction((1, 0, 0), (0, -1, 0))
    texts = []
    viewer.events.status.connect(lambda event: texts.append(str(event.value)))
    drag(canvas, centre, QPoint(0, 40))
    assert moves == []
    assert any("Turn the view" in text for text in texts)


@pytest.mark.window
def test_deleting_the_layer_during_a_drag(viewer: Any, view: SurfaceView, moves: list[Any]) -> None:
    show(view, Tilted(5, 0, 0))
    canvas, centre = turned(viewer)
    view.dragged.connect(lambda _: viewer.layers.clear())
    drag(canvas, centre, QPoint(0, 60))
    assert len(viewer.layers) == 0
    assert len(moves) == 1
    assert view.layer is None
    assert viewer.scene.camera.mouse_pan


@pytest.mark.parametrize(("view_z", "expected"), [(0.0, 2.0), (0.6, 2 / 0.64), (1.0, None)])
def test_distance_along_an_axis(view_z: float, expected: Any) -> None:
    direction = (view_z, 0, math.sqrt(1 - view_z**2))
    assert moved_along(0, (0, 0, 0), in_plane(2, direction), direction) == pytest.approx(expected)


def in_plane(z: Any, direction: Any) -> Any:
    """A movement across the view whose part along z is given; (z, 5, 0) where there is none."""
    return (z, 5, -z * direction[0] / direction[2]) if direction[2] else (z, 5, 0)


def test_an_update_is_quick(viewer: Any, view: SurfaceView) -> None:
    shape = (1024, 1024)
    image = viewer.add_image(
        np.zeros(shape, np.uint8), units=("um",) * 2, axis_labels=("y", "x"), scale=(0.325,) * 2
    )
    frame = frame_of(image, View.of(viewer))
    seconds = []
    for tenth in range(30):
        cylinder = Curved(form="cylinder", radius_um=500 + tenth, axis_deg=tenth)
        begun = time.thread_time()
        view.show(cylinder, shape, frame, RANGE_UM)
        seconds.append(time.thread_time() - begun)
    # Some 5 ms on a desktop; the depths of all pixels would alone take longer.
    assert np.median(seconds) < 0.02

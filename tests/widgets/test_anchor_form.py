"""The form of anchors: surfaces from clicks and lines on the canvas, buttons, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from napari.layers import Vectors
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_deepz.recipes.recipe import Source
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import AlongPath, FromPoints, Tilted
from napari_deepz.surfaces.base import Surface
from napari_deepz.widgets.refocusing.resolving import Ground
from napari_deepz.widgets.refocusing.surfaces.anchor_form import AnchorForm
from napari_deepz.widgets.refocusing.surfaces.anchor_surfaces import (
    ALONG,
    PLANE,
    SMOOTH,
    plane_through,
    smoothing_over,
    surface_through,
    what_next,
)
from napari_deepz.widgets.refocusing.surfaces.anchors import Anchors, Tool
from napari_deepz.widgets.shared.input_plane import InputPlane
from napari_deepz.widgets.shared.layers import frame_of
from napari_deepz.widgets.shared.placement import View
from tests.widgets.canvas import click, drag

SHAPE = (200, 240)
PIXEL_UM = 0.5
CENTRE_UM = np.array([(side - 1) / 2 * PIXEL_UM for side in SHAPE])
TRUE = Tilted(4.0, -3.0, 1.0)


def depth_um(y_um: float, x_um: float) -> float:
    """Depth of the true plane, from its definition."""
    slopes = np.tan(np.radians([TRUE.tilt_y_deg, TRUE.tilt_x_deg]))
    return float(TRUE.offset_um + slopes @ (np.array([y_um, x_um]) - CENTRE_UM))


def rms_um(surface: Surface, true: Any = TRUE) -> float:
    away = surface.dpm(SHAPE, PIXEL_UM) - true.dpm(SHAPE, PIXEL_UM)
    return float(np.sqrt(np.mean(away**2)))


@dataclass
class Window:
    viewer: Any
    anchors: Anchors
    form: AnchorForm

    def press(self, button: Any) -> None:
        QTest.mouseClick(button.native, Qt.LeftButton)
        QApplication.processEvents()

    def click_at(self, *places_um: Any) -> None:
        """Click cells that lie on the true plane, the focus set to each."""
        for place in places_um:
            self.anchors.depth_um = depth_um(*place)
            click(self.viewer, place)

    def surface(self) -> Any:
        plane = InputPlane("cells", SHAPE, PIXEL_UM, lambda: np.zeros(SHAPE), Source(name="cells"))
        ground = Ground(plane, Sampling(pixel_size_um=PIXEL_UM), None, View((0, 0), None))
        return self.form.maker()(ground)[0]


@pytest.fixture
def window(make_viewer: Callable[[], Any], qtbot: Any) -> Window:
    viewer = make_viewer()
    image = viewer.add_image(
        np.zeros(SHAPE, np.float32),
        scale=(PIXEL_UM, PIXEL_UM),
        units=("um", "um"),
        axis_labels=("y", "x"),
    )
    anchors = Anchors(viewer)
    form = AnchorForm(anchors)
    if hasattr(viewer, "window"):
        viewer.window.add_dock_widget([form.find.native, form.widget], name="Anchors")
    else:
        qtbot.addWidget(form.widget)
        qtbot.addWidget(form.find.native)
    anchors.show_at(frame_of(image, View.of(viewer)), SHAPE, range_um=(-10, 10))
    return Window(viewer, anchors, form)


@pytest.mark.parametrize(
    "places",
    [
        [(10, 15), (85, 30), (40, 105)],
        [(10, 15), (85, 30), (40, 105), (60, 60), (20, 80), (90, 110)],
    ],
)
def test_clicked_anchors_make_the_plane(window: Any, places: list[tuple[int, ...]]) -> None:
    changes = []
    window.form.changed.connect(lambda: changes.append(1))
    window.press(window.form.pick)
    window.click_at(*places)
    surface = window.surface()
    assert isinstance(surface, Tilted)
    assert rms_um(surface) < 0.1
    assert surface.tilt_x_deg == pytest.approx(TRUE.tilt_x_deg, abs=0.2)
    assert surface.tilt_y_deg == pytest.approx(TRUE.tilt_y_deg, abs=0.2)
    assert len(changes) >= len(places)


@pytest.mark.window
def test_two_lines_in_focus_make_the_plane(window: Any) -> None:
    window.press(window.form.draw)
    along = np.array([np.tan(np.radians(4)), -np.tan(np.radians(-3))])  # level on the true plane
    for start in (np.array([15.0, 10.0]), np.array([15.0, 70.0])):
        window.anchors.depth_um = depth_um(*start)
        drag(window.viewer, start, start + along / np.linalg.norm(along) * 60)
    assert len(window.anchors.rows_um()) == 4
    assert window.form.text.text() == "4 anchors, 0.0 µm rms from the plane"
    assert rms_um(window.surface()) < 0.1


def test_a_line_along_the_body_has_its_depth_at_every_vertex(window: Any) -> None:
    window.form.form.value = ALONG
    window.press(window.form.pick)
    body = [(20, 15, -4.0), (50, 30, 0.0), (40, 60, 3.0), (70, 100, -1.0)]
    for y_um, x_um, z_um in body:
        window.anchors.depth_um = z_um
        click(window.viewer, (y_um, x_um))
    surface = window.surface()
    assert isinstance(surface, AlongPath)
    np.testing.assert_allclose(surface.points_um, body, atol=0.2)
    dpm = surface.dpm(SHAPE, PIXEL_UM)
    for y_um, x_um, z_um in body:
        assert dpm[round(y_um / PIXEL_UM), round(x_um / PIXEL_UM)] == pytest.approx(z_um, abs=0.3)
    assert sum(isinstance(layer, Vectors) for layer in window.viewer.layers) == 1
    window.form.form.value = PLANE
    QApplication.processEvents()
    assert not any(isinstance(layer, Vectors) for layer in window.viewer.layers)


def test_a_smooth_surface_passes_through_the_anchors_until_it_is_smoothed(window: Any) -> None:
    rows = np.array([(10, 15, 0), (85, 30, 1), (40, 105, -2), (60, 60, 4), (20, 80, 1)], float)
    window.anchors.replace(rows)
    window.form.form.value = SMOOTH
    exact = window.surface()
    assert isinstance(exact, FromPoints)
    y, x = np.rint(rows[:, :2] / PIXEL_UM).astype(int).T
    np.testing.assert_allclose(exact.dpm(SHAPE, PIXEL_UM)[y, x], rows[:, 2], atol=0.05)
    window.form.smoothing.value = 10_000
    plane = plane_through(rows, SHAPE, PIXEL_UM)
    assert rms_um(window.surface(), plane) < 0.01 < rms_um(exact, plane)


@pytest.mark.parametrize("wave_um", [40.0, 100.0])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_smoothing_halves_the_waves_of_its_length(wave_um: float, ratio: float) -> None:
    step_um = 10.0
    y, x = np.mgrid[0:30, 0:30] * step_um
    rows = np.column_stack([y.ravel(), x.ravel(), np.cos(2 * np.pi * x.ravel() / wave_um)])
    smoothing = smoothing_over(ratio * wave_um, 1 / step_um**2)
    dpm = FromPoints(rows, smoothing=smoothing).dpm((146, 146), 2.0)
    middle = dpm[50:95, 22:122].mean(axis=0)
    wave = np.cos(2 * np.pi * np.arange(44, 244, 2) / wave_um)
    assert middle @ wave / (wave @ wave) == pytest.approx(1 / (1 + ratio**4), abs=0.03)


def test_the_text_says_what_to_do_next(window: Any) -> None:
    texts = [window.form.text.text()]
    window.press(window.form.pick)
    for place in ((10, 15), (85, 30), (40, 105), (60, 60)):
        window.click_at(place)
        texts.append(window.form.text.text())
    assert texts == [
        "Move the focus until a cell is sharp, then click it. 3 anchors make a plane.",
        "1 of 3 anchors: click another cell where it is sharp.",
        "2 of 3 anchors: click another cell where it is sharp.",
        "3 anchors",
        "4 anchors, 0.0 µm rms from the plane",
    ]


def test_the_text_tells_the_distance_from_the_plane() -> None:
    square = np.array([(0, 0, 1), (0, 9, -1), (9, 0, -1), (9, 9, 1)], float)
    assert what_next(PLANE, square) == "4 anchors, 1.0 µm rms from the plane"
    assert what_next(ALONG, square[:3]) == "3 anchors along 22 µm"


@pytest.mark.parametrize(
    ("form", "rows", "sentence"),
    [
        (PLANE, [(0, 0, 0), (1, 2, 3)], "2 of 3 anchors"),
        (SMOOTH, [], "0 of 3 anchors"),
        (ALONG, [(0, 0, 0)], "1 of 2 anchors"),
        (PLANE, [(0, 0, 0), (5, 5, 1), (20, 20, 3)], "The 3 anchors lie on one line"),
        (SMOOTH, [(0, 0, 0), (5, 5, 1), (9, 9, 2), (20, 20, 3)], "The 4 anchors lie on one line"),
        (ALONG, [(3, 3, 0), (3, 3, 5)], "at least two vertices at different positions"),
    ],
)
def test_too_few_anchors_make_no_surface(form: Any, rows: Any, sentence: str) -> None:
    rows = np.array(rows, float).reshape(-1, 3)
    with pytest.raises(ValueError, match=sentence):
        surface_through(form, rows, SHAPE, PIXEL_UM, smooth_um=10)


@pytest.mark.window
def test_the_buttons_do_what_they_say(window: Any) -> None:
    form, anchors = window.form, window.anchors
    rows = np.array([(10, 15, 0), (85, 30, 1), (40, 105, -2)], float)
    anchors.replace(rows)
    window.press(form.move)
    click(window.viewer, rows[1, :2])
    anchors.depth_um = 4.5
    window.press(form.set_z)
    np.testing.assert_array_equal(anchors.rows_um()[:, 2], (0, 4.5, -2))
    window.press(form.undo)
    np.testing.assert_array_equal(anchors.rows_um(), rows)
    window.press(form.redo)
    np.testing.assert_array_equal(anchors.rows_um()[:, 2], (0, 4.5, -2))
    window.press(form.delete)
    np.testing.assert_array_equal(anchors.rows_um(), rows[[0, 2]])
    window.press(form.delete_all)
    assert len(anchors.rows_um()) == 0
    asked = []
    form.find_clicked.connect(lambda: asked.append(1))
    window.press(form.find)
    assert asked == [1]


def test_the_buttons_show_the_tool_that_is_in_use(window: Any) -> None:
    form, anchors = window.form, window.anchors

    def pressed() -> list[Any]:
        return [button.native.isChecked() for button in (form.pick, form.move, form.draw)]

    assert pressed() == [False, False, False]
    window.press(form.pick)
    assert (pressed(), anchors.tool) == ([True, False, False], Tool.PICK)
    window.press(form.draw)
    assert (pressed(), anchors.tool) == ([False, False, True], Tool.DRAW)
    window.press(form.move)
    assert (pressed(), anchors.tool) == ([False, True, False], Tool.MOVE)
    window.press(form.move)
    assert (pressed(), anchors.tool) == ([False, False, False], Tool.NONE)
    anchors.layer.mode = "add"
    assert pressed() == [True, False, False]
    window.viewer.layers.remove(anchors.layer)
    assert pressed() == [False, False, False]


@pytest.mark.parametrize("form", [PLANE, SMOOTH, ALONG])
def test_smoothing_shows_for_a_smooth_surface_only(window: Any, form: Any) -> None:
    window.form.form.value = form
    assert window.form.smoothing.native.isVisibleTo(window.form.widget) == (form == SMOOTH)


def test_restoring_keeps_the_anchors(window: Any) -> None:
    form = window.form
    window.press(form.pick)
    window.click_at((10, 15), (85, 30))
    form.form.value = SMOOTH
    form.smoothing.value = 100
    form.restore()
    assert (form.form.value, form.smoothing.value) == (PLANE, 10)
    assert window.anchors.tool is Tool.NONE
    assert len(window.anchors.rows_um()) == 2

"""The dock's forms in a real viewer: what is offered, what is said about it."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QStyle, QStyleOptionSlider

from napari_deepz.models.package import Model
from napari_deepz.surfaces import Curved, Tilted
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.surface_form import (
    ANCHORS,
    CURVED,
    DOWN,
    FLAT,
    LAYER,
    TILTED,
    UP,
)
from napari_deepz.widgets.refocusing.texts import model_facts
from napari_deepz.widgets.shared.results import record_of
from tests.conftest import tiny_spec, write_tiny_model
from tests.widgets.conftest import PIXEL_UM, add_image, run


def test_an_empty_viewer_says_what_to_do(open_dock: Callable[..., VirtualRefocusing]) -> None:
    dock = open_dock()
    assert "or try a sample" in dock.facts.image.text()
    assert not dock.panel.refocus.isEnabled()
    assert not dock.panel.export.isEnabled()


def test_without_a_model_the_dock_says_what_to_do(
    make_viewer: Callable[[], Any],
    add_dock: Callable[[Any, str], Any],
    monkeypatch: pytest.MonkeyPatch,
    pixels: np.ndarray,
) -> None:
    monkeypatch.setattr("napari_deepz.widgets.refocusing.models.model_form.list_models", dict)
    viewer = make_viewer()
    viewer.add_image(pixels, units=("um", "um"), axis_labels=("y", "x"), scale=(0.3, 0.3))
    dock = add_dock(viewer, "Virtual refocusing")
    assert "Open model" in dock.facts.model.text()
    assert not dock.panel.refocus.isEnabled()


def test_the_menu_of_images_follows_the_layers(dock: VirtualRefocusing) -> None:
    first = dock.viewer.layers["cells"]
    assert dock.image.layer == first
    add_image(dock, np.zeros((40, 40)), "other")
    first.name = "nuclei"
    assert "nuclei" in [dock.image.choice.native.itemText(i) for i in range(3)]
    dock.viewer.layers.remove("nuclei")
    assert dock.image.layer == dock.viewer.layers["other"]
    dock.viewer.layers.clear()
    assert dock.image.layer is None
    add_image(dock, np.zeros((40, 40)), "late")
    assert dock.image.layer == dock.viewer.layers["late"]


def test_what_a_model_was_made_for(dock: VirtualRefocusing, model: Model) -> None:
    assert dock.facts.model.text() == model_facts(model.spec)
    for fact in ("20x/0.75 dry (NA 0.75)", "0.325 µm", "-10 to 10 µm", "a test"):
        assert fact in dock.facts.model.text()


def test_another_pixel_size_than_the_models(
    dock: VirtualRefocusing,
    pixels: np.ndarray,
    qtbot: Any,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    dock.viewer.layers["cells"].scale = (0.5, 0.5)
    dock.review()
    assert "has 0.5 µm pixels" in dock.trust.cautions.text()
    layer = run(dock, qtbot)
    np.testing.assert_allclose(layer.scale, (1, 0.5, 0.5))
    assert any("resampled" in note for note in record_of(layer).provenance.notes)
    assert notified() == []  # It stood in the dock before.


def test_units_other_than_micrometres(dock: VirtualRefocusing) -> None:
    layer = dock.viewer.layers["cells"]
    layer.units = ("mm", "nm")
    layer.scale = (PIXEL_UM / 1000, PIXEL_UM * 1000)
    dock.review()
    assert dock.facts.image.text() == "cells: 80 × 64 pixels of 0.325 µm"
    assert dock.trust.cautions.text() == ""


def test_pixels_that_are_not_square(dock: VirtualRefocusing) -> None:
    dock.viewer.layers["cells"].scale = (0.3, 0.4)
    dock.review()
    assert "square" in dock.trust.cautions.text()


def test_an_unknown_pixel_size_is_asked_for_and_written_to_the_layer(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, qtbot: Any
) -> None:
    dock = open_dock()
    image = dock.viewer.add_image(pixels, name="bare", translate=(10, 20))
    dock.review()
    assert dock.image.sizes.pixel_size.native.isVisibleTo(dock)
    assert dock.image.sizes.pixel_size.value == PIXEL_UM
    assert "does not say its pixel size" in dock.trust.cautions.text()
    dock.image.sizes.pixel_size.value = 0.3201
    dock.surface.stop.value = dock.surface.start.value

    layer = run(dock, qtbot)
    assert [str(unit) for unit in image.units] == ["micrometer"] * 2
    np.testing.assert_allclose(image.scale, (0.3201, 0.3201))
    np.testing.assert_allclose(image.translate, (3.201, 6.402))
    np.testing.assert_allclose(layer.scale[1:], (0.3201, 0.3201))
    assert not dock.image.sizes.use.native.isVisibleTo(dock)
    assert "As entered" in dock.image.sizes.source.text()
    notes = layer.metadata["napari-deepz"].provenance.notes
    assert "The image does not say its pixel size; 0.3201 µm is taken, as entered." in notes


def test_a_scale_without_units_suggests_the_pixel_size(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray
) -> None:
    dock = open_dock()
    dock.viewer.add_image(pixels, scale=(0.11, 0.11))
    assert dock.image.sizes.pixel_size.value == 0.11
    dock.image.sizes.use.native.click()
    dock.review()
    assert dock.facts.image.text() == "pixels: 80 × 64 pixels of 0.11 µm"


def test_open_model(
    dock: VirtualRefocusing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    package = write_tiny_model(tmp_path / "package", name="second", na=0.5)
    archive = tmp_path / "second.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for file in package.iterdir():
            zipped.write(file, file.name)
    for chosen in (archive, package / "model.json"):
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, c=chosen: (str(c), ""))
        dock.model.open.native.click()
        dock.review()
        assert dock.facts.model.text() == model_facts(tiny_spec(name="second", na=0.5))
        assert dock.model.package == (archive if chosen == archive else package)

    (tmp_path / "bad.zip").write_bytes(b"no archive")
    bad = str(tmp_path / "bad.zip")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (bad, ""))
    dock.model.open.native.click()
    assert notified()[-1][0] == "error"
    assert dock.model.package == package


def test_points_need_depth_and_company(dock: VirtualRefocusing) -> None:
    dock.surface.kind.value = "From a layer"
    dock.review()
    assert "Choose a layer" in dock.trust.cautions.text()
    flat = dock.viewer.add_points(np.zeros((3, 2)), units=("um",) * 2)
    dock.surface.layer.value = flat
    dock.review()
    assert "have no depth" in dock.trust.cautions.text()
    few = dock.viewer.add_points(np.zeros((2, 3)), units=("um",) * 3)
    dock.surface.layer.value = few
    dock.review()
    assert "at least three" in dock.trust.cautions.text()


def test_depths_must_be_as_large_as_the_image(dock: VirtualRefocusing) -> None:
    depths = add_image(dock, np.zeros((10, 10), np.float32), "depths")
    dock.image.choice.value = dock.viewer.layers["cells"]
    dock.surface.kind.value = "From a layer"
    dock.surface.layer.value = depths
    dock.review()
    assert "same size" in dock.trust.cautions.text()


def test_the_dock_fits_a_small_screen(dock: VirtualRefocusing) -> None:
    for kind in (FLAT, TILTED, CURVED, ANCHORS, LAYER):
        dock.surface.kind.value = kind
        assert dock.minimumSizeHint().height() < 360
        assert dock.minimumSizeHint().width() < 400, kind


def surface_of(dock: VirtualRefocusing) -> Any:
    return dock.forms.resolved().request.surface


@pytest.fixture
def told(dock: VirtualRefocusing) -> list[Any]:
    """What tilt along x was whenever the form said that it has changed."""
    dock.surface.kind.value = TILTED
    values = []
    dock.surface.changed.connect(lambda: values.append(dock.surface.tilt_x.value))
    return values


def handle_of(slider: Any) -> Any:
    option = QStyleOptionSlider()
    slider.initStyleOption(option)
    style = QStyle.SubControl.SC_SliderHandle
    return slider.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, style).center()


def test_dragging_a_slider_tells_every_step(dock: VirtualRefocusing, told: list[Any]) -> None:
    slider = dock.surface.tilt_x.slider
    start = handle_of(slider)
    QTest.mousePress(slider, Qt.LeftButton, Qt.NoModifier, start)
    for step in range(1, 5):
        QTest.mouseMove(slider, start + QPoint(5 * step, 0))
    assert len(told) == 4
    assert np.all(np.diff([0, *told]) > 0)
    assert dock.surface.tilt_x.box.value() == told[-1]
    assert surface_of(dock) == Tilted(told[-1], 0, 0)
    QTest.mouseRelease(slider, Qt.LeftButton, Qt.NoModifier, start + QPoint(20, 0))
    assert len(told) == 4


def test_arrow_keys_move_the_edge_by_half_a_micrometre(
    dock: VirtualRefocusing, told: list[Any]
) -> None:
    dock.review()
    slider = dock.surface.tilt_x.slider
    QTest.keyClick(slider, Qt.Key_Right)
    QTest.keyClick(slider, Qt.Key_Right)
    QTest.keyClick(slider, Qt.Key_Left)
    edges_um = np.tan(np.radians(told)) * 80 * PIXEL_UM / 2
    np.testing.assert_allclose(edges_um, [0.5, 1.0, 0.5], rtol=0.01)


def test_numbers_beyond_the_slider_can_be_typed(dock: VirtualRefocusing, told: list[Any]) -> None:
    tilt = dock.surface.tilt_x
    tilt.box.selectAll()
    QTest.keyClicks(tilt.box, "62.25")
    assert told[-1] == tilt.value == 62.25
    assert tilt.slider.value() == tilt.slider.maximum()
    QTest.keyClick(tilt.slider, Qt.Key_Left)
    kept = tilt.value
    assert kept == pytest.approx(tilt.span[1], abs=6 * tilt.resolution)
    with pytest.raises(ValueError, match="from -80 to 80"):
        tilt.value = 81
    assert tilt.value == kept


def test_a_number_between_two_steps_of_its_slider_stays(
    dock: VirtualRefocusing, told: list[Any]
) -> None:
    dock.surface.tilt_x.value = 3.14
    assert dock.surface.tilt_x.value == 3.14
    assert told == [3.14]


def test_the_slider_of_the_radius_goes_by_ratios_and_keeps_the_sign(
    dock: VirtualRefocusing,
) -> None:
    dock.surface.kind.value = CURVED
    radius, bend = dock.surface.radius, dock.surface.bend
    assert (radius.value, bend.value) == (500, UP)
    slider = radius.slider
    slider.setValue(0)
    values = [radius.value]
    for _ in range(2):
        slider.setValue(slider.value() + slider.maximum() // 2)
        values.append(radius.value)
    assert values == pytest.approx([20, math.sqrt(20 * 20_000), 20_000], rel=5e-3)

    bend.value = DOWN
    assert radius.value == -20_000
    slider.setValue(0)
    assert radius.value == -20
    radius.value = -200
    assert (radius.value, bend.value) == (-200, DOWN)
    assert surface_of(dock) == Curved(form="cylinder", radius_um=-200)
    radius.value = 0
    radius.value = 1e6
    assert bend.value == UP
    assert slider.value() == slider.maximum()


def test_turning_the_bend_is_told_once(dock: VirtualRefocusing) -> None:
    dock.surface.kind.value = CURVED
    told = []
    dock.surface.changed.connect(lambda: told.append(dock.surface.radius.value))
    dock.surface.bend.value = DOWN
    assert told == [-500]
    dock.surface.radius.value = 300
    assert told == [-500, 300]


def test_the_focus_reaches_over_what_the_model_knows_and_what_is_wanted(
    dock: VirtualRefocusing,
) -> None:
    form = dock.surface
    assert form.focus.limits == (-10, 10)
    form.focus.value = 3
    form.start.value, form.stop.value = 4, -4  # Whichever is typed first, the focus stays.
    assert form.focus.value == 3
    form.stop.value = 15
    assert form.focus.limits == (-10, 15)
    form.focus.slider.setValue(form.focus.slider.maximum())
    assert form.focus.value == 15
    form.stop.value = 5
    assert form.focus.value == 10
    dock.restore_defaults()
    assert form.focus.value == 0
    assert form.focus.limits == form.focus.span == form.vertex.span == (-10, 10)


def test_moving_the_surface_along_z(dock: VirtualRefocusing) -> None:
    form = dock.surface
    for kind, depth in ((TILTED, form.tilt_offset), (CURVED, form.vertex)):
        form.kind.value = kind
        assert form.move(1.5)
        assert form.move(-0.2)
        assert depth.value == pytest.approx(1.3)
    assert form.move(1e6)
    assert form.vertex.value == 10_000
    for kind in (FLAT, LAYER):
        form.kind.value = kind
        assert not form.move(1)
    assert form.focus.value == 0


def test_a_surface_through_anchors(dock: VirtualRefocusing) -> None:
    form = dock.surface
    anchors = form.anchors.anchors
    form.start.value, form.stop.value = -1, 1
    form.kind.value = ANCHORS
    assert form.focus.limits == (-10, 10)
    assert not form.focus.native.isHidden()
    assert form.anchors.widget.isVisibleTo(form.widget)
    assert "anchor" in dock.forms.resolved().problem

    told = []
    form.changed.connect(lambda: told.append(len(anchors.rows_um())))
    anchors.replace([(0, 0, -1), (0, 20, 1), (15, 0, -1), (15, 20, 1)])
    assert told
    assert set(told) == {4}
    expected = surface_of(dock).dpm((64, 80), PIXEL_UM)
    np.testing.assert_allclose(expected[0, [0, -1]], [-1, -1 + 79 * PIXEL_UM / 10], atol=1e-4)
    assert form.move(2.5)
    moved = surface_of(dock).dpm((64, 80), PIXEL_UM)
    np.testing.assert_allclose(moved - expected, 2.5, atol=1e-4)

    form.kind.value = TILTED
    assert form.focus.native.isHidden()
    assert not form.anchors.widget.isVisibleTo(form.widget)
    form.kind.value = FLAT
    assert form.focus.limits == (-10, 10)


@pytest.mark.window
def test_the_wheel_scrolls_the_dock_and_changes_no_number(dock: VirtualRefocusing) -> None:
    dock.surface.kind.value = TILTED
    dock.viewer.show()
    slider, box = dock.surface.tilt_x.slider, dock.surface.tilt_x.box
    for part in (slider, box):
        part.clearFocus()
        at = part.rect().center()
        wheel = QWheelEvent(
            QPointF(at),
            QPointF(part.mapToGlobal(at)),
            QPoint(0, 0),
            QPoint(0, 120),
            Qt.NoButton,
            Qt.NoModifier,
            Qt.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(part, wheel)
        assert dock.surface.tilt_x.value == 0

"""The dock `Compare with measured stack` in a real viewer."""

from __future__ import annotations

import gc
import math
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.utils.transforms import Affine
from qtpy.QtCore import QPoint, Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QGraphicsView, QWidget

from napari_deepz.analysis import comparison
from napari_deepz.analysis.comparison import intensity_range, iter_comparison, match_planes
from napari_deepz.models.package import Model
from napari_deepz.provenance import Provenance
from napari_deepz.surfaces import Flat
from napari_deepz.widgets.comparing.depth_curves import MEASURES
from napari_deepz.widgets.comparing.dock import StackComparison
from napari_deepz.widgets.comparing.pair_view import Look
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.refocus_task import PlaneDone
from napari_deepz.widgets.refocusing.result_layer import ResultLayer
from napari_deepz.widgets.shared.flipping import Flip
from napari_deepz.widgets.shared.layers import frame_of, input_plane
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.results import record_of
from napari_deepz.widgets.shared.run_state import Phase
from tests.widgets.conftest import Slowly, request_for

PIXEL_UM = 0.5
SHAPE = (32, 40)
GAP_UM = SHAPE[1] * PIXEL_UM * 1.04
TITLE = "Compare with measured stack"
DEPTHS_UM = tuple(range(-4, 5))


@pytest.fixture
def stack(rng: np.random.Generator) -> Any:
    """Nine planes measured from -4 to 4 µm; plane 4 is the input."""
    return rng.integers(100, 4000, (9, *SHAPE), dtype=np.uint16)


@pytest.fixture
def virtual_planes(stack: Any, rng: np.random.Generator) -> np.ndarray:
    return (stack + rng.normal(0, 100, stack.shape)).astype(np.float32)


def add_stack(viewer: Any, data: Any, **changes: Any) -> Any:
    ndim = data.ndim
    settings = {
        "name": "measured",
        "axis_labels": ("t", "z", "y", "x")[-ndim:],
        "units": ("s", "um", "um", "um")[-ndim:],
        "scale": (1.0, 1.0, PIXEL_UM, PIXEL_UM)[-ndim:],
        "translate": (0.0, -4.0, 0.0, 0.0)[-ndim:],
    }
    return viewer.add_image(data, **(settings | changes))


def add_virtual(
    viewer: Any,
    pixels: Any,
    planes: Any,
    *,
    z_um: Any = (-4, 4, 1),
    beside: bool = True,
    name: str = "cells",
    model: Any = None,
) -> Any:
    """A result as a run leaves it, with planes that are known."""
    image = viewer.add_image(
        pixels,
        name=name,
        axis_labels=("y", "x"),
        units=("um", "um"),
        scale=(PIXEL_UM, PIXEL_UM),
    )
    request = request_for(
        input_plane(image, View.of(viewer)),
        Flat(*z_um),
        Path("no model") if model is None else model.source,
    )
    result = ResultLayer(viewer, image, frame_of(image, View.of(viewer)), request, beside=beside)
    result.describe(Provenance(kind="inferred", input_name=name, model_name="tiny"))
    result.canvas[:] = planes
    for index, plane in enumerate(planes):
        result.take(PlaneDone(index, float(plane.min()), float(plane.max())))
    result.finish()
    return result.layer


@pytest.fixture
def viewer(make_viewer: Callable[[], Any]) -> Callable[[], Any]:
    return make_viewer()


@pytest.fixture
def open_dock(add_dock: Callable[[Any, str], Any], qtbot: Any) -> Iterator[Any]:
    """Open the dock as a user does; no work may be left at the end."""

    def open_it(viewer: Any) -> Iterator[Callable[[Any, str], Any]]:
        dock = add_dock(viewer, TITLE)
        dock.review()
        return dock

    yield open_it
    qtbot.waitUntil(no_thread_left, timeout=5000)


@pytest.fixture
def filled(viewer: Any, stack: Any, virtual_planes: np.ndarray, model: Model) -> Any:
    """A viewer with a measured and a virtual stack of nine planes each."""
    add_stack(viewer, stack)
    add_virtual(viewer, stack[4], virtual_planes, model=model)
    return viewer


@pytest.fixture
def dock(filled: Any, open_dock: Callable[..., VirtualRefocusing]) -> Iterator[Any]:
    return open_dock(filled)


def no_thread_left() -> Any:
    return QThreadPool.globalInstance().activeThreadCount() == 0


def click(button: Any) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def wait_idle(dock: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=30_000)


def compare(dock: VirtualRefocusing, qtbot: Any) -> None:
    click(dock.panel.compare)
    assert dock.state.phase is Phase.RUNNING
    wait_idle(dock, qtbot)


def canvas_of(dock: VirtualRefocusing) -> Any:
    widgets = dock.window().findChildren(QWidget)
    return next(widget for widget in widgets if "CanvasBackend" in type(widget).__name__)


def press_f(dock: VirtualRefocusing) -> None:
    canvas = canvas_of(dock)
    QTest.keyClick(canvas, Qt.Key.Key_F)


def seen(viewer: Any) -> Any:
    return {layer.name for layer in viewer.layers if layer.visible}


def truth(stack: Any, virtual_planes: Any, model: Any) -> list[Any]:
    pairs = match_planes(DEPTHS_UM, DEPTHS_UM)
    return list(
        iter_comparison(
            virtual_planes,
            stack,
            stack[4:5],
            pairs,
            data_range=intensity_range(stack, range(9)),
            axial_range_um=model.spec.axial_range_um,
            at_zero=virtual_planes[4],
        )
    )


def test_it_says_what_matches(dock: VirtualRefocusing) -> None:
    assert dock.form.virtual.name == "cells (virtual)"
    assert dock.form.measured.name == "measured"
    assert dock.match.text() == (
        "9 of 9 virtual planes matched, -4 to 4 µm; the input plane is measured plane 4, "
        "counted from 0."
    )


def test_the_curves_are_the_scores(
    dock: VirtualRefocusing, stack: Any, virtual_planes: np.ndarray, model: Model, qtbot: Any
) -> None:
    compare(dock, qtbot)
    expected = truth(stack, virtual_planes, model)
    assert dock.depths == expected
    for name, field in MEASURES.items():
        dock.measure.value = name
        for curve, which in (
            (dock.curves.refocused, "refocused"),
            (dock.curves.at_zero, "at_zero"),
            (dock.curves.unrefocused, "unrefocused"),
        ):
            z_um, values = curve.getData()
            wanted = [getattr(getattr(depth, which), field) for depth in expected]
            np.testing.assert_array_equal(z_um, DEPTHS_UM)
            np.testing.assert_array_equal(
                values, [v if math.isfinite(v) else math.nan for v in wanted]
            )
    # The measured input plane is the input plane: infinite PSNR leaves a gap.
    assert np.isnan(dock.curves.unrefocused.getData()[1]).tolist() == [z == 0 for z in DEPTHS_UM]
    assert dock.curves.model_range.isVisible()
    assert dock.curves.model_range.getRegion() == tuple(model.spec.axial_range_um)
    assert f"{intensity_range(stack, range(9)):.4g}" in dock.basis.text()


def test_a_model_that_is_gone_has_no_range(
    viewer: Any,
    open_dock: Callable[..., VirtualRefocusing],
    stack: Any,
    virtual_planes: np.ndarray,
    qtbot: Any,
) -> None:
    add_stack(viewer, stack)
    add_virtual(viewer, stack[4], virtual_planes)
    dock = open_dock(viewer)
    compare(dock, qtbot)
    assert len(dock.depths) == 9
    assert not dock.curves.model_range.isVisible()
    assert "its range is not known" in dock.basis.text()


def test_dragging_the_line_moves_the_slider_and_the_slider_the_line(
    dock: VirtualRefocusing,
) -> None:
    dock.viewer.dims.set_point(0, 2)
    assert dock.curves.shown_line.value() == 2
    assert [line.value() for line in dock.curves.input_lines] == [0]
    dock.curves.shown_line.setValue(-3)
    dock.curves.shown_line.sigDragged.emit(dock.curves.shown_line)
    assert dock.viewer.dims.point[0] == -3


def test_the_line_is_dragged_with_the_mouse(dock: VirtualRefocusing, qtbot: Any) -> None:
    dock.viewer.dims.set_point(0, 0)
    dock.window().show()
    curves = dock.curves
    compare(dock, qtbot)
    dock.ensureWidgetVisible(curves)
    QApplication.processEvents()
    view, box = curves.findChild(QGraphicsView), curves.plot.view
    view.resize(300, 220)
    qtbot.wait(100)  # The verdict has changed the layout.

    def at(z_um: float) -> Any:
        middle = sum(box.viewRange()[1]) / 2
        scene = box.mapViewToScene(type(curves.shown_line.pos())(z_um, middle))
        return view.mapFromScene(scene)

    viewport = view.viewport()
    start, end = at(0), at(3)
    QTest.mouseMove(viewport, start - QPoint(0, 2))
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=start)
    for share in (0.25, 0.5, 0.75, 1.0):
        QTest.mouseMove(viewport, start + (end - start) * share)
        qtbot.wait(30)
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=end)
    qtbot.waitUntil(lambda: abs(dock.viewer.dims.point[0] - 3) < 0.6, timeout=2000)


def test_an_offset_input_plane_is_where_the_viewer_says(
    viewer: Any, open_dock: Callable[..., VirtualRefocusing], rng: np.random.Generator
) -> None:
    """The image is a plane of a stack that begins at 10 µm."""
    stack = rng.integers(0, 999, (9, *SHAPE), dtype=np.uint16)
    add_stack(viewer, stack, translate=(10, 0, 0))
    result = add_virtual(viewer, stack[2], stack[:5].astype(np.float32), z_um=(-2, 2, 1))
    result.translate = (10, *result.translate[1:])
    dock = open_dock(viewer)
    assert "input plane is measured plane 2, counted from 0" in dock.match.text()
    viewer.dims.set_point(0, 13)
    assert dock.curves.shown_line.value() == pytest.approx(1)


def test_sections_hold_the_right_pixels(
    dock: VirtualRefocusing, stack: Any, virtual_planes: np.ndarray
) -> None:
    show_pixel(dock, row=7, column=30)
    images = dock.sections.sections.images
    np.testing.assert_array_equal(images["Measured", "x"].image, stack[:, 7, :])
    np.testing.assert_array_equal(images["Measured", "y"].image, stack[:, :, 30])
    np.testing.assert_array_equal(images["Virtual", "x"].image, virtual_planes[:, 7, :])
    np.testing.assert_array_equal(images["Virtual", "y"].image, virtual_planes[:, :, 30])
    for image in images.values():
        np.testing.assert_array_equal(image.levels, dock.viewer.layers["measured"].contrast_limits)
    extent = images["Measured", "x"].mapRectToParent(images["Measured", "x"].boundingRect())
    assert (extent.left(), extent.top()) == (-PIXEL_UM / 2, -4.5)
    assert (extent.width(), extent.height()) == (40 * PIXEL_UM, 9)
    assert "x = 15 µm, y = 3.5 µm" in dock.sections.position.text()


@pytest.mark.parametrize("beside_um", [0, GAP_UM])
def test_the_cursor_means_the_same_pixel_over_image_and_result(
    dock: VirtualRefocusing, stack: Any, beside_um: Any
) -> None:
    show_pixel(dock, row=20, column=11, x_shift_um=beside_um)
    image = dock.sections.sections.images["Measured", "x"].image
    np.testing.assert_array_equal(image, stack[:, 20, :])
    assert "x = 5.5 µm, y = 10 µm" in dock.sections.position.text()


def test_the_cursor_elsewhere_leaves_the_sections(dock: VirtualRefocusing, stack: Any) -> None:
    show_pixel(dock, row=20, column=11)
    move_mouse(dock, -50, -50)
    image = dock.sections.sections.images["Measured", "y"].image
    np.testing.assert_array_equal(image, stack[:, :, 11])


@pytest.mark.window
def test_a_real_mouse_over_the_canvas_moves_the_sections(
    dock: VirtualRefocusing, qtbot: Any
) -> None:
    dock.window().show()
    canvas = canvas_of(dock)
    QApplication.processEvents()
    before = dock.sections.position.text()
    for share in (0.3, 0.34, 0.38):
        QTest.mouseMove(canvas, QPoint(int(canvas.width() * share), canvas.height() // 2))
        qtbot.wait(20)
    qtbot.waitUntil(lambda: dock.sections.position.text() != before, timeout=2000)


def show_pixel(dock: VirtualRefocusing, *, row: Any, column: Any, x_shift_um: float = 0.0) -> None:
    move_mouse(dock, row * PIXEL_UM + 0.1, column * PIXEL_UM - 0.1 + x_shift_um)


class Moved:
    """What napari hands to those who follow the mouse."""

    def __init__(self, position: Any) -> None:
        self.position = position


def move_mouse(dock: VirtualRefocusing, y_um: float, x_um: float) -> None:
    viewer = dock.viewer
    for callback in viewer.mouse_move_callbacks:
        callback(viewer, Moved((*viewer.dims.point[:-2], y_um, x_um)))
    QTest.qWait(150)


def test_the_difference_is_a_layer_at_the_measured_place(
    dock: VirtualRefocusing, stack: Any, virtual_planes: np.ndarray, qtbot: Any
) -> None:
    click(dock.panel.difference)
    wait_idle(dock, qtbot)
    layer = dock.viewer.layers[-1]
    np.testing.assert_array_equal(
        layer.data, (stack.astype(np.float64) - virtual_planes).astype(np.float32)
    )
    assert layer.name == "Difference: measured minus cells (virtual)"
    assert layer.axis_labels == ("z", "y", "x")
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    np.testing.assert_allclose(layer.scale, (1, PIXEL_UM, PIXEL_UM))
    np.testing.assert_allclose(layer.translate, (-4, 0, 0))
    low, high = layer.contrast_limits
    assert low == -high
    assert high == pytest.approx(np.percentile(np.abs(layer.data), 99.9), rel=1e-5)
    np.testing.assert_allclose(layer.colormap.map([0.5])[0, :3], 0, atol=0.01)
    record = Provenance.from_json(layer.metadata["provenance"])
    assert record.kind == "inferred"
    assert "'measured' minus 'cells (virtual)'" in record.notes[-1]
    assert record_of(layer) is None
    assert layer.name not in [choice.name for choice in dock.form.measured_choice.choices if choice]


def test_a_difference_on_a_reversed_coarser_stack(
    viewer: Any,
    open_dock: Callable[..., VirtualRefocusing],
    stack: Any,
    virtual_planes: np.ndarray,
    qtbot: Any,
) -> None:
    """Planes at 4, 2, 0, -2, -4 and -6 µm: the scale along z is negative."""
    coarse = stack[[8, 6, 4, 2, 0, 0]]
    add_stack(viewer, coarse, scale=(-2, PIXEL_UM, PIXEL_UM), translate=(4, 0, 0))
    add_virtual(viewer, stack[4], virtual_planes)
    dock = open_dock(viewer)
    assert "5 of 9 virtual planes matched, -4 to 4 µm" in dock.match.text()
    click(dock.panel.difference)
    wait_idle(dock, qtbot)
    layer = viewer.layers[-1]
    np.testing.assert_allclose(
        layer.data, coarse[:5] - virtual_planes[[8, 6, 4, 2, 0]].astype(np.float64), atol=1e-3
    )
    np.testing.assert_allclose((layer.scale[0], layer.translate[0]), (-2, 4))
    show_pixel(dock, row=3, column=4)
    section = dock.sections.sections.images["Measured", "x"]
    np.testing.assert_array_equal(section.image, coarse[::-1, 3, :])
    assert section.mapRectToParent(section.boundingRect()).top() == -7


@pytest.mark.window
def test_the_key_flips_at_the_same_place_and_puts_everything_back(dock: VirtualRefocusing) -> None:
    viewer, result = dock.viewer, dock.form.virtual
    viewer.layers["measured"].visible = False
    start, place = seen(viewer), tuple(result.translate)
    press_f(dock)
    assert seen(viewer) == {"cells", "cells (virtual)"}
    assert dock.look.value == Look.FLIP.value
    np.testing.assert_allclose(result.translate[-1], 0)
    overlay = viewer.canvas.overlays.text
    assert (overlay.text, overlay.visible) == ("INFERRED\ncells (virtual)", True)
    press_f(dock)
    assert seen(viewer) == {"cells", "measured"}
    assert overlay.text == "MEASURED\nmeasured"
    press_f(dock)
    assert seen(viewer) == {"cells", "cells (virtual)"}
    dock.look.value = Look.AS_THEY_ARE.value
    assert seen(viewer) == start
    assert tuple(result.translate) == place
    assert not overlay.visible


@pytest.mark.window
def test_the_key_works_from_within_the_dock(dock: VirtualRefocusing) -> None:
    dock.panel.compare.setFocus()
    QTest.keyClick(dock.panel.compare, Qt.Key.Key_F)
    assert dock.look.value == Look.FLIP.value


@pytest.mark.window
def test_the_key_without_layers_does_nothing(
    viewer: Any, open_dock: Callable[..., VirtualRefocusing]
) -> None:
    dock = open_dock(viewer)
    press_f(dock)
    press_f(dock)
    assert "no virtual planes" in dock.match.text()
    assert not dock.panel.compare.isEnabled()


@pytest.mark.window
def test_the_key_of_somebody_else_is_left_alone(
    viewer: Any, open_dock: Callable[..., VirtualRefocusing]
) -> None:
    pressed: list[Any] = []
    viewer.bind_key("F", pressed.append)
    dock = open_dock(viewer)
    press_f(dock)
    assert len(pressed) == 1
    assert dock.look.value == Look.AS_THEY_ARE.value
    assert "used by something else" in dock.flip_hint.text()


def test_a_look_of_its_own_needs_the_whole_canvas(dock: VirtualRefocusing, filled: Any) -> None:
    filled.canvas.grid.enabled = True
    dock.look.value = Look.AS_THEY_ARE.value
    assert filled.canvas.grid.enabled
    dock.look.value = Look.BESIDE.value
    assert not filled.canvas.grid.enabled


def test_beside_and_over(dock: VirtualRefocusing) -> None:
    result, measured = dock.form.virtual, dock.form.measured
    dock.viewer.layers.move(dock.viewer.layers.index(result), 0)
    dock.look.value = Look.BESIDE.value
    np.testing.assert_allclose(result.translate[-1], GAP_UM)
    assert not dock.blend.enabled
    dock.look.value = Look.OVER.value
    np.testing.assert_allclose(result.translate[-1], 0)
    assert dock.viewer.layers.index(result) > dock.viewer.layers.index(measured)
    dock.blend.value = 0.25
    assert result.opacity == 0.25
    assert measured.opacity == 1
    dock.look.value = Look.AS_THEY_ARE.value
    assert result.opacity == 1


def test_contrast_is_linked_both_ways_until_it_is_not(dock: VirtualRefocusing) -> None:
    result, measured = dock.form.virtual, dock.form.measured
    measured.contrast_limits = (200, 2000)
    dock.link.value = True
    assert list(result.contrast_limits) == [200, 2000]
    result.contrast_limits = (300, 3000)
    assert list(measured.contrast_limits) == [300, 3000]
    measured.contrast_limits = (1, 90_000)
    assert list(result.contrast_limits) == [1, 90_000]
    dock.link.value = False
    measured.contrast_limits = (5, 6)
    assert list(result.contrast_limits) == [1, 90_000]


def test_the_best_fitting_stack_is_chosen(
    viewer: Any, open_dock: Callable[..., VirtualRefocusing], stack: Any, virtual_planes: np.ndarray
) -> None:
    add_stack(viewer, stack, name="somewhere else", translate=(500, 0, 0))
    add_stack(viewer, stack, name="shifted by half", translate=(0, 0, 0))
    add_stack(viewer, stack, name="in place", visible=False)
    add_stack(viewer, stack, name="aside", translate=(-4, 0, 50))
    add_stack(viewer, stack[:, :9], name="of another size")
    add_virtual(viewer, stack[4], virtual_planes)
    assert open_dock(viewer).form.measured.name == "in place"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"data": np.zeros((9, 16, 16))}, "another size: 16 × 16 pixels"),
        ({"scale": (1, 1, 1)}, "has other pixels: 1 × 1 µm"),
        ({"translate": (50, 0, 0)}, "from 50 to 58 µm"),
        ({"affine": Affine(rotate=20, ndim=3)}, "rotated or sheared"),
    ],
)
def test_why_a_stack_cannot_be_compared(
    viewer: Any,
    open_dock: Callable[..., VirtualRefocusing],
    stack: Any,
    virtual_planes: np.ndarray,
    change: dict[str, Any],
    says: str,
) -> None:
    data = change.pop("data", stack)
    measured = add_stack(viewer, data, **change)
    add_virtual(viewer, stack[4], virtual_planes)
    dock = open_dock(viewer)
    dock.form.measured_choice.value = measured
    dock.review()
    assert says in dock.match.text()
    assert not dock.panel.compare.isEnabled()
    assert dock.sections.sections.images["Virtual", "x"].image is None


def test_a_stack_that_lies_aside_is_compared_and_said_to(
    viewer: Any, open_dock: Callable[..., VirtualRefocusing], stack: Any, virtual_planes: np.ndarray
) -> None:
    add_stack(viewer, stack, translate=(-4, 0, 3))
    add_virtual(viewer, stack[4], virtual_planes)
    dock = open_dock(viewer)
    assert "lies 3 µm in x and 0 µm in y from the image" in dock.match.text()
    assert dock.panel.compare.isEnabled()


def test_a_plain_array_gets_its_z_step(
    viewer: Any,
    open_dock: Callable[..., VirtualRefocusing],
    stack: Any,
    virtual_planes: np.ndarray,
    qtbot: Any,
) -> None:
    """The input plane, which is now counted in planes, stays where it is."""
    layer = viewer.add_image(stack, name="measured", axis_labels=("z", "y", "x"))
    result = add_virtual(viewer, stack[4], virtual_planes[::2], z_um=(-4, 4, 2))
    result.translate = (4 - 4, *result.translate[1:])
    dock = open_dock(viewer)
    dock.form.measured_choice.value = layer
    dock.review()
    assert "how far apart" in dock.match.text()
    assert not dock.form.write.native.isHidden()
    dock.form.z_step.value = 2.0
    click(dock.form.write.native)
    dock.review()
    assert dock.form.write.native.isHidden()
    assert "5 of 5 virtual planes matched, -4 to 4 µm; the input plane is measured plane 4" in (
        dock.match.text()
    )
    assert "does not say its pixel size" in dock.match.text()
    np.testing.assert_allclose((layer.scale[0], layer.translate[0]), (2, -4))
    compare(dock, qtbot)
    assert [depth.plane for depth in dock.depths] == [2, 3, 4, 5, 6]


def test_the_shown_time_point_of_a_movie_is_compared(
    viewer: Any,
    open_dock: Callable[..., VirtualRefocusing],
    stack: Any,
    virtual_planes: np.ndarray,
    rng: np.random.Generator,
    qtbot: Any,
) -> None:
    movie = np.stack([rng.permuted(stack), stack, rng.permuted(stack)])
    add_stack(viewer, movie)
    add_virtual(viewer, stack[4], virtual_planes)
    dock = open_dock(viewer)
    viewer.dims.set_point(0, 1)
    compare(dock, qtbot)
    assert min(depth.refocused.correlation for depth in dock.depths) > 0.99
    click(dock.panel.difference)
    wait_idle(dock, qtbot)
    layer = viewer.layers[-1]
    np.testing.assert_allclose(layer.data[0], stack - virtual_planes.astype(np.float64), atol=1e-3)
    assert (layer.data.shape[0], layer.translate[0]) == (1, 1)

    viewer.dims.set_point(0, 2)
    dock.review()
    assert dock.depths == []
    assert "press Compare again" in dock.panel.message.text()
    compare(dock, qtbot)
    assert max(depth.refocused.correlation for depth in dock.depths) < 0.5


def test_a_stack_on_disk_is_read_once_in_the_worker(
    viewer: Any,
    open_dock: Callable[..., VirtualRefocusing],
    stack: Any,
    virtual_planes: np.ndarray,
    model: Model,
    qtbot: Any,
) -> None:
    add_stack(viewer, da.from_array(stack, chunks=(1, -1, -1)), contrast_limits=(100, 4000))
    add_virtual(viewer, stack[4], virtual_planes, model=model)
    dock = open_dock(viewer)
    image = dock.sections.sections.images["Measured", "x"]
    assert image.image is None
    assert "as soon as Compare has read it" in dock.sections.position.text()
    compare(dock, qtbot)
    assert dock.depths == truth(stack, virtual_planes, model)
    np.testing.assert_array_equal(image.image, stack[:, SHAPE[0] // 2, :])


def test_pixels_that_are_not_finite_leave_gaps(
    viewer: Any,
    open_dock: Callable[..., VirtualRefocusing],
    stack: Any,
    virtual_planes: np.ndarray,
    qtbot: Any,
) -> None:
    measured = stack.astype(np.float32)
    measured[2, 5, 5] = math.nan
    add_stack(viewer, measured, contrast_limits=(100, 4000))
    add_virtual(viewer, stack[4], virtual_planes)
    dock = open_dock(viewer)
    compare(dock, qtbot)
    _, values = dock.curves.refocused.getData()
    assert np.isnan(values).tolist() == [z == -2 for z in DEPTHS_UM]
    click(dock.panel.difference)
    wait_idle(dock, qtbot)
    assert np.isnan(dock.viewer.layers[-1].data).sum() == 1


def test_a_result_that_is_still_growing_is_not_compared(
    viewer: Any, open_dock: Callable[..., VirtualRefocusing], stack: Any
) -> None:
    add_stack(viewer, stack)
    image = viewer.add_image(
        stack[4], axis_labels=("y", "x"), units=("um", "um"), scale=(PIXEL_UM, PIXEL_UM)
    )
    plane = input_plane(image, View.of(viewer))
    request = request_for(plane, Flat(-4, 4, 1), Path("m"))
    frame = frame_of(image, View.of(viewer))
    result = ResultLayer(viewer, image, frame, request, beside=True)
    dock = open_dock(viewer)
    dock.form.measured_choice.value = viewer.layers[0]
    dock.review()
    assert "still being computed" in dock.match.text()
    result.describe(Provenance(kind="inferred", model_name="tiny"))
    for index in range(9):
        result.take(PlaneDone(index, 0, 1))
    result.finish()
    dock.review()
    assert "9 of 9" in dock.match.text()


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores take a tenth of a second a plane."""
    genuine = comparison._finite_scores

    def slow(*arguments: Any) -> Any:
        time.sleep(0.05)
        return genuine(*arguments)

    monkeypatch.setattr(comparison, "_finite_scores", slow)


def start(dock: VirtualRefocusing, qtbot: Any) -> None:
    click(dock.panel.compare)
    qtbot.waitUntil(lambda: len(dock.depths) >= 2, timeout=10_000)


def test_cancel_keeps_the_scores_that_are_there(
    dock: VirtualRefocusing,
    stack: Any,
    virtual_planes: np.ndarray,
    model: Model,
    qtbot: Any,
    slowly: Slowly,
) -> None:
    start(dock, qtbot)
    click(dock.panel.cancel)
    assert dock.panel.cancel.text() == "Cancelling…"
    wait_idle(dock, qtbot)
    assert 2 <= len(dock.depths) < 9
    assert dock.depths == truth(stack, virtual_planes, model)[: len(dock.depths)]
    assert "cancelled" in dock.panel.message.text()


@pytest.mark.window
@pytest.mark.parametrize("name", ["measured", "cells (virtual)"])
def test_a_layer_is_deleted_during_the_work(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly, name: str
) -> None:
    start(dock, qtbot)
    dock.viewer.layers.remove(name)
    wait_idle(dock, qtbot)
    assert dock.depths == []
    assert len(dock.curves.refocused.getData()[0] or ()) == 0
    assert "have changed" in dock.panel.message.text()
    assert not dock.panel.compare.isEnabled()


def test_pixels_are_replaced_during_the_work(
    dock: VirtualRefocusing, stack: Any, qtbot: Any, slowly: Slowly
) -> None:
    start(dock, qtbot)
    dock.viewer.layers["measured"].data = stack[::-1].copy()
    wait_idle(dock, qtbot)
    assert dock.depths == []
    compare(dock, qtbot)
    assert len(dock.depths) == 9


def test_a_layer_is_renamed_during_the_work(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly
) -> None:
    start(dock, qtbot)
    dock.viewer.layers["measured"].name = "truth"
    wait_idle(dock, qtbot)
    assert len(dock.depths) == 9
    assert [name for name in names_in(dock.form.measured_choice) if name] == ["truth"]


def names_in(choice: Any) -> list[str]:
    return [choice.native.itemText(index).strip("-") for index in range(choice.native.count())]


def test_moving_the_result_aside_keeps_the_scores(dock: VirtualRefocusing, qtbot: Any) -> None:
    compare(dock, qtbot)
    dock.look.value = Look.OVER.value
    dock.review()
    assert len(dock.depths) == 9


@pytest.mark.window
def test_layers_are_deleted_while_flipping(dock: VirtualRefocusing) -> None:
    press_f(dock)
    press_f(dock)
    dock.viewer.layers.remove("cells (virtual)")
    press_f(dock)
    assert seen(dock.viewer) == {"cells", "measured"}
    assert not dock.viewer.canvas.overlays.text.visible


@pytest.mark.window
def test_the_viewer_is_closed_during_the_work(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly
) -> None:
    start(dock, qtbot)
    dock.viewer.close()
    qtbot.waitUntil(no_thread_left, timeout=5000)


@pytest.mark.window
def test_a_closed_dock_leaves_the_viewer_as_it_was(
    filled: Any, open_dock: Callable[..., VirtualRefocusing], qtbot: Any
) -> None:
    dock, viewer = open_dock(filled), filled
    viewer.layers["measured"].visible = False
    before = seen(viewer)
    press_f(dock)
    press_f(dock)
    dock.link.value = True
    viewer.window.remove_dock_widget(dock)
    assert seen(viewer) == before
    assert "F" not in {str(key) for key in viewer.keymap}
    assert len(viewer.mouse_move_callbacks) == 0

    gone = weakref.ref(dock)
    del dock
    qtbot.wait(50)
    gc.collect()
    assert gone() is None
    viewer.dims.set_point(0, 1)
    viewer.layers["measured"].contrast_limits = (7, 8)
    assert list(viewer.layers["cells (virtual)"].contrast_limits) != [7, 8]
    viewer.layers.clear()


@pytest.mark.window
def test_the_dock_is_closed_during_the_work(
    filled: Any, open_dock: Callable[..., VirtualRefocusing], qtbot: Any, slowly: Slowly
) -> None:
    dock = open_dock(filled)
    start(dock, qtbot)
    filled.window.remove_dock_widget(dock)
    wait_idle(dock, qtbot)
    assert "cancelled" in dock.panel.message.text()
    del dock
    qtbot.wait(50)
    gc.collect()


@pytest.mark.window
def test_two_docks(
    filled: Any,
    open_dock: Callable[..., VirtualRefocusing],
    stack: Any,
    virtual_planes: np.ndarray,
    model: Model,
    qtbot: Any,
) -> None:
    viewer, dock = filled, open_dock(filled)
    other = StackComparison(viewer)
    viewer.window.add_dock_widget(other, name="another")
    assert "used by something else" in other.flip_hint.text()
    compare(other, qtbot)
    compare(dock, qtbot)
    assert other.depths == dock.depths == truth(stack, virtual_planes, model)
    viewer.dims.set_point(0, 3)
    assert other.curves.shown_line.value() == dock.curves.shown_line.value() == 3
    viewer.window.remove_dock_widget(dock)
    other.review()
    assert other.flip_hint.text().startswith("F flips")
    press_f(other)
    assert other.look.value == Look.FLIP.value
    del dock
    qtbot.wait(50)
    gc.collect()


def test_a_virtual_stack_from_a_file_is_not_taken_for_measured(
    viewer: Any, open_dock: Callable[..., VirtualRefocusing], stack: Any
) -> None:
    record = Provenance(kind="inferred", model_name="tiny")
    add_stack(viewer, stack, name="opened", metadata={"provenance": record.to_json()})
    add_stack(viewer, stack, name="movie", axis_labels=("t", "y", "x"), units=("s", "um", "um"))
    add_stack(viewer, stack, name="focal stack")
    dock = open_dock(viewer)
    assert [name for name in names_in(dock.form.measured_choice) if name] == ["focal stack"]


def test_flip_alone_puts_everything_back(viewer: Any, stack: Any) -> None:
    layers = {name: add_stack(viewer, stack, name=name) for name in ("one", "two")}
    layers["two"].visible = False
    viewer.canvas.overlays.text.text = "mine"
    flip = Flip(viewer, lambda: None)
    flip.flip()
    assert flip.seen == ""
    flip.start(layers)
    assert (seen(viewer), flip.seen) == ({"one"}, "one")
    flip.flip()
    assert (seen(viewer), viewer.canvas.overlays.text.text) == ({"two"}, "two\ntwo")
    flip.stop()
    assert (seen(viewer), viewer.canvas.overlays.text.text) == ({"one"}, "mine")

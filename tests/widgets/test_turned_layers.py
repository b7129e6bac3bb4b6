"""Images that are turned, mirrored or registered, in both docks and on the canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_deepz.engine.refocus import refocus
from napari_deepz.models.package import Model
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.anchors import Anchors, Tool
from napari_deepz.widgets.refocusing.surfaces.surface_form import LAYER, TILTED
from napari_deepz.widgets.refocusing.view_form import BESIDE, OVER
from napari_deepz.widgets.shared.layers import frame_of
from napari_deepz.widgets.shared.placement import View, length_um
from napari_deepz.widgets.shared.results import record_of, results_in
from tests.widgets.canvas import click
from tests.widgets.conftest import PIXEL_UM, add_image, run, set_range, wait_idle
from tests.widgets.test_placement import registered

SHAPE = (64, 80)
CORNERS = np.array([(0, 0), (0, 79), (63, 0), (63, 79)], float)

TURNED = {
    "rotated": {"rotate": 30, "translate": (4, -3)},
    "mirrored": {"scale": (PIXEL_UM, -PIXEL_UM), "translate": (2, 9)},
    "registered": {"affine": registered(-40, 1.0)},
    "in mm": {"scale": (PIXEL_UM / 1e3, -PIXEL_UM / 1e3), "units": ("mm",) * 2, "rotate": 70},
}
turned = pytest.mark.parametrize("changes", TURNED.values(), ids=TURNED)


def corners_um(layer: Any) -> Any:
    """Where the first and last pixels of the last two axes lie in the world."""
    places = [layer.data_to_world((*(0,) * (layer.ndim - 2), *corner)) for corner in CORNERS]
    return np.array(places)[:, -2:] * [length_um(unit) for unit in layer.units[-2:]]


@turned
def test_results_and_live_pictures_lie_over_or_beside(
    open_dock: Callable[..., VirtualRefocusing],
    pixels: np.ndarray,
    qtbot: Any,
    model: Model,
    changes: Any,
) -> None:
    dock = open_dock()
    image = add_image(dock, pixels, **changes)
    dock.view.choice.value = OVER
    set_range(dock, -1, 1, 1)
    dock.workbench.live_switch.value = True
    dock.review()
    run(dock, qtbot)
    (result,) = results_in(dock.viewer)
    expected = refocus(pixels, Flat(-1, 1, 1), model, pixel_size_um=PIXEL_UM)
    np.testing.assert_allclose(result.data, expected.data, rtol=1e-4)
    live = dock.workbench.live.target.layer
    for layer in (result, live):
        np.testing.assert_allclose(corners_um(layer), corners_um(image), atol=1e-9)

    dock.view.choice.value = BESIDE
    for layer in (result, live):
        moved = corners_um(layer) - corners_um(image)
        np.testing.assert_allclose(moved, np.tile(moved[0], (4, 1)), atol=1e-9)
        assert moved[0, 0] == pytest.approx(0)
        assert corners_um(layer)[:, 1].min() > corners_um(image)[:, 1].max()
    dock.view.choice.value = OVER
    np.testing.assert_allclose(corners_um(live), corners_um(image), atol=1e-9)
    dock.surface.kind.value = TILTED
    dock.review()
    run(dock, qtbot)
    flat = results_in(dock.viewer)[-1]
    assert flat.ndim == 2
    np.testing.assert_allclose(corners_um(flat), corners_um(image), atol=1e-9)
    dock.workbench.live_switch.value = False
    qtbot.waitUntil(lambda: dock.workbench.live.is_idle, timeout=20_000)


@turned
def test_the_mesh_lies_over_the_image(dock: VirtualRefocusing, changes: Any) -> None:
    dock.viewer.layers.clear()
    image = add_image(dock, np.ones(SHAPE, np.float32), **changes)
    dock.surface.kind.value = TILTED
    dock.surface.tilt_x.value = 10
    dock.workbench.mesh_switch.value = True
    dock.viewer.dims.ndisplay = 3
    mesh = dock.workbench.mesh.layer
    world = np.array([mesh.data_to_world(vertex) for vertex in mesh.data[0]])
    world_um = world * [length_um(unit) for unit in mesh.units]
    place = image.world_to_data
    in_units = world_um[:, -2:] / [length_um(unit) for unit in image.units]  # type: ignore[call-overload]
    pixel = np.array([place(at) for at in in_units])
    assert pixel.min(axis=0) == pytest.approx((0, 0), abs=1e-6)
    assert pixel.max(axis=0) == pytest.approx((63, 79), abs=1e-6)
    depths_um = Tilted(10, 0, 0).dpm(SHAPE, PIXEL_UM)
    rows, columns = np.rint(pixel).astype(int).T
    step_um = PIXEL_UM * np.tan(np.deg2rad(10))
    np.testing.assert_allclose(world_um[:, 0], depths_um[rows, columns], atol=step_um)  # type: ignore[call-overload]


@pytest.mark.parametrize("shown_beside", [False, True], ids=["over the image", "beside the image"])
@pytest.mark.parametrize(
    "changes",
    [*TURNED.values(), pytest.param(TURNED["registered"], marks=pytest.mark.window)],
    ids=[*TURNED, "registered, in the window"],
)
def test_a_click_on_a_turned_image_lands_at_its_pixel(
    make_viewer: Callable[[], Any], changes: Any, shown_beside: bool
) -> None:
    viewer = make_viewer()
    settings = {"scale": (PIXEL_UM,) * 2, "units": ("um",) * 2, "axis_labels": ("y", "x")}
    image = viewer.add_image(np.zeros(SHAPE, np.float32), **(settings | changes))
    frame = frame_of(image, View.of(viewer))
    shift_um = frame.beside_um(SHAPE) if shown_beside else 0.0
    if shown_beside:
        viewer.add_image(np.zeros(SHAPE, np.float32), **frame.flat(right_um=shift_um))
    viewer.reset_view()
    anchors = Anchors(viewer)
    anchors.show_at(frame, SHAPE, range_um=(-10, 10), shift_um=shift_um)
    anchors.tool = Tool.PICK
    pixels = np.array([(10, 15), (50, 20), (30, 70)], float)
    away = (0, shift_um / (length_um(image.units[-1])))  # type: ignore[operator]
    for pixel, aside in zip(pixels, (0, 1, 0), strict=True):
        click(viewer, np.array(image.data_to_world(pixel)) + np.multiply(aside, away))
    tolerance_px = 1.5 / viewer.scene.camera.zoom / abs(image.scale[0])
    found = anchors.rows_um()[:, :2] / PIXEL_UM
    np.testing.assert_allclose(found, pixels, atol=tolerance_px)
    placed = np.array([anchors.layer.data_to_world(at) for at in anchors.layer.data])
    expected = [np.array(image.data_to_world(pixel)) + away for pixel in found]
    np.testing.assert_allclose(placed, expected, atol=1e-9 + 1e-9 * np.abs(expected).max())


@turned
def test_a_surface_through_points_on_a_turned_image(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, qtbot: Any, changes: Any
) -> None:
    dock = open_dock()
    image = add_image(dock, pixels, **changes)
    spots = np.array([(2, 3), (60, 3), (2, 77), (60, 77), (30, 40)], float)
    depths_um = 0.05 * spots[:, 1]
    unit_um = [length_um(unit) for unit in image.units]
    places = np.array([image.data_to_world(spot) for spot in spots]) * unit_um
    points = dock.viewer.add_points(
        np.column_stack([depths_um, places]), units=("um",) * 3, ndim=3, axis_labels=("z", "y", "x")
    )
    dock.surface.kind.value = LAYER
    dock.surface.layer.value = points
    dock.review()
    run(dock, qtbot)
    surface = record_of(results_in(dock.viewer)[-1]).request.surface
    expected = np.tile(0.05 * np.arange(80), (64, 1))
    np.testing.assert_allclose(surface.dpm(SHAPE, PIXEL_UM), expected, atol=0.01)


COMPARISON = "Compare with measured stack"


def stack_over(dock: VirtualRefocusing, image: Any, pixels: Any) -> Any:
    """A measured stack at the same place."""
    rotate = np.eye(3)
    rotate[1:, 1:] = image.rotate
    affine = np.eye(4)
    affine[1:, 1:] = np.array(image.affine)
    return dock.viewer.add_image(
        np.stack([pixels] * 3),
        name="measured",
        scale=(1, *image.scale),
        translate=(-1, *image.translate),
        rotate=rotate,
        affine=affine,
        units=("um", *image.units),
        axis_labels=("z", "y", "x"),
    )


@turned
def test_a_turned_result_is_compared_with_a_stack_turned_alike(
    open_dock: Callable[..., VirtualRefocusing],
    add_dock: Callable[[Any, str], Any],
    pixels: np.ndarray,
    qtbot: Any,
    changes: Any,
) -> None:
    dock = open_dock()
    image = add_image(dock, pixels, **changes)
    set_range(dock, -1, 1, 1)
    dock.review()
    run(dock, qtbot)
    measured = stack_over(dock, image, pixels)
    comparison = add_dock(dock.viewer, COMPARISON)
    comparison.form.measured_choice.value = measured
    comparison.review()
    assert "3 of 3 virtual planes matched" in comparison.match.text()
    assert "lies" not in comparison.match.text()
    pairing = comparison._pairing
    for layer in (image, measured, results_in(dock.viewer)[0]):
        at = layer.data_to_world((*(0,) * (layer.ndim - 2), 12, 61))[-2:]
        y_um, x_um = np.multiply(at, [length_um(unit) for unit in layer.units[-2:]])  # type: ignore[arg-type]
        assert pairing.pixel_at(y_um, x_um) == (12, 61)
    comparison.panel.difference.click()
    wait_idle(comparison, qtbot)
    difference = dock.viewer.layers[-1]
    np.testing.assert_allclose(corners_um(difference), corners_um(measured), atol=1e-9)
    assert difference.data_to_world((0, 0, 0))[0] == pytest.approx(-1)


@pytest.mark.parametrize("changes", [{"rotate": 30}, {"scale": (PIXEL_UM, -PIXEL_UM)}])
def test_a_stack_that_is_turned_against_the_result_is_refused(
    open_dock: Callable[..., VirtualRefocusing],
    add_dock: Callable[[Any, str], Any],
    pixels: np.ndarray,
    qtbot: Any,
    changes: dict[str, Any],
) -> None:
    dock = open_dock()
    add_image(dock, pixels, **changes)
    set_range(dock, -1, 1, 1)
    dock.review()
    run(dock, qtbot)
    upright = add_image(dock, np.stack([pixels] * 3), name="measured", translate=(-1, 0, 0))
    comparison = add_dock(dock.viewer, COMPARISON)
    comparison.form.measured_choice.value = upright
    comparison.review()
    assert "rotated or sheared against the virtual planes" in comparison.match.text()
    assert not comparison.panel.compare.isEnabled()

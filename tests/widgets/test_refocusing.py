"""The dock in a real viewer: runs that end well."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from napari_deepz.engine.refocus import refocus
from napari_deepz.models.package import Model
from napari_deepz.surfaces import Curved, Flat, FromImage, FromPoints, Tilted
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.surface_form import CURVED, FLAT, LAYER, TILTED
from napari_deepz.widgets.refocusing.view_form import BESIDE, LINKED, OVER
from napari_deepz.widgets.shared.results import record_of, results_in
from tests.widgets.conftest import PIXEL_UM, Slowly, add_image, run, set_range, wait_idle


def units_of(layer: Any) -> list[str]:
    return [str(unit) for unit in layer.units]


@pytest.mark.window
def test_a_flat_range_becomes_a_stack_with_the_engines_pixels(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any
) -> None:
    layer = run(dock, qtbot)

    expected = refocus(pixels, Flat(-4, 4, 1), model, pixel_size_um=PIXEL_UM)
    np.testing.assert_array_equal(layer.data, expected.data)
    assert layer.name == "cells (virtual)"
    assert layer.axis_labels == ("z", "y", "x")
    assert units_of(layer) == ["micrometer"] * 3
    np.testing.assert_allclose(layer.scale, (1, PIXEL_UM, PIXEL_UM))
    np.testing.assert_allclose(layer.translate, (-4, 0, 80 * PIXEL_UM * 1.04))
    assert layer.contrast_limits == dock.viewer.layers["cells"].contrast_limits
    assert layer.contrast_limits_range[1] >= expected.data.max()


def test_a_result_remembers_how_it_was_made(
    dock: VirtualRefocusing, model: Model, qtbot: Any
) -> None:
    record = record_of(run(dock, qtbot))

    assert record.z_um == tuple(range(-4, 5))
    provenance = record.provenance
    assert (provenance.kind, provenance.input_name) == ("inferred", "cells")
    assert (provenance.model_name, provenance.model_sha256) == ("tiny", model.sha256)
    assert provenance.surfaces == [Flat(-4, 4, 1).model_dump(mode="json")]
    assert provenance.axial_range_um == (-4, 4)
    assert provenance.device.startswith(("CPU", "NVIDIA", "Apple"))
    assert provenance.device in dock.panel.message.text()


def test_a_falling_range_is_stored_rising(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any
) -> None:
    set_range(dock, 3, -2, 1)
    layer = run(dock, qtbot)

    expected = refocus(pixels, Flat(-2, 3, 1), model, pixel_size_um=PIXEL_UM)
    np.testing.assert_array_equal(layer.data, expected.data)
    np.testing.assert_allclose((layer.translate[0], layer.scale[0]), (-2, 1))


def test_steps_that_do_not_fit_end_early_and_say_so(dock: VirtualRefocusing, qtbot: Any) -> None:
    set_range(dock, -4, 4, 3)
    dock.review()
    assert "-4 to 2 µm in steps of 3 µm: 3 planes" in dock.facts.result.text()
    assert record_of(run(dock, qtbot)).z_um == (-4, -1, 2)


def test_one_plane(dock: VirtualRefocusing, qtbot: Any) -> None:
    set_range(dock, 2, 2, 1)
    layer = run(dock, qtbot)
    assert layer.data.shape == (1, 64, 80)
    assert layer.translate[0] == 2


def test_a_tilted_plane_becomes_one_image(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any
) -> None:
    dock.surface.kind.value = TILTED
    dock.surface.tilt_x.value = 5
    dock.surface.tilt_offset.value = 1
    layer = run(dock, qtbot)

    surface = Tilted(5, 0, 1)
    expected = refocus(pixels, surface, model, pixel_size_um=PIXEL_UM)
    np.testing.assert_array_equal(layer.data, expected.data[0])
    assert layer.axis_labels == ("y", "x")
    assert units_of(layer) == ["micrometer"] * 2
    assert record_of(layer).request.surface == surface


def test_a_curved_surface_off_centre(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any
) -> None:
    form = dock.surface
    form.kind.value = CURVED
    form.form.value = "sphere"
    form.radius.value = -40
    form.vertex.value = 3
    form.centred.value = False
    form.centre_x.value, form.centre_y.value = 5, 8
    layer = run(dock, qtbot)

    surface = Curved(form="sphere", radius_um=-40, centre_um=(8, 5), offset_um=3)
    expected = refocus(pixels, surface, model, pixel_size_um=PIXEL_UM)
    np.testing.assert_array_equal(layer.data, expected.data[0])


def test_a_surface_from_an_image_of_depths(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any, rng: np.random.Generator
) -> None:
    depths = rng.uniform(-5, 5, pixels.shape).astype(np.float32)
    depth_layer = add_image(dock, depths, "depths")
    dock.image.choice.value = dock.viewer.layers["cells"]
    dock.surface.kind.value = LAYER
    dock.surface.layer.value = depth_layer
    layer = run(dock, qtbot)

    expected = refocus(pixels, FromImage(depths), model, pixel_size_um=PIXEL_UM)
    np.testing.assert_array_equal(layer.data, expected.data[0])


def test_a_surface_through_points(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any
) -> None:
    points_um = np.array([(-2, 1, 1), (3, 1, 20), (0, 15, 10)], float)
    points = dock.viewer.add_points(points_um / 1000, units=("mm",) * 3)
    dock.surface.kind.value = LAYER
    dock.surface.layer.value = points
    layer = run(dock, qtbot)

    surface = FromPoints(points_um[:, [1, 2, 0]])
    expected = refocus(pixels, surface, model, pixel_size_um=PIXEL_UM)
    np.testing.assert_allclose(layer.data, expected.data[0], rtol=1e-4)


def test_points_on_a_line_are_used_and_the_user_is_told(
    dock: VirtualRefocusing, qtbot: Any
) -> None:
    points = dock.viewer.add_points(
        np.array([(0, 5, 2), (1, 5, 10), (2, 5, 18)], float), units=("um",) * 3
    )
    dock.surface.kind.value = LAYER
    dock.surface.layer.value = points
    dock.review()
    assert "lie on one line" in dock.trust.cautions.text()
    layer = run(dock, qtbot)
    assert any("lie on one line" in note for note in record_of(layer).provenance.notes)


def test_the_shown_plane_of_a_stack_is_refocused_where_it_lies(
    dock: VirtualRefocusing, model: Model, qtbot: Any, rng: np.random.Generator
) -> None:
    stack = rng.integers(0, 999, (5, 64, 80), dtype=np.uint16)
    add_image(dock, stack, "stack", scale=(2, PIXEL_UM, PIXEL_UM), translate=(10, 1, 2))
    dock.image.choice.value = dock.viewer.layers["stack"]
    dock.viewer.dims.set_point(0, 16)
    layer = run(dock, qtbot)

    expected = refocus(stack[3], Flat(-4, 4, 1), model, pixel_size_um=PIXEL_UM)
    np.testing.assert_array_equal(layer.data, expected.data)
    np.testing.assert_allclose(layer.translate, (16 - 4, 1, 2 + 80 * PIXEL_UM * 1.04))


def test_a_frame_of_a_movie_keeps_its_time(
    dock: VirtualRefocusing, model: Model, qtbot: Any, rng: np.random.Generator
) -> None:
    movie = rng.integers(0, 999, (4, 64, 80), dtype=np.uint16)
    add_image(
        dock,
        movie,
        "movie",
        axis_labels=("t", "y", "x"),
        units=("s", "um", "um"),
        scale=(0.5, PIXEL_UM, PIXEL_UM),
    )
    dock.image.choice.value = dock.viewer.layers["movie"]
    dock.viewer.dims.set_point(0, 1.0)
    layer = run(dock, qtbot)

    assert layer.data.shape == (9, 1, 64, 80)
    assert layer.axis_labels == ("z", "t", "y", "x")
    assert units_of(layer) == ["micrometer", "second", "micrometer", "micrometer"]
    np.testing.assert_allclose(layer.translate[:2], (-4, 1.0))
    expected = refocus(movie[2], Flat(-4, 4, 1), model, pixel_size_um=PIXEL_UM)
    np.testing.assert_array_equal(layer.data[:, 0], expected.data)


def test_progress_with_the_time_left(dock: VirtualRefocusing, qtbot: Any, slowly: Slowly) -> None:
    messages: list[Any] = []
    dock.state.events.message.connect(messages.append)
    run(dock, qtbot)
    assert any(re.fullmatch(r"Refocusing: [1-8] of 9, \d+ s left", text) for text in messages)
    assert messages.index("Refocusing: 9 of 9") == len(messages) - 2


@pytest.mark.window
def test_the_slider_stays_where_it_is_and_the_plane_there_comes_first(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly
) -> None:
    dock.viewer.add_image(np.zeros((41, 8, 8)), scale=(0.5, 1, 1), translate=(-10, 0, 0))
    dock.viewer.dims.axis_labels = ("z", "y", "x")
    dock.image.choice.value = dock.viewer.layers["cells"]
    dock.viewer.dims.set_point(0, 3.0)
    dock.panel.refocus.click()
    (layer,) = results_in(dock.viewer)
    qtbot.waitUntil(lambda: layer.data[7].any(), timeout=10_000)
    assert not layer.data[0].any()
    wait_idle(dock, qtbot)
    assert dock.viewer.dims.point[0] == 3.0
    qtbot.waitUntil(lambda: dock.facts.shown.text() == "Shown: z = 3 µm")


def test_the_slider_stays_where_the_user_puts_it(
    dock: VirtualRefocusing, qtbot: Any, slowly: Slowly
) -> None:
    dock.panel.refocus.click()
    assert dock.viewer.dims.point[0] == 0
    dock.viewer.dims.set_point(0, 3.0)
    qtbot.waitUntil(lambda: dock.panel.refocus.isEnabled(), timeout=10_000)
    assert dock.viewer.dims.point[0] == 3.0


def test_results_move_beside_and_over(dock: VirtualRefocusing, qtbot: Any) -> None:
    layer = run(dock, qtbot)
    dock.view.choice.value = OVER
    np.testing.assert_allclose(layer.translate, (-4, 0, 0))
    dock.view.choice.value = BESIDE
    np.testing.assert_allclose(layer.translate, (-4, 0, 80 * PIXEL_UM * 1.04))


def test_both_images_are_in_view_after_a_run(dock: VirtualRefocusing, qtbot: Any) -> None:
    layer = run(dock, qtbot)
    middle_um = (80 * PIXEL_UM * 2.04) / 2
    assert math.isclose(dock.viewer.scene.camera.center[2], middle_um, rel_tol=0.02)
    assert layer.visible


def test_results_are_not_offered_for_refocusing(dock: VirtualRefocusing, qtbot: Any) -> None:
    run(dock, qtbot)
    assert [layer.name for layer in dock.image.choice.choices if layer] == ["cells"]


def test_restore_defaults(dock: VirtualRefocusing) -> None:
    dock.surface.kind.value = TILTED
    set_range(dock, 1, 2, 0.1)
    dock.view.choice.value = OVER
    dock.panel.restore.click()
    assert dock.surface.kind.value == FLAT
    assert (dock.surface.start.value, dock.surface.stop.value) == (-10, 10)
    assert dock.surface.step.value == 0.5
    assert dock.view.choice.value == LINKED


@pytest.mark.window
def test_the_run_in_3d(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any
) -> None:
    dock.viewer.dims.ndisplay = 3
    layer = run(dock, qtbot)
    expected = refocus(pixels, Flat(-4, 4, 1), model, pixel_size_um=PIXEL_UM)
    np.testing.assert_array_equal(layer.data, expected.data)


@pytest.mark.parametrize("kind", [FLAT, TILTED, CURVED, LAYER])
def test_only_the_settings_of_the_chosen_surface_show(dock: VirtualRefocusing, kind: Any) -> None:
    dock.surface.kind.value = kind
    pages = {FLAT: "start", TILTED: "tilt_x", CURVED: "radius", LAYER: "layer"}
    for name, widget in pages.items():
        native = getattr(dock.surface, widget).native
        assert native.isVisibleTo(dock) == (name == kind)

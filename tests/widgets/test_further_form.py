"""Several input planes in the dock: added, moved, removed, refocused together and recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_deepz import EncodedPlanes, Flat, read_image
from napari_deepz.models.library import find_package
from napari_deepz.models.package import Model, save_model
from napari_deepz.samples import TILTED_BEADS
from napari_deepz.widgets.comparing.pairing import is_virtual_stack
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.further_form import BEST
from napari_deepz.widgets.shared.results import record_of
from napari_deepz.widgets.shared.run_state import Phase
from tests.models.test_optical_range import any_objective
from tests.widgets.conftest import PIXEL_UM, add_image, run, set_range, told


@pytest.fixture
def stack(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(100, 999, (6, 64, 80), dtype=np.uint16)


@pytest.fixture
def several_package(tmp_path: Path) -> Path:
    spec = any_objective()
    parameters = spec.parameters | {"doubts": 4}
    changes = {"architecture": "several-planes", "parameters": parameters}
    spec = spec.model_copy(update=changes)
    save_model(tmp_path / "several", spec, spec.build())
    return tmp_path / "several"


@pytest.fixture
def stack_dock(open_dock: Callable[..., VirtualRefocusing], stack: np.ndarray) -> VirtualRefocusing:
    """Of a stack with planes 1.5 µm apart, of which plane 1 is the first input."""
    dock = open_dock()
    add_image(dock, stack, "worm", scale=(1.5, PIXEL_UM, PIXEL_UM))
    set_range(dock, -2, 4, 2)
    dock.viewer.dims.set_point(0, 1.5)
    dock.review()
    assert dock.image.further.add_shown.text == "Pin as first plane"
    dock.image.further.add_shown.native.click()
    assert dock.image.further.add_shown.text == "Add shown plane"
    return dock


def merged(images: list[np.ndarray], at_um: tuple[float, ...], model: Model, **how: Any) -> Any:
    planes = EncodedPlanes(images, at_um, model, pixel_size_um=PIXEL_UM, **how)
    return planes.refocus(Flat(-2, 4, 2))


def add_shown(dock: VirtualRefocusing, index: int) -> None:
    dock.viewer.dims.set_point(0, 1.5 * index)
    dock.review()
    dock.image.further.add_shown.native.click()
    dock.review()


def test_planes_of_the_stack_are_refocused_together(
    stack_dock: VirtualRefocusing, stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    dock, further = stack_dock, stack_dock.image.further
    assert dock.image.axes.pins[0].value  # The input stays where it is.
    assert not further.add_shown.enabled  # It is what is shown.
    add_shown(dock, 3)
    assert [box.value for box in further.boxes] == [3.0]
    assert not further.add_shown.enabled
    add_shown(dock, 0)
    assert [box.value for box in further.boxes] == [3.0, -1.5]
    assert dock.facts.planes.text() == "From 3 planes, the others at +3, -1.5 µm"
    layer = run(dock, qtbot)
    expected = merged([stack[1], stack[3], stack[0]], (0, 3, -1.5), model)
    np.testing.assert_array_equal(layer.data, expected.data)
    record = record_of(layer)
    assert record is not None
    said = record.provenance.describe()
    assert "INFERRED by a neural network from 3 images" in said
    assert "worm z 3" in said
    assert "at -1.5 µm; merge distance" in said


def test_another_distance_and_merge_are_taken(
    stack_dock: VirtualRefocusing, stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    add_shown(stack_dock, 3)
    further = stack_dock.image.further
    further.boxes[0].value = 2.25
    further.merge.value = "nearest"
    layer = run(stack_dock, qtbot)
    expected = merged([stack[1], stack[3]], (0, 2.25), model, merge="nearest")
    np.testing.assert_array_equal(layer.data, expected.data)
    assert further.boxes[0].value == 2.25


def test_the_distance_follows_the_input(stack_dock: VirtualRefocusing) -> None:
    add_shown(stack_dock, 4)
    stack_dock.image.axes.boxes[0].value = 2
    stack_dock.review()
    assert stack_dock.image.further.boxes[0].value == 3.0
    stack_dock.image.axes.boxes[0].value = 4
    stack_dock.review()
    assert "Say how far worm z 4 lies from the input plane" in stack_dock.forms.resolved().problem
    assert not stack_dock.panel.refocus.isEnabled()


def test_a_removed_plane_counts_no_more(
    stack_dock: VirtualRefocusing, stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    add_shown(stack_dock, 3)
    add_shown(stack_dock, 5)
    stack_dock.image.further.removes[0].native.click()
    assert [box.value for box in stack_dock.image.further.boxes] == [6.0]
    stack_dock.image.further.removes[0].native.click()
    stack_dock.review()
    layer = run(stack_dock, qtbot)
    np.testing.assert_allclose(
        layer.data, merged([stack[1]], (0,), model).data, rtol=1e-5, atol=1e-3
    )
    record = record_of(layer)
    assert record is not None
    assert record.provenance.recipe is not None
    assert "further" not in record.provenance.recipe


def test_another_layer_is_refocused_together_with_the_image(
    open_dock: Callable[..., VirtualRefocusing], stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    dock = open_dock()
    for name, image in (("other", stack[4]), ("cells", stack[1])):
        add_image(dock, image, name)
    dock.review()
    set_range(dock, -2, 4, 2)
    dock.image.choice.value = dock.viewer.layers["cells"]
    dock.review()
    further = dock.image.further
    assert not further.add_shown.visible
    further.add_layer.value = dock.viewer.layers["other"]
    dock.review()
    further.boxes[0].value = -2.5
    layer = run(dock, qtbot)
    np.testing.assert_array_equal(layer.data, merged([stack[1], stack[4]], (0, -2.5), model).data)
    dock.viewer.layers.remove("other")
    dock.review()
    assert further.boxes == []
    assert dock.forms.resolved().request is not None


def test_planes_of_other_sizes_are_refused_in_a_sentence(
    open_dock: Callable[..., VirtualRefocusing], stack: np.ndarray
) -> None:
    dock = open_dock()
    other = add_image(dock, stack[4][:50], "other")
    add_image(dock, stack[1], "cells")
    dock.review()
    dock.image.further.add_layer.value = other
    dock.review()
    problem = dock.forms.resolved().problem
    assert problem.startswith("'other' has 80 × 50 pixels and 'cells' 80 × 64: input planes must")
    other.data, other.scale = stack[4], (2 * PIXEL_UM, 2 * PIXEL_UM)
    dock.review()
    problem = dock.forms.resolved().problem
    assert problem.startswith("The pixels of 'other' are 0.65 µm wide and those of 'cells' 0.325")


def test_a_pixel_size_that_is_entered_is_that_of_all_planes_of_the_place(
    open_dock: Callable[..., VirtualRefocusing], stack: np.ndarray
) -> None:
    dock = open_dock()
    others = [dock.viewer.add_image(stack[index], name=f"other {index}") for index in (2, 4)]
    cells = dock.viewer.add_image(stack[1], name="cells")
    dock.review()
    dock.image.choice.value = cells
    dock.review()
    sizes, further = dock.image.sizes, dock.image.further
    further.add_layer.value = others[0]
    sizes.pixel_size.value = 0.2
    sizes.use.native.click()
    dock.review()
    assert np.allclose([cells.scale, others[0].scale], 0.2)
    further.add_layer.value = others[1]
    assert np.allclose(others[1].scale, 0.2)
    sizes.pixel_size.value = 0.4
    assert np.allclose([one.scale for one in (cells, *others)], 0.4)


def test_the_images_tell_how_far_apart_two_planes_lie(
    open_dock: Callable[..., VirtualRefocusing], qtbot: Any
) -> None:
    series = read_image(TILTED_BEADS)
    stack = np.asarray(series.stack())
    dock = open_dock()
    dock.model.add(find_package("widefield-20x"))
    other = add_image(dock, stack[6], "other")
    add_image(dock, stack[10], "beads")
    dock.review()
    further = dock.image.further
    further.add_layer.value = other
    dock.review()
    assert further.boxes[0].value == 3  # As proposed; the images tell that it is shallower.
    further.estimates[0].native.click()
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=60_000)
    assert abs(further.boxes[0].value + 4) < 0.8
    assert "µm shallower, as the images show." in dock.state.message
    assert dock.forms.resolved().at_um == (0, further.boxes[0].value)


def test_the_spread_is_asked_for_image_by_image(
    stack_dock: VirtualRefocusing, stack: np.ndarray
) -> None:
    dock, further = stack_dock, stack_dock.image.further
    add_shown(dock, 3)
    further.spread.value = True
    add_image(dock, stack[1], "cells")
    dock.image.choice.value = dock.viewer.layers["cells"]
    dock.review()
    assert not further.spread.value
    dock.image.choice.value = dock.viewer.layers["worm"]
    dock.review()
    assert further.spread.value


def test_live_shows_what_the_run_makes(
    stack_dock: VirtualRefocusing, stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    add_shown(stack_dock, 3)
    stack_dock.workbench.live_switch.value = True
    live = stack_dock.workbench.live
    expected = merged([stack[1], stack[3]], (0, 3), model)

    def is_there() -> bool:
        return live.target is not None and np.array_equal(live.target.layer.data, expected.data[2])

    stack_dock.surface.focus.value = 2.0
    qtbot.waitUntil(is_there, timeout=10_000)
    stack_dock.image.further.boxes[0].value = 2.0
    expected = merged([stack[1], stack[3]], (0, 2), model)
    qtbot.waitUntil(is_there, timeout=10_000)
    stack_dock.workbench.live_switch.value = False


def test_frames_of_a_fast_drive_are_refocused_together(
    open_dock: Callable[..., VirtualRefocusing], stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    dock = open_dock()
    layer = add_image(dock, stack, "drive", scale=(0.1, PIXEL_UM, PIXEL_UM))
    layer.axis_labels, layer.units = ("t", "y", "x"), ("s", "um", "um")
    dock.viewer.dims.set_point(0, 0.1)
    dock.review()
    set_range(dock, -2, 4, 2)
    further = dock.image.further
    further.add_shown.native.click()
    dock.viewer.dims.set_point(0, 0.3)
    dock.review()
    further.add_shown.native.click()
    dock.review()
    assert "Say how far drive t 3 lies from the input" in dock.forms.resolved().problem
    further.boxes[0].value = 2.5
    dock.review()
    made = run(dock, qtbot)
    expected = merged([stack[1], stack[3]], (0, 2.5), model).data
    np.testing.assert_array_equal(made.data.reshape(expected.shape), expected)
    record = record_of(made)
    assert record is not None
    assert "drive t 3" in record.provenance.describe()


def test_the_range_reaches_as_far_as_all_planes_know(
    open_dock: Callable[..., VirtualRefocusing], stack: np.ndarray
) -> None:
    dock = open_dock()
    add_image(dock, stack, "worm", scale=(1.5, PIXEL_UM, PIXEL_UM))
    dock.review()
    low_um, high_um = dock.surface.start.value, dock.surface.stop.value
    dock.viewer.dims.set_point(0, 0)
    dock.review()
    dock.image.further.add_shown.native.click()
    add_shown(dock, 4)
    assert (dock.surface.start.value, dock.surface.stop.value) == (low_um, high_um + 6)
    dock.surface.focus.value = high_um + 6
    assert dock.surface.focus.value == high_um + 6
    assert "beyond" not in dock.trust.cautions.text()
    dock.image.further.removes[0].native.click()
    dock.review()
    assert (dock.surface.start.value, dock.surface.stop.value) == (low_um, high_um)


def test_how_far_it_may_be_off_is_shown_in_a_layer_of_its_own(
    stack_dock: VirtualRefocusing, stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    add_shown(stack_dock, 3)
    further = stack_dock.image.further
    further.spread.value = True
    stack_dock.review()
    assert "is no percentage" in stack_dock.trust.cautions.text()
    layer = run(stack_dock, qtbot)
    stack_dock.viewer.dims.set_point(0, 3.0)
    said = stack_dock.viewer.canvas.overlays.text
    qtbot.waitUntil(lambda: said.text.startswith("HOW FAR IT MAY BE OFF ("), timeout=5_000)
    assert "from worm, z 1 and 1 more" in said.text
    planes = EncodedPlanes([stack[1], stack[3]], (0, 3), model, pixel_size_um=PIXEL_UM)
    expected = planes.spread().refocus(Flat(-2, 4, 2)).data
    np.testing.assert_array_equal(layer.data, expected)
    assert layer.name == "worm z 1 (spread)"
    assert layer.colormap.name == "magma"
    assert not is_virtual_stack(layer)  # There is no measured one to compare it with.
    record = record_of(layer)
    assert record is not None
    assert record.provenance.describe().startswith("HOW FAR virtual planes of 2 images may be off")

    stack_dock.workbench.live_switch.value = True
    live = stack_dock.workbench.live
    stack_dock.surface.focus.value = 2.0

    def shows(plane: np.ndarray, name: str) -> bool:
        layer = None if live.target is None else live.target.layer
        return layer is not None and layer.name == name and np.array_equal(layer.data, plane)

    qtbot.waitUntil(lambda: shows(expected[2], "worm z 1 (live spread)"), timeout=10_000)
    further.spread.value = False
    picture = merged([stack[1], stack[3]], (0, 3), model).data[2]
    qtbot.waitUntil(lambda: shows(picture, "worm z 1 (live)"), timeout=10_000)
    stack_dock.workbench.live_switch.value = False

    further.spread.value = True
    further.merge.value = "linear"
    stack_dock.review()
    assert not stack_dock.panel.refocus.isEnabled()
    assert "of the merge 'linear' may be off" in stack_dock.forms.resolved().problem
    changes = []
    further.changed.connect(lambda: changes.append(further.chosen_merge))
    further.merge.native.setCurrentIndex(0)
    assert changes == [None]
    stack_dock.review()
    assert stack_dock.panel.refocus.isEnabled()


def test_interpolation_is_called_that(
    stack_dock: VirtualRefocusing, stack: np.ndarray, qtbot: Any, notified: Any
) -> None:
    add_shown(stack_dock, 3)
    stack_dock.image.further.merge.value = "linear"
    stack_dock.review()
    assert "no network was used" in stack_dock.trust.cautions.text()
    layer = run(stack_dock, qtbot)
    np.testing.assert_array_equal(layer.data[1], stack[1])
    said = stack_dock.viewer.canvas.overlays.text
    qtbot.waitUntil(lambda: said.text.startswith("INTERPOLATED ("), timeout=5_000)
    assert told(notified, "beyond the measured ones, 0 to 3 µm")


def test_the_network_merges_only_where_it_has_learned_to(
    stack_dock: VirtualRefocusing, several_package: Path
) -> None:
    merge = stack_dock.image.further.merge
    assert "learned" not in merge.choices
    stack_dock.model.add(several_package)
    assert "learned" in merge.choices
    merge.value = "learned"
    stack_dock.model.restore()
    assert merge.value == BEST
    assert "learned" not in merge.choices


@pytest.mark.window
def test_it_works_in_a_window(
    open_dock: Callable[..., VirtualRefocusing], stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    dock = open_dock()
    add_image(dock, stack, "worm", scale=(1.5, PIXEL_UM, PIXEL_UM))
    set_range(dock, -2, 4, 2)
    dock.viewer.dims.set_point(0, 1.5)
    dock.review()
    dock.image.further.add_shown.native.click()
    add_shown(dock, 3)
    assert dock.image.further.merge.native.isVisibleTo(dock)
    layer = run(dock, qtbot)
    np.testing.assert_array_equal(layer.data, merged([stack[1], stack[3]], (0, 3), model).data)

"""The input stays what it was: it is pinned, shown, and said in the names of what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_deepz import Flat, refocus
from napari_deepz.models.package import Model
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.shared.results import record_of
from tests.widgets.conftest import PIXEL_UM, add_image, run, set_range


@pytest.fixture
def stack(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 999, (5, 64, 80), dtype=np.uint16)


@pytest.fixture
def stack_dock(open_dock: Callable[..., VirtualRefocusing], stack: np.ndarray) -> VirtualRefocusing:
    dock = open_dock()
    add_image(dock, stack, "worm")
    set_range(dock, -2, 2, 1)
    dock.viewer.dims.set_point(0, 1)
    dock.review()
    return dock


def planes(image: np.ndarray, model: Model) -> np.ndarray:
    return refocus(image, Flat(-2, 2, 1), model, pixel_size_um=PIXEL_UM).data


def test_refocus_pressed_twice_refocuses_the_same_plane(
    stack_dock: VirtualRefocusing, stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    first = run(stack_dock, qtbot)
    stack_dock.viewer.dims.set_point(0, 2)  # To look at another depth.
    second = run(stack_dock, qtbot)
    for layer in (first, second):
        np.testing.assert_array_equal(layer.data, planes(stack[1], model))
        record = record_of(layer)
        assert record is not None
        assert record.request.plane.position == "z 1"
    assert first.name == "worm z 1 (virtual)"


def test_the_input_follows_the_slider_until_something_is_made_of_it(
    stack_dock: VirtualRefocusing, qtbot: Any
) -> None:
    dock = stack_dock
    box, pin = dock.image.axes.boxes[0], dock.image.axes.pins[0]
    assert (box.value, pin.value) == (1, False)
    dock.viewer.dims.set_point(0, 3)
    dock.review()
    assert (box.value, pin.value) == (3, False)
    run(dock, qtbot)
    dock.viewer.dims.set_point(0, 0)
    dock.review()
    assert (box.value, pin.value) == (3, True)
    pin.value = False
    dock.review()
    assert box.value == 0


def test_a_typed_plane_is_the_input(
    stack_dock: VirtualRefocusing, stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    stack_dock.image.axes.boxes[0].value = 4
    assert stack_dock.image.axes.pins[0].value
    layer = run(stack_dock, qtbot)
    np.testing.assert_array_equal(layer.data, planes(stack[4], model))
    assert layer.translate[0] == 4 - 2


def test_each_image_keeps_its_own_plane(
    stack_dock: VirtualRefocusing, rng: np.random.Generator
) -> None:
    dock = stack_dock
    first = dock.image.layer
    dock.image.axes.boxes[0].value = 4
    dock.image.choice.value = add_image(dock, rng.integers(0, 99, (3, 64, 80)), "other")
    dock.review()
    assert (dock.image.axes.boxes[0].value, dock.image.axes.pins[0].value) == (1, False)
    dock.image.choice.value = first
    dock.review()
    assert (dock.image.axes.boxes[0].value, dock.image.axes.pins[0].value) == (4, True)


def test_a_movie_of_stacks_is_pinned_along_z_alone(
    open_dock: Callable[..., VirtualRefocusing],
    rng: np.random.Generator,
    model: Model,
    qtbot: Any,
) -> None:
    """Results lie at their own time: its slider goes on choosing the input."""
    dock = open_dock()
    movie = rng.integers(0, 999, (3, 4, 64, 80), dtype=np.uint16)
    add_image(dock, movie, "movie", units=("s", "um", "um", "um"))
    set_range(dock, -2, 2, 1)
    dock.viewer.dims.set_point((0, 1), (1, 2))
    dock.review()
    first = run(dock, qtbot)
    dock.viewer.dims.set_point(0, 2)
    second = run(dock, qtbot)
    np.testing.assert_array_equal(first.data[0], planes(movie[1, 2], model))
    np.testing.assert_array_equal(second.data[0], planes(movie[2, 2], model))
    assert second.name == "movie t 2 z 2 (virtual)"
    labels = [pin.value for pin in dock.image.axes.pins]
    assert labels == [False, True]


def test_planes_that_are_not_there_any_more_are_not_asked_for(
    stack_dock: VirtualRefocusing, stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    stack_dock.image.axes.boxes[0].value = 4
    layer = stack_dock.image.layer
    assert layer is not None
    layer.data = stack[:2]
    stack_dock.review()
    assert stack_dock.image.axes.boxes[0].value == 1
    np.testing.assert_array_equal(run(stack_dock, qtbot).data, planes(stack[1], model))

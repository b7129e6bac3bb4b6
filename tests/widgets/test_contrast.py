"""What is made of an image is seen at once: its contrast, and the depth that is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from tests.widgets.conftest import add_image, run, set_range


@pytest.fixture
def hot(rng: np.random.Generator) -> np.ndarray:
    """Cells of some hundred counts, and one pixel that is far brighter."""
    pixels = rng.integers(100, 1000, (64, 80), dtype=np.uint16)
    pixels[10, 10] = 53226
    return pixels


@pytest.fixture
def hot_dock(open_dock: Callable[..., VirtualRefocusing], hot: np.ndarray) -> VirtualRefocusing:
    dock = open_dock()
    add_image(dock, hot)
    set_range(dock, -4, 4, 1)
    dock.review()
    return dock


def test_an_image_is_seen_before_anything_is_made_of_it(
    hot_dock: VirtualRefocusing, hot: np.ndarray
) -> None:
    image = hot_dock.image.layer
    assert image is not None
    np.testing.assert_allclose(image.contrast_limits, np.percentile(hot, [1, 99.8]))


def test_one_hot_pixel_does_not_leave_the_rest_black(
    hot_dock: VirtualRefocusing, hot: np.ndarray, qtbot: Any
) -> None:
    image = hot_dock.image.layer
    assert image is not None
    result = run(hot_dock, qtbot)
    for layer in (image, result):
        np.testing.assert_allclose(layer.contrast_limits, np.percentile(hot, [1, 99.8]))
    assert result.contrast_limits_range[1] > result.contrast_limits[1]


def test_limits_that_the_user_has_set_stay(hot_dock: VirtualRefocusing, qtbot: Any) -> None:
    image = hot_dock.image.layer
    assert image is not None
    image.contrast_limits = (50, 2000)
    assert tuple(run(hot_dock, qtbot).contrast_limits) == (50, 2000)
    assert tuple(image.contrast_limits) == (50, 2000)


def test_image_and_result_keep_the_same_contrast(hot_dock: VirtualRefocusing, qtbot: Any) -> None:
    image, result = hot_dock.image.layer, run(hot_dock, qtbot)
    assert image is not None
    image.contrast_limits = (10, 500)
    assert tuple(result.contrast_limits) == (10, 500)
    result.contrast_limits = (20, 600)
    assert tuple(image.contrast_limits) == (20, 600)


def test_the_view_returns_to_the_input_when_a_run_is_over(
    hot_dock: VirtualRefocusing, qtbot: Any
) -> None:
    """Not to the last plane, which is the worst."""
    run(hot_dock, qtbot)
    assert hot_dock.viewer.dims.point[0] == 0
    hot_dock.viewer.dims.set_point(0, 2)
    run(hot_dock, qtbot)
    assert hot_dock.viewer.dims.point[0] == 2


def test_a_plane_of_a_stack_returns_to_its_own_depth(
    open_dock: Callable[..., VirtualRefocusing], hot: np.ndarray, qtbot: Any
) -> None:
    dock = open_dock()
    add_image(dock, np.stack([hot] * 9), scale=(2, 0.325, 0.325))
    set_range(dock, -4, 4, 1)
    dock.viewer.dims.set_point(0, 10)
    dock.review()
    run(dock, qtbot)
    assert dock.viewer.dims.point[0] == 10
    dock.viewer.dims.set_point(0, 16)
    dock.review()
    run(dock, qtbot)  # 16 µm lies outside of 6 to 14 µm.
    assert dock.viewer.dims.point[0] == 10

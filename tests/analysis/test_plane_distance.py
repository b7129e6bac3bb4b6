"""The distance between two planes, told by refocusing them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz import load_model, read_image
from napari_deepz.analysis.plane_distance import estimate_distance
from napari_deepz.samples import TILTED_BEADS


@pytest.mark.parametrize("apart", [2, 3, 5])
def test_simulated_beads_tell_how_far_apart_two_planes_are(apart: int) -> None:
    series = read_image(TILTED_BEADS)
    assert series.z_step_um == 1
    stack, sampling, middle = series.stack(), series.sampling(0), series.size("Z") // 2
    found = estimate_distance(
        stack[middle - apart], stack[middle], load_model("widefield-20x"), sampling=sampling
    )
    assert found.is_sure
    assert abs(found.distance_um - apart) < 1
    assert abs(found.distance_um - apart) < 2 * found.uncertainty_um
    assert found.direction == 1


def test_a_plane_and_itself_tell_nothing(rng: np.random.Generator) -> None:
    image = rng.gamma(2, 100, (64, 64))
    found = estimate_distance(image, image, load_model("widefield-20x"))
    assert not found.is_sure
    assert found.distance_um < 1


def test_the_images_tell_which_plane_is_the_deeper_one_and_a_shift_does_no_harm() -> None:
    series = read_image(TILTED_BEADS)
    stack, sampling, middle = series.stack(), series.sampling(0), series.size("Z") // 2
    moved = np.roll(stack[middle - 5], (4, -3), axis=(0, 1))
    found = estimate_distance(stack[middle], moved, load_model("widefield-20x"), sampling=sampling)
    assert found.direction == -1
    assert abs(found.distance_um - 5) < found.uncertainty_um


def test_a_model_to_which_both_sides_are_alike_does_not_tell_them_apart() -> None:
    series = read_image(TILTED_BEADS)
    stack, sampling, middle = series.stack(), series.sampling(0), series.size("Z") // 2
    found = estimate_distance(
        stack[middle], stack[middle + 3], load_model("any-objective"), sampling=sampling
    )
    assert found.is_sure
    assert found.direction == 0

"""Matching and scoring against stacks of which the truth is known."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_deepz.analysis.comparison import (
    describe_match,
    difference,
    intensity_range,
    iter_comparison,
    match_planes,
    measured_input_plane,
)
from napari_deepz.analysis.evaluation import Scores
from napari_deepz.watch import Cancelled, Watch

EVERYWHERE_UM = (-math.inf, math.inf)


@pytest.fixture
def stack(rng: np.random.Generator) -> np.ndarray:
    """Seven planes from -3 to 3 µm."""
    return rng.uniform(0, 1000, (7, 24, 20)).astype(np.float32)


DEPTHS_UM = tuple(range(-3, 4))


def pairs_of(virtual_um: Any, measured_um: Any) -> list[Any]:
    return [(pair.virtual, pair.measured) for pair in match_planes(virtual_um, measured_um)]


def scores_of(
    virtual: Any,
    measured: Any,
    unrefocused: Any,
    virtual_um: Any,
    measured_um: Any,
    **settings: Any,
) -> list[Any]:
    pairs = match_planes(virtual_um, measured_um)
    data_range = intensity_range(measured, [pair.measured for pair in pairs])
    settings = {"axial_range_um": EVERYWHERE_UM} | settings
    return list(
        iter_comparison(
            virtual,
            measured,
            np.asarray(unrefocused)[None],
            pairs,
            data_range=data_range,
            **settings,
        )
    )


def test_equal_depths_match_one_to_one() -> None:
    assert pairs_of(DEPTHS_UM, DEPTHS_UM) == [(i, i) for i in range(7)]
    assert describe_match(DEPTHS_UM, DEPTHS_UM) == (
        "7 of 7 virtual planes matched, -3 to 3 µm; the input plane is measured plane 3, counted "
        "from 0."
    )


def test_a_falling_stack_matches_backwards() -> None:
    assert pairs_of(DEPTHS_UM, DEPTHS_UM[::-1]) == [(i, 6 - i) for i in range(7)]


def test_finer_virtual_planes_have_no_partner_between_measured_ones() -> None:
    assert pairs_of(np.arange(-2, 2.1, 0.5), (-2, 0, 2)) == [(0, 0), (4, 1), (8, 2)]


def test_of_finer_measured_planes_the_nearest_is_taken() -> None:
    assert pairs_of((-2, 0, 2), np.arange(-2.1, 2, 0.5)) == [(0, 0), (1, 4), (2, 8)]


def test_a_shifted_grid_within_half_a_step_matches_and_says_how_far_apart() -> None:
    measured_um = np.array(DEPTHS_UM) + 0.4
    assert pairs_of(DEPTHS_UM, measured_um) == [(i, i) for i in range(7)]
    assert match_planes(DEPTHS_UM, measured_um)[2].apart_um == pytest.approx(0.4)
    assert "lie 0.4 µm apart" in describe_match(DEPTHS_UM, measured_um)


@pytest.mark.parametrize("nudge_um", [0, 1e-9, -1e-9])
def test_a_grid_shifted_by_exactly_half_a_step_uses_no_plane_twice(nudge_um: float) -> None:
    measured_um = np.array(DEPTHS_UM) + 0.5 + nudge_um * np.array([1, -1, 1, -1, 1, -1, 1])
    pairs = pairs_of(DEPTHS_UM, measured_um)
    assert len({measured for _, measured in pairs}) == len(pairs) >= 6


def test_a_partial_overlap() -> None:
    measured_um = (2, 3, 4, 5)
    assert pairs_of(DEPTHS_UM, measured_um) == [(5, 0), (6, 1)]
    assert measured_input_plane(DEPTHS_UM, measured_um) is None
    assert describe_match(DEPTHS_UM, measured_um) == (
        "2 of 7 virtual planes matched, 2 to 3 µm; no measured plane lies at the input plane."
    )


def test_no_overlap_says_where_both_lie() -> None:
    assert pairs_of(DEPTHS_UM, (10, 11, 12)) == []
    text = describe_match(DEPTHS_UM, (10, 11, 12))
    assert "from 10 to 12 µm" in text
    assert "from -3 to 3 µm" in text


def test_single_planes_match_at_the_same_depth_only() -> None:
    assert pairs_of((1.0,), (1.0,)) == [(0, 0)]
    assert pairs_of((1.0,), (1.1,)) == []


@pytest.mark.parametrize("measured_um", [(), (0, 0, 1), (0, 2, 1), (0, math.nan)])
def test_depths_that_make_no_sense_are_refused(measured_um: Any) -> None:
    with pytest.raises(ValueError, match="planes of the measured stack need one depth each"):
        match_planes(DEPTHS_UM, measured_um)


def test_a_perfect_stack_has_perfect_scores(stack: np.ndarray) -> None:
    depths = scores_of(stack, stack, stack[3], DEPTHS_UM, DEPTHS_UM)
    assert [depth.z_um for depth in depths] == list(DEPTHS_UM)
    for depth in depths:
        assert depth.refocused.correlation == pytest.approx(1)
        assert depth.refocused.ssim == pytest.approx(1)
        assert depth.refocused.rmse == 0
        assert depth.refocused.psnr == math.inf
    assert [math.isinf(depth.unrefocused.psnr) for depth in depths] == [i == 3 for i in range(7)]


def test_scores_are_those_of_the_paired_planes(stack: np.ndarray, rng: np.random.Generator) -> None:
    virtual = stack[::2] + rng.normal(0, 20, (4, 24, 20)).astype(np.float32)
    measured_um = np.array(DEPTHS_UM[::-1])
    measured = stack[::-1]
    depths = scores_of(virtual, measured, stack[3], (-3, -1, 1, 3), measured_um)
    data_range = np.ptp(np.percentile(stack[[0, 2, 4, 6]], [0.1, 99.9]))
    for index, depth in enumerate(depths):
        truth = stack[2 * index]
        assert depth.plane == 6 - 2 * index
        for scores, image in ((depth.refocused, virtual[index]), (depth.unrefocused, stack[3])):
            assert scores.rmse == pytest.approx(np.sqrt(np.mean((image - truth) ** 2.0)), rel=1e-5)
            assert scores.psnr == pytest.approx(
                peak_signal_noise_ratio(truth, image, data_range=data_range), rel=1e-5
            )
            assert scores.ssim == pytest.approx(
                structural_similarity(
                    truth,
                    image,
                    data_range=data_range,
                    gaussian_weights=True,
                    sigma=1.5,
                    use_sample_covariance=False,
                ),
                rel=1e-4,
            )
            assert scores.correlation == pytest.approx(
                np.corrcoef(image.ravel(), truth.ravel())[0, 1], rel=1e-5
            )


def test_depths_outside_the_models_range_are_marked(stack: np.ndarray) -> None:
    depths = scores_of(stack, stack, stack[3], DEPTHS_UM, DEPTHS_UM, axial_range_um=(-1, 2))
    assert [depth.z_um for depth in depths if depth.in_range] == [-1, 0, 1, 2]


def test_planes_with_pixels_that_are_not_finite_have_no_scores(stack: np.ndarray) -> None:
    measured = stack.copy()
    measured[1, 2, 3] = math.nan
    virtual = stack.copy()
    virtual[5, 0, 0] = math.inf
    depths = scores_of(virtual, measured, stack[3], DEPTHS_UM, DEPTHS_UM)

    def undefined(scores: Scores) -> bool:
        return all(map(math.isnan, astuple(scores)))

    assert [undefined(depth.refocused) for depth in depths] == [i in (1, 5) for i in range(7)]
    assert [undefined(depth.unrefocused) for depth in depths] == [i == 1 for i in range(7)]


def test_the_intensity_range_counts_the_matched_planes_only(stack: np.ndarray) -> None:
    stack[6] *= 100
    expected = np.ptp(np.percentile(stack[:3], [0.1, 99.9]))
    assert intensity_range(stack, [0, 1, 2]) == pytest.approx(expected)


def test_a_large_stack_is_sampled_on_a_grid(
    monkeypatch: pytest.MonkeyPatch, stack: np.ndarray
) -> None:
    monkeypatch.setattr("napari_deepz.analysis.comparison._MOST_SAMPLES", stack.size // 4)
    expected = np.ptp(np.percentile(stack[:, ::2, ::2], [0.1, 99.9]))
    assert intensity_range(stack, range(7)) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0, math.nan])
def test_a_stack_without_contrast_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="no contrast"):
        intensity_range(np.full((3, 16, 16), value), [0, 1])


def test_the_difference_is_measured_minus_virtual(stack: np.ndarray) -> None:
    measured = (stack + 7).astype(np.float64)
    result = difference(stack, measured, match_planes(DEPTHS_UM, DEPTHS_UM))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, 7, atol=1e-3)


def test_the_difference_of_unsigned_pixels_may_be_negative() -> None:
    measured = np.full((1, 4, 4), 3, np.uint16)
    virtual = np.full((1, 4, 4), 5, np.float32)
    assert (difference(virtual, measured, match_planes((0,), (0,))) == -2).all()


def test_the_difference_lies_on_the_measured_planes(stack: np.ndarray) -> None:
    measured_um = np.arange(-6, 7, 0.5)
    measured = np.arange(len(measured_um))[:, np.newaxis, np.newaxis] * np.ones((24, 20))
    pairs = match_planes((-2, -1, 0), measured_um)
    result = difference(np.zeros((3, 24, 20), np.float32), measured, pairs)
    assert pairs[0].measured == 8
    np.testing.assert_array_equal(result[:, 0, 0], [8, math.nan, 10, math.nan, 12])


def test_progress_is_told_and_the_work_is_lazy(stack: np.ndarray) -> None:
    told = []
    pairs = match_planes(DEPTHS_UM, DEPTHS_UM)
    scores = iter_comparison(
        stack,
        stack,
        stack[3:4],
        pairs,
        data_range=1000,
        axial_range_um=EVERYWHERE_UM,
        watch=Watch(on_progress=lambda progress: told.append((progress.done, progress.total))),
    )
    assert told == []
    next(scores)
    assert told == [(1, 7)]
    assert len(list(scores)) == 6
    assert told[-1] == (7, 7)


def test_everything_can_be_stopped(stack: np.ndarray) -> None:
    pairs = match_planes(DEPTHS_UM, DEPTHS_UM)
    asked = []

    def after_three() -> bool:
        asked.append(1)
        return len(asked) > 3

    scores = iter_comparison(
        stack,
        stack,
        stack[3:4],
        pairs,
        data_range=1000,
        axial_range_um=EVERYWHERE_UM,
        watch=Watch(after_three),
    )
    got: list[float] = []
    with pytest.raises(Cancelled):
        got.extend(iter(lambda: next(scores).z_um, None))
    assert len(asked) == 4
    with pytest.raises(Cancelled):
        difference(stack, stack, pairs, watch=Watch(lambda: True))
    with pytest.raises(Cancelled):
        intensity_range(stack, [0], watch=Watch(lambda: True))


def test_other_sizes_are_refused(stack: np.ndarray) -> None:
    with pytest.raises(ValueError, match="same size"):
        scores_of(stack[:, 1:], stack, stack[3], DEPTHS_UM, DEPTHS_UM)


def test_of_several_input_planes_what_lies_between_is_the_baseline(stack: np.ndarray) -> None:
    pairs = match_planes(DEPTHS_UM, DEPTHS_UM)
    scores = list(
        iter_comparison(
            stack,
            stack,
            stack[[1, 5]],
            pairs,
            data_range=1000,
            axial_range_um=EVERYWHERE_UM,
            at_um=(-2, 2),
        )
    )
    assert [scores[index].unrefocused.correlation for index in (1, 5)] == pytest.approx([1, 1])
    between = 0.25 * stack[1] + 0.75 * stack[5]
    expected = np.corrcoef(between.ravel(), stack[4].ravel())[0, 1]
    assert scores[4].unrefocused.correlation == pytest.approx(expected, rel=1e-5)

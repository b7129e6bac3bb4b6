"""What the scores of a stack say in a sentence."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from napari_deepz.analysis.evaluation import NO_SCORES, DepthScores
from napari_deepz.analysis.verdict import verdict


def scored(z_um: float, refocused: float, at_zero: float, unrefocused: float) -> DepthScores:
    details = (replace(NO_SCORES, detail=value) for value in (refocused, at_zero, unrefocused))
    return DepthScores(0, z_um, True, *details)


def test_better_everywhere() -> None:
    depths = [scored(z_um, 0.5, 0.3, 0.4) for z_um in (2, -3, -1, 0)]
    assert verdict(depths) == (
        "Better than doing nothing on all 3 planes, from -3 to -1 µm and at +2 µm: detail 0.50 "
        "against 0.40."
    )


def test_worse_everywhere_as_a_20x_model_on_a_63x_embryo() -> None:
    depths = [scored(z_um, 0.24, 0.2, 0.45) for z_um in (-2, -1, 1, 2)]
    assert verdict(depths) == (
        "Worse than doing nothing on all 4 planes, from -2 to -1 µm and from +1 to +2 µm: detail "
        "0.24 against 0.45. Do not use this model for this sample."
    )


def test_some_planes_gain() -> None:
    depths = [scored(1, 0.5, 0.3, 0.2), scored(2, 0.3, 0.35, 0.2), scored(3, 0.1, 0.15, 0.2)]
    assert verdict(depths) == (
        "Better than doing nothing on 1 of 3 planes, at +1 µm: detail 0.50 against 0.30. Not on "
        "the others, from +2 to +3 µm: detail 0.20 against 0.28, 1 of them worse than the input "
        "plane."
    )


def test_a_network_that_only_takes_away_noise_gains_nothing() -> None:
    depths = [scored(z_um, 0.3, 0.35, 0.2) for z_um in (1, 2)]
    assert verdict(depths) == (
        "No better than doing nothing on all 2 planes: detail 0.30 against 0.35."
    )


def test_no_gain_and_some_loss() -> None:
    depths = [scored(1, 0.3, 0.35, 0.2), scored(2, 0.1, 0.15, 0.2)]
    assert verdict(depths) == (
        "No better than doing nothing on all 2 planes: detail 0.20 against 0.28; worse than the "
        "input plane on 1."
    )


@pytest.mark.parametrize("z_um", [0.0, 1.0])
def test_nothing_is_said_without_scores(z_um: float) -> None:
    assert verdict([]) == ""
    detail = 0.5 if z_um == 0 else math.nan
    assert verdict([scored(z_um, detail, detail, detail)]) == ""


def test_without_a_plane_at_zero_the_input_alone_counts() -> None:
    assert "0.50 against 0.40" in verdict([scored(1, 0.5, math.nan, 0.4)])

"""Scores of neurons, against cases whose result is plain."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.analysis.neuron_scores import score_identities, score_places, score_traces

TRUE_UM = np.array([[0.0, 10.0, 10.0], [2.0, 20.0, 10.0], [-4.0, 30.0, 30.0], [5.0, 40.0, 5.0]])


def test_places_are_matched_one_to_one() -> None:
    found = np.array([[0.5, 10.5, 10], [0.0, 10.2, 10.1], [2.0, 20.0, 10.0], [-4.0, 33.0, 30.0]])
    scores = score_places(found, TRUE_UM)
    assert scores.pairs == ((1, 0), (2, 1))
    assert (scores.precision, scores.recall, scores.f1) == (0.5, 0.5, 0.5)
    assert scores.z_rms_um == 0
    assert score_places(found, TRUE_UM, (3, 4)).recall == 0.75


def test_a_pair_is_not_given_up_for_nearer_ones() -> None:
    """Nearest first would leave the second true one alone."""
    found = np.array([[0.0, 11.0, 10.0], [0.0, 8.5, 10.0]])
    truth = np.array([[0.0, 10.0, 10.0], [0.0, 12.9, 10.0]])
    assert score_places(found, truth).recall == 1


def test_nothing_found_is_no_error() -> None:
    scores = score_places(np.empty((0, 3)), TRUE_UM)
    assert (scores.pairs, scores.precision, scores.recall, scores.f1) == ((), 0, 0, 0)
    assert np.isnan(scores.z_rms_um)


def test_traces_are_compared_where_there_is_something_to_compare(
    rng: np.random.Generator,
) -> None:
    truth = np.stack([rng.gamma(0.3, 1, 500), np.zeros(500), rng.gamma(0.3, 1, 500)])
    found = np.stack([0.8 * truth[0], rng.normal(0, 0.05, 500), np.full(500, np.nan)])
    scores = score_traces(found, truth, ((0, 0), (1, 1), (2, 2)))
    assert scores.correlation_median == pytest.approx(1)
    assert scores.correlation_p10 == pytest.approx(1)
    assert scores.slopes == pytest.approx((0.8, 0.8, 0.8))
    assert scores.silent_sd == pytest.approx(0.05, rel=0.1)


def test_identities_that_change_half_way_are_half_right(rng: np.random.Generator) -> None:
    truth = np.repeat(TRUE_UM[None], 10, axis=0) + rng.normal(0, 0.1, (10, 1, 3))
    assert score_identities(truth, truth) == 1
    swapped = truth.copy()
    swapped[5:, [0, 1]] = truth[5:, [1, 0]]
    assert score_identities(swapped, truth) == pytest.approx(0.75)
    lost = truth.copy()
    lost[5:, 3] = np.nan
    assert score_identities(lost, truth) == pytest.approx(2 * 35 / 75)

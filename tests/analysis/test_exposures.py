"""How many planes are enough, tried on stacks of which that is known."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from napari_deepz import load_model, read_image
from napari_deepz.analysis.exposures import (
    ExposurePlan,
    ExposureTrial,
    is_exposure_table,
    plan_exposures,
)
from napari_deepz.models.package import Model
from napari_deepz.samples import WORM
from napari_deepz.watch import Cancelled, Watch


def trial(
    count: int, refocused: float, interpolated: float, spacing_um: float = 4
) -> ExposureTrial:
    indices = tuple(range(0, 5 * count, 5))
    return ExposureTrial(indices, spacing_um, count / 40, refocused, interpolated)


def test_the_fewest_planes_that_keep_nine_tenths_are_recommended() -> None:
    trials = (trial(1, 0.7, 0.5), trial(2, 0.88, 0.7), trial(3, 0.92, 0.8, 3), trial(3, 0.9, 0.8))
    plan = ExposurePlan((*trials, trial(4, 0.97, 0.9)), "tiny", 20)
    assert plan.recommended is trials[2]
    assert plan.describe().startswith(
        "3 planes, 3 µm apart: 92 % of the stack's detail for 8 % of the light. Interpolating "
        "between them gives 80 %. 2 planes give 88 %."
    )


def test_where_that_is_not_reached_what_comes_near_the_best_is() -> None:
    plan = ExposurePlan((trial(1, 0.3, 0.2), trial(2, 0.49, 0.5), trial(3, 0.5, 0.51)), "tiny", 20)
    assert len(plan.recommended.indices) == 2
    assert "Interpolate between them: refocusing adds nothing here." in plan.describe()


def test_more_planes_of_a_simulated_worm_tell_more(tmp_path: Path) -> None:
    series = read_image(WORM)
    assert series.z_step_um is not None
    told: list[int] = []
    plan = plan_exposures(
        series.stack(),
        series.z_step_um,
        load_model("widefield-20x"),
        sampling=series.sampling(0),
        watch=Watch(on_progress=lambda progress: told.append(progress.done)),
    )
    assert told == list(range(1, len(plan.trials) + 1))
    assert plan.counts == (1, 2, 3, 4, 5, 7, 10)
    best = [plan.best(count) for count in plan.counts]
    assert all(more.refocused > less.refocused - 0.01 for less, more in itertools.pairwise(best))
    assert all(one.refocused > one.interpolated for one in best[:4])
    assert best[0].interpolated < 0.6 < best[0].refocused
    assert plan.recommended.refocused > 0.9
    plan.write_csv(tmp_path / "plan.csv")
    assert is_exposure_table(tmp_path / "plan.csv")
    with (tmp_path / "plan.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["planes"]) for row in rows] == [len(one.indices) for one in plan.trials]
    assert float(rows[0]["refocused"]) == pytest.approx(plan.trials[0].refocused, rel=1e-3)


def test_all_planes_of_a_stack_that_does_not_change_are_one(
    tiny_model: Model, rng: np.random.Generator
) -> None:
    stack = np.stack([rng.gamma(2, 100, (64, 64))] * 8)
    plan = plan_exposures(stack, 0.5, tiny_model)
    assert len(plan.recommended.indices) == 1
    assert plan.recommended.interpolated == pytest.approx(1)
    assert plan.recommended.spacing_um == 0
    assert plan.thickness_um == 3.5


@pytest.mark.parametrize(
    ("stack", "z_step_um", "words"),
    [
        (np.ones((2, 64, 64)), 1, "at least three planes"),
        (np.ones((64, 64)), 1, "at least three planes"),
        (np.ones((5, 64, 64)), 1, "no detail"),
        (np.ones((5, 64, 64)), 0, "positive number of µm"),
    ],
)
def test_what_cannot_be_planned_is_said(
    tiny_model: Model, stack: np.ndarray, z_step_um: float, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        plan_exposures(stack, z_step_um, tiny_model)


def test_planning_can_be_stopped(tiny_model: Model, rng: np.random.Generator) -> None:
    with pytest.raises(Cancelled):
        plan_exposures(rng.gamma(2, 100, (8, 64, 64)), 1, tiny_model, watch=Watch(lambda: True))

"""Run as ``python -m benchmarks.several_planes FOLDER``; writes docs/several_planes.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.any_objective.real_stacks import present
from benchmarks.fidelity.text import table, wrapped
from benchmarks.several_planes.distances import distance_rows
from benchmarks.several_planes.real import MERGES, Row, rows
from benchmarks.several_planes.simulated import (
    COUNT,
    FARTHEST_UM,
    HEADS,
    PLACES,
    SPOILED,
    best_of,
    heads,
    neurons,
    scores,
    stacks,
    volume,
)
from benchmarks.several_planes.spread import any_cases, real_cases, rows_of, twenty_cases
from napari_deepz import load_model
from napari_deepz.engine.planes.shares import Merge
from napari_deepz.models.package import Model
from napari_deepz.training.simulation import SimulatedStack

PAGE = Path(__file__).parents[2] / "docs" / "several_planes.md"
ANY, TWENTY = "any-objective", "widefield-20x"
_TIE = 0.0005


def real_section(found: list[Row]) -> str:
    """Two planes of measured stacks."""
    lost = {
        name: [row for row in found if row.details[name] < row.details["linear"] - _TIE]
        for name in MERGES
    }
    counts = ", ".join(
        f"`{name}` is not below `linear` in {len(found) - len(lost[name])}"
        for name in MERGES
        if name != "linear"
    )
    means = ", ".join(
        f"{np.mean([row.details[name] for row in found]):.3f} (`{name}`)" for name in MERGES
    )
    worst = "; ".join(
        f"{row.what} at {row.gap_um:.3g} µm by {row.details['linear'] - row.details['blended']:.3f}"
        for row in lost["blended"]
    )
    lines = [
        [
            row.what,
            f"{row.gap_um:.3g} µm, {row.gap_waves:.1f} waves",
            *(f"{row.details[name]:.3f}" for name in MERGES),
            *(f"{row.correlations[name]:.3f}" for name in MERGES),
        ]
        for row in found
    ]
    return "\n\n".join(
        [
            "## Measured stacks: two planes",
            wrapped(
                "Two planes of a measured stack are the input, the measured plane in the middle "
                "between them the truth; six such triples over the depth of each stack; planes and "
                "truth are noisy. `linear` interpolates between the measured planes without a "
                "network and is the bar."
            ),
            wrapped(
                "In detail, the correlation of what is sharp, of "
                f"{len(found)} rows {counts}. Means: {means}. "
                + (f"`blended` loses: {worst}." if worst else "")
            ),
            table(
                [
                    "Stack",
                    "Gap",
                    *(f"Detail, {m}" for m in MERGES),
                    *(f"Corr., {m}" for m in MERGES),
                ],
                lines,
            ),
        ]
    )


def simulated_section(model: Model, any_model: Model) -> str:
    """One, two and three planes of simulated stacks."""
    simulated = stacks()
    lines = _by_merge(simulated, model, ("blended", "distance", "nearest", "linear"))
    of_any = _by_merge(simulated, any_model, ("blended", "learned", "distance"))
    spoiled = []
    for name, changes in SPOILED.items():
        settings: dict[str, Any] = {"at_um": (-3.0, 3.0)} | changes
        at_um = settings.pop("at_um")
        found = [
            scores(one, volume(one, at_um, model, "distance", **settings)) for one in simulated
        ]
        mean = np.mean(found, axis=0)
        spoiled.append([name, f"{mean[0]:.3f}", f"{mean[1]:.3f}"])
    return "\n\n".join(
        [
            "## Simulated stacks: one, two and three planes",
            wrapped(
                f"With `{TWENTY}`, on {COUNT} simulated stacks of every kind through a 20x/0.75, "
                f"planes within {FARTHEST_UM:g} µm of the middle, against the planes without noise."
            ),
            table(["Planes", "Merge", "Correlation", "Detail"], lines),
            f"The same stacks with `{ANY}`, which has learned a merge of its own:",
            table(["Planes", "Merge", "Correlation", "Detail"], of_any),
            "What is wrong with the second of two planes at ±3 µm, merged by distance:",
            table(["", "Correlation", "Detail"], spoiled),
        ]
    )


def _by_merge(
    simulated: list[SimulatedStack], model: Model, merges: Sequence[Merge]
) -> list[list[str]]:
    lines = []
    for name, at_um in PLACES.items():
        for merge in merges if len(at_um) > 1 else ("distance",):
            found = [scores(one, volume(one, at_um, model, merge)) for one in simulated]
            mean = np.mean(found, axis=0)
            shown = merge if len(at_um) > 1 else ""
            lines.append([name, shown, f"{mean[0]:.3f}", f"{mean[1]:.3f}"])
    return lines


def neurons_section(model: Model) -> str:
    """Neurons told apart in simulated heads."""
    simulated, lines = heads(), []
    for name, at_um in PLACES.items():
        for merge in ("distance", "linear") if len(at_um) > 1 else ("distance",):
            found = best_of([neurons(one, volume(one, at_um, model, merge)) for one in simulated])
            numbers = (found.precision, found.recall, found.f1)
            shown = merge if len(at_um) > 1 else ""
            lines.append([name, shown, *(f"{number:.2f}" for number in numbers)])
    whole = best_of([neurons(one, one.measured.astype(np.float32)) for one in simulated])
    numbers = (whole.precision, whole.recall, whole.f1)
    lines.append(["the whole measured stack", "", *(f"{number:.2f}" for number in numbers)])
    return "\n\n".join(
        [
            "## Neurons told apart in a crowded head",
            wrapped(
                f"{HEADS} simulated heads with all neurons labelled, 80 to 200 each, through a "
                "20x/0.75: peaks of the Laplacian of Gaussian in the volume, matched one to one "
                "with the true centres (2.5 µm across, 6 µm along z), at the one threshold that "
                f"gives the best F1 for each row; neurons within {FARTHEST_UM:g} µm of the middle."
            ),
            table(["Planes", "Merge", "Precision", "Recall", "F1"], lines),
        ]
    )


def spread_section(folder: Path, any_model: Model, twenty: Model) -> str:
    """How far pictures may be off."""
    found = list(rows_of(f"simulated, 20x/0.75, `{TWENTY}`", list(twenty_cases(twenty))))
    found += rows_of(f"simulated, 8 objectives, `{ANY}`", list(any_cases(any_model)))
    for measured in present(folder):
        found += rows_of(measured.what, list(real_cases(measured, folder, any_model)))
    lines = [
        [
            row.what,
            row.where,
            str(row.count),
            f"{row.factor:.2f}",
            "{:.0%} / {:.0%}".format(*row.halves_covered),
            f"{row.covered:.0%}",
            f"{row.covered_twice:.0%} ({row.least_covered_twice:.0%})",
            f"{row.told:.2f}",
        ]
        for row in found
    ]
    return "\n\n".join(
        [
            "## How far a picture may be off",
            wrapped(
                "`--spread`, or **Show how far it may be off**, shows where opinions differ "
                "(`engine/planes/spreading.py`): what is refocused and what is interpolated, where "
                "`blended` has both, and else what the two planes that count most are refocused "
                "to; its mean over a few pixels, times what covers 90 % of the errors of simulated "
                "stacks, times two, as real stacks are not simulated ones. It is zero where all "
                "agree, and they can agree on what is wrong."
            ),
            wrapped(
                "Here without that factor of two. Factor: what would cover 90 % of the errors of "
                "these pictures. Halves: what the factor of one half of them covers of the other. "
                "Covered: what is covered as it is, and twice that, which is what is shown, with "
                "the least of any picture. Told: rank correlation of spread and error among pixels "
                "of the same brightness; 0 would be useless. Truths are without noise in simulated "
                "stacks; in measured ones their own noise is allowed for in what is covered, not "
                "in the factor."
            ),
            table(
                [
                    *("Stack", "Target", "Pictures", "Factor", "Halves"),
                    *("Covered", "Twice (least)", "Told"),
                ],
                lines,
            ),
            "![Beside a focal stack, how far what is refocused from two of its planes may be off]"
            "(images/spread.png)",
        ]
    )


def distance_section(folder: Path, any_model: Model, twenty: Model) -> str:
    """How far apart two planes lie, estimated."""
    found = distance_rows(folder, any_model, twenty)
    lines = [
        [
            row.what,
            str(row.tried),
            str(row.told),
            f"{row.error_waves:.2f}" if row.told else "",
            f"{row.within:.0%}" if row.told else "",
            "{} / {}".format(*row.directions) if row.told else "",
        ]
        for row in found
    ]
    return "\n\n".join(
        [
            "## An unknown distance between two planes",
            wrapped(
                "`--at 0,deeper` estimates it (`analysis/plane_distance.py`): pairs of planes 1, "
                "2 and 3 waves apart. Told: how often it was given at all; error: median of those, "
                "in waves of defocus (1.5 µm at 20x/0.75, 0.6 µm at 63x/1.4); within: how many of "
                "these lie within two of the standard errors that it gives; direction: for how "
                "many of them the images told which plane is the deeper one, rightly / wrongly: "
                f"`{ANY}`, which measured stacks are refocused with, does not tell both sides of "
                "the focus apart."
            ),
            table(["Stack", "Pairs", "Told", "Error (waves)", "Within", "Direction"], lines),
        ]
    )


def main(folder: Path) -> None:
    """Measure and write the page."""
    any_model, twenty = load_model(ANY), load_model(TWENTY)
    found = [row for measured in present(folder) for row in rows(measured, folder, any_model)]
    if not found:
        raise SystemExit(f"There are no measured stacks in {folder}.")
    models = " and ".join(
        f"`{one.spec.name}`, version {one.spec.version}, weights' sha256 {one.sha256[:12]}"
        for one in (any_model, twenty)
    )
    sections = [
        "# Several input planes",
        wrapped(
            f"Made by `make several-planes` with {models}. `distance` and `nearest` merge what "
            "the network makes of each plane (`engine/planes/shares.py`), `linear` interpolates "
            "without it, `learned` is what the network has learned to do, `blended` is 0.4 of "
            "`distance` and 0.6 of `linear` between planes that both know the middle between them. "
            f"The default is `blended` with `{ANY}` and `distance` with `{TWENTY}`."
        ),
        "![The dock with two planes of a stack](images/two_planes.png)",
        real_section(found),
        simulated_section(twenty, any_model),
        neurons_section(twenty),
        spread_section(folder, any_model, twenty),
        distance_section(folder, any_model, twenty),
        "## How many planes are enough",
        wrapped(
            "`napari-deepz plan STACK`, or the dock **Plan exposures**, tries it on a stack of a "
            "sample like yours: here the simulated worm."
        ),
        "![The dock that plans exposures](images/plan.png)",
    ]
    PAGE.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

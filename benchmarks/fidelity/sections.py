"""The report's parts on beads, on limits and on measured stacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from benchmarks.fidelity.goals import LIGHT_GOAL_UM, share_within, verdict
from benchmarks.fidelity.measures import DECIMALS, BeadSizes, Table, Tilted, fails_at, rms
from benchmarks.fidelity.methods import RichardsonLucy, Unrefocused
from benchmarks.fidelity.real import RealScores
from benchmarks.fidelity.sets import TILT_RISE_UM, TILTED_SEED, Limit
from benchmarks.fidelity.text import table, wrapped

BIN_EDGES_UM = (-10.0, -6.0, -2.0, 2.0, 6.0, 10.0)


def micrometres(value_um: float) -> str:
    """Two decimals, or "none" where nothing was found."""
    return f"{value_um:.2f}" if math.isfinite(value_um) else "none"


def sizes_section(sizes: BeadSizes) -> str:
    """Two tables, across and along z."""
    bins = [
        (low, high, (sizes.depth_um >= low) & (sizes.depth_um < high))
        for low, high in pairwise(BIN_EDGES_UM)
    ]
    heads = [f"{low:+g} to {high:+g} µm" for low, high, _ in bins]
    counts = ["beads", *(str(np.count_nonzero(inside)) for *_, inside in bins)]

    def rows(column: int) -> list[list[str]]:
        return [
            [name, *(_median(widths[inside, column]) for *_, inside in bins)]
            for name, widths in sizes.widths_um.items()
            if column == 0 or name != Unrefocused.name
        ]

    text = wrapped(
        f"Full width at half maximum, medians in µm, of {len(sizes.depth_um)} isolated beads (12 "
        "pixels from the next one) of 0.3 to 1.2 µm diameter in simulated fields, tilted and "
        "random, of 1000 photons or more; by depth of the bead from the input plane. Across: a "
        "round Gaussian fitted to the plane of best focus, pixels included. Along z: the intensity "
        "through the middle of that spot, less the background around it. A bead without focus or "
        'width counts as infinitely wide, and "none" is a median of such. Isolated beads without a '
        f"width in the true stack, as near its ends, are left out: {sizes.left_out}. "
        f"{Unrefocused.name.capitalize()}: the same beads in the input. Smaller than the truth is "
        "not better."
    )
    across = table(["Across (µm)", *heads], [counts, *rows(0)])
    along = table(["Along z (µm)", *heads], [counts, *rows(1)])
    return "\n\n".join([text, across, along])


def _median(values: np.ndarray) -> str:
    return micrometres(float(np.median(values))) if values.size else "–"


def tilted_section(tilted: dict[str, Tilted]) -> str:
    """One table."""
    rows = []
    for name, found in tilted.items():
        light_um = found.half_light_or_inf
        measured_um = (
            rms(found.from_plane_um),
            rms(found.from_best_um),
            float(np.median(light_um)),
            float(np.percentile(light_um, 90, method="nearest")),
        )
        plane, best, median, percentile = map(micrometres, measured_um)
        lost = np.count_nonzero(~np.isfinite(found.from_plane_um))
        shares = [share_within(found, factor * LIGHT_GOAL_UM) for factor in (1, 2)]
        rows.append(
            [name, plane, best, str(lost), median, percentile, *(f"{x:.0%}" for x in shares)]
        )
    text = wrapped(
        f"{len(tilted['truth'].from_plane_um)} isolated beads of simulated fields that rise by "
        f"{TILT_RISE_UM:g} µm from left to right, 20x/0.75 (seed {TILTED_SEED}, as in "
        "[trials.md](trials.md)). Depth of best focus in the virtual stack: scatter about the true "
        "plane, and about where the same bead is sharpest in the true, noise-free stack. "
        "Half-light diameter: of the circle with half of a bead's light, within 1.95 µm, in a cut "
        "through the stack along the plane. The true stack is measured in the same way: its "
        "numbers contain the aberrations and the measures' own errors, and no method can be "
        "expected to pass them. The unrefocused image has no depths."
    )
    head = [
        "",
        "About the plane, rms (µm)",
        "About the true best focus, rms (µm)",
        "Beads without a focus",
        "Half-light diameter, median (µm)",
        "90th percentile (µm)",
        f"Within {LIGHT_GOAL_UM:g} µm diameter",
        f"Within {LIGHT_GOAL_UM:g} µm of the centre",
    ]
    return f"{text}\n\n{table(head, rows)}"


def limits_section(found: Sequence[tuple[Limit, Table]], default: str, stacks: int) -> str:
    """A table for each choice of distances."""
    tables = []
    for z_um in dict.fromkeys(limit.z_um for limit, _ in found):
        rows = []
        for limit, values in found:
            if limit.z_um != z_um:
                continue
            refocused, unrefocused = values[default], values[Unrefocused.name]
            failed = fails_at(refocused, unrefocused, z_um, DECIMALS["correlation"], or_equal=False)
            pairs = zip(refocused, unrefocused, strict=True)
            rows.append([limit.what, *(f"{a:.3f} / {b:.3f}" for a, b in pairs), verdict(failed)])
        head = ["Simulated", *(f"{z:+g} µm" for z in z_um), "Better than unrefocused"]
        tables.append(table(head, rows))
    kinds = "beads, neurons and worms" if stacks > 2 else "beads or neurons"
    text = wrapped(
        f"Correlation with the truth of planes refocused by {default} / of the unrefocused image. "
        f"Stacks in each line: {stacks}, of {kinds} where nothing else is said. Better than the "
        "unrefocused image does not mean right: compare with the first line."
    )
    return "\n\n".join([text, *tables])


def real_section(scores: Sequence[RealScores], sizes: dict[str, np.ndarray]) -> str:
    """Tables of each measure, or that there is nothing to measure."""
    if not scores:
        return "No measured stacks were at hand, so this part is left out."
    tables = _real_tables(scores)
    if sizes:
        rows = [[name, *map(micrometres, widths)] for name, widths in sizes.items()]
        text = wrapped(
            "The bead's full width at half maximum, in the measured stack and in virtual ones. The "
            "models' pixels of 0.325 µm are wider than those of the camera."
        )
        tables += [text, table(["Bead", "Across (µm)", "Along z (µm)"], rows)]
    text = wrapped(
        "A bead (NA 0.85, air, pixels of 0.13 µm) and an embryo of C. elegans in two dyes (63x, NA "
        "1.4, oil, pixels of 0.0645 µm: the wrong objective and another kind of sample for all "
        "models). These stacks are kept beside the repository and are not ours to pass on, so "
        "there are no pictures. Here the truth is a measured, noisy plane. Planes within the "
        "models' range only. Which way z runs is not noted in the files: the column "
        f'"z reversed" takes the planes in the other order. No {RichardsonLucy.name}: the PSF is '
        "not known."
    )
    return "\n\n".join([text, *tables])


def tuned_section(scores: Sequence[RealScores]) -> str:
    """Tables of each measure, or that there is nothing to measure."""
    if not scores:
        return "No model that was tuned to a measured stack was at hand, so this part is left out."
    name = next(iter(scores[0].means))
    text = wrapped(
        f"{name} started from the bundled model and learned from the left half of the embryo "
        "above, in both dyes, for some minutes (`training/embryo-63x.toml`). Here it refocuses the "
        "lower right quarter, 4 µm away, which took no part in the training, nor in choosing its "
        "length (that was the upper right quarter); measured, noisy planes are the truth. It is "
        "the same embryo under the same microscope: a model for other ones needs more of them. The "
        "model is not part of the package, as the stacks are not ours to pass on."
    )
    return "\n\n".join([text, *_real_tables(scores)])


def _real_tables(scores: Sequence[RealScores]) -> list[str]:
    names = list(scores[0].means)
    tables = []
    for column, measure in enumerate(DECIMALS):
        rows = [_real_row(row, names, column, DECIMALS[measure]) for row in scores]
        head = [measure + (" (dB)" if measure == "PSNR" else ""), "Input", "Distance", "Planes"]
        head += names
        if measure == "correlation":
            head.append("Better than unrefocused")
            for cells, row in zip(rows, scores, strict=True):
                cells.append("yes" if _is_better(row, names[0]) else "no")
        tables.append(table(head, rows))
    return tables


def limits_verdict(found: Sequence[tuple[Limit, Table]], default: str) -> str:
    """Simulated conditions under which refocusing is not better than doing nothing."""
    missed = [
        limit.what.lower()
        for limit, values in found
        if fails_at(
            values[default],
            values[Unrefocused.name],
            limit.z_um,
            DECIMALS["correlation"],
            or_equal=False,
        )
    ]
    where = f"not for {'; '.join(missed)}" if missed else "everywhere"
    return (
        f"{default} better than the unrefocused image in correlation under hard conditions, at "
        f"every distance looked at: {where}. [Below](#where-it-fails) is how much worse it gets."
    )


def real_verdict(scores: Sequence[RealScores], default: str) -> str:
    """How often a model is better than the unrefocused image on each real stack."""
    parts = []
    for what in dict.fromkeys(row.what for row in scores):
        better = [_is_better(row, default) for row in scores if row.what == what]
        parts.append(f"{what}: {sum(better)} of {len(better)}")
    return (
        f"{default} better than the unrefocused image in correlation on measured stacks, in how "
        f"many of the ranges of distances: {'; '.join(parts)}."
    )


def _is_better(row: RealScores, default: str) -> bool:
    decimals = DECIMALS["correlation"]
    mine, other = row.means[default][0], row.means[Unrefocused.name][0]
    return bool(np.round(mine, decimals) > np.round(other, decimals))


def _distance(row: RealScores) -> str:
    return f"{row.from_um:g} to {row.to_um:g} µm"


def _real_row(row: RealScores, names: Sequence[str], column: int, decimals: int) -> list[str]:
    cells = [f"{row.means[name][column]:.{decimals}f}" for name in names]
    return [row.what, row.input_um, _distance(row), str(row.planes), *cells]

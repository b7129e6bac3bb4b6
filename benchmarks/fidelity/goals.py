"""What was aimed at, and whether it was reached: decided here, not by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.fidelity.measures import DECIMALS, Z_UM, Table, Tilted, fails_at, rms
from benchmarks.fidelity.methods import RichardsonLucy, Unrefocused

FROM_UM = 2.0
DEPTH_GOAL_UM = 0.1
LIGHT_GOAL_UM = 0.65

Scores = dict[str, Table]


def verdict(failed: Sequence[float]) -> str:
    """ "yes", or where it does not hold."""
    if not failed:
        return "yes"
    return "no, not at " + ", ".join(f"{z:+g}" for z in failed) + " µm"


def comparison(table: Scores, measure: str, default: str, other: str) -> str:
    """Whether the default model is at least equal to another network, or better than a baseline."""
    baseline = other in (RichardsonLucy.name, Unrefocused.name)
    values = table[measure]
    failed = fails_at(
        values[default],
        values[other],
        Z_UM,
        DECIMALS[measure],
        or_equal=not baseline,
        beyond_um=FROM_UM if baseline else 0.0,
    )
    return verdict(failed)


def against(sets: dict[str, Scores], default: str, other: str, measures: Sequence[str]) -> str:
    """One sentence's end about all sets: where the goal is met, and in what it is not."""
    parts = []
    for name, table in sets.items():
        missed = [
            measure for measure in measures if comparison(table, measure, default, other) != "yes"
        ]
        parts.append(f"{name} yes" if not missed else f"{name} no ({' and '.join(missed)})")
    return "; ".join(parts) + "."


def share_within(tilted: Tilted, diameter_um: float) -> float:
    """Share of the beads with half of their light in a circle of a diameter."""
    return float(np.mean(tilted.half_light_or_inf <= diameter_um))


def yes_or_no(holds: bool) -> str:
    """Bold at the head of a line."""
    return "**yes**" if holds else "**no**"


def conclusions(
    sets: dict[str, Scores], tilted: dict[str, Tilted], default: str, unets: Sequence[str]
) -> list[str]:
    """A line for each goal."""
    lines = [
        f"{default} at least equal to the paper's U-Net {unet} in correlation and SSIM at every "
        f"distance: {against(sets, default, unet, ['correlation', 'SSIM'])}"
        for unet in unets
    ]
    for baseline, said in (
        (Unrefocused.name, "the unrefocused image"),
        (RichardsonLucy.name, "Richardson-Lucy deconvolution"),
    ):
        lines.append(
            f"{default} better than {said} at every distance of {FROM_UM:g} µm or more, in "
            f"correlation, SSIM and PSNR: {against(sets, default, baseline, list(DECIMALS))}"
        )
    found, truth = tilted[default], tilted["truth"]
    about_um = [rms(found.from_plane_um), rms(found.from_best_um)]
    lines.append(
        f"Depth of beads on tilted planes within {DEPTH_GOAL_UM:g} µm rms: "
        f"{yes_or_no(max(about_um) <= DEPTH_GOAL_UM)}; {about_um[0]:.2f} µm about the plane and "
        f"{about_um[1]:.2f} µm about where the true stack is sharpest. The true, noise-free stack "
        f"itself is {rms(truth.from_plane_um):.2f} µm about the plane."
    )
    shares = [
        (share_within(found, width), share_within(truth, width))
        for width in (LIGHT_GOAL_UM, 2 * LIGHT_GOAL_UM)
    ]
    lines.append(
        f"Half of each bead's light within {LIGHT_GOAL_UM:g} µm after refocusing: "
        f"{yes_or_no(shares[0][0] == 1)} if that is a circle of {LIGHT_GOAL_UM:g} µm diameter "
        f"({shares[0][0]:.0%} of the beads; {shares[0][1]:.0%} in the true stack), "
        f"{yes_or_no(shares[1][0] == 1)} if it is {LIGHT_GOAL_UM:g} µm from the centre "
        f"({shares[1][0]:.0%}; {shares[1][1]:.0%} in the true stack)."
    )
    return lines

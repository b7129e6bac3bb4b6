"""What scores over depth say in a sentence: better than doing nothing or not, where, how much."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_deepz.analysis.evaluation import DepthScores

_AT_FOCUS_UM = 1e-6


def verdict(depths: Sequence[DepthScores]) -> str:
    """Say whether refocusing was worth it, in detail, which blur and background do not flatter.

    Parameters
    ----------
    depths : sequence of DepthScores
        Of a stack.

    Returns
    -------
    str
        Two sentences at most; nothing where there are no scores beside the input plane's own.
    """
    scored = sorted(
        (
            depth
            for depth in depths
            if abs(depth.z_um) > _AT_FOCUS_UM
            and all(map(math.isfinite, (depth.refocused.detail, depth.unrefocused.detail)))
        ),
        key=lambda depth: depth.z_um,
    )
    if not scored:
        return ""
    better = [depth for depth in scored if _gain(depth) > 0]
    worse = [depth for depth in scored if depth.refocused.detail < depth.unrefocused.detail]
    all_of_them = "the one plane" if len(scored) == 1 else f"all {len(scored)} planes"
    if len(better) == len(scored):
        return f"Better than doing nothing on {all_of_them}, {_where(scored)}: {_how_much(scored)}."
    if len(worse) == len(scored):
        return (
            f"Worse than doing nothing on {all_of_them}, {_where(scored)}: {_how_much(scored)}. "
            "Do not use this model for this sample."
        )
    if not better:
        told = f"; worse than the input plane on {len(worse)}" if worse else ""
        return f"No better than doing nothing on {all_of_them}: {_how_much(scored)}{told}."
    rest = [depth for depth in scored if _gain(depth) <= 0]
    told = f", {len(worse)} of them worse than the input plane" if worse else ""
    return (
        f"Better than doing nothing on {len(better)} of {len(scored)} planes, {_where(better)}: "
        f"{_how_much(better)}. Not on the others, {_where(rest)}: {_how_much(rest)}{told}."
    )


def _baseline(depth: DepthScores) -> float:
    """The better one of the input plane and of the network's own picture of it."""
    return float(np.fmax(depth.unrefocused.detail, depth.at_zero.detail))


def _gain(depth: DepthScores) -> float:
    return depth.refocused.detail - _baseline(depth)


def _how_much(depths: Sequence[DepthScores]) -> str:
    refocused = np.median([depth.refocused.detail for depth in depths])
    baseline = np.median([_baseline(depth) for depth in depths])
    return f"detail {refocused:.2f} against {baseline:.2f}"


def _where(depths: Sequence[DepthScores]) -> str:
    """Depths on each side of focus."""
    sides = [
        [depth.z_um for depth in depths if (depth.z_um > 0) == is_behind]
        for is_behind in (False, True)
    ]
    return " and ".join(_span(side) for side in sides if side)


def _span(z_um: Sequence[float]) -> str:
    ends = f"{z_um[0]:+.3g}", f"{z_um[-1]:+.3g}"
    return f"at {ends[0]} µm" if len(z_um) == 1 else f"from {ends[0]} to {ends[1]} µm"

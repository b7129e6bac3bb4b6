"""Scores by waves of defocus, against both baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_deepz.analysis.evaluation import COMPARED, DepthScores

MEASURES = {"detail": 3, "correlation": 3, "ssim": 3, "psnr": 1}
WAVES = ((1.0, 2.0), (2.0, 4.0), (4.0, 6.5))


@dataclass(frozen=True)
class Row:
    """What a model makes of the plane pairs of a stack within a range of defocus.

    Parameters
    ----------
    what : str
        The stack.
    waves : tuple of float
        The range.
    pairs : int
        How many pairs of an input and a target plane lie in it.
    means : dict
        By measure and by what is compared.
    wins : dict
        Share of the pairs in which refocusing beats both baselines, by measure.
    """

    what: str
    waves: tuple[float, float]
    pairs: int
    means: dict[str, dict[str, float]]
    wins: dict[str, float]


def rows_of(what: str, depths: Sequence[DepthScores], wave_um: float) -> Iterator[Row]:
    """Sort the planes of one or several evaluations by their defocus."""
    for low, high in WAVES:
        inside = [one for one in depths if low <= abs(one.z_um) / wave_um < high]
        if inside:
            yield Row(
                what=what,
                waves=(low, high),
                pairs=len(inside),
                means={measure: _means(inside, measure) for measure in MEASURES},
                wins={
                    measure: float(np.mean([one.beats_both(measure) for one in inside]))
                    for measure in MEASURES
                },
            )


def _means(depths: Sequence[DepthScores], measure: str) -> dict[str, float]:
    return {
        name: float(np.nanmean([getattr(getattr(one, field), measure) for one in depths]))
        for name, field in COMPARED.items()
    }


def cells(rows: Sequence[Row], measure: str) -> list[list[str]]:
    """A line of a table for each row."""
    digits = MEASURES[measure]
    return [
        [
            row.what,
            f"{row.waves[0]:g} to {row.waves[1]:g}",
            str(row.pairs),
            *(f"{row.means[measure][name]:.{digits}f}" for name in COMPARED),
            f"{row.wins[measure]:.0%}",
        ]
        for row in rows
    ]


HEAD = ("Waves", "Pairs", *COMPARED, "Beats both")


def summary(rows: Sequence[Row]) -> list[str]:
    """How many pairs there are, and in which share of them refocusing beats both baselines."""
    pairs = [row.pairs for row in rows]
    shares = [np.average([row.wins[name] for row in rows], weights=pairs) for name in MEASURES]
    return [str(sum(pairs)), *(f"{share:.0%}" for share in shares)]

"""Estimated distances of two planes against true ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.any_objective.real_stacks import present
from napari_deepz import Sampling, read_image
from napari_deepz.analysis.plane_distance import estimate_distance
from napari_deepz.models.package import Model
from napari_deepz.samples import TILTED_BEADS, WORM

WAVES = (1.0, 2.0, 3.0)
_DRY_20X = Sampling(pixel_size_um=0.325, na=0.75, immersion_index=1.0, wavelength_um=0.52)


@dataclass(frozen=True)
class DistanceRow:
    """How well distances were told in a stack; directions, how often rightly and wrongly."""

    what: str
    tried: int
    told: int
    error_waves: float
    within: float
    directions: tuple[int, int]


def distance_rows(folder: Path, any_model: Model, twenty: Model) -> list[DistanceRow]:
    """Measured stacks with the model of any objective, simulated ones with that of the 20x."""
    cases = [
        ("simulated worm", WORM, _DRY_20X, 10_000, twenty),
        ("simulated tilted beads", TILTED_BEADS, _DRY_20X, 10_000, twenty),
        *(
            (one.what, folder / one.file, one.sampling, one.largest_px, any_model)
            for one in present(folder)
        ),
    ]
    return [_row(*case) for case in cases]


def _row(what: str, path: Path, sampling: Sampling, largest_px: int, model: Model) -> DistanceRow:
    series = read_image(path)
    stack = series.stack()[:, :largest_px, :largest_px]
    step_um, wave_um = series.z_step_um, sampling.axial_unit_um
    assert step_um is not None
    assert wave_um is not None
    tried, errors, within, directions = 0, [], [], []
    for waves in WAVES:
        apart = max(1, round(waves * wave_um / step_um))
        last = len(stack) - 1 - apart
        if last < 1:
            continue
        for first in sorted({last // 4, last // 2, 3 * last // 4}):
            found = estimate_distance(stack[first], stack[first + apart], model, sampling=sampling)
            tried += 1
            if found.is_sure:
                error_um = abs(found.distance_um - apart * step_um)
                errors.append(error_um / wave_um)
                within.append(error_um <= 2 * found.uncertainty_um)
                directions.append(found.direction)
    return DistanceRow(
        what,
        tried,
        len(errors),
        float(np.median(errors)) if errors else float("nan"),
        float(np.mean(within)) if within else float("nan"),
        (directions.count(1), directions.count(-1)),
    )

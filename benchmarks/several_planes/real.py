"""Two planes of measured stacks, and the measured plane in the middle between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.any_objective.real_stacks import Measured
from napari_deepz import EncodedPlanes, Flat, read_image
from napari_deepz.analysis.detail import detail, unit_px_of
from napari_deepz.analysis.metrics import correlation
from napari_deepz.engine.planes.shares import Merge
from napari_deepz.models.package import Model

MERGES: tuple[Merge, ...] = ("blended", "learned", "distance", "nearest", "linear")
GAPS_WAVES = (1.0, 2.0, 4.0, 7.0)
MOST_OF_A_GAP = 6


@dataclass(frozen=True)
class Row:
    """Mean scores in the middle of a gap of a stack, by merge."""

    what: str
    gap_um: float
    gap_waves: float
    count: int
    details: dict[Merge, float]
    correlations: dict[Merge, float]


def rows(measured: Measured, folder: Path, model: Model) -> Iterator[Row]:
    """Infer the middle plane of gaps of a measured stack from the planes around them."""
    series = read_image(folder / measured.file)
    stack = np.asarray(series.stack())[:, : measured.largest_px, : measured.largest_px]
    wave_um, step_um = measured.sampling.axial_unit_um, series.z_step_um
    assert wave_um is not None
    assert step_um is not None
    done = set()
    for waves in GAPS_WAVES:
        half = max(1, round(waves * wave_um / step_um / 2))
        if half in done or 2 * half >= len(stack) - 1:
            continue
        done.add(half)
        middles = np.linspace(half, len(stack) - 1 - half, MOST_OF_A_GAP).round().astype(int)
        details: dict[Merge, list[float]] = {merge: [] for merge in MERGES}
        correlations: dict[Merge, list[float]] = {merge: [] for merge in MERGES}
        for middle in dict.fromkeys(middles.tolist()):
            around = [stack[middle - half], stack[middle + half]]
            for merge in MERGES:
                planes = EncodedPlanes(
                    around,
                    (-half * step_um, half * step_um),
                    model,
                    merge=merge,
                    sampling=measured.sampling,
                )
                picture = planes.refocus(Flat(0)).data[0]
                unit_px = unit_px_of(measured.sampling)
                details[merge].append(detail(picture, stack[middle], unit_px=unit_px))
                correlations[merge].append(correlation(picture, stack[middle]))
        yield Row(
            measured.what,
            2 * half * step_um,
            2 * half * step_um / wave_um,
            len(details["linear"]),
            {name: float(np.mean(found)) for name, found in details.items()},
            {name: float(np.mean(found)) for name, found in correlations.items()},
        )

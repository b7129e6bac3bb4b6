"""Run as ``python -m benchmarks.several_planes FOLDER``; writes docs/several_planes.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.any_objective.real_stacks import Measured, present
from benchmarks.fidelity.text import table, wrapped
from napari_deepz import EncodedPlanes, Flat, load_model, read_image
from napari_deepz.analysis.detail import detail, unit_px_of
from napari_deepz.analysis.metrics import correlation
from napari_deepz.engine.planes.shares import MERGES, Merge
from napari_deepz.models.package import Model

PAGE = Path(__file__).parents[1] / "docs" / "several_planes.md"
MODEL = "any-objective"
GAPS_WAVES = (1.0, 2.0, 4.0, 7.0)
MOST_OF_A_GAP = 6


@dataclass(frozen=True)
class Row:
    """Mean scores in the middle of a gap of a stack, by merge."""

    what: str
    gap_um: float
    gap_waves: float
    count: int
    details: dict[str, float]
    correlations: dict[str, float]


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
        details: dict[str, list[float]] = {merge: [] for merge in MERGES}
        correlations: dict[str, list[float]] = {merge: [] for merge in MERGES}
        for middle in dict.fromkeys(middles.tolist()):
            around = [stack[middle - half], stack[middle + half]]
            for name in MERGES:
                merge: Merge = name
                planes = EncodedPlanes(
                    around,
                    (-half * step_um, half * step_um),
                    model,
                    merge=merge,
                    sampling=measured.sampling,
                )
                picture = planes.refocus(Flat(0)).data[0]
                unit_px = unit_px_of(measured.sampling)
                details[name].append(detail(picture, stack[middle], unit_px=unit_px))
                correlations[name].append(correlation(picture, stack[middle]))
        yield Row(
            measured.what,
            2 * half * step_um,
            2 * half * step_um / wave_um,
            len(details["linear"]),
            {name: float(np.mean(found)) for name, found in details.items()},
            {name: float(np.mean(found)) for name, found in correlations.items()},
        )


def page(found: list[Row], described: str) -> str:
    """The page, from its rows."""
    lost = [row for row in found if row.details["distance"] <= row.details["linear"]]
    where = "; ".join(f"{row.what} at {row.gap_um:.3g} µm" for row in lost)
    lines = [
        [
            row.what,
            f"{row.gap_um:.3g} µm, {row.gap_waves:.1f} waves",
            str(row.count),
            *(f"{row.details[name]:.3f}" for name in MERGES),
            *(f"{row.correlations[name]:.3f}" for name in MERGES),
        ]
        for row in found
    ]
    return "\n\n".join(
        [
            "# Several input planes",
            wrapped(
                f"Made by `make several-planes` with {described}. Two planes of a measured stack "
                "are the input, the measured plane in the middle between them the truth; planes "
                "and truth are noisy. `linear` interpolates between the measured planes without a "
                "network and is the bar; `distance` and `nearest` merge what the network makes of "
                "each plane (`engine/planes/shares.py`)."
            ),
            wrapped(
                f"In detail, the correlation of what is sharp, `distance` is above `linear` in "
                f"{len(found) - len(lost)} of {len(found)} rows. "
                + (f"Interpolate instead: {where}." if lost else "")
            ),
            table(
                [
                    "Stack",
                    "Gap",
                    "Targets",
                    *(f"Detail, {name}" for name in MERGES),
                    *(f"Correlation, {name}" for name in MERGES),
                ],
                lines,
            ),
        ]
    )


def main(folder: Path) -> None:
    """Measure and write the page."""
    model = load_model(MODEL)
    found = [row for measured in present(folder) for row in rows(measured, folder, model)]
    if not found:
        raise SystemExit(f"There are no measured stacks in {folder}.")
    described = f"`{MODEL}`, version {model.spec.version}, weights' sha256 {model.sha256[:12]}"
    PAGE.write_text(page(found, described) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

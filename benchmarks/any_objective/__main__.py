"""Run as ``python -m benchmarks.any_objective FOLDER``; writes docs/any_objective.md."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.any_objective import objectives, real_stacks
from benchmarks.any_objective.rows import HEAD, MEASURES, Row, cells, summary
from benchmarks.fidelity.text import table, wrapped
from napari_deepz import load_model

PAGE = Path(__file__).parents[2] / "docs" / "any_objective.md"
MODEL = "any-objective"
ONE_OBJECTIVE = "widefield-20x"


def page(simulated: list[Row], real: dict[str, list[Row]], described: str) -> str:
    """The page, from the rows of the simulated objectives and of each model on real stacks."""
    parts = [
        "# The generator of any objective",
        wrapped(
            f"Made by `make any-objective` with {described}. A model that refocuses must beat both "
            "baselines: `self`, its own picture of the input at 0 µm, which takes away noise and "
            "refocuses nothing, and `unrefocused`, the input as it is. `detail` is the correlation "
            "of what is sharp (`analysis/detail.py`), which blur and background do not flatter. "
            "Defocus is counted in waves; a wave is 1.5 µm at 20x/0.75 and 0.56 µm at 63x/1.4 oil."
        ),
        "## In short",
        wrapped(
            "Share of the pairs of an input and a target plane, from one wave of defocus on, in "
            "which refocusing beats both baselines. Pairs of one stack are not independent: read "
            "the shares as descriptions."
        ),
        table(
            ["Model and stacks", "Pairs", *(f"In {measure}" for measure in MEASURES)],
            [
                [f"`{MODEL}`, simulated", *summary(simulated)],
                *([f"`{name}`, real", *summary(rows)] for name, rows in real.items()),
            ],
        ),
        "## Simulated objectives",
        wrapped(
            f"Eight objectives on a camera with pixels of {objectives.CAMERA_PX_UM:g} µm, three "
            "kinds of samples, three noisy inputs each, seeds that no training used, spherical "
            "aberration of up to 0.15 waves of either sign, of which the model is not told. The "
            "truth has no noise."
        ),
        *_tables(simulated),
    ]
    for name, rows in real.items():
        parts += [
            f"## `{name}` on real stacks",
            wrapped(
                "Measured stacks, kept beside the repository and not ours to pass on. From six "
                "planes of each stack all others are inferred; the truth is a measured, noisy "
                "plane. Optics as the sources of the stacks say; aberrations are not known."
            ),
            *_tables(rows),
        ]
    return "\n\n".join(parts) + "\n"


def _tables(rows: list[Row]) -> list[str]:
    return [table([measure, *HEAD], cells(rows, measure)) for measure in MEASURES]


def main(folder: Path) -> None:
    """Measure and write the page."""
    model = load_model(MODEL)
    simulated = list(objectives.rows(model))
    real = {}
    for name in (MODEL, ONE_OBJECTIVE):
        one = load_model(name)
        found = [
            row
            for measured in real_stacks.present(folder)
            for row in real_stacks.rows(measured, folder, one)
        ]
        if found:
            real[name] = found
    described = f"`{MODEL}`, version {model.spec.version}, weights' sha256 {model.sha256[:12]}"
    PAGE.write_text(page(simulated, real, described), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

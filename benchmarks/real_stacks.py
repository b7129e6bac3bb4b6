"""Every bundled generator on measured stacks of several objectives, against both baselines.

Run as ``python -m benchmarks.real_stacks FOLDER``; writes docs/real_stacks.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fidelity.text import table, wrapped
from napari_deepz import Sampling, evaluate, load_model, read_image
from napari_deepz.analysis.evaluation import COMPARED, DepthScores
from napari_deepz.models.package import Model

PAGE = Path(__file__).parents[1] / "docs" / "real_stacks.md"
MODELS = ("any-objective", "widefield-20x")
MEASURES = {"detail": 3, "correlation": 3, "ssim": 3, "psnr": 1}
INPUTS = 6
WAVES = ((1.0, 2.0), (2.0, 4.0), (4.0, 6.5))


@dataclass(frozen=True)
class Measured:
    """A measured stack, and the optics that its file does not say."""

    file: str
    what: str
    sampling: Sampling
    largest_px: int = 400


def _of(pixel_um: float, na: float, index: float, wavelength_um: float) -> Sampling:
    return Sampling(
        pixel_size_um=pixel_um, na=na, immersion_index=index, wavelength_um=wavelength_um
    )


STACKS = (
    Measured("bead_na085.ome.tif", "bead, 0.85 air", _of(0.13, 0.85, 1.0, 0.52)),
    Measured("bead_25x_na110_water.ome.tif", "bead, 25x/1.1 water", _of(0.0867, 1.1, 1.33, 0.6)),
    Measured(
        "nucleus_hoechst_40x_na120_widefield.ome.tif",
        "nucleus, 40x/1.2 water",
        _of(0.512, 1.2, 1.33, 0.455),
    ),
    Measured(
        "nucleus_dapi_100x_na145_oil.ome.tif",
        "nucleus, 100x/1.45 oil",
        _of(0.13, 1.45, 1.512, 0.461),
    ),
    Measured(
        "celegans_embryo_cy3.ome.tif", "embryo CY3, 63x/1.4 oil", _of(0.0645, 1.4, 1.515, 0.57)
    ),
    Measured(
        "celegans_embryo_fitc.ome.tif", "embryo FITC, 63x/1.4 oil", _of(0.0645, 1.4, 1.515, 0.52)
    ),
)


@dataclass(frozen=True)
class Row:
    """What a model makes of the plane pairs of a stack within a range of defocus."""

    what: str
    waves: tuple[float, float]
    pairs: int
    means: dict[str, dict[str, float]]
    wins: dict[str, float]


def rows_of(measured: Measured, folder: Path, model: Model) -> Iterator[Row]:
    """Refocus several planes of a stack onto all others, and sort them by waves of defocus."""
    series = read_image(folder / measured.file)
    stack = np.asarray(series.stack())
    stack = stack[:, : measured.largest_px, : measured.largest_px]
    wave_um = measured.sampling.axial_unit_um
    assert wave_um is not None
    assert series.z_step_um is not None
    depths: list[DepthScores] = []
    for plane in np.linspace(1, len(stack) - 2, INPUTS).round().astype(int):
        found = evaluate(
            stack,
            int(plane),
            model,
            sampling=measured.sampling,
            z_step_um=series.z_step_um,
        )
        depths += found.depths
    for low, high in WAVES:
        inside = [one for one in depths if low <= abs(one.z_um) / wave_um < high]
        if inside:
            yield Row(
                what=measured.what,
                waves=(low, high),
                pairs=len(inside),
                means={
                    measure: {
                        name: float(np.mean([getattr(getattr(d, field), measure) for d in inside]))
                        for name, field in COMPARED.items()
                    }
                    for measure in MEASURES
                },
                wins={
                    measure: float(np.mean([one.beats_both(measure) for one in inside]))
                    for measure in MEASURES
                },
            )


def page(found: dict[str, list[Row]]) -> str:
    """The page, from the rows of each model."""
    parts = [
        "# Real stacks",
        wrapped(
            "Made by `make real`. Measured stacks of several objectives, kept beside the "
            "repository and not ours to pass on. From six planes of each stack all others are "
            "inferred; the truth is a measured, noisy plane. A model that refocuses must beat both "
            "baselines: `self`, its own picture of the input at 0 µm, which takes away noise and "
            "refocuses nothing, and `unrefocused`, the input as it is. `detail` is the correlation "
            "of what is sharp (`analysis/detail.py`). Plane pairs of one stack are not "
            "independent: read the shares as descriptions. Optics are given as the sources of the "
            "stacks say; aberrations are not known."
        ),
        "## In short",
        table(
            ["Model", "Plane pairs", *(f"Beat both in {measure}" for measure in MEASURES)],
            [[f"`{name}`", *_summary(rows)] for name, rows in found.items()],
        ),
    ]
    for name, rows in found.items():
        parts.append(f"## `{name}`")
        for measure, digits in MEASURES.items():
            head = [measure, "Waves", "Pairs", *COMPARED, "Beats both"]
            cells = [
                [
                    row.what,
                    f"{row.waves[0]:g} to {row.waves[1]:g}",
                    str(row.pairs),
                    *(f"{row.means[measure][which]:.{digits}f}" for which in COMPARED),
                    f"{row.wins[measure]:.0%}",
                ]
                for row in rows
            ]
            parts.append(table(head, cells))
    return "\n\n".join(parts) + "\n"


def _summary(rows: list[Row]) -> list[str]:
    pairs = [row.pairs for row in rows]
    shares = [
        np.average([row.wins[measure] for row in rows], weights=pairs) for measure in MEASURES
    ]
    return [str(sum(pairs)), *(f"{share:.0%}" for share in shares)]


def main(folder: Path) -> None:
    """Evaluate and write the page."""
    there = [one for one in STACKS if (folder / one.file).exists()]
    if not there:
        raise SystemExit(f"There are no measured stacks in {folder}.")
    found = {}
    for name in MODELS:
        model = load_model(name)
        found[name] = [row for one in there for row in rows_of(one, folder, model)]
    PAGE.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Measured stacks of several objectives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.any_objective.rows import Row, rows_of
from napari_deepz import Sampling, evaluate, read_image
from napari_deepz.analysis.evaluation import DepthScores
from napari_deepz.models.package import Model

INPUTS = 6


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


def present(folder: Path) -> list[Measured]:
    """Those that are there."""
    return [one for one in STACKS if (folder / one.file).exists()]


def rows(measured: Measured, folder: Path, model: Model) -> Iterator[Row]:
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
    yield from rows_of(measured.what, depths, wave_um)

"""Simulated volumes of eight objectives, with seeds that no training used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.any_objective.rows import Row, rows_of
from napari_deepz import Sampling, evaluate
from napari_deepz.analysis.evaluation import DepthScores
from napari_deepz.models.package import Model
from napari_deepz.pupil import VECTORIAL_FROM_NA, Aberrations, Pupil
from napari_deepz.sampling import parse_objective
from napari_deepz.training.any_objective.exposure import draw_exposure
from napari_deepz.training.any_objective.optics import Objective
from napari_deepz.training.any_objective.specimens import one_kind
from napari_deepz.training.any_objective.volumes import expose, transfer_through_focus

SEED = 424242
WAVELENGTH_UM = 0.52
CAMERA_PX_UM = 6.5
OBJECTIVES = {
    "10x/0.3 air": 10,
    "20x/0.5 air": 20,
    "20x/0.75 air": 20,
    "25x/1.1 water": 25,
    "40x/0.95 air": 40,
    "40x/1.3 oil": 40,
    "63x/1.4 oil": 63,
    "100x/1.45 oil": 100,
}
KINDS = {"sparse": "beads", "worm": "worm", "dense": "cells"}
THICKNESS_SHARE = 0.3
SPHERICAL_WAVES = (-0.15, 0.15)
FOCI = (54, 64, 74)
REACH = 20


@dataclass(frozen=True, eq=False)
class Simulated:
    """A volume through an objective: (Z, Y, X) light, and what draws its exposures."""

    what: str
    light: NDArray[np.float16]
    z_step_um: float
    sampling: Sampling
    rng: np.random.Generator


def volumes() -> Iterator[Simulated]:
    """Simulate a volume of each kind through each objective."""
    for number, (name, magnification) in enumerate(OBJECTIVES.items()):
        rng = np.random.default_rng([SEED, number])
        objective = _objective(name, CAMERA_PX_UM / magnification, rng)
        through = transfer_through_focus(objective.pupil)
        z_um, pixel_um, _ = objective.voxel_um
        sampling = Sampling(
            pixel_size_um=pixel_um,
            na=objective.na,
            immersion_index=objective.immersion_index,
            wavelength_um=objective.wavelength_um,
        )
        for called, kind in KINDS.items():
            thickness_um = THICKNESS_SHARE * 128 * z_um
            light = expose(one_kind(rng, kind, objective.voxel_um, thickness_um), through)
            yield Simulated(f"{name}, {called}", light, z_um, sampling, rng)


def rows(model: Model) -> Iterator[Row]:
    """Refocus three planes of each volume."""
    for one in volumes():
        depths: list[DepthScores] = []
        for focus in FOCI:
            exposure = draw_exposure(one.rng, one.light.shape[1:])
            planes = one.light[focus - REACH : focus + REACH + 1 : 3]
            middle = len(planes) // 2
            stack = exposure.expected(planes)
            stack[middle] = exposure.record(planes[middle], one.rng)
            found = evaluate(
                stack, middle, model, sampling=one.sampling, z_step_um=3 * one.z_step_um
            )
            depths += found.depths
        wave_um = one.sampling.axial_unit_um
        assert wave_um is not None
        yield from rows_of(one.what, depths, wave_um)


def _objective(name: str, pixel_um: float, rng: np.random.Generator) -> Objective:
    na, index = parse_objective(name)
    assert na is not None
    assert index is not None
    aberrations = Aberrations(spherical=float(rng.uniform(*SPHERICAL_WAVES)))
    pupil = Pupil(
        na / index,
        pixel_um * na / WAVELENGTH_UM,
        aberrations,
        vectorial=na > VECTORIAL_FROM_NA,
    )
    return Objective(na, index, WAVELENGTH_UM, pupil)

"""The simulated stacks of a training run, in memory or kept as files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_deepz.generators.spec import ModelSpec
from napari_deepz.optics import Optics
from napari_deepz.training.config import BreadthConfig, DataConfig
from napari_deepz.training.dataset import FocalStack
from napari_deepz.training.simulation import CameraSettings, StackSettings, simulate

_EMISSION_UM = 0.52


def simulated_stacks(spec: ModelSpec, data: DataConfig) -> Iterator[FocalStack]:
    """Yield the stacks to look at, then those to learn from, on the model's pixel grid.

    Parameters
    ----------
    spec : ModelSpec
        The model to train.
    data : DataConfig
        What to simulate, and where to keep it.
    """
    settings = stack_settings(spec, data.breadth)
    yield from _stacks(spec, data, settings, data.validation_count, data.validation_seed)
    yield from _stacks(spec, data, settings, data.count, data.seed)


def stack_settings(spec: ModelSpec, breadth: BreadthConfig | None = None) -> StackSettings:
    """Settings of simulated stacks for a model: a little deeper than its axial range.

    Raises
    ------
    ValueError
        If the model does not say its numerical aperture and pixel size.
    """
    if spec.na is None or spec.pixel_size_um is None:
        raise ValueError("Simulated stacks need the 'na' and the 'pixel_size_um' of the model.")
    optics = Optics(
        na=spec.na,
        wavelength_um=spec.emission_wavelength_um or _EMISSION_UM,
        pixel_size_um=spec.pixel_size_um,
    )
    reach_um = max(abs(z_um) for z_um in spec.axial_range_um)
    settings = StackSettings(optics=optics, half_range_um=math.ceil(reach_um) + 1.0)
    given = (breadth or BreadthConfig()).model_dump(exclude_none=True)
    camera = {name: given.pop(name) for name in CameraSettings.__annotations__ if name in given}
    return replace(settings, camera=CameraSettings(**camera), **given)


def _stacks(
    spec: ModelSpec, data: DataConfig, settings: StackSettings, count: int, seed: int
) -> Iterator[FocalStack]:
    assert spec.pixel_size_um is not None  # As stack_settings found.
    folder = _folder(data, settings, count, seed)
    if folder is not None and (folder / _name(count - 1)).exists():
        for index in range(count):
            yield _kept(folder, index, settings.z_step_um)
        return
    stacks = simulate(count, seed, settings, kinds=data.kinds, pupils=data.pupils)
    for index, simulated in enumerate(stacks):
        stack = FocalStack.from_simulation(simulated, spec.pixel_size_um)
        if folder is not None:
            _keep(folder, index, stack)
            stack = _kept(folder, index, settings.z_step_um)
        yield stack


def _folder(data: DataConfig, settings: StackSettings, count: int, seed: int) -> Path | None:
    if data.kept_in is None:
        return None
    what = f"{settings} {count} {seed} {data.kinds} {data.pupils}"
    return data.kept_in / hashlib.sha256(what.encode()).hexdigest()[:16]


def _name(index: int, part: str = "target") -> str:
    return f"{index:04d}-{part}.npy"


def _keep(folder: Path, index: int, stack: FocalStack) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("measured", "target"):
        beside = folder / f".partial-{_name(index, part)}"
        np.save(beside, getattr(stack, part))
        beside.replace(folder / _name(index, part))


def _kept(folder: Path, index: int, z_step_um: float) -> FocalStack:
    """Read a stack as a memory map: the system keeps in memory what there is room for."""
    measured, target = (
        np.load(folder / _name(index, part), mmap_mode="r") for part in ("measured", "target")
    )
    return FocalStack(measured, target, z_step_um)

"""The simulated stacks of a training run, in memory or kept as files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from napari_deepz.models.spec import ModelSpec
from napari_deepz.optics import Optics
from napari_deepz.training.config import BreadthConfig, DataConfig
from napari_deepz.training.dataset import FocalStack
from napari_deepz.training.kept_arrays import keep_array, kept_array
from napari_deepz.training.simulation import CameraSettings, StackSettings, simulate

_EMISSION_UM = 0.52
_PIXELS_UM = (0.03, 5.0)
_LARGEST_RATIO = 4.0
_FARTHEST_UM = 100.0
_PARTS = ("measured", "target")
_BYTES_PER_PIXEL = 6  # uint16 and float32.


def simulated_stacks(spec: ModelSpec, data: DataConfig) -> Iterator[FocalStack]:
    """Yield the stacks to look at, then those to learn from, on the model's pixel grid.

    Parameters
    ----------
    spec : ModelSpec
        The model to train.
    data : DataConfig
        What to simulate, and where to keep it.

    Raises
    ------
    ValueError
        As `stack_settings`, or if this machine's memory cannot hold the stacks.
    """
    settings = stack_settings(spec, data.breadth)
    _check_memory(data, settings)
    yield from _stacks(spec, data, settings, data.validation_count, data.validation_seed)
    yield from _stacks(spec, data, settings, data.count, data.seed)


def stack_settings(spec: ModelSpec, breadth: BreadthConfig | None = None) -> StackSettings:
    """Settings of simulated stacks for a model: a little deeper than its axial range.

    Raises
    ------
    ValueError
        If the model does not say its numerical aperture and pixel size, or no microscope has what
        it says or what may be drawn.
    """
    if spec.na is None or spec.pixel_size_um is None:
        raise ValueError("Simulated stacks need the 'na' and the 'pixel_size_um' of the model.")
    if not _PIXELS_UM[0] <= spec.pixel_size_um <= _PIXELS_UM[1]:
        raise ValueError(
            f"Stacks can be simulated for a 'pixel_size_um' from {_PIXELS_UM[0]:g} to "
            f"{_PIXELS_UM[1]:g}, not for {spec.pixel_size_um:g}."
        )
    optics = Optics(
        na=spec.na,
        wavelength_um=spec.emission_wavelength_um or _EMISSION_UM,
        pixel_size_um=spec.pixel_size_um,
    )
    reach_um = max(abs(z_um) for z_um in spec.axial_range_um)
    if reach_um > _FARTHEST_UM:
        raise ValueError(
            f"Stacks can be simulated for an 'axial_range_um' within {_FARTHEST_UM:g} µm of the "
            f"image's plane, not for {reach_um:g} µm."
        )
    settings = StackSettings(optics=optics, half_range_um=math.ceil(reach_um) + 1.0)
    given = (breadth or BreadthConfig()).model_dump(exclude_none=True)
    for na in given.get("na", ()):
        replace(optics, na=na)  # Refuses what it cannot be, before anything is simulated.
    for pixel_um in given.get("pixel_size_um", ()):
        if not 1 / _LARGEST_RATIO <= pixel_um / spec.pixel_size_um <= _LARGEST_RATIO:
            raise ValueError(
                f"A 'pixel_size_um' of {pixel_um:g} cannot be drawn for a model of "
                f"{spec.pixel_size_um:g}: give one at most {_LARGEST_RATIO:g} times smaller or "
                "larger."
            )
    camera = {name: given.pop(name) for name in CameraSettings.__annotations__ if name in given}
    return replace(settings, camera=CameraSettings(**camera), **given)


def _check_memory(data: DataConfig, settings: StackSettings) -> None:
    pixels = len(settings.z_um) * settings.size_px**2
    total = (data.validation_count + data.count) * pixels * _BYTES_PER_PIXEL
    if data.kept_in is None and total > psutil.virtual_memory().total:
        raise ValueError(
            f"{data.validation_count + data.count} simulated stacks take {total / 1e9:.0f} GB, "
            "more than this machine's memory: choose a smaller count, or name a folder in kept_in "
            "to keep them as files."
        )


def _stacks(
    spec: ModelSpec, data: DataConfig, settings: StackSettings, count: int, seed: int
) -> Iterator[FocalStack]:
    assert spec.pixel_size_um is not None  # As stack_settings found.
    folder = _folder(data, settings, count, seed)
    if folder is not None and _is_complete(folder, count):
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


def _name(index: int, part: str) -> str:
    return f"{index:04d}-{part}.npy"


def _is_complete(folder: Path, count: int) -> bool:
    return all((folder / _name(index, part)).exists() for index in range(count) for part in _PARTS)


def _keep(folder: Path, index: int, stack: FocalStack) -> None:
    for part in _PARTS:
        keep_array(folder / _name(index, part), getattr(stack, part))


def _kept(folder: Path, index: int, z_step_um: float) -> FocalStack:
    measured, target = (kept_array(folder / _name(index, part)) for part in _PARTS)
    return FocalStack(measured, target, z_step_um)

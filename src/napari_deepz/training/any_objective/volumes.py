"""Simulated focal stacks of any objective, on volumes whose borders meet.

The sample goes on beyond every border as it comes in at the other one, so that light from outside
the field and from far outside the stack is there as it is in dense tissue, and every plane of a
volume can be an input. The chain, each stage with its axes and units:

1. `optics.draw_optics`: an objective and a camera, in µm and in optical units (`pupil.Pupil`).
2. `specimens.draw_specimen`: what glows, (Z, Y, X) relative brightness.
3. `expose`: what the camera would see at each focus, (Z, Y, X) relative light without noise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_deepz.atomic_files import written_beside
from napari_deepz.pupil import Pupil
from napari_deepz.training.any_objective.optics import STEP_WAVES, Objective, draw_optics
from napari_deepz.training.any_objective.specimens import SHAPE, draw_specimen
from napari_deepz.training.config import DataConfig
from napari_deepz.training.kept_arrays import keep_array, kept_array

_OF_ONE_PUPIL = 3


@dataclass(frozen=True, eq=False)
class LightVolume:
    """A focal stack without noise whose first plane follows the last.

    Parameters
    ----------
    light : ndarray
        (Z, Y, X) float16, `STEP_WAVES` apart; one is bright.
    told : ndarray
        (3,) float32: NA/n, pixels in λ/NA, and primary spherical aberration in waves.
    kind : str
        What was imaged.
    """

    light: NDArray[np.float16]
    told: NDArray[np.float32]
    kind: str


def expose(volume: NDArray[np.float32], transfer: NDArray[np.complex64]) -> NDArray[np.float16]:
    """Image a volume at every focus; the 99.9th percentile of the brightest becomes one."""
    spectrum = scipy.fft.rfftn(volume, workers=-1)
    spectrum *= transfer
    light = scipy.fft.irfftn(spectrum, s=volume.shape, workers=-1, overwrite_x=True)
    light /= max(float(np.percentile(light.max(axis=0), 99.9)), 1e-12)
    clipped: NDArray[np.float16] = light.clip(0, 60000).astype(np.float16)
    return clipped


def transfer_through_focus(pupil: Pupil) -> NDArray[np.complex64]:
    """Transform of the point spread function over all three axes, for `expose`."""
    waves = scipy.fft.fftfreq(SHAPE[0], 1 / SHAPE[0]) * STEP_WAVES
    planes = pupil.transfer(waves, SHAPE[1])
    through: NDArray[np.complex64] = scipy.fft.fft(planes, axis=0, workers=-1, overwrite_x=True)
    return through


def volumes_of(data: DataConfig) -> Iterator[LightVolume]:
    """Yield the volumes of a run: those to look at, then those to learn from.

    Where `data.kept_in` names a folder they are files there, which further runs with the same
    seeds and counts use again.

    Parameters
    ----------
    data : DataConfig
        Counts, seeds, and where to keep them.
    """
    for count, seed in (
        (data.validation_count, data.validation_seed),
        (data.count, data.seed),
    ):
        folder = None if data.kept_in is None else data.kept_in / f"any-objective-{seed}"
        yield from simulate_volumes(count, seed, folder)


def simulate_volumes(count: int, seed: int, folder: Path | None = None) -> Iterator[LightVolume]:
    """Simulate volumes, three of them through the same optics.

    Parameters
    ----------
    count, seed : int
        Volume k is the same whatever the count.
    folder : Path, optional
        Where they are kept as files, and taken from.
    """
    through: NDArray[np.complex64] | None = None
    for index in range(count):
        place = None if folder is None else folder / f"{index:04d}.npy"
        if place is not None and place.exists() and _about(place).exists():
            yield _kept(place)
            continue
        objective = draw_optics(np.random.default_rng([seed, 0, index // _OF_ONE_PUPIL]))
        if through is None or index % _OF_ONE_PUPIL == 0:
            through = transfer_through_focus(objective.pupil)
        volume = _simulated(objective, through, np.random.default_rng([seed, 1, index]))
        if place is not None:
            keep_array(place, volume.light)
            about = {"told": volume.told.tolist(), "kind": volume.kind}
            with written_beside(_about(place)) as beside:
                beside.write_text(json.dumps(about), encoding="utf-8")
            volume = _kept(place)
        yield volume


def _simulated(
    objective: Objective, through: NDArray[np.complex64], rng: np.random.Generator
) -> LightVolume:
    specimen, kind = draw_specimen(rng, objective.voxel_um)
    pupil = objective.pupil
    told = np.array([pupil.aperture, pupil.sampling, pupil.aberrations.spherical], np.float32)
    return LightVolume(expose(specimen, through), told, kind)


def _about(place: Path) -> Path:
    return place.with_suffix(".json")


def _kept(place: Path) -> LightVolume:
    about = json.loads(_about(place).read_text(encoding="utf-8"))
    light = kept_array(place)
    assert light.dtype == np.float16
    return LightVolume(light.view(np.float16), np.array(about["told"], np.float32), about["kind"])

"""How many planes, and how far apart, are enough: tried out on one measured stack."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_deepz.analysis.detail import band_of, detail, unit_px_of
from napari_deepz.atomic_files import written_beside
from napari_deepz.engine.compute import Compute
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.planes.encoded_planes import EncodedPlanes
from napari_deepz.engine.planes.shares import interpolated
from napari_deepz.models.package import Model
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat
from napari_deepz.watch import UNWATCHED, Progress, Watch

_COUNTS = (1, 2, 3, 4, 5, 7, 10, 14, 20)
_SPREADS = (1.0, 0.75, 0.5)
"""Of the thickness that each plane would have to itself."""

_ENOUGH, _NEAR_BEST = 0.9, 0.97
"""Of the stack's detail, or where that is not reached, of the best that was tried."""

_COLUMNS = ("planes", "spacing_um", "light", "refocused", "interpolated", "indices")


@dataclass(frozen=True)
class ExposureTrial:
    """What a few planes of a stack tell of all of them.

    Attributes
    ----------
    indices : tuple of int
        The planes that were taken, counted from 0.
    spacing_um : float
        How far apart they lie; 0 for one.
    light : float
        Their share of the stack's exposures.
    refocused : float
        Mean `detail` of all planes of the stack, each as much as there is sharp in it.
    interpolated : float
        The same of interpolating between these planes, without a network.
    """

    indices: tuple[int, ...]
    spacing_um: float
    light: float
    refocused: float
    interpolated: float


@dataclass(frozen=True)
class ExposurePlan:
    """What was tried on a stack, and what it leads to.

    Attributes
    ----------
    trials : tuple of ExposureTrial
        Fewest planes first.
    model_name : str
        What refocused.
    thickness_um : float
        Of the stack.
    """

    trials: tuple[ExposureTrial, ...]
    model_name: str
    thickness_um: float

    def best(self, count: int) -> ExposureTrial:
        """The best spacing of so many planes."""
        return max((one for one in self.trials if len(one.indices) == count), key=_score)

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of planes that were tried."""
        return tuple(sorted({len(one.indices) for one in self.trials}))

    @property
    def recommended(self) -> ExposureTrial:
        """The fewest planes that keep 90 % of the detail, or come near the best that was tried."""
        enough = min(_ENOUGH, _NEAR_BEST * max(map(_score, self.trials)))
        return next(best for best in map(self.best, self.counts) if _score(best) >= enough)

    def describe(self) -> str:
        """The recommendation, in a few sentences."""
        one = self.recommended
        count = len(one.indices)
        what = "1 plane" if count == 1 else f"{count} planes, {one.spacing_um:.3g} µm apart"
        said = [
            f"{what}: {100 * _score(one):.0f} % of the stack's detail for {100 * one.light:.0f} % "
            "of the light."
        ]
        if one.interpolated >= one.refocused:
            said.append("Interpolate between them: refocusing adds nothing here.")
        else:
            said.append(f"Interpolating between them gives {100 * one.interpolated:.0f} %.")
        fewer = [number for number in self.counts if number < count]
        if fewer:
            less = self.best(fewer[-1])
            words = "1 plane gives" if fewer[-1] == 1 else f"{fewer[-1]} planes give"
            said.append(f"{words} {100 * _score(less):.0f} %.")
        said.append(
            "Detail is the correlation of what is sharp with the measured planes, noise included: "
            "the sample, the exposure and this microscope decide, so try it on a stack like yours."
        )
        return " ".join(said)

    def write_csv(self, path: Path) -> None:
        """Write all trials as a table."""
        with written_beside(path) as beside, beside.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(_COLUMNS)
            for one in self.trials:
                numbers = (one.spacing_um, one.light, one.refocused, one.interpolated)
                table.writerow(
                    [
                        len(one.indices),
                        *(f"{number:.4g}" for number in numbers),
                        " ".join(map(str, one.indices)),
                    ]
                )


def plan_exposures(
    stack: ArrayLike,
    z_step_um: float,
    model: Model,
    *,
    sampling: Sampling | None = None,
    compute: Compute | None = None,
    watch: Watch = UNWATCHED,
) -> ExposurePlan:
    """Refocus from ever more planes of a measured stack onto all of them, and score that.

    Parameters
    ----------
    stack : array-like
        (Z, Y, X), at least three planes.
    z_step_um : float
        Distance between its planes.
    model, sampling, compute
        As for `EncodedImage`.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Raises
    ------
    ValueError
        If the stack or the model cannot be worked with; one sentence.
    Cancelled
        When the watch says so.
    """
    planes = np.asarray(stack)
    if planes.ndim != 3 or len(planes) < 3:
        raise ValueError("Planning needs a focal stack of at least three planes.")
    if not (np.isfinite(z_step_um) and z_step_um > 0):
        raise ValueError(f"The z step must be a positive number of µm, not {z_step_um:g}.")
    lens = Lens(model, compute)
    unit_px = unit_px_of(sampling)
    weights = np.array([band_of(plane, unit_px).var() for plane in planes])
    if not weights.sum() > 0:
        raise ValueError("The stack has no detail that could be kept.")
    chosen = tuple(_choices(len(planes), weights))
    progress = Progress(len(chosen))
    trials = []
    for indices in chosen:
        watch.check()
        trials.append(_tried(planes, indices, z_step_um, lens, sampling, weights, watch))
        progress.advance()
        watch.on_progress(progress)
    return ExposurePlan(tuple(trials), model.spec.name, (len(planes) - 1) * z_step_um)


def _choices(length: int, weights: NDArray[np.float64]) -> Iterator[tuple[int, ...]]:
    """Planes to be tried, around where most is sharp."""
    middle = float(np.average(np.arange(length), weights=weights))
    seen: set[tuple[int, ...]] = set()
    for count in (count for count in _COUNTS if count == 1 or count <= length // 2):
        for spread in _SPREADS:
            spacing = round(spread * length / count)
            first = round(middle - spacing * (count - 1) / 2)
            first = min(max(first, 0), length - 1 - spacing * (count - 1))
            indices = tuple(first + spacing * number for number in range(count))
            if spacing >= 1 and first >= 0 and indices not in seen:
                seen.add(indices)
                yield indices


def _tried(
    planes: NDArray[np.generic],
    indices: tuple[int, ...],
    z_step_um: float,
    lens: Lens,
    sampling: Sampling | None,
    weights: NDArray[np.float64],
    watch: Watch,
) -> ExposureTrial:
    at_um = [(index - indices[0]) * z_step_um for index in indices]
    inputs = [planes[index] for index in indices]
    depths = [Flat((index - indices[0]) * z_step_um) for index in range(len(planes))]
    encoded = EncodedPlanes(inputs, at_um, lens, sampling=sampling)
    unit_px = unit_px_of(sampling)
    scores = np.empty((2, len(planes)))
    taken = np.stack(inputs)
    for plane in encoded.iter_refocus(depths, watch=Watch(watch.should_stop)):
        truth, z_um = planes[plane.index], plane.z_um
        assert z_um is not None
        between = interpolated(taken, at_um, z_um)
        scores[:, plane.index] = [
            detail(picture, truth, unit_px=unit_px) for picture in (plane.data, between)
        ]
    refocused, linear = (_mean(of_one, weights) for of_one in scores)
    spacing_um = at_um[1] - at_um[0] if len(at_um) > 1 else 0.0
    return ExposureTrial(indices, spacing_um, len(indices) / len(planes), refocused, linear)


def _mean(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    return float(np.average(np.nan_to_num(scores), weights=weights))


def _score(trial: ExposureTrial) -> float:
    return max(trial.refocused, trial.interpolated)


def is_exposure_table(path: Path) -> bool:
    """Whether a file is a table that `ExposurePlan.write_csv` wrote."""
    with path.open("rb") as file:
        return file.read(200).startswith(",".join(_COLUMNS).encode())

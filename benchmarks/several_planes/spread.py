"""How far merged pictures may be off: what covers the errors of simulated and measured stacks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_filter
from scipy.stats import spearmanr

from benchmarks.any_objective.objectives import volumes
from benchmarks.any_objective.real_stacks import Measured
from benchmarks.several_planes.simulated import FARTHEST_UM, stacks
from napari_deepz import EncodedPlanes, Flat, read_image
from napari_deepz.engine.planes.spreading import SAFETY
from napari_deepz.models.package import Model
from napari_deepz.training.any_objective.exposure import draw_exposure

Pixels = NDArray[np.float32]

GAPS_WAVES = (1.0, 2.0, 4.0)
MIDDLES = 4
_TWENTY_PLACES_UM = ((-3.0, 3.0), (-5.0, 5.0), (0.0, -5.0, 5.0))
_EVERY_PX = 5
_BRIGHTNESS_BINS, _LEAST_OF_A_BIN = 10, 50
_COVERED, _NOISE_COVERED = 0.9, 1.645
_NOISE_KERNEL = np.outer([1, -2, 1], [1, -2, 1]) / 6
_NOISE_BLUR_PX = 4.0
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Case:
    """Pictures of one place merged in the default way, and the truth.

    Attributes
    ----------
    what : str
        The stack.
    planes : int
        Of the input.
    between : bool
        Whether the target lies between them.
    error, spread, picture : ndarray
        1D float32, of the same pixels; the spread without the factor of safety.
    noise : ndarray
        What the noise of the truth is, likewise; zeros where it has none.
    """

    what: str
    planes: int
    between: bool
    error: Pixels
    spread: Pixels
    picture: Pixels
    noise: Pixels

    def covered(self, times: float) -> float:
        """Share of the errors within so many spreads, beside the noise of the truth."""
        within = self.error <= np.hypot(times * self.spread, _NOISE_COVERED * self.noise)
        return float(within.mean())

    @property
    def told(self) -> float:
        """Rank correlation of spread and error among pixels of the same brightness."""
        ends = np.quantile(self.picture, np.linspace(0, 1, _BRIGHTNESS_BINS + 1))
        found = []
        for low, high in itertools.pairwise(ends):
            inside = (self.picture >= low) & (self.picture <= high)
            pair = self.error[inside], self.spread[inside]
            if inside.sum() > _LEAST_OF_A_BIN and all(np.ptp(values) > 0 for values in pair):
                found.append(spearmanr(*pair).statistic)
        return float(np.nanmean(found))


def twenty_cases(model: Model) -> Iterator[Case]:
    """Simulated stacks of every kind through the 20x."""
    for stack in stacks():
        near = np.flatnonzero(np.abs(stack.z_um) <= FARTHEST_UM)[::3]
        for at_um in _TWENTY_PLACES_UM:
            taken = [int(np.abs(stack.z_um - z_um).argmin()) for z_um in at_um]
            planes = EncodedPlanes(
                [stack.measured[index].astype(np.float32) for index in taken],
                at_um,
                model,
                pixel_size_um=stack.optics.pixel_size_um,
            )
            targets = [index for index in near if index not in taken]
            truths = [stack.expected[index] for index in targets]
            yield from _cases("20x/0.75", planes, at_um, stack.z_um[targets], truths)


def any_cases(model: Model) -> Iterator[Case]:
    """Simulated stacks through objectives of all kinds."""
    for one in volumes():
        wave_um, middle = one.sampling.axial_unit_um, len(one.light) // 2
        assert wave_um is not None
        for waves in GAPS_WAVES:
            half = max(1, round(waves * wave_um / one.z_step_um / 2))
            exposure = draw_exposure(one.rng, one.light.shape[1:])
            for steps in ((-half, half), (-half, half, -3 * half), (half, 2 * half)):
                planes = EncodedPlanes(
                    [exposure.record(one.light[middle + step], one.rng) for step in steps],
                    at_um := [step * one.z_step_um for step in steps],
                    model,
                    sampling=one.sampling,
                )
                truth = exposure.expected(one.light[middle])
                yield from _cases(one.what, planes, at_um, [0.0], [truth])


def real_cases(measured: Measured, folder: Path, model: Model) -> Iterator[Case]:
    """The middle plane between two, and between three, of a measured stack."""
    series = read_image(folder / measured.file)
    stack = np.asarray(series.stack())[:, : measured.largest_px, : measured.largest_px]
    stack = stack.astype(np.float32)
    wave_um, step_um = measured.sampling.axial_unit_um, series.z_step_um
    assert wave_um is not None
    assert step_um is not None
    for half in {max(1, round(waves * wave_um / step_um / 2)) for waves in GAPS_WAVES}:
        for steps in ((-half, half), (-half, half, -3 * half)):
            first, last = -min(steps), len(stack) - 1 - max(steps)
            for middle in np.linspace(first, last, MIDDLES).round().astype(int):
                if first > last:
                    continue
                planes = EncodedPlanes(
                    [stack[middle + step] for step in steps],
                    at_um := [step * step_um for step in steps],
                    model,
                    sampling=measured.sampling,
                )
                truth = stack[middle]
                yield from _cases(measured.what, planes, at_um, [0.0], [truth], noisy=True)


def _cases(
    what: str,
    planes: EncodedPlanes,
    at_um: Sequence[float],
    depths_um: Sequence[float] | NDArray[np.float64],
    truths: Sequence[Pixels],
    *,
    noisy: bool = False,
) -> Iterator[Case]:
    targets = [Flat(float(z_um)) for z_um in depths_um]
    pictures = planes.refocus(targets).data
    spreads = planes.spread().refocus(targets).data / np.float32(SAFETY)
    for z_um, picture, spread, truth in zip(depths_um, pictures, spreads, truths, strict=True):
        noise = _noise_of(truth) if noisy else np.zeros_like(picture)
        yield Case(
            what,
            len(at_um),
            min(at_um) < z_um < max(at_um),
            *(
                values.ravel()[::_EVERY_PX]
                for values in (np.abs(picture - truth), spread, picture, noise)
            ),
        )


def _noise_of(plane: Pixels) -> Pixels:
    """Standard deviation of the noise near each pixel (Immerkær 1996)."""
    rough = convolve(plane, _NOISE_KERNEL.astype(np.float32))
    noise: Pixels = np.sqrt(gaussian_filter(rough**2, _NOISE_BLUR_PX))
    return noise


@dataclass(frozen=True)
class Row:
    """Cases of one kind: two halves of them, of which one is calibrated and the other checked."""

    what: str
    where: str
    count: int
    factor: float
    halves_covered: tuple[float, float]
    covered: float
    covered_twice: float
    least_covered_twice: float
    told: float


def row_of(what: str, cases: Sequence[Case]) -> Row:
    """Calibrate on one half of the cases and check on the other, each way round."""
    halves = [cases[start::2] for start in range(2)]
    factors = [_pooled_factor(half) for half in halves]
    crossed = [
        float(np.mean([case.covered(factor) for case in half]))
        for half, factor in zip(halves, reversed(factors), strict=True)
    ]
    twice = [case.covered(2) for case in cases]
    where = "between" if cases[0].between else "beyond"
    return Row(
        what,
        f"{where} {cases[0].planes} planes",
        len(cases),
        _pooled_factor(cases),
        (crossed[0], crossed[1]),
        float(np.mean([case.covered(1) for case in cases])),
        float(np.mean(twice)),
        min(twice),
        float(np.mean([case.told for case in cases])),
    )


def _pooled_factor(cases: Sequence[Case]) -> float:
    """By which spreads are to be multiplied to cover 90 % of the errors of all cases together."""
    ratios = np.concatenate([one.error / np.maximum(one.spread, _TINY) for one in cases])
    return float(np.quantile(ratios, _COVERED))


def rows_of(what: str, cases: Sequence[Case]) -> Iterator[Row]:
    """A row for each number of planes, between them and beyond."""
    for between in (True, False):
        for planes in (2, 3):
            found = [one for one in cases if (one.between, one.planes) == (between, planes)]
            if found:
                yield row_of(what, found)

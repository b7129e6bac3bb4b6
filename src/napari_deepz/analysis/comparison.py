"""A virtual stack against a measured one, plane by plane at the same depth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_deepz.analysis.detail import USUAL_UNIT_PX
from napari_deepz.analysis.evaluation import NO_SCORES, DepthScores, Scores, score
from napari_deepz.engine.planes.shares import interpolated
from napari_deepz.surfaces.base import RANGE_TOLERANCE_UM
from napari_deepz.watch import UNWATCHED, Progress, Watch

_ROUNDING_UM = 1e-3
_PERCENTILES = (0.1, 99.9)
_MOST_SAMPLES = 1 << 24

OnProgress = Callable[[Progress], None]


class Planes(Protocol):
    """Planes (Y, X) that are read one by one: an array (Z, Y, X), or what reads from a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True)
class PlanePair:
    """A virtual plane and the measured one at its depth.

    Parameters
    ----------
    virtual, measured : int
        Their indices.
    z_um : float
        Depth of the virtual plane relative to the input plane.
    apart_um : float
        Depth of the measured plane less that of the virtual one.
    """

    virtual: int
    measured: int
    z_um: float
    apart_um: float


def match_planes(virtual_um: ArrayLike, measured_um: ArrayLike) -> tuple[PlanePair, ...]:
    """Find the measured plane of each virtual one.

    A virtual plane gets the nearest measured plane where that is no farther than half a step of
    the stack with the smaller steps. Each plane then is in one pair at most, and a stack that was
    sampled more coarsely is not compared with planes that lie between its own.

    Parameters
    ----------
    virtual_um, measured_um : array-like
        (n,) and (m,) depths relative to the input plane in µm, rising or falling throughout.

    Returns
    -------
    tuple of PlanePair
        In the order of the virtual planes; empty where the stacks do not overlap.

    Raises
    ------
    ValueError
        If depths are missing, not finite, or neither rising nor falling.
    """
    virtual, measured = _depths(virtual_um, "virtual"), _depths(measured_um, "measured")
    reach_um = _reach_um(virtual, measured)
    pairs, taken = [], set()
    for index, z_um in enumerate(virtual.tolist()):
        # Rounded, so that of two planes equally far the same one is always the nearest.
        nearest = int(np.argmin(np.round(np.abs(measured - z_um), 6)))
        apart_um = float(measured[nearest] - z_um)
        if abs(apart_um) <= reach_um and nearest not in taken:
            taken.add(nearest)
            pairs.append(PlanePair(index, nearest, z_um, apart_um))
    return tuple(pairs)


def measured_input_plane(virtual_um: ArrayLike, measured_um: ArrayLike) -> int | None:
    """Find the measured plane at the depth of the input plane, as near as `match_planes` asks."""
    virtual, measured = _depths(virtual_um, "virtual"), _depths(measured_um, "measured")
    nearest = int(np.argmin(np.abs(measured)))
    return nearest if abs(measured[nearest]) <= _reach_um(virtual, measured) else None


def describe_match(virtual_um: ArrayLike, measured_um: ArrayLike) -> str:
    """Say in a sentence or two which planes can be compared; measured planes count from 0."""
    virtual, measured = _depths(virtual_um, "virtual"), _depths(measured_um, "measured")
    pairs = match_planes(virtual, measured)
    if not pairs:
        return (
            "No measured plane lies at the depth of a virtual one: seen from the input plane, the "
            f"measured stack reaches from {_span(measured)} and the virtual one from "
            f"{_span(virtual)}."
        )
    at = measured_input_plane(virtual, measured)
    where = "no measured plane lies at the input plane"
    if at is not None:
        where = f"the input plane is measured plane {at}, counted from 0"
    reach = _span(np.array([pair.z_um for pair in pairs]))
    text = f"{len(pairs)} of {len(virtual)} virtual planes matched, {reach}; {where}."
    apart_um = max(abs(pair.apart_um) for pair in pairs)
    return text + (f" Matched planes lie {apart_um:.2g} µm apart." if apart_um > 0.01 else "")


def intensity_range(measured: Planes, planes: Sequence[int], *, watch: Watch = UNWATCHED) -> float:
    """Measure the range that PSNR and SSIM refer to: from the 0.1st to the 99.9th percentile.

    Parameters
    ----------
    measured : Planes
        (Y, X) each. Of more than 16 million pixels an even grid of them is taken; those that are
        not finite do not count.
    planes : sequence of int
        Which of them count.
    watch : Watch, optional
        Says when to stop.

    Returns
    -------
    float
        In the stack's intensity units, positive.

    Raises
    ------
    ValueError
        If there is no contrast.
    Cancelled
        When the watch says so.
    """
    samples = []
    for index in planes:
        watch.check()
        plane = np.asarray(measured[index])
        every = math.ceil(math.sqrt(plane.size * len(planes) / _MOST_SAMPLES))
        pixels = plane[::every, ::every].astype(np.float32)
        samples.append(pixels[np.isfinite(pixels)])
    pixels = np.concatenate(samples) if samples else np.empty(0, np.float32)
    low, high = np.percentile(pixels, _PERCENTILES) if pixels.size else (0.0, 0.0)
    if not high > low:
        raise ValueError("The measured stack has no contrast to compare.")
    return float(high - low)


def iter_comparison(
    virtual: Planes,
    measured: Planes,
    unrefocused: NDArray[Any],
    pairs: Sequence[PlanePair],
    *,
    data_range: float,
    axial_range_um: tuple[float, float],
    at_zero: NDArray[Any] | None = None,
    at_um: Sequence[float] = (0.0,),
    unit_px: float = USUAL_UNIT_PX,
    watch: Watch = UNWATCHED,
) -> Iterator[DepthScores]:
    """Score each virtual plane, and the input plane as it is, against the measured plane.

    Parameters
    ----------
    virtual, measured : Planes
        (Y, X) each, in the same intensity units; nothing is rescaled.
    unrefocused : ndarray
        (K, Y, X) input planes; of several, what is interpolated between them is the baseline.
    pairs : sequence of PlanePair
        Which planes belong together.
    data_range : float
        Of `intensity_range`.
    axial_range_um : tuple of float
        For which depths the model was trained.
    at_zero : ndarray, optional
        (Y, X) virtual plane at a depth of zero, the second baseline; its scores are NaN without.
    at_um : sequence of float
        Where the input planes were taken.
    unit_px : float
        λ/NA in pixels, for the detail.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Yields
    ------
    DepthScores
        Of each pair in turn; `plane` is the measured one, scores are NaN where one of the two
        images holds pixels that are not finite.

    Raises
    ------
    ValueError
        If planes differ in size or are smaller than 11 x 11 pixels.
    Cancelled
        When the watch says so.
    """
    lowest, highest = axial_range_um
    progress = Progress(len(pairs))
    for pair in pairs:
        watch.check()
        truth = np.asarray(measured[pair.measured], np.float32)
        in_range = lowest - RANGE_TOLERANCE_UM <= pair.z_um <= highest + RANGE_TOLERANCE_UM
        scores = DepthScores(
            plane=pair.measured,
            z_um=pair.z_um,
            in_range=in_range,
            refocused=_finite_scores(virtual[pair.virtual], truth, data_range, unit_px),
            at_zero=(
                NO_SCORES
                if at_zero is None
                else _finite_scores(at_zero, truth, data_range, unit_px)
            ),
            unrefocused=_finite_scores(
                interpolated(unrefocused, at_um, pair.z_um), truth, data_range, unit_px
            ),
        )
        progress.advance()
        watch.on_progress(progress)
        yield scores


def difference(
    virtual: Planes,
    measured: Planes,
    pairs: Sequence[PlanePair],
    *,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Subtract the virtual planes from the measured ones, pixel by pixel.

    Parameters
    ----------
    virtual, measured : Planes
        (Y, X) each, in the same intensity units; nothing is rescaled or aligned.
    pairs : sequence of PlanePair
        Which planes belong together, at least one.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Returns
    -------
    ndarray
        (k, Y, X) float32 on the planes of the measured stack, from the first that is in a pair to
        the last; NaN in planes between them that have no partner. Positive where the measured
        image is brighter.

    Raises
    ------
    Cancelled
        When the watch says so.
    """
    indices = [pair.measured for pair in pairs]
    first, last = min(indices), max(indices)
    shape = np.shape(measured[first])
    result = np.full((last - first + 1, *shape), np.nan, np.float32)
    progress = Progress(len(pairs))
    for pair in pairs:
        watch.check()
        truth = np.asarray(measured[pair.measured], np.float64)
        result[pair.measured - first] = truth - virtual[pair.virtual]
        progress.advance()
        watch.on_progress(progress)
    return result


def _finite_scores(
    image: NDArray[Any], truth: NDArray[np.float32], data_range: float, unit_px: float
) -> Scores:
    pixels = np.asarray(image, np.float32)
    if not (np.isfinite(pixels).all() and np.isfinite(truth).all()):
        return NO_SCORES
    return score(pixels, truth, data_range, unit_px)


def _depths(z_um: ArrayLike, which: str) -> NDArray[np.float64]:
    depths = np.asarray(z_um, np.float64)
    steps = np.diff(depths)
    one_way = (steps > 0).all() or (steps < 0).all()
    if depths.ndim != 1 or depths.size == 0 or not np.isfinite(depths).all() or not one_way:
        raise ValueError(
            f"The planes of the {which} stack need one depth each, all rising or all falling."
        )
    return depths


def _reach_um(virtual: NDArray[np.float64], measured: NDArray[np.float64]) -> float:
    steps = [np.abs(np.diff(depths)).min() for depths in (virtual, measured) if len(depths) > 1]
    return min(steps, default=0.0) / 2 + _ROUNDING_UM


def _span(z_um: NDArray[np.float64]) -> str:
    return f"{z_um.min():.4g} to {z_um.max():.4g} µm"

"""What the comparison does in the worker thread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.analysis.comparison import difference, intensity_range, iter_comparison
from napari_deepz.analysis.detail import unit_px_of
from napari_deepz.models.errors import ModelError
from napari_deepz.models.package import read_spec
from napari_deepz.surfaces.base import RANGE_TOLERANCE_UM
from napari_deepz.watch import Progress, Watch
from napari_deepz.widgets.comparing.pairing import Pairing
from napari_deepz.widgets.shared.news import Send

_PERCENTILE = 99.9


@dataclass(frozen=True, eq=False)
class StackRead:
    """News of the measured stack, which was not in memory before.

    Attributes
    ----------
    planes : ndarray
        (Z, Y, X).
    """

    planes: NDArray[Any]


@dataclass(frozen=True)
class Basis:
    """News of what the scores refer to.

    Attributes
    ----------
    data_range : float
        Intensity range of the measured stack, for PSNR and SSIM.
    axial_range_um : tuple of float or None
        For which depths the model was trained; None where the model is not there any more.
    """

    data_range: float
    axial_range_um: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class DifferenceDone:
    """News of the difference of two stacks.

    Attributes
    ----------
    planes : ndarray
        (k, Y, X) float32, measured minus virtual.
    limit : float
        Nearly all differences lie between it and its negative.
    """

    planes: NDArray[np.float32]
    limit: float


def compare(pairing: Pairing, send: Send, watch: Watch) -> None:
    """Score every pair of planes: sends `StackRead` if need be, `Basis`, then `DepthScores`.

    Raises
    ------
    Cancelled
        When asked to stop.
    ValueError
        If the planes cannot be compared; one sentence.
    """
    measured = _in_memory(pairing, send, watch)
    planes = [pair.measured for pair in pairing.pairs]
    data_range = intensity_range(measured, planes, watch=watch)
    axial_range_um = _axial_range_um(pairing)
    send(Basis(data_range, axial_range_um))
    for scores in iter_comparison(
        pairing.virtual,
        measured,
        np.stack(pairing.read_inputs()),
        pairing.pairs,
        data_range=data_range,
        axial_range_um=axial_range_um or (-math.inf, math.inf),
        at_zero=_at_zero(pairing),
        at_um=pairing.at_um,
        unit_px=unit_px_of(pairing.provenance.sampling),
        watch=watch,
    ):
        send(scores)


def _axial_range_um(pairing: Pairing) -> tuple[float, float] | None:
    """What the model knows from any of the input planes; None where it is not there any more."""
    try:
        spec = read_spec(pairing.model).for_image(pairing.provenance.sampling)
    except ModelError:
        return None
    low_um, high_um = spec.axial_range_um
    return min(pairing.at_um) + low_um, max(pairing.at_um) + high_um


def _at_zero(pairing: Pairing) -> NDArray[np.float32] | None:
    """The network's own picture of the input plane, where it is among the virtual planes."""
    nearest = int(np.argmin(np.abs(pairing.virtual_um)))
    if abs(pairing.virtual_um[nearest]) > RANGE_TOLERANCE_UM:
        return None
    return np.asarray(pairing.virtual[nearest], np.float32)


def subtract(pairing: Pairing, send: Send, watch: Watch) -> None:
    """Subtract the virtual planes from the measured ones: sends a `DifferenceDone`.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    planes = difference(
        pairing.virtual,
        pairing.measured,
        pairing.pairs,
        watch=watch,
    )
    sizes = np.abs(planes[np.isfinite(planes)])
    limit = float(np.percentile(sizes, _PERCENTILE)) if sizes.size else 0.0
    send(DifferenceDone(planes, limit or 1.0))


def _in_memory(pairing: Pairing, send: Send, watch: Watch) -> NDArray[Any]:
    there = pairing.measured.in_memory
    if there is not None:
        return there
    progress = Progress(len(pairing.measured))
    planes = []
    for index in range(len(pairing.measured)):
        watch.check()
        planes.append(pairing.measured[index])
        progress.advance()
        watch.on_progress(progress)
    stack = np.stack(planes)
    send(StackRead(stack))
    return stack

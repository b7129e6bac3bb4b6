"""How far apart two planes of one place were taken, estimated from the images themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_deepz.analysis.detail import detail, unit_px_of
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.planes.aligning import align_planes
from napari_deepz.engine.refocus import EncodedImage
from napari_deepz.models.package import Model
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat
from napari_deepz.watch import UNWATCHED, Watch

_STEPS = 60
_LEAST_GAIN = 0.05
_SYSTEMATIC_SHARE = 0.08
"""Of the model's reach: the error on measured stacks beyond that of which the images tell."""


@dataclass(frozen=True)
class PlaneDistance:
    """How far apart two planes lie.

    Attributes
    ----------
    distance_um : float
        Positive: which of the two is the deeper one, images do not say.
    uncertainty_um : float
        Its standard error.
    is_sure : bool
        Whether it can be used. Where refocusing does not make the planes more alike, as in dense
        samples, nothing can be told.
    """

    distance_um: float
    uncertainty_um: float
    is_sure: bool


def estimate_distance(
    first: ArrayLike,
    second: ArrayLike,
    model: Model | Lens,
    *,
    sampling: Sampling | None = None,
    watch: Watch = UNWATCHED,
) -> PlaneDistance:
    """Find the distance over which each plane refocused looks most like the other one.

    Likeness is `detail`; the measured errors are in docs/several_planes.md.

    Parameters
    ----------
    first, second : array-like
        (Y, X) each, of one shape.
    model, sampling
        As for `EncodedImage`.
    watch : Watch, optional
        Says when to stop.

    Raises
    ------
    ValueError
        If the images cannot be worked with; one sentence.
    """
    one, other = (plane.pixels for plane in align_planes([np.asarray(first), np.asarray(second)]))
    lens = Lens.of(model, None).for_image(sampling)
    low_um, high_um = lens.model.spec.axial_range_um
    away_um = np.linspace(0, min(-low_um, high_um), _STEPS)
    unit_px = unit_px_of(sampling)
    likeness = np.stack(
        [
            _likeness(
                EncodedImage(source, lens, sampling=sampling), truth, depths_um, unit_px, watch
            )
            for source, truth, depths_um in ((one, other, away_um), (other, one, -away_um))
        ]
    )
    mean = likeness.mean(axis=0)
    distance_um, at_first_um, at_second_um = (
        _highest(away_um, curve) for curve in (mean, *likeness)
    )
    apart_um = (at_first_um - at_second_um) / 2
    return PlaneDistance(
        distance_um,
        float(np.hypot(apart_um, _SYSTEMATIC_SHARE * away_um[-1])),
        is_sure=bool(mean.max() - mean[0] >= _LEAST_GAIN and distance_um < away_um[-2]),
    )


def _likeness(
    source: EncodedImage,
    truth: NDArray[np.float32],
    depths_um: NDArray[np.float64],
    unit_px: float,
    watch: Watch,
) -> NDArray[np.float64]:
    found = np.empty(len(depths_um))
    for plane in source.iter_refocus([Flat(float(z_um)) for z_um in depths_um], watch=watch):
        found[plane.index] = detail(plane.data, truth, unit_px=unit_px)
    return np.nan_to_num(found)


def _highest(at: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Where a sampled curve is highest, between its points by a parabola."""
    top = int(values.argmax())
    if not 0 < top < len(values) - 1:
        return float(at[top])
    before, here, after = values[top - 1 : top + 2]
    bend = before - 2 * here + after
    shift = 0.0 if bend == 0 else 0.5 * (before - after) / bend
    return float(at[top] + shift * (at[1] - at[0]))

"""How far apart two planes of one place were taken, estimated from the images themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_deepz.analysis.detail import detail, unit_px_of
from napari_deepz.engine.inputs import check_image
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.planes.aligning import align_planes
from napari_deepz.engine.refocus import EncodedImage
from napari_deepz.models.package import Model
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat
from napari_deepz.watch import UNWATCHED, Watch

_STEPS = 60
_TRIED_SHARES = (0.25, -0.25, 0.5, -0.5, 0.75, -0.75)
"""Of the reach, at which planes that are too unlike to be put over each other are compared."""
_LEAST_GAIN = 0.05
_TELLING_GAIN = 0.5
"""Of what refocusing the right way gains in likeness, the most that the wrong way does where the
images tell the direction: .15 of it with `widefield-20x`, .97 with `any-objective`, which is not
told aberrations of these images and to which both sides of the focus are alike."""

_SYSTEMATIC_SHARE = 0.08
"""Of the model's reach: the error on measured stacks beyond that of which the images tell."""


@dataclass(frozen=True)
class PlaneDistance:
    """How far apart two planes lie.

    Attributes
    ----------
    distance_um : float
        Positive.
    uncertainty_um : float
        Its standard error.
    is_sure : bool
        Whether it can be used. Where refocusing does not make the planes more alike, as in dense
        samples, nothing can be told.
    direction : int
        1 where the images show that the second plane is the deeper one, -1 where it is the first;
        0 where they do not tell.
    """

    distance_um: float
    uncertainty_um: float
    is_sure: bool
    direction: int


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
    lens = Lens.of(model, None).for_image(sampling)
    low_um, high_um = lens.model.spec.axial_range_um
    away_um = np.linspace(0, min(-low_um, high_um), _STEPS)
    one, other = _placed(first, second, lens, sampling, float(away_um[-1]), watch)
    unit_px = unit_px_of(sampling)
    pairs = [
        (EncodedImage(one, lens, sampling=sampling), other),
        (EncodedImage(other, lens, sampling=sampling), one),
    ]
    ways = {}
    for way in (1, -1):
        depths_um = (way * away_um, -way * away_um)
        ways[way] = np.stack(
            [
                _likeness(source, truth, at_um, unit_px, watch)
                for (source, truth), at_um in zip(pairs, depths_um, strict=True)
            ]
        )
    gains = {way: _gain(likeness) for way, likeness in ways.items()}
    best = max(gains, key=lambda way: gains[way])
    likeness = ways[best]
    tells = gains[-best] <= _TELLING_GAIN * gains[best]
    distance_um, at_first_um, at_second_um = (
        _highest(away_um, curve) for curve in (likeness.mean(axis=0), *likeness)
    )
    apart_um = (at_first_um - at_second_um) / 2
    return PlaneDistance(
        distance_um,
        float(np.hypot(apart_um, _SYSTEMATIC_SHARE * away_um[-1])),
        is_sure=gains[best] >= _LEAST_GAIN and distance_um < float(away_um[-2]),
        direction=best if tells else 0,
    )


def _placed(
    first: ArrayLike,
    second: ArrayLike,
    lens: Lens,
    sampling: Sampling | None,
    reach_um: float,
    watch: Watch,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both planes with one exposure, and in one place where that can be found."""
    images = [check_image(image).pixels for image in (first, second)]
    one, other = align_planes(images)
    if not other.is_placed:
        encoded = EncodedImage(images[0], lens, sampling=sampling)

        def refocused(_: NDArray[np.float32], away_um: float) -> NDArray[np.float32]:
            picture: NDArray[np.float32] = encoded.refocus(Flat(away_um), watch=watch).data[0]
            return picture

        for share in _TRIED_SHARES:
            tried = align_planes(images, (0, share * reach_um), refocused)[1]
            if tried.is_placed:
                other = tried
                break
    return one.pixels, other.pixels


def _gain(likeness: NDArray[np.float64]) -> float:
    """What refocusing adds to the likeness of two planes, (2, distances)."""
    mean = likeness.mean(axis=0)
    return float(mean.max() - mean[0])


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

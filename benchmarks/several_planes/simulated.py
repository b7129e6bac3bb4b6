"""One, two and three planes of simulated stacks through the 20x: scores, wrong inputs, neurons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_laplace, maximum_filter, shift
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from napari_deepz import EncodedPlanes, Flat
from napari_deepz.analysis.detail import detail
from napari_deepz.analysis.metrics import correlation
from napari_deepz.engine.planes.shares import Merge
from napari_deepz.models.package import Model
from napari_deepz.training.simulation import SimulatedStack, simulate

COUNT, SEED, HEADS = 8, 90_210, 6
FARTHEST_UM = 8.0
PLACES: dict[str, tuple[float, ...]] = {
    "one, 0 µm": (0.0,),
    "two, ±3 µm": (-3.0, 3.0),
    "two, ±5 µm": (-5.0, 5.0),
    "three, 0 and ±5 µm": (0.0, -5.0, 5.0),
}
_SPOT_UM, _GATE_UM, _Z_WEIGHT = (2.0, 0.9), 2.5, 0.4
_THRESHOLDS = np.geomspace(0.002, 0.6, 40)

Images = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Found:
    """Neurons that were told apart, at the threshold that suits best."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def stacks() -> list[SimulatedStack]:
    """Simulated stacks of every kind."""
    return list(simulate(COUNT, SEED))


def heads() -> list[SimulatedStack]:
    """Simulated heads with all neurons labelled."""
    return list(simulate(HEADS, SEED, kinds=("head",)))


def volume(
    stack: SimulatedStack,
    at_um: Sequence[float],
    model: Model,
    merge: Merge,
    *,
    said_um: Sequence[float] | None = None,
    spoil: Callable[[Images], Images] = lambda images: images,
) -> NDArray[np.float32]:
    """(Z, Y, X): all planes of a stack from those at a few depths, which may be spoiled."""
    images = [
        stack.measured[int(np.abs(stack.z_um - z_um).argmin())].astype(np.float32) for z_um in at_um
    ]
    planes = EncodedPlanes(
        spoil(images),
        said_um or at_um,
        model,
        merge=merge,
        pixel_size_um=stack.optics.pixel_size_um,
    )
    return planes.refocus([Flat(float(z_um)) for z_um in stack.z_um]).data


def scores(stack: SimulatedStack, inferred: NDArray[np.float32]) -> tuple[float, float]:
    """Mean correlation and detail of planes up to `FARTHEST_UM`, against those without noise."""
    near = np.flatnonzero(np.abs(stack.z_um) <= FARTHEST_UM)
    pairs = [(inferred[index], stack.expected[index]) for index in near]
    return (
        float(np.mean([correlation(*pair) for pair in pairs])),
        float(np.nanmean([detail(*pair) for pair in pairs])),
    )


def neurons(stack: SimulatedStack, inferred: NDArray[np.float32]) -> list[Found]:
    """Compare peaks of the Laplacian of Gaussian with the true centres, by threshold."""
    pixel_um, step_um = stack.optics.pixel_size_um, float(stack.z_um[1] - stack.z_um[0])
    scales_um = np.array([step_um, pixel_um, pixel_um])
    sigma = np.array([_SPOT_UM[0], _SPOT_UM[1], _SPOT_UM[1]]) / scales_um
    response = -gaussian_laplace(inferred.astype(np.float32), sigma)
    size = tuple(int(2 * round(side) + 1) for side in sigma)
    peaks = np.argwhere((response == maximum_filter(response, size)) & (response > 0))
    heights = response[tuple(peaks.T)] / response.max()
    truth_um = stack.centres * [1, pixel_um, pixel_um]
    inside = np.abs(truth_um[:, 0]) <= FARTHEST_UM
    places_um = peaks * scales_um + [stack.z_um[0], 0, 0]
    near = np.abs(places_um[:, 0]) <= FARTHEST_UM
    return [
        _matched(places_um[near & (heights >= threshold)], truth_um[inside])
        for threshold in _THRESHOLDS
    ]


def _matched(found_um: NDArray[np.float64], truth_um: NDArray[np.float64]) -> Found:
    if not len(found_um) or not len(truth_um):
        return Found(0.0, 0.0)
    weights = [_Z_WEIGHT, 1, 1]
    away = cdist(found_um * weights, truth_um * weights)
    rows, columns = linear_sum_assignment(np.minimum(away, 10 * _GATE_UM))
    right = int((away[rows, columns] <= _GATE_UM).sum())
    return Found(right / len(found_um), right / len(truth_um))


def best_of(stacks_found: Sequence[Sequence[Found]]) -> Found:
    """Mean precision and recall over stacks, at the one threshold that suits all of them best."""
    means = [
        Found(
            float(np.mean([one.precision for one in at])),
            float(np.mean([one.recall for one in at])),
        )
        for at in zip(*stacks_found, strict=True)
    ]
    return max(means, key=lambda found: found.f1)


SPOILED: dict[str, dict[str, object]] = {
    "as it is": {},
    "second plane said to be 1 µm nearer": {"said_um": (-3.0, 2.0)},
    "second plane said to be 1 µm farther": {"said_um": (-3.0, 4.0)},
    "planes in the other order": {"at_um": (3.0, -3.0)},
    "second plane moved by 4 and -3 pixels": {
        "spoil": lambda images: [images[0], shift(images[1], (4, -3), order=1, mode="nearest")]
    },
    "second plane with 0.6 of the light": {
        "spoil": lambda images: [images[0], (images[1] - 100) * 0.6 + 100]
    },
}
"""Of the two planes at ±3 µm."""

"""Training samples of simulated volumes of any objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_deepz.intensity import fit_intensity
from napari_deepz.training.any_objective.exposure import draw_exposure
from napari_deepz.training.any_objective.volumes import LightVolume

Sample = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Image (Y, X), targets (P, Y, X) and what is told (3,)."""

_PATCHES_OF_A_PLANE = 2
_CANDIDATES, _CHOOSY = 3, 0.7
_TOLD_NOTHING = 0.15
_NOT_TOLD = (0.15, 0.1, 0.4)
"""Share of the samples in which NA/n, sampling and aberration are kept from the network."""


@dataclass(frozen=True)
class ToldBatch:
    """Normalised samples, and what the network is told of their optics.

    Parameters
    ----------
    image : Tensor
        (N, 1, Y, X) float32.
    target : Tensor
        (N, P, Y, X) float32.
    told : Tensor
        (N, 3) float32; NaN where it is not told.
    planes : Tensor
        (P,) int64, which of the network's planes the targets are.
    """

    image: Tensor
    target: Tensor
    told: Tensor
    planes: Tensor


class VolumeSampler:
    """Draws batches; batch k is the same in every run with the same seed.

    Parameters
    ----------
    volumes : sequence of LightVolume
        Any plane of which can be an input, as each has others on both sides.
    normalisation : str
        As in `intensity.fit_intensity`.
    patch_px : int
        Side of a patch.
    reach : int
        Planes on either side of the input that the network knows.
    planes : int
        How many of them are drawn for a batch.
    """

    def __init__(
        self,
        volumes: Sequence[LightVolume],
        *,
        normalisation: str,
        patch_px: int,
        reach: int,
        planes: int,
    ) -> None:
        self._volumes = volumes
        self._normalisation = normalisation
        self._patch_px = patch_px
        self._reach = reach
        self._planes = planes

    def batch(self, seed: int, step: int, size: int) -> ToldBatch:
        """Draw the batch of one step."""
        rng = np.random.default_rng([seed, step])
        chosen = rng.choice(2 * self._reach + 1, self._planes, replace=False)
        samples: list[Sample] = []
        while len(samples) < size:
            samples += self._samples(rng, chosen)
        images, targets, told = (np.stack(part) for part in zip(*samples[:size], strict=True))
        return ToldBatch(
            torch.from_numpy(images)[:, None],
            torch.from_numpy(targets),
            torch.from_numpy(told),
            torch.from_numpy(chosen),
        )

    def _samples(self, rng: np.random.Generator, chosen: NDArray[np.int64]) -> list[Sample]:
        volume = self._volumes[int(rng.integers(len(self._volumes)))]
        light = volume.light
        middle = int(rng.integers(len(light)))
        side = 1 if rng.uniform() < 0.5 else -1
        steps = side * (chosen - self._reach)
        exposure = draw_exposure(rng, light.shape[1:])
        picture = exposure.record(light[middle], rng)
        intensity = fit_intensity(self._normalisation, picture)
        expected = exposure.expected(light[(middle + steps) % len(light)])
        told = draw_told(rng, volume.told, side)
        samples = []
        for _ in range(_PATCHES_OF_A_PLANE):
            window = draw_window(rng, expected, self._patch_px)
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            samples.append(
                (
                    turned(intensity.apply(picture[window]), turns, flip),
                    turned(intensity.apply(expected[window]), turns, flip),
                    told,
                )
            )
        return samples


def draw_told(
    rng: np.random.Generator, optics: NDArray[np.float32], side: int
) -> NDArray[np.float32]:
    """Draw what of (3,) optics is told; seen from behind (side -1), aberrations change sign."""
    told = optics.copy()
    told[2] *= side
    hidden = rng.uniform(size=3) < _NOT_TOLD
    told[hidden | (rng.uniform() < _TOLD_NOTHING)] = np.nan
    return told


def draw_window(
    rng: np.random.Generator, expected: NDArray[np.float32], patch_px: int
) -> tuple[Any, slice, slice]:
    """Draw a patch of (P, Y, X) targets; mostly the one of three with the most to see."""
    highest = np.array(expected.shape[1:]) - patch_px + 1
    count = _CANDIDATES if rng.uniform() < _CHOOSY else 1
    windows = [
        np.s_[..., y : y + patch_px, x : x + patch_px]
        for y, x in rng.integers(0, highest, (count, 2))
    ]
    return max(windows, key=lambda window: expected[window].max(axis=0).std())


def turned(image: NDArray[np.float32], turns: int, flip: bool) -> NDArray[np.float32]:
    """Turn (..., Y, X) by right angles, and mirror it."""
    found = np.rot90(image, turns, axes=(-2, -1))
    return np.ascontiguousarray(found[..., ::-1] if flip else found)

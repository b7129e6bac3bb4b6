"""Training samples of simulated volumes with several input planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_deepz.intensity import fit_intensity
from napari_deepz.training.any_objective.batches import draw_told, draw_window, turned
from napari_deepz.training.any_objective.exposure import draw_exposure
from napari_deepz.training.any_objective.volumes import LightVolume

Pixels = NDArray[np.float32]

_COUNTS = {1: 0.2, 2: 0.5, 3: 0.2, 4: 0.1}
_SPANS = (2.0, 36.0)
"""Shortest and longest way from the first to the last input, in steps of the planes."""

_BEYOND = 12
"""Targets lie up to so many steps outside the inputs."""

_MISPLACED_SHARE, _MISPLACED_STEPS, _SLIGHTLY_STEPS = 0.25, 2.0, 0.3
_BLEACHED = 0.04
_SHIFTED_SHARE, _SHIFT_PX = 0.4, 0.3


@dataclass(frozen=True)
class PlanesBatch:
    """Normalised samples of the same input and target planes.

    Parameters
    ----------
    images : Tensor
        (N, K, Y, X) float32.
    z : Tensor
        (K,) float32, where they are said to be taken, in steps of the planes.
    target : Tensor
        (N, P, Y, X) float32.
    targets : Tensor
        (P,) float32, where the targets lie.
    told : Tensor
        (N, 3) float32; NaN where it is not told.
    """

    images: Tensor
    z: Tensor
    target: Tensor
    targets: Tensor
    told: Tensor


class PlanesSampler:
    """Draws batches; batch k is the same in every run with the same seed.

    Parameters
    ----------
    volumes : sequence of LightVolume
        To take the planes from.
    normalisation : str
        As in `intensity.fit_intensity`.
    patch_px : int
        Side of a patch.
    reach : int
        Planes on either side of an input that the network knows.
    planes : int
        How many targets are drawn for a batch.
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

    def batch(self, seed: int, step: int, size: int) -> PlanesBatch:
        """Draw the batch of one step."""
        rng = np.random.default_rng([seed, step, 1])
        z, targets = self._places(rng)
        drawn = [self._sample(rng, z, targets) for _ in range(size)]
        images, pictures, told = (np.stack(part) for part in zip(*drawn, strict=True))
        return PlanesBatch(
            torch.from_numpy(images),
            torch.from_numpy((z + _misplaced(rng, len(z))).astype(np.float32)),
            torch.from_numpy(pictures),
            torch.from_numpy(targets.astype(np.float32)),
            torch.from_numpy(told),
        )

    def _places(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where inputs and targets lie, in steps; no target is out of reach of all inputs."""
        count = int(rng.choice(list(_COUNTS), p=list(_COUNTS.values())))
        if count == 1:
            around = np.arange(-self._reach, self._reach + 1)
            return np.zeros(1, np.int64), rng.choice(around, self._planes, replace=False)
        longest = min(_SPANS[1], 2 * self._reach - 2)
        span = round(np.exp(rng.uniform(*np.log((_SPANS[0], longest)))))
        count = min(count, span + 1)
        inner = rng.choice(np.arange(1, span), count - 2, replace=False)
        z = rng.permutation(np.array([0, span, *inner])) - span // 2
        beyond = min(_BEYOND, self._reach)
        around = np.arange(z.min() - beyond, z.max() + beyond + 1)
        planes = min(self._planes, len(around))
        return z, rng.choice(around, planes, replace=False)

    def _sample(
        self, rng: np.random.Generator, z: NDArray[np.int64], targets: NDArray[np.int64]
    ) -> tuple[Pixels, Pixels, NDArray[np.float32]]:
        volume = self._volumes[int(rng.integers(len(self._volumes)))]
        middle = int(rng.integers(len(volume.light)))
        side = 1 if rng.uniform() < 0.5 else -1  # Seen from behind, aberrations change their sign.
        light = volume.light[(middle + side * np.concatenate([z, targets])) % len(volume.light)]
        told = draw_told(rng, volume.told, side)
        exposure = draw_exposure(rng, light.shape[1:])
        pictures = []
        for plane in light[: len(z)].astype(np.float32):
            seen = plane * np.float32(1 + (_BLEACHED * rng.uniform(-1, 1) if len(z) > 1 else 0))
            if len(z) > 1 and rng.uniform() < _SHIFTED_SHARE:
                seen = shifted(seen, rng.normal(0, _SHIFT_PX, 2)).clip(0)
            pictures.append(exposure.record(seen, rng))
        intensity = fit_intensity(self._normalisation, np.concatenate(pictures))
        expected = exposure.expected(light[len(z) :])
        window = draw_window(rng, expected, self._patch_px)
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        return (
            turned(intensity.apply(np.stack(pictures)[window]), turns, flip),
            turned(intensity.apply(expected[window]), turns, flip),
            told,
        )


def shifted(image: Pixels, by_px: NDArray[np.float64]) -> Pixels:
    """Move a (Y, X) image whose borders meet by parts of a pixel."""
    y = scipy.fft.fftfreq(image.shape[0])[:, None]
    x = scipy.fft.rfftfreq(image.shape[1])
    phase = np.exp(-2j * np.pi * (y * by_px[0] + x * by_px[1]))
    moved: Pixels = scipy.fft.irfft2(scipy.fft.rfft2(image) * phase, s=image.shape)
    return moved.astype(np.float32)


def _misplaced(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """How far the planes lie from where they are said to, in steps; the first is the origin."""
    if rng.uniform() < _MISPLACED_SHARE:
        away = rng.uniform(-_MISPLACED_STEPS, _MISPLACED_STEPS, count)
    else:
        away = rng.normal(0, _SLIGHTLY_STEPS, count)
    away[0] = 0
    return away

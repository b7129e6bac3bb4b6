"""Focal stacks as training samples: one input plane, the planes around it as targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_deepz.engine.resampling import resample
from napari_deepz.intensity import Intensity, fit_intensity
from napari_deepz.training.simulation import SimulatedStack

_OFF_PLANE = 0.1
"""Share of a z step by which a plane may miss the distance that it is a target for."""


@dataclass(frozen=True, eq=False)
class FocalStack:
    """A focal stack to learn from.

    Parameters
    ----------
    measured : ndarray
        (Z, Y, X), what the input planes are taken from.
    target : ndarray
        (Z, Y, X) in the same units; the noise-free stack of a simulation, else `measured`.
    z_step_um : float
        Distance of the planes.
    """

    measured: NDArray[np.generic]
    target: NDArray[np.generic]
    z_step_um: float

    @classmethod
    def from_simulation(cls, stack: SimulatedStack, pixel_size_um: float) -> FocalStack:
        """Noisy input planes, noise-free targets, on a grid of the given pixel size."""
        ratio = stack.optics.pixel_size_um / pixel_size_um
        measured, target = (_on_grid(planes, ratio) for planes in (stack.measured, stack.expected))
        counts = np.clip(np.rint(measured), 0, 65535).astype(np.uint16)
        return cls(counts, target, float(stack.z_um[1] - stack.z_um[0]))

    @classmethod
    def from_measured(
        cls, planes: NDArray[np.generic], z_step_um: float, ratio: float = 1.0
    ) -> FocalStack:
        """Measured (Z, Y, X) planes as input and target, on a grid of `ratio` as many pixels."""
        if ratio != 1:
            planes = _on_grid(planes, ratio)
        return cls(planes, planes, z_step_um)


@dataclass(frozen=True)
class Batch:
    """Normalised samples.

    Parameters
    ----------
    image : Tensor
        (N, 1, Y, X) float32 input planes.
    target : Tensor
        (N, P, Y, X) float32 planes at the wanted distances.
    known : Tensor
        (N, P, 1, 1) float32, one where the stack has a plane at that distance.
    z_um : Tensor
        (N, P) float32 distances from the input plane.
    """

    image: Tensor
    target: Tensor
    known: Tensor
    z_um: Tensor


class PatchSampler:
    """Draws batches of patches; batch k is the same in every run with the same seed.

    Parameters
    ----------
    stacks : iterable of FocalStack
        Kept in memory.
    normalisation : str
        As in `intensity.fit_intensity`, fitted to each whole input plane.
    middle_um : float
        Input planes lie within this distance of the stack's middle.
    patch_px : int
        Side of a patch; three of four are centred where there is signal.
    plane_z_um : sequence of float
        Distances to draw targets at.
    planes_per_sample : int or None
        Number of distances drawn for each sample; None takes all of them.

    Raises
    ------
    ValueError
        If there is no stack, one is smaller than a patch, or no stack has planes at a distance
        that is to be learned.
    """

    def __init__(
        self,
        stacks: Iterable[FocalStack],
        *,
        normalisation: str,
        middle_um: float,
        patch_px: int,
        plane_z_um: tuple[float, ...],
        planes_per_sample: int | None,
    ) -> None:
        self._stacks = list(stacks)
        if not self._stacks:
            raise ValueError("There is no focal stack to train on.")
        self._patch_px = patch_px
        self._plane_z_um = np.array(plane_z_um)
        self._planes_per_sample = planes_per_sample
        self._inputs: list[tuple[int, int, Intensity]] = []
        self._signal: list[NDArray[np.int64]] = []
        for index, stack in enumerate(self._stacks):
            if min(stack.measured.shape[1:]) < patch_px:
                raise ValueError(
                    f"A focal stack of {stack.measured.shape[2]} x {stack.measured.shape[1]} "
                    f"pixels is smaller than the patches of {patch_px} pixels; choose smaller "
                    "patches."
                )
            self._signal.append(_signal_pixels(stack.target))
            middle = (len(stack.measured) - 1) / 2
            for plane in range(len(stack.measured)):
                if abs(plane - middle) * stack.z_step_um <= middle_um + 1e-6:
                    fitted = fit_intensity(normalisation, stack.measured[plane])
                    self._inputs.append((index, plane, fitted))
        if planes_per_sample is None:
            self._check_reach()

    def _check_reach(self) -> None:
        """Each distance that the network is to learn has to be there at least once."""
        reached = np.zeros(len(self._plane_z_um), bool)
        for index, plane, _ in self._inputs:
            reached |= self._targets(index, plane, self._plane_z_um)[1]
        if not reached.all():
            missing_um = self._plane_z_um[~reached][0]
            steps_um = sorted({stack.z_step_um for stack in self._stacks})
            steps = ", ".join(f"{step_um:g}" for step_um in steps_um)
            raise ValueError(
                f"The model is to learn planes {missing_um:g} µm away from the input, which no "
                f"focal stack shows (their planes are {steps} µm apart); choose an "
                "axial_range_um that the stacks cover and whose planes fall on theirs."
            )

    def _targets(
        self, index: int, plane: int, z_um: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Planes of a stack at distances from one of its planes, and which of them are there."""
        stack = self._stacks[index]
        steps = z_um / stack.z_step_um
        planes = plane + np.rint(steps).astype(int)
        known = (planes >= 0) & (planes < len(stack.target))
        known &= np.abs(steps - np.rint(steps)) < _OFF_PLANE
        return np.clip(planes, 0, len(stack.target) - 1), known

    def batch(self, seed: int, step: int, size: int) -> Batch:
        """Draw the batch of one step."""
        rng = np.random.default_rng([seed, step])
        samples = [self._sample(rng) for _ in range(size)]
        images, targets, known, z_um = (np.stack(part) for part in zip(*samples, strict=True))
        return Batch(
            torch.from_numpy(images)[:, None],
            torch.from_numpy(targets),
            torch.from_numpy(known)[:, :, None, None],
            torch.from_numpy(z_um),
        )

    def _sample(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        index, plane, intensity = self._inputs[rng.integers(len(self._inputs))]
        stack = self._stacks[index]
        z_um = self._plane_z_um
        if self._planes_per_sample is not None:
            z_um = rng.choice(z_um, self._planes_per_sample, replace=False)
        window = self._window(rng, index)
        planes, known = self._targets(index, plane, z_um)
        target = intensity.apply(stack.target[planes, *window])
        image = intensity.apply(stack.measured[plane, *window])
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        return (
            _turned(image, turns, flip),
            _turned(target, turns, flip),
            known.astype(np.float32),
            z_um.astype(np.float32),
        )

    def _window(self, rng: np.random.Generator, index: int) -> tuple[slice, slice]:
        shape = np.array(self._stacks[index].measured.shape[1:])
        highest = shape - self._patch_px
        if rng.uniform() < 0.75:
            pixels = self._signal[index]
            centre = np.array(divmod(int(pixels[rng.integers(len(pixels))]), int(shape[1])))
            jitter = rng.integers(-self._patch_px // 4, self._patch_px // 4 + 1, 2)
            corner = np.clip(centre + jitter - self._patch_px // 2, 0, highest)
        else:
            corner = rng.integers(0, highest + 1)
        y, x = (int(value) for value in corner)
        return slice(y, y + self._patch_px), slice(x, x + self._patch_px)


def _on_grid(planes: NDArray[np.generic], ratio: float) -> NDArray[np.float32]:
    height, width = (round(size * ratio) for size in planes.shape[1:])
    return np.stack([resample(plane.astype(np.float32), (height, width)) for plane in planes])


def _signal_pixels(stack: NDArray[np.generic]) -> NDArray[np.int64]:
    """Flat indices of the pixels that are bright in some plane."""
    brightest = stack.max(axis=0).astype(np.float32)
    low, high = np.percentile(brightest, [50, 99.9])
    bright = np.flatnonzero(brightest >= low + 0.25 * (high - low))
    return bright if bright.size else np.arange(brightest.size)


def _turned(image: NDArray[np.float32], turns: int, flip: bool) -> NDArray[np.float32]:
    turned = np.rot90(image, turns, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if flip else turned)

"""Learning from focal stacks of one objective, simulated or measured."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_deepz.analysis.metrics import correlation
from napari_deepz.intensity import fit_intensity
from napari_deepz.models.spec import ModelSpec
from napari_deepz.networks.base import Generator
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.dataset import Batch, FocalStack, PatchSampler
from napari_deepz.training.lesson import Lesson, Scores
from napari_deepz.training.loop import train_on

VALIDATION_DEPTHS = (-1.0, -0.6, -0.2, 0.2, 0.6, 1.0)
"""Shares of the axial range at which a run is validated."""

END_WEIGHTS = (3.0, 2.0)
"""Weights in the loss of the outermost planes, from the end inwards."""


class FocalLesson(Lesson[Batch]):
    """Patches of focal stacks, in which each distance that a network knows is learned at once.

    Parameters
    ----------
    config : TrainConfig
        The run.
    stacks, validation : list of FocalStack
        To learn from, and to look at.
    network : Generator
        What is to learn.
    """

    def __init__(
        self,
        config: TrainConfig,
        stacks: list[FocalStack],
        validation: list[FocalStack],
        network: Generator,
    ) -> None:
        self._config = config
        self._validation = validation
        self._sampler = _sampler(config, stacks, network)

    def draw(self, seed: int, step: int, size: int) -> Batch:
        """Draw the batch of one step."""
        return self._sampler.batch(seed, step, size)

    def predict(self, network: Generator, batch: Batch, device: torch.device) -> Tensor:
        """Refocus a batch to its distances."""
        return predict(network, batch.image.to(device), batch.z_um.to(device))

    def error(self, predicted: Tensor, batch: Batch) -> Tensor:
        """Compute `masked_error`."""
        target, known = (part.to(predicted.device) for part in (batch.target, batch.known))
        return masked_error(predicted, target, known, self._config.schedule.focus_weight)

    def validate(self, network: Generator, device: torch.device) -> Scores:
        """Judge a network by the correlation on the stacks that are only looked at."""
        return validate(network, self._validation, self._config.model, device)


def train(
    config: TrainConfig, stacks: list[FocalStack], validation: list[FocalStack], **settings: Any
) -> Path:
    """Train a generator on focal stacks; see `loop.train_on` for the other arguments."""

    def make_lesson(network: Generator) -> FocalLesson:
        return FocalLesson(config, stacks, validation, network)

    return train_on(config, make_lesson, **settings)


def predict(network: Generator, image: Tensor, z_um: Tensor) -> Tensor:
    """Refocus (N, 1, Y, X) images to (N, P) distances in µm, giving (N, P, Y, X).

    A generator whose code holds the planes themselves gives these, whatever the distances.
    """
    code = network.encode(image)
    if network.plane_z_um is not None:
        return code
    uniform = z_um[:, :, None, None].expand(-1, -1, *image.shape[2:])
    return torch.cat(
        [network.decode(code, uniform[:, k : k + 1]) for k in range(z_um.shape[1])], dim=1
    )


def masked_error(
    predicted: Tensor, target: Tensor, known: Tensor, focus_weight: float = 0.0
) -> Tensor:
    """Mean absolute error over the planes that the stacks have, heavier where they are bright.

    Every plane counts alike, however few of the stacks have it, but those at both ends of the
    range more: they have neighbours on one side only, and are the hardest.

    Parameters
    ----------
    predicted, target : Tensor
        (N, P, Y, X), the planes in the order of their distance.
    known : Tensor
        (N, P, 1, 1), one or zero.
    focus_weight : float
        Errors count ``1 + focus_weight * abs(target)`` fold: what is in focus is bright, but
        covers few of a stack's pixels.
    """
    error = (predicted - target).abs() * (1 + focus_weight * target.abs())
    per_plane = (error.mean(dim=(2, 3), keepdim=True) * known).sum(dim=0).flatten()
    samples = known.sum(dim=0).flatten()
    weights = plane_weights(len(samples)).to(error) * (samples > 0)
    return (weights * per_plane / samples.clamp(min=1)).sum() / weights.sum().clamp(min=1)


def plane_weights(planes: int) -> Tensor:
    """Weights (P,) of planes in the loss: one, but for `END_WEIGHTS` at both ends."""
    weights = torch.ones(planes)
    if planes > 2 * len(END_WEIGHTS):
        ends = torch.tensor(END_WEIGHTS)
        weights[: len(ends)], weights[-len(ends) :] = ends, ends.flip(0)
    return weights


def validate(
    network: Generator, stacks: list[FocalStack], spec: ModelSpec, device: torch.device
) -> Scores:
    """Correlation with the truth, per distance, from the middle plane of each stack.

    Measured on normalised intensities, beside the unrefocused image's, averaged over the stacks.
    Distances that no stack has are left out; None where it is undefined, as for a constant image.

    Raises
    ------
    FloatingPointError
        If the network gives values that are not finite numbers.
    """
    low, high = spec.axial_range_um
    depths_um = [round(share * (high if share > 0 else -low), 3) for share in VALIDATION_DEPTHS]
    scores: dict[str, list[tuple[float, float]]] = {}
    for stack in stacks:
        middle = len(stack.measured) // 2
        intensity = fit_intensity(spec.normalisation, stack.measured[middle])
        height, width = (size - size % network.size_multiple for size in stack.measured.shape[1:])
        image = intensity.apply(stack.measured[middle, :height, :width])
        with torch.inference_mode():
            code = network.encode(torch.from_numpy(image)[None, None].to(device))
        for z_um in depths_um:
            plane = middle + round(z_um / stack.z_step_um)
            if not 0 <= plane < len(stack.target):
                continue
            truth = intensity.apply(stack.target[plane, :height, :width])
            with torch.inference_mode():
                dpm = torch.full((1, 1, height, width), z_um, device=device)
                refocused = network.decode(code, dpm)[0, 0].cpu().numpy()
            if not np.isfinite(refocused).all():
                raise FloatingPointError
            scores.setdefault(f"{z_um:g}", []).append(
                (correlation(refocused, truth), correlation(image, truth))
            )
    return {
        z_um: {
            "refocused": _mean([pair[0] for pair in pairs]),
            "unrefocused": _mean([pair[1] for pair in pairs]),
        }
        for z_um, pairs in scores.items()
    }


def _mean(correlations: list[float]) -> float | None:
    defined = [value for value in correlations if not math.isnan(value)]
    return round(float(np.mean(defined)), 4) if defined else None


def _sampler(config: TrainConfig, stacks: list[FocalStack], network: Generator) -> PatchSampler:
    low, high = config.model.axial_range_um
    step = stacks[0].z_step_um if stacks else 1.0
    anywhere = tuple(np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step)
    return PatchSampler(
        stacks,
        normalisation=config.model.normalisation,
        middle_um=config.data.middle_um,
        patch_px=config.schedule.patch_px,
        plane_z_um=network.plane_z_um or anywhere,
        planes_per_sample=None if network.plane_z_um else 1,
    )

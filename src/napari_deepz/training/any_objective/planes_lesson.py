"""What the generator learns that takes several input planes and says how far it may be off."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_deepz.analysis.detail import detail
from napari_deepz.analysis.metrics import correlation
from napari_deepz.intensity import fit_intensity
from napari_deepz.networks.several_planes import SeveralPlanes
from napari_deepz.training.any_objective.exposure import draw_exposure
from napari_deepz.training.any_objective.lesson import AnyObjectiveLesson, picture_error
from napari_deepz.training.any_objective.optics import STEP_WAVES
from napari_deepz.training.any_objective.planes_batches import PlanesBatch, PlanesSampler
from napari_deepz.training.any_objective.volumes import LightVolume
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.lesson import Lesson, Scores

_PLANES_OF_A_BATCH = 14
_SPREAD_WEIGHT = 0.05
_SMALLEST_LOG = 8.0
"""No error is expected to be below e^-8 of what is bright."""
_GAPS = (2, 6, 12, 24)
"""Steps from the one to the other of two planes, between which a run is validated."""

_GAP_SEED = 6


class PlanesLesson(Lesson[PlanesBatch]):
    """Patches of simulated volumes with one to four input planes.

    What one plane gives stays as it is; how planes are merged, and how far the picture may be off,
    is learned.

    Parameters
    ----------
    config, volumes, validation
        As for `AnyObjectiveLesson`.
    network : SeveralPlanes
        What is to learn.
    """

    unit = "waves"

    def __init__(
        self,
        config: TrainConfig,
        volumes: list[LightVolume],
        validation: list[LightVolume],
        network: SeveralPlanes,
    ) -> None:
        if config.start_from is None:
            raise ValueError(
                "A generator of several planes learns how to merge them alone: name the one of one "
                "plane as start_from."
            )
        network.requires_grad_(False)
        network.merging.requires_grad_(True)
        self._one_plane = AnyObjectiveLesson(config, volumes, validation, network)
        self._validation = validation
        self._normalisation = config.model.normalisation
        self._sampler = PlanesSampler(
            volumes,
            normalisation=self._normalisation,
            patch_px=config.schedule.patch_px,
            reach=network.planes // 2,
            planes=min(_PLANES_OF_A_BATCH, network.planes),
        )

    def draw(self, seed: int, step: int, size: int) -> PlanesBatch:
        """Draw the batch of one step."""
        return self._sampler.batch(seed, step, size)

    def predict(self, network: SeveralPlanes, batch: PlanesBatch, device: torch.device) -> Tensor:
        """Refocus a batch, and say how far that may be off: (N, 2 P, Y, X)."""
        parts = (batch.images, batch.z, batch.told, batch.targets)
        merged = network.merge(*(part.to(device) for part in parts))
        return torch.cat([merged.picture, merged.log_spread], dim=1)

    def error(self, predicted: Tensor, batch: PlanesBatch) -> Tensor:
        """The error of the pictures, and how unlikely it is with the spread that was said.

        The spread is that of a Laplace distribution. It does not change the pictures: an error
        that was announced is as large as any other.
        """
        picture, log_spread = predicted.chunk(2, dim=1)
        target = batch.target.to(predicted.device)
        away = (picture.detach() - target).abs()
        unlikely = (away * (-log_spread).clamp(max=_SMALLEST_LOG).exp() + log_spread).mean()
        return picture_error(picture, target) + _SPREAD_WEIGHT * unlikely

    def validate(self, network: SeveralPlanes, device: torch.device) -> Scores:
        """The scores of one plane, and those of the middle between two."""
        scores = self._one_plane.validate(network, device)
        for gap in _GAPS:
            found: dict[str, list[float]] = {}
            for index, volume in enumerate(self._validation):
                rng = np.random.default_rng([_GAP_SEED, index, gap])
                for name, (picture, truth) in self._between(network, volume, gap, rng, device):
                    found.setdefault(name, []).append(correlation(picture, truth))
                    found.setdefault(f"{name}, detail", []).append(detail(picture, truth))
            means = {name: round(float(np.nanmean(values)), 4) for name, values in found.items()}
            scores[f"gap {gap * STEP_WAVES:.2g}"] = dict(means)
        return scores

    def _between(
        self,
        network: SeveralPlanes,
        volume: LightVolume,
        gap: int,
        rng: np.random.Generator,
        device: torch.device,
    ) -> list[tuple[str, tuple[NDArray[np.float32], NDArray[np.float32]]]]:
        """Pictures of the middle between two planes, each with the truth."""
        planes = int(rng.integers(len(volume.light))) + np.array([-gap // 2, gap // 2, 0])
        light = volume.light[planes % len(volume.light)]
        exposure = draw_exposure(rng, light.shape[1:])
        taken = [exposure.record(plane, rng) for plane in light[:2]]
        intensity = fit_intensity(self._normalisation, np.concatenate(taken))
        images = intensity.apply(np.stack(taken))
        truth = intensity.apply(exposure.expected(light[2]))
        z = torch.tensor([-gap / 2, gap / 2], device=device)
        with torch.inference_mode():
            pictures = torch.from_numpy(images).to(device)
            told = torch.from_numpy(volume.told)[None].to(device)
            target = z.new_zeros(1)
            merged = network.merge(pictures[None], z, told, target).picture[0, 0]
            apart = [
                network.merge(pictures[None, one : one + 1], z[one : one + 1], told, target)
                for one in range(2)
            ]
        alone = torch.stack([one.picture[0, 0] for one in apart]).mean(dim=0)
        compared = {
            "merged": merged.cpu().numpy(),
            "mean of both refocused": alone.cpu().numpy(),
            "linear": images.mean(axis=0),
        }
        return [(name, (picture, truth)) for name, picture in compared.items()]

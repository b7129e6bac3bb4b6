"""What the generator of any objective learns, and how it is judged."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_deepz.analysis.detail import detail
from napari_deepz.analysis.metrics import correlation
from napari_deepz.intensity import fit_intensity
from napari_deepz.networks.told_z_basis import ToldZBasis
from napari_deepz.training.any_objective.batches import ToldBatch, VolumeSampler
from napari_deepz.training.any_objective.exposure import draw_exposure
from napari_deepz.training.any_objective.optics import STEP_WAVES
from napari_deepz.training.any_objective.volumes import LightVolume
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.lesson import Lesson, Scores

_PLANES_OF_A_BATCH = 14
_VALIDATED = (-0.9, -0.6, -0.3, -0.15, 0, 0.15, 0.3, 0.6, 0.9)
"""Shares of the range at which a run is validated."""

_EXPOSURE_SEED = 5


class AnyObjectiveLesson(Lesson[ToldBatch]):
    """Patches of simulated volumes, each through other optics, sample, exposure and file.

    Parameters
    ----------
    config : TrainConfig
        The run.
    volumes, validation : list of LightVolume
        To learn from, and to look at.
    network : ToldZBasis
        What is to learn.
    """

    unit = "waves"

    def __init__(
        self,
        config: TrainConfig,
        volumes: list[LightVolume],
        validation: list[LightVolume],
        network: ToldZBasis,
    ) -> None:
        self._normalisation = config.model.normalisation
        self._middle = network.planes // 2
        _check_steps(config, network)
        self._steps = sorted({round(share * self._middle) for share in _VALIDATED})
        self._validation = validation
        self._sampler = VolumeSampler(
            volumes,
            normalisation=self._normalisation,
            patch_px=config.schedule.patch_px,
            reach=self._middle,
            planes=min(_PLANES_OF_A_BATCH, network.planes),
        )

    def draw(self, seed: int, step: int, size: int) -> ToldBatch:
        """Draw the batch of one step."""
        return self._sampler.batch(seed, step, size)

    def predict(self, network: ToldZBasis, batch: ToldBatch, device: torch.device) -> Tensor:
        """Refocus a batch to its planes, told what it tells."""
        parts = (part.to(device) for part in (batch.image, batch.told, batch.planes))
        return network.encode_told(*parts)

    def error(self, predicted: Tensor, batch: ToldBatch) -> Tensor:
        """The error of the pictures."""
        return picture_error(predicted, batch.target.to(predicted.device))

    def validate(self, network: ToldZBasis, device: torch.device) -> Scores:
        """Correlate planes with the truth, and their detail, with and without being told."""
        found: dict[str, dict[str, list[float]]] = {}
        for image, truths, told in self._cases():
            pictures = {
                name: self._planes(network, image, what, device)
                for name, what in (("refocused", told), ("untold", np.full_like(told, np.nan)))
            }
            at_zero = pictures["refocused"][self._steps.index(0)]
            for index, steps in enumerate(self._steps):
                truth = truths[index]
                scores = found.setdefault(f"{steps * STEP_WAVES:+.2g}", {})
                compared = {name: planes[index] for name, planes in pictures.items()}
                compared |= {"self": at_zero, "unrefocused": image}
                for name, picture in compared.items():
                    scores.setdefault(name, []).append(correlation(picture, truth))
                    scores.setdefault(f"{name}, detail", []).append(detail(picture, truth))
        return {
            waves: {name: round(float(np.nanmean(values)), 4) for name, values in scores.items()}
            for waves, scores in found.items()
        }

    def _cases(
        self,
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
        """Input (Y, X), truths (P, Y, X) and what is told, the same in every validation."""
        for index, volume in enumerate(self._validation):
            rng = np.random.default_rng([_EXPOSURE_SEED, index])
            middle = int(rng.integers(len(volume.light)))
            exposure = draw_exposure(rng, volume.light.shape[1:])
            picture = exposure.record(volume.light[middle], rng)
            intensity = fit_intensity(self._normalisation, picture)
            planes = (middle + np.array(self._steps)) % len(volume.light)
            truths = intensity.apply(exposure.expected(volume.light[planes]))
            yield intensity.apply(picture), truths, volume.told

    def _planes(
        self,
        network: ToldZBasis,
        image: NDArray[np.float32],
        told: NDArray[np.float32],
        device: torch.device,
    ) -> NDArray[np.float32]:
        planes = torch.tensor([self._middle + steps for steps in self._steps])
        with torch.inference_mode():
            predicted: NDArray[np.float32] = (
                network.encode_told(
                    torch.from_numpy(image)[None, None].to(device),
                    torch.from_numpy(told)[None].to(device),
                    planes.to(device),
                )[0]
                .cpu()
                .numpy()
            )
        if not np.isfinite(predicted).all():
            raise FloatingPointError
        return predicted


def picture_error(picture: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error, heavier where it is bright, and again in the two finest bands."""
    error = picture - target
    whole = (error.abs() * (1 + target.abs())).mean()
    return whole + torch.stack([band.abs().mean() for band in _finest_bands(error)]).sum()


def _check_steps(config: TrainConfig, network: ToldZBasis) -> None:
    """The planes of the network have to be those of the volumes."""
    assert config.model.optical is not None
    reach = config.model.optical.reach_waves
    if network.planes % 2 == 0 or not math.isclose(reach, network.planes // 2 * STEP_WAVES):
        raise ValueError(
            f"Planes of {STEP_WAVES:g} waves are simulated: with {network.planes} planes the "
            f"'reach_waves' must be {network.planes // 2 * STEP_WAVES:g}, and their number odd."
        )


def _finest_bands(error: Tensor) -> tuple[Tensor, Tensor]:
    """What two and four pixels differ by; (N, P, Y, X) and half of that size."""
    halved = F.avg_pool2d(error, 2)
    quartered = F.avg_pool2d(halved, 2)
    return (
        error - F.interpolate(halved, scale_factor=2, mode="nearest"),
        halved - F.interpolate(quartered, scale_factor=2, mode="nearest"),
    )

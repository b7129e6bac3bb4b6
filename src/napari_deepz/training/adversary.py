"""The adversarial term of the published training: a discriminator that learns beside the generator.

Wu et al. 2019 (doi:10.1038/s41592-019-0622-5), with the least-squares losses

    L_D = 1/2 [D(G(x))² + (D(target) - 1)²]        L_G = 1/2 (D(G(x)) - 1)² + α MAE
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_deepz.networks.base import initialise
from napari_deepz.training.config import AdversarialConfig

_BLOCKS = 6


class Discriminator(nn.Module):
    """Tell generated planes from true ones.

    Six blocks of two 3 x 3 convolutions with leaky ReLUs, the second of which halves the size and
    doubles the channels, then the mean over the plane and two dense layers.

    Parameters
    ----------
    base : int
        Channels of the first block.
    """

    def __init__(self, base: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels_in = 1
        for block in range(_BLOCKS):
            channels = base * 2**block
            layers += [
                nn.Conv2d(channels_in, channels, 3, padding=1),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            channels_in = 2 * channels
        self.blocks = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Linear(channels_in, channels_in), nn.LeakyReLU(0.2), nn.Linear(channels_in, 1)
        )
        initialise(self)

    def forward(self, planes: Tensor) -> Tensor:
        """Score (N, Y, X) planes, (N,): near one where they look true."""
        features = self.blocks(planes[:, None]).mean(dim=(2, 3))
        scores: Tensor = self.dense(features)[:, 0]
        return scores


class Adversary:
    """A discriminator and what trains it."""

    def __init__(self, settings: AdversarialConfig, device: torch.device) -> None:
        self._settings = settings
        self._discriminator = Discriminator(settings.base).to(device)
        self.optimiser = torch.optim.Adam(self._discriminator.parameters(), settings.learning_rate)

    def choose(self, known: Tensor, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Choose planes to look at in a step: indices of samples and of their known planes.

        `known` is (N, P, 1, 1) as in `dataset.Batch`.
        """
        rng = np.random.default_rng([seed, step, 1])
        samples, planes = np.nonzero(known[:, :, 0, 0].cpu().numpy())
        picked = rng.choice(len(samples), min(self._settings.planes, len(samples)), replace=False)
        return torch.from_numpy(samples[picked]), torch.from_numpy(planes[picked])

    def generator_loss(self, generated: Tensor, error: Tensor) -> Tensor:
        """Loss of the generator, from (N, Y, X) generated planes and its mean absolute error.

        There may be no planes: a small batch can have none with a known target.
        """
        if not len(generated):
            return self._settings.mae_weight * error
        fooled = self._discriminator(generated) - 1
        loss: Tensor = 0.5 * fooled.square().mean() + self._settings.mae_weight * error
        return loss

    def learn(self, generated: Tensor, true: Tensor) -> None:
        """Train the discriminator by one step on (N, Y, X) planes of either kind, if any."""
        if not len(generated):
            return
        taken_for_true = self._discriminator(generated).square().mean()
        taken_for_false = (self._discriminator(true) - 1).square().mean()
        self.optimiser.zero_grad(set_to_none=True)
        (0.5 * (taken_for_true + taken_for_false)).backward()
        self.optimiser.step()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {
            "discriminator": self._discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self._discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])

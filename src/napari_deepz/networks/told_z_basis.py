"""The generator of any objective: a `ZBasis` that is told through which optics an image came."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.networks.base import without_weights
from napari_deepz.networks.z_basis import ZBasis

CONDITIONS = 3
"""NA/n, pixels in λ/NA, primary spherical aberration in waves."""

_HIDDEN = 64
_MIDDLE, _SPREAD = (0.65, math.log(0.4), 0.0), (0.2, 0.45, 0.25)


class ToldZBasis(ZBasis):
    """A `ZBasis` whose convolutions are scaled and shifted by what it is told of the optics.

    It works in optical units: its planes are evenly spaced waves of defocus, whatever distance in
    µm that is for an objective. Each channel of each 3 x 3 convolution is multiplied and raised by
    numbers that a small network makes of the optics (feature-wise linear modulation, Perez et al.
    2018, arXiv:1709.07871). For one image these numbers are constants, so that `for_optics` gives
    a plain `ZBasis` with them in its weights: being told costs nothing when an image is refocused.

    Parameters
    ----------
    base, widest, levels, functions, planes : int
        As for `ZBasis`.
    z_min_um, z_max_um : float
        Axial distance of the first and the last plane in µm, for the optics that are assumed
        where none are known. `encode` and `decode` are the generator for these, told nothing.
    """

    def __init__(
        self,
        base: int = 32,
        widest: int = 224,
        levels: int = 4,
        functions: int = 16,
        z_min_um: float = -10.0,
        z_max_um: float = 10.0,
        planes: int = 41,
    ) -> None:
        super().__init__(base, widest, levels, functions, z_min_um, z_max_um, planes)
        self._channels = [convolution.out_channels for convolution in _convolutions(self)]
        last = nn.Linear(_HIDDEN, 2 * sum(self._channels))
        self.told = nn.Sequential(
            nn.Linear(2 * CONDITIONS, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            last,
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def encode(self, image: Tensor) -> Tensor:
        """Predict (N, planes, Y, X) from (N, 1, Y, X), all normalised, told nothing."""
        nothing = image.new_full((len(image), CONDITIONS), math.nan)
        return self.encode_told(image, nothing)

    def encode_told(self, image: Tensor, told: Tensor, planes: Tensor | None = None) -> Tensor:
        """Predict planes of images that came through different optics, for training.

        Parameters
        ----------
        image : Tensor
            (N, 1, Y, X) normalised.
        told : Tensor
            (N, 3) conditions, NaN where unknown.
        planes : Tensor, optional
            (P,) which planes are wanted; all where None.

        Returns
        -------
        Tensor
            (N, P, Y, X).
        """
        scales = iter(self._modulation(told))
        features = self._told_features(image, scales)
        weights = self._told_weights(features, image, next(scales))
        basis = self.basis.weight if planes is None else self.basis.weight[planes]
        return F.conv2d(weights, basis) + image

    def _told_features(self, image: Tensor, scales: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
        features, skips = F.pixel_unshuffle(image, 2), []
        for level, block in enumerate(self.down):
            features = features if level == 0 else F.max_pool2d(features, 2)
            features = _through(block, features, scales)
            skips.append(features)
        for level in reversed(range(len(self.up))):
            joined = torch.cat([self.widen[level](features), skips[level]], dim=1)
            features = _through(self.up[level], joined, scales)
        return features

    def _told_weights(
        self, features: Tensor, image: Tensor, modulation: tuple[Tensor, Tensor]
    ) -> Tensor:
        wide = F.interpolate(
            self.squeeze(features), scale_factor=2, mode="bilinear", align_corners=False
        )
        scale, shift = modulation
        return F.relu(self.fine(torch.cat([wide, image], dim=1)) * scale + shift)

    def for_optics(self, told: Sequence[float | None], reach_um: float) -> ZBasis:
        """Give the plain generator for one image, with its planes in µm.

        Parameters
        ----------
        told : sequence of float or None
            The conditions; None where unknown.
        reach_um : float
            Distance of the outermost planes through the optics of the image, µm.

        Returns
        -------
        ZBasis
            In evaluation mode, with weights of its own.
        """
        arguments: dict[str, Any] = {**self.arguments, "z_min_um": -reach_um, "z_max_um": reach_um}
        with without_weights():
            plain = ZBasis(**arguments)
        plain.to_empty(device=self.basis.weight.device)
        weights = self.state_dict()
        plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
        values = torch.tensor([[math.nan if one is None else one for one in told]])
        with torch.no_grad():
            scales = self._modulation(values.to(self.basis.weight))
            for convolution, (scale, shift) in zip(_convolutions(plain), scales, strict=True):
                assert convolution.bias is not None
                convolution.weight *= scale.view(-1, 1, 1, 1)
                convolution.bias *= scale.flatten()
                convolution.bias += shift.flatten()
        return plain.eval()

    def _modulation(self, told: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Scale and shift, (N, C, 1, 1) each, for each convolution."""
        values = torch.stack([told[:, 0], told[:, 1].log(), told[:, 2]], dim=1)
        known = ~values.isnan()
        middle, spread = (values.new_tensor(numbers) for numbers in (_MIDDLE, _SPREAD))
        values = torch.where(known, (values - middle) / spread, values.new_zeros(()))
        numbers = self.told(torch.cat([values, known.to(values)], dim=1))[:, :, None, None]
        parts = numbers.split([c for count in self._channels for c in (count, count)], dim=1)
        return [(1 + scale, shift) for scale, shift in zip(parts[::2], parts[1::2], strict=True)]


def _through(block: nn.Module, features: Tensor, scales: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
    """Two convolutions, each modulated before its ReLU."""
    for module in block.children():
        if isinstance(module, nn.Conv2d):
            scale, shift = next(scales)
            features = F.relu(module(features) * scale + shift)
    return features


def _convolutions(network: ZBasis) -> list[nn.Conv2d]:
    """The 3 x 3 convolutions in the order in which an image meets them."""
    blocks = [*network.down, *reversed(network.up)]
    found = [m for block in blocks for m in block.children() if isinstance(m, nn.Conv2d)]
    return [*found, network.fine]

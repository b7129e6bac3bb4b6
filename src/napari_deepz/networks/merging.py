"""What is learned of several input planes: what each hears of the others, and what counts where."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.networks.base import initialise

HALO_PX = 8
"""Of an exchange: three 3 x 3 convolutions on features of half the size, one dilated by two."""

_GATES = 32
_FAR_STEPS = 20
_LEAST_LOG_SPREAD = -8.0
_AS_TAKEN = -1.0
"""What a plane as it was taken counts at first, beside what it is refocused to; a logarithm."""


@dataclass(frozen=True)
class Merged:
    """What several input planes say of target planes, each (N, P, Y, X).

    Attributes
    ----------
    picture : Tensor
        Normalised intensity.
    log_spread : Tensor
        Logarithm of the scale of its error, as of a Laplace distribution.
    """

    picture: Tensor
    log_spread: Tensor


class Exchange(nn.Module):
    """What each input plane learns of the others, whatever their number and order.

    A plane hears the mean of what the others send, each through a gate that opens by how far it
    lies above or below. Untrained it changes nothing, and alone a plane hears nothing.

    Parameters
    ----------
    channels : int
        Of the features that are exchanged.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(3, _GATES),
            nn.ReLU(),
            nn.Linear(_GATES, _GATES),
            nn.ReLU(),
            nn.Linear(_GATES, 4 * channels),
        )
        self.send = nn.Conv2d(channels, 2 * channels, 1)
        self.join = nn.Conv2d(3 * channels, 2 * channels, 3, padding=1)
        self.wider = nn.Conv2d(2 * channels, 2 * channels, 3, padding=2, dilation=2)
        self.change = nn.Conv2d(2 * channels, channels, 3, padding=1)
        initialise(self)
        _silence(self.gate[-1], self.change)

    def forward(self, features: Tensor, z: Tensor) -> Tensor:
        """Change (N, K, C, Y, X) features of K planes at (K,) z, in steps of the planes."""
        samples, count = features.shape[:2]
        if count == 1:
            return features
        sent = apart(self.send(features.flatten(0, 1)), samples)
        away = z[None, :] - z[:, None]
        said = torch.stack([away / _FAR_STEPS, away.abs() / _FAR_STEPS, (away.abs() + 1).log()], -1)
        scale, shift = self.gate(said)[..., None, None].chunk(2, dim=2)
        heard = []
        for plane in range(count):
            others = [other for other in range(count) if other != plane]
            gated = sent[:, others] * (1 + scale[plane, others]) + shift[plane, others]
            heard.append(F.relu(gated).mean(dim=1))
        joined = torch.cat([features, torch.stack(heard, dim=1)], dim=2).flatten(0, 1)
        changed: Tensor = self.change(F.relu(self.wider(F.relu(self.join(joined)))))
        return features + apart(changed, samples)


class Merging(nn.Module):
    """Puts together what several input planes say of target planes.

    Each plane offers two pictures of a target: what it is refocused to, and itself as it was
    taken. The merged one is their mean with weights that fall with the square of the distance, as
    1/(d + 1)² in steps of the planes, times what has been learned to prefer pixel by pixel. One
    plane alone offers what it is refocused to.

    How far the picture may be off has the two parts of the variance of a mixture: what each plane
    says of its own error, and how far what they offer lies apart. It falls where planes agree.

    Parameters
    ----------
    channels : int
        Of the features of a plane, at half its size.
    planes : int
        Of the generator, evenly spaced around an input.
    doubts : int
        Number of functions of z of what is preferred and of how far it may be off.
    """

    def __init__(self, channels: int, planes: int, doubts: int) -> None:
        super().__init__()
        self.planes = planes
        self.exchange = Exchange(channels)
        self.squeeze = nn.Conv2d(channels, doubts, 1)
        self.fine = nn.Conv2d(doubts + 1, doubts, 3, padding=1)
        self.refocused = nn.Conv2d(doubts, planes, 1)
        self.as_taken = nn.Conv2d(doubts, planes, 1)
        self.spread = nn.Conv2d(doubts, planes, 1)
        self.log_apart = nn.Parameter(torch.zeros(()))
        initialise(self.squeeze)
        initialise(self.fine)
        _silence(self.refocused, self.as_taken, self.spread)

    def doubts(self, features: Tensor, images: Tensor) -> Tensor:
        """(N, doubts, Y, X) of features at half the size and the images (N, 1, Y, X) themselves."""
        wide = F.interpolate(
            self.squeeze(features), scale_factor=2, mode="bilinear", align_corners=False
        )
        return F.relu(self.fine(torch.cat([wide, images], dim=1)))

    def merge(
        self,
        images: Tensor,
        z: Tensor,
        weights: Tensor,
        doubts: Tensor,
        basis: Tensor,
        targets: Tensor,
    ) -> Merged:
        """Merge pictures of target planes.

        Parameters
        ----------
        images : Tensor
            (N, K, Y, X) normalised.
        z : Tensor
            (K,) where they were taken, in steps of the planes.
        weights, doubts : Tensor
            (N, K, C, Y, X) what was found of each plane.
        basis : Tensor
            (planes, C, 1, 1), which makes planes of weights.
        targets : Tensor
            (P,) where pictures are wanted, in steps of the planes.
        """
        pictures, counted, spreads = [], [], []
        for plane, own in enumerate(torch.split(images, 1, dim=1)):
            away = targets - z[plane]
            rows = (away + self.planes // 2).clamp(0, self.planes - 1)
            nearer = (-2 * (away.abs() + 1).log())[:, None, None]
            pictures.append((F.conv2d(weights[:, plane], _between(basis, rows)) + own).float())
            counted.append(_course(self.refocused, doubts[:, plane], rows).float() + nearer)
            said = _course(self.spread, doubts[:, plane], rows).float()
            spreads.append(said.clamp(min=_LEAST_LOG_SPREAD))
            if images.shape[1] > 1:
                pictures.append(own.expand_as(pictures[-1]).float())
                taken = _course(self.as_taken, doubts[:, plane], rows).float()
                counted.append(taken + nearer + _AS_TAKEN)
                spreads.append(spreads[-1])
        if len(pictures) == 1:
            return Merged(pictures[0], spreads[0])
        offered = torch.stack(pictures)
        shares = torch.stack(counted).softmax(dim=0)
        picture = (offered * shares).sum(dim=0)
        off = (offered.detach() - picture.detach()).square() * self.log_apart.exp()
        variance = (((2 * torch.stack(spreads)).exp() + off) * shares.detach()).sum(dim=0)
        return Merged(picture, variance.log() / 2)


def apart(joined: Tensor, samples: int) -> Tensor:
    """(N, K, ...) of (N K, ...)."""
    return joined.view(samples, -1, *joined.shape[1:])


def _silence(*layers: nn.Module) -> None:
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


def _between(rows: Tensor, at: Tensor) -> Tensor:
    """Rows (P, ...) of a tensor (planes, ...) between its own ones."""
    below = at.long().clamp(max=len(rows) - 2)
    share = (at - below).to(rows).view(-1, *[1] * (rows.ndim - 1))
    return torch.lerp(rows[below], rows[below + 1], share)


def _course(layer: nn.Conv2d, values: Tensor, at: Tensor) -> Tensor:
    assert layer.bias is not None
    return F.conv2d(values, _between(layer.weight, at), _between(layer.bias, at))

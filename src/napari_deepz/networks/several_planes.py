"""A `ToldZBasis` for any number of input planes, which also says how far it may be off."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.networks.told_z_basis import ToldZBasis

_GATES = 32


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
            nn.Linear(_GATES, 2 * channels),
        )
        self.send = nn.Conv2d(channels, channels, 1)
        self.join = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.change = nn.Conv2d(channels, channels, 3, padding=1)
        _silence(self.gate[-1], self.change)

    def forward(self, features: Tensor, z: Tensor) -> Tensor:
        """Change (N, K, C, Y, X) features of K planes at (K,) z, in steps of the planes."""
        samples, count = features.shape[:2]
        if count == 1:
            return features
        sent = _apart(self.send(features.flatten(0, 1)), samples)
        away = z[None, :] - z[:, None]
        said = torch.stack([away / 20, away.abs() / 20, (away.abs() + 1).log()], dim=-1)
        scale, shift = self.gate(said)[..., None, None].chunk(2, dim=2)
        heard = []
        for plane in range(count):
            others = [other for other in range(count) if other != plane]
            gated = sent[:, others] * (1 + scale[plane, others]) + shift[plane, others]
            heard.append(F.relu(gated).mean(dim=1))
        joined = torch.cat([features, torch.stack(heard, dim=1)], dim=2).flatten(0, 1)
        changed: Tensor = self.change(F.relu(self.join(joined)))
        return features + _apart(changed, samples)


class SeveralPlanes(ToldZBasis):
    """One encoder for each input plane, an exchange between them, and a merge for each target.

    Every plane alone gives a picture of each target, as a `ToldZBasis` does. Of these the merged
    one is a mean whose weights fall with the square of the distance, as 1/(d + 1)² in steps of the
    planes, times what the network has learned to prefer pixel by pixel. With one input plane it is
    that `ToldZBasis`.

    Parameters
    ----------
    base, widest, levels, functions, planes, z_min_um, z_max_um
        As for `ToldZBasis`.
    doubts : int
        Number of functions of z of what is preferred and of how far it may be off.
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
        doubts: int = 8,
    ) -> None:
        super().__init__(base, widest, levels, functions, z_min_um, z_max_um, planes)
        self.exchange = Exchange(base)
        self.doubt_squeeze = nn.Conv2d(base, doubts, 1)
        self.doubt_fine = nn.Conv2d(doubts + 1, doubts, 3, padding=1)
        self.preference = nn.Conv2d(doubts, planes, 1)
        self.spread = nn.Conv2d(doubts, planes, 1)
        _silence(self.preference, self.spread)

    def merge(self, images: Tensor, z: Tensor, told: Tensor, targets: Tensor) -> Merged:
        """Refocus images of several planes onto target planes.

        Parameters
        ----------
        images : Tensor
            (N, K, Y, X) normalised, all in one way.
        z : Tensor
            (K,) where they were taken, in steps of the planes.
        told : Tensor
            (N, 3) conditions, NaN where unknown.
        targets : Tensor
            (P,) where pictures are wanted, in steps of the planes, on the same axis as `z`.
        """
        samples, count = images.shape[:2]
        each = images.flatten(0, 1)[:, None]
        scales = iter(self._modulation(told.repeat_interleave(count, dim=0)))
        features = self._told_features(each, scales)
        features = self.exchange(_apart(features, samples), z).flatten(0, 1)
        weights = _apart(self._told_weights(features, each, next(scales)), samples)
        doubts = _apart(self._doubts(features, each), samples)
        pictures, preferred, spreads = [], [], []
        for plane in range(count):
            away = targets - z[plane]
            rows = (away + self.planes // 2).clamp(0, self.planes - 1)
            own = images[:, plane, None]
            pictures.append(F.conv2d(weights[:, plane], _between(self.basis.weight, rows)) + own)
            nearer = -2 * (away.abs() + 1).log()
            preferred.append(
                _course(self.preference, doubts[:, plane], rows) + nearer[:, None, None]
            )
            spreads.append(_course(self.spread, doubts[:, plane], rows))
        shares = torch.stack(preferred).float().softmax(dim=0)
        return Merged(
            (torch.stack(pictures) * shares).sum(dim=0), (torch.stack(spreads) * shares).sum(dim=0)
        )

    def _doubts(self, features: Tensor, image: Tensor) -> Tensor:
        """(N, doubts, Y, X) of features at half the size; what is learned of them stays here."""
        wide = F.interpolate(
            self.doubt_squeeze(features), scale_factor=2, mode="bilinear", align_corners=False
        )
        return F.relu(self.doubt_fine(torch.cat([wide, image], dim=1)))


def _silence(*layers: nn.Module) -> None:
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


def _apart(joined: Tensor, samples: int) -> Tensor:
    """(N, K, ...) of (N K, ...)."""
    return joined.view(samples, -1, *joined.shape[1:])


def _between(rows: Tensor, at: Tensor) -> Tensor:
    """Rows (P, ...) of a tensor (planes, ...) between its own ones."""
    below = at.long().clamp(max=len(rows) - 2)
    share = (at - below).to(rows).view(-1, *[1] * (rows.ndim - 1))
    return torch.lerp(rows[below], rows[below + 1], share)


def _course(layer: nn.Conv2d, values: Tensor, at: Tensor) -> Tensor:
    assert layer.bias is not None
    return F.conv2d(values, _between(layer.weight, at), _between(layer.bias, at))

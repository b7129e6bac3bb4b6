"""What the encode-once generators share: a U-Net on the folded image, and planes to pick from."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.networks.base import is_recording
from napari_deepz.networks.even_planes import EvenPlanes

_STRIP_PX = 64


class _ExactConv2d(nn.Conv2d):
    """A convolution in float32 whatever the others are computed in.

    bfloat16 would leave three digits of the image itself: most of the error of a run in bfloat16,
    and hardly any of its time.
    """

    def forward(self, image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            return super().forward(image)


class _Block(nn.Sequential):
    """Two 3 x 3 convolutions, each with a ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, first: type[nn.Conv2d] = nn.Conv2d
    ) -> None:
        super().__init__(
            first(channels_in, channels_out, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
            nn.ReLU(inplace=True),
        )


class FoldedUNet(EvenPlanes):
    """A U-Net on the image alone, and DPMs that pick among the planes which it leads to.

    The image is folded by two (pixel-unshuffle) before the U-Net. What follows on it is the
    matter of each architecture.

    Parameters
    ----------
    widths : sequence of int
        Channels of each level, the finest first.
    z_min_um, z_max_um : float
        Axial distance of the first and the last plane in µm.
    planes : int
        Number of planes, evenly spaced.
    """

    def __init__(self, widths: list[int], z_min_um: float, z_max_um: float, planes: int) -> None:
        super().__init__(z_min_um, z_max_um, planes)
        pairs = list(pairwise(widths))
        first = _Block(4, widths[0], first=_ExactConv2d)
        self.down = nn.ModuleList([first, *(_Block(a, b) for a, b in pairs)])
        self.widen = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(_Block(2 * a, a) for a, _ in pairs)
        self.size_multiple = 2 ** len(widths)
        # Folded pixels: two 3 x 3 convolutions at every level on the way down, and at all but the
        # deepest on the way up.
        steps = [2**level for level in range(len(widths))]
        self.features_halo_px = 2 * (2 * sum(steps) + 2 * sum(steps[:-1]) + sum(steps[1:]))

    def features(self, image: Tensor) -> Tensor:
        """Compute (N, widths[0], Y / 2, X / 2) from (N, 1, Y, X)."""
        features = F.pixel_unshuffle(image, 2)
        skips = []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else F.max_pool2d(features, 2))
            skips.append(features)
        for level in reversed(range(len(self.up))):
            if level == 0 and not is_recording():
                features = self._raised_in_strips(features, skips[0])
            else:
                features = self._raised(level, features, skips[level])
        return features

    def _raised(self, level: int, below: Tensor, skip: Tensor) -> Tensor:
        widened = self.widen[level](below)
        raised: Tensor = self.up[level](torch.cat([widened, skip], dim=1))
        return raised

    def _raised_in_strips(self, below: Tensor, skip: Tensor) -> Tensor:
        """Compute the finest level, which is by far the largest, a strip of rows at a time.

        What lies between its layers then stays in the processor's cache: the same numbers in two
        thirds of the time.
        """
        height = skip.shape[2]
        raised = torch.empty_like(skip)
        for first in range(0, height, _STRIP_PX):
            last = min(first + _STRIP_PX, height)
            # Two convolutions look at two more rows on each side.
            top, bottom = max(first - 2, 0), min(last + 2, height)
            strip = self._raised(0, below[:, :, top // 2 : bottom // 2], skip[:, :, top:bottom])
            raised[:, :, first:last] = strip[:, :, first - top : last - top]
        return raised

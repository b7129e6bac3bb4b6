"""The encode-once generator: one pass predicts every plane, the DPM only picks among them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.generators.base import Generator, initialise


class _Block(nn.Sequential):
    """Two 3 x 3 convolutions, each with a ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
            nn.ReLU(inplace=True),
        )


class EncodeOnce(Generator):
    """A U-Net on the image alone that predicts all planes; DPMs interpolate between them.

    The image is folded by two (pixel-unshuffle), passes a U-Net, and unfolds (pixel-shuffle) into
    one image per plane, to each of which the input is added: an untrained network returns the
    unrefocused image. `decode` interpolates linearly in z, per pixel, so any surface over an
    encoded image costs next to nothing. Distances outside the planes give the outermost plane.

    Parameters
    ----------
    base : int
        Channels of the finest level; each further level has twice as many.
    levels : int
        Number of resolutions.
    z_min_um, z_max_um : float
        Axial distance of the first and the last plane in µm.
    planes : int
        Number of planes, evenly spaced.
    """

    def __init__(
        self,
        base: int = 32,
        levels: int = 4,
        z_min_um: float = -10.0,
        z_max_um: float = 10.0,
        planes: int = 41,
    ) -> None:
        super().__init__()
        self.z_min_um = z_min_um
        self.z_step_um = (z_max_um - z_min_um) / (planes - 1)
        self.planes = planes
        widths = [base * 2**level for level in range(levels)]
        self.down = nn.ModuleList(
            _Block(width_in, width)
            for width_in, width in zip([4, *widths[:-1]], widths, strict=True)
        )
        self.widen = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in widths[:-1]
        )
        self.up = nn.ModuleList(_Block(2 * width, width) for width in widths[:-1])
        self.head = nn.Conv2d(base, 4 * planes, 3, padding=1)
        initialise(self)
        nn.init.zeros_(self.head.weight)

        self.size_multiple = 2**levels
        self.code_channels = planes
        self.plane_z_um = tuple(z_min_um + k * self.z_step_um for k in range(planes))
        # Folded pixels: two 3 x 3 convolutions at every level on the way down, at all but the
        # deepest on the way up, and the head.
        steps = [2**level for level in range(levels)]
        self.halo_px = 2 * (2 * sum(steps) + 2 * sum(steps[:-1]) + sum(steps[1:]) + 2)

    def encode(self, image: Tensor) -> Tensor:
        """Predict (N, planes, Y, X) from (N, 1, Y, X), all normalised."""
        features = F.pixel_unshuffle(image, 2)
        skips = []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else F.max_pool2d(features, 2))
            skips.append(features)
        for level in reversed(range(len(self.up))):
            widened = self.widen[level](features)
            features = self.up[level](torch.cat([widened, skips[level]], dim=1))
        return F.pixel_shuffle(self.head(features), 2) + image

    def decode(self, code: Tensor, dpm_um: Tensor) -> Tensor:
        """Interpolate the encoded planes at every pixel's own distance."""
        position = ((dpm_um - self.z_min_um) / self.z_step_um).clamp(0, self.planes - 1)
        lowest, highest = (float(end) for end in torch.aminmax(position))
        if lowest == highest:
            plane = min(int(lowest), self.planes - 2)
            return torch.lerp(code[:, plane, None], code[:, plane + 1, None], lowest - plane)
        below = position.floor().clamp(max=self.planes - 2)
        lower = code.gather(1, below.long())
        upper = code.gather(1, below.long() + 1)
        return torch.lerp(lower, upper, position - below)

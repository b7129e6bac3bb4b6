"""The fast generator: every pixel's course through focus as a sum of learned functions of z."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.networks.base import initialise, is_recording
from napari_deepz.networks.folded_unet import FoldedUNet

_STRIP_PX = 64


class ZBasis(FoldedUNet):
    """A U-Net at half resolution, one convolution at full resolution, and a learned basis in z.

    The U-Net's features are widened bilinearly, which leaves no grid as pixel-shuffle does, and
    meet the image itself in a 3 x 3 convolution at full resolution. Its channels weight
    `functions` learned functions of z, whose sum is added to the image in every plane. With
    `functions` well below `planes`, the work at full resolution is small.

    Parameters
    ----------
    base : int
        Channels of the finest level of the U-Net; each further level has twice as many.
    widest : int
        But no level has more than this.
    levels : int
        Number of resolutions.
    functions : int
        Number of functions of z.
    z_min_um, z_max_um : float
        Axial distance of the first and the last plane in µm.
    planes : int
        Number of planes, evenly spaced.
    """

    def __init__(
        self,
        base: int = 32,
        widest: int = 128,
        levels: int = 4,
        functions: int = 16,
        z_min_um: float = -10.0,
        z_max_um: float = 10.0,
        planes: int = 41,
    ) -> None:
        widths = [min(base * 2**level, widest) for level in range(levels)]
        super().__init__(widths, z_min_um, z_max_um, planes)
        self.arguments = {
            "base": base,
            "widest": widest,
            "levels": levels,
            "functions": functions,
            "z_min_um": z_min_um,
            "z_max_um": z_max_um,
            "planes": planes,
        }
        self.squeeze = nn.Conv2d(widths[0], functions, 1)
        self.fine = nn.Conv2d(functions + 1, functions, 3, padding=1)
        self.basis = nn.Conv2d(functions, planes, 1, bias=False)
        initialise(self)
        nn.init.normal_(self.basis.weight, 0, 0.02)
        self.halo_px = self.features_halo_px + 4  # The convolution, the widening and the folding.

    def encode(self, image: Tensor) -> Tensor:
        """Predict (N, planes, Y, X) from (N, 1, Y, X), all normalised."""
        features = self.features(image)
        if is_recording():
            recorded: Tensor = self.basis(self.weights_of(features, image)) + image
            return recorded
        # Here every digit shows in the picture, and there is little to compute.
        with torch.autocast(image.device.type, enabled=False):
            return self._planes(self.squeeze(features.float()), image)

    def weights_of(self, features: Tensor, image: Tensor) -> Tensor:
        """(N, functions, Y, X): how much of each function of z there is in each pixel."""
        return self._weights(self.squeeze(features), image, 0, image.shape[2])

    def _planes(self, squeezed: Tensor, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        # Strips stay in the processor's cache, which halves the time at full resolution.
        planes = image.new_empty((len(image), self.planes, height * width))
        basis = self.basis.weight.flatten(1)
        for first in range(0, height, _STRIP_PX):
            last = min(first + _STRIP_PX, height)
            strip = slice(first * width, last * width)
            weights = self._weights(squeezed, image, first, last).flatten(2)
            for sample, pixels, into in zip(weights, image.flatten(2), planes, strict=True):
                torch.addmm(
                    pixels[:, strip].expand(self.planes, -1), basis, sample, out=into[:, strip]
                )
        return planes.view(len(image), self.planes, height, width)

    def _weights(self, squeezed: Tensor, image: Tensor, first: int, last: int) -> Tensor:
        """Weights of the functions in the rows from `first` to before `last`, as in the whole."""
        height = image.shape[2]
        top, bottom = max(first - 1, 0), min(last + 1, height)
        # Two more rows of features, as those at the end of a strip are not at the image's end.
        above, below = max(first // 2 - 2, 0), min(last // 2 + 2, height // 2)
        wide = F.interpolate(
            squeezed[:, :, above:below], scale_factor=2, mode="bilinear", align_corners=False
        )[:, :, top - 2 * above : bottom - 2 * above]
        beside = F.pad(
            torch.cat([wide, image[:, :, top:bottom]], dim=1),
            (1, 1, int(first == 0), int(last == height)),
        )
        return F.relu(F.conv2d(beside, self.fine.weight, self.fine.bias))

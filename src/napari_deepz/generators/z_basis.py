"""The fast generator: every pixel's course through focus as a sum of learned functions of z."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.generators.base import initialise
from napari_deepz.generators.folded_unet import FoldedUNet


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
        squeezed = self.squeeze(self.features(image))
        wide = F.interpolate(squeezed, scale_factor=2, mode="bilinear", align_corners=False)
        weights = F.relu(self.fine(torch.cat([wide, image], dim=1)))
        planes: Tensor = self.basis(weights) + image
        return planes

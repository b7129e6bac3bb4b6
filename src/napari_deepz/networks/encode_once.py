"""The first encode-once generator: one pass predicts every plane, the DPM only picks among them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.networks.base import initialise
from napari_deepz.networks.folded_unet import FoldedUNet


class EncodeOnce(FoldedUNet):
    """A U-Net on the image alone that predicts all planes; DPMs interpolate between them.

    The U-Net's output unfolds (pixel-shuffle) into one image per plane, to each of which the input
    is added: an untrained network returns the unrefocused image.

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
        super().__init__([base * 2**level for level in range(levels)], z_min_um, z_max_um, planes)
        self.arguments = {
            "base": base,
            "levels": levels,
            "z_min_um": z_min_um,
            "z_max_um": z_max_um,
            "planes": planes,
        }
        self.head = nn.Conv2d(base, 4 * planes, 3, padding=1)
        initialise(self)
        nn.init.zeros_(self.head.weight)
        self.halo_px = self.features_halo_px + 4  # The head and the folding.

    def encode(self, image: Tensor) -> Tensor:
        """Predict (N, planes, Y, X) from (N, 1, Y, X), all normalised."""
        return F.pixel_shuffle(self.head(self.features(image)), 2) + image

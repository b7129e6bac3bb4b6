"""A `ToldZBasis` for any number of input planes, which also says how far it may be off."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from napari_deepz.networks.even_planes import EvenPlanes
from napari_deepz.networks.merging import HALO_PX, Merged, Merging, apart
from napari_deepz.networks.told_z_basis import ToldZBasis
from napari_deepz.networks.z_basis import ZBasis

_AT_ONCE = 8
"""Target planes that are merged together: memory for more would not make it faster."""


class SeveralPlanes(ToldZBasis):
    """One encoder for each input plane, and a `Merging` of what they say.

    With one input plane it is that `ToldZBasis`.

    Parameters
    ----------
    base, widest, levels, functions, planes, z_min_um, z_max_um
        As for `ToldZBasis`.
    doubts : int
        As for `Merging`.
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
        self.merging = Merging(base, planes, doubts)

    def merge(self, images: Tensor, z: Tensor, told: Tensor, targets: Tensor) -> Merged:
        """Refocus images of several planes onto target planes, for training.

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
        features = apart(self._told_features(each, scales), samples)
        features = self.merging.exchange(features, z).flatten(0, 1)
        weights = apart(self._told_weights(features, each, next(scales)), samples)
        doubts = apart(self.merging.doubts(features, each), samples)
        return self.merging.merge(images, z, weights, doubts, self.basis.weight, targets)

    def for_planes(
        self,
        told: Sequence[float | None],
        reach_um: float,
        z_um: Sequence[float],
    ) -> PlanesTogether:
        """Give the generator for images of one place, taken in these planes.

        Parameters
        ----------
        told, reach_um
            As for `for_optics`.
        z_um : sequence of float
            Where each image was taken, in µm; distances count on this axis.

        Returns
        -------
        PlanesTogether
            In evaluation mode; it shares what is learned of merging with this one.
        """
        plain = self.for_optics(told, reach_um)
        return PlanesTogether(plain, self.merging, z_um).eval()


class PlanesTogether(EvenPlanes):
    """The generator for a fixed number of input planes through the same optics.

    `encode` takes (N, K, Y, X), the images of all planes in the order of `z_um`.

    Parameters
    ----------
    plain : ZBasis
        The generator of each plane.
    merging : Merging
        What puts them together.
    z_um
        As for `SeveralPlanes.for_planes`.
    """

    def __init__(self, plain: ZBasis, merging: Merging, z_um: Sequence[float]) -> None:
        step_um, reach = plain.z_step_um, plain.planes // 2
        between = math.ceil((max(z_um) - min(z_um)) / step_um)
        first_um = min(z_um) - reach * step_um
        planes = plain.planes + between
        super().__init__(first_um, first_um + (planes - 1) * step_um, planes)
        self.plain, self.merging = plain, merging
        self.z_steps = [(one_um - first_um) / step_um for one_um in z_um]
        self.size_multiple = plain.size_multiple
        self.halo_px = plain.halo_px + HALO_PX

    def encode(self, image: Tensor) -> Tensor:
        """Merge (N, planes, Y, X) from (N, K, Y, X), all normalised."""
        samples, (height, width) = len(image), image.shape[2:]
        each = image.flatten(0, 1)[:, None]
        features = apart(self.plain.features(each), samples)
        z = image.new_tensor(self.z_steps)
        # As with one plane, every digit shows in the picture from here on.
        with torch.autocast(image.device.type, enabled=False):
            features = self.merging.exchange(features.float(), z).flatten(0, 1)
            weights = apart(self.plain.weights_of(features, each), samples)
            doubts = apart(self.merging.doubts(features, each), samples)
            code = image.new_empty((samples, self.planes, height, width))
            for first in range(0, self.planes, _AT_ONCE):
                last = min(first + _AT_ONCE, self.planes)
                targets = torch.arange(first, last, device=image.device, dtype=image.dtype)
                merged = self.merging.merge(
                    image, z, weights, doubts, self.plain.basis.weight, targets
                )
                code[:, first:last] = merged.picture
        return code

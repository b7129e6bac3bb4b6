"""Generators whose answers are known, and models around them."""

from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from napari_deepz.models.package import Model
from napari_deepz.networks.base import Generator
from tests.conftest import tiny_spec

PIXEL_SIZE_UM = 0.5


def model_of(network: Any, *, normalisation: str = "median-p99") -> Model:
    spec = tiny_spec(
        name="known", version="1.2", pixel_size_um=PIXEL_SIZE_UM, normalisation=normalisation
    )
    return Model(spec, network.eval(), "0" * 64, Path("known"))


class Log(list):
    """Keeps being the same list when the network around it is copied."""

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class AddDistance(Generator):
    """Adds `slope` times the distance to the normalised image; logs what it is asked."""

    halo_px = 0

    def __init__(self, slope: float = 0.01, code_channels: int = 2, size_multiple: int = 8) -> None:
        super().__init__()
        self.slope = slope
        self.code_channels = code_channels
        self.size_multiple = size_multiple
        self.log = Log()

    def encode(self, image: Any) -> Any:
        assert image.shape[2] % self.size_multiple == image.shape[3] % self.size_multiple == 0
        self.log.append("encode")
        return image.expand(-1, self.code_channels, -1, -1).clone()

    def decode(self, code: Any, dpm_um: Any) -> Any:
        self.log.append("decode")
        return code[:, :1] + self.slope * dpm_um


class BoxBlur(Generator):
    """Means over 2 * halo_px + 1 pixels squared, zero beyond the image, times 1 + distance."""

    size_multiple = 4

    def __init__(self, halo_px: int = 5, code_channels: int = 3) -> None:
        super().__init__()
        self.halo_px = halo_px
        self.code_channels = code_channels

    def encode(self, image: Any) -> Any:
        size = 2 * self.halo_px + 1
        blurred = functional.avg_pool2d(image, size, stride=1, padding=self.halo_px)
        return blurred.expand(-1, self.code_channels, -1, -1)

    def decode(self, code: Any, dpm_um: Any) -> Any:
        return code[:, -1:] * (1 + dpm_um)


class Hungry(AddDistance):
    """Runs out of memory on windows above a number of pixels, as a small graphics card would.

    It fails in `encode`, or in `decode` after so many calls of it.
    """

    def __init__(
        self,
        most_pixels: Any,
        *,
        error: Any = torch.OutOfMemoryError,
        decodes: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.most_pixels = most_pixels
        self.error = error
        self.decodes = decodes

    def _allocate(self, tensor: Any) -> None:
        if tensor.shape[2] * tensor.shape[3] > self.most_pixels:
            raise self.error("CUDA out of memory. Tried to allocate 20.00 GiB.")

    def encode(self, image: Any) -> Any:
        if self.decodes is None:
            self._allocate(image)
        return super().encode(image)

    def decode(self, code: Any, dpm_um: Any) -> Any:
        if self.decodes is not None and self.log.count("decode") >= self.decodes:
            self._allocate(code)
        return super().decode(code, dpm_um)

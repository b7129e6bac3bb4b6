"""What runs over the same image share: its pixels for the network, the network, and the codes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from napari_deepz.engine.devices import Precision, Runtime, describe_device, network_on
from napari_deepz.engine.mending import CheckedImage
from napari_deepz.engine.openvino_runtime import OpenVINOUNet
from napari_deepz.engine.resampling import LINEAR, resample
from napari_deepz.engine.tile_compute import TileCompute
from napari_deepz.intensity import Intensity, fit_intensity
from napari_deepz.models.package import Model
from napari_deepz.networks.base import Generator
from napari_deepz.networks.deepz_unet import DeepZUNet

_WHOLLY = 0.999


@dataclass(eq=False)
class Encoding:
    """An image on its way through a model, as far as no surface matters.

    Attributes
    ----------
    image : CheckedImage
        What is refocused.
    model : Model
        With what.
    device : torch.device
        Where.
    precision : {"float32", "bfloat16"}
        What convolutions are computed in.
    runtime : {"pytorch", "openvino"}
        What computes the network.
    tile_px : int or None
        Tile size to start with; None for the default. It shrinks when memory runs out.
    intensity : Intensity or None
        Of the image that this one is a part of; None to fit it to this image.
    is_complete : bool
        Whether the codes of all tiles are held.
    """

    image: CheckedImage
    model: Model
    device: torch.device
    precision: Precision
    runtime: Runtime
    tile_px: int | None
    intensity: Intensity | None = None
    is_complete: bool = False
    _compute: TileCompute | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def device_name(self) -> str:
        """What computes, for people."""
        return describe_device(self.device, self.precision, self.runtime)

    def compute(self, working_shape: tuple[int, int]) -> TileCompute:
        """Give what computes the tiles, made at the first call.

        Parameters
        ----------
        working_shape : tuple of int
            (Y, X) on the model's pixel grid, the same in every call.
        """
        with self._lock:
            if self._compute is None:
                pixels = resample(self.image.pixels, working_shape)
                intensity = self.intensity or self._intensity(pixels)
                network = self._network()
                self._compute = TileCompute(network, self.device, intensity, pixels, self.precision)
            return self._compute

    def _intensity(self, pixels: NDArray[np.float32]) -> Intensity:
        measured = self.image.measured
        if measured is not None:
            share = resample(measured.astype(np.float32), pixels.shape, order=LINEAR)
            measured = share > _WHOLLY
        return fit_intensity(self.model.spec.normalisation, pixels, measured)

    def _network(self) -> Generator:
        network = network_on(self.model.network, self.device)
        if self.runtime == "openvino" and isinstance(network, DeepZUNet):
            return OpenVINOUNet(network, self.precision)
        return network

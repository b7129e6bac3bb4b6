"""One tile at a time through the generator."""

from __future__ import annotations

import threading

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_deepz.engine.devices import Precision
from napari_deepz.intensity import Intensity
from napari_deepz.networks.base import Generator
from napari_deepz.tiling import Tile
from napari_deepz.watch import Cancelled, StopCondition


class _Caller(threading.local):
    """Who waits for the tile that a thread computes."""

    should_stop: StopCondition

    def check_stop(self, *_: object) -> None:
        if self.should_stop():
            raise Cancelled("The refocusing was cancelled.")


class TileCompute:
    """Encodes and decodes tiles of one image, and keeps codes.

    Inference mode is entered for each call alone: it belongs to the thread, and a caller that
    takes planes one by one must not find itself in it.

    Parameters
    ----------
    network : Generator
        On `device`, in evaluation mode, and nobody else's.
    device : torch.device
        Where tiles are computed.
    intensity : Intensity
        Fitted to the whole image.
    pixels : ndarray
        (Y, X) float32, the whole image on the model's grid, in the input's units.
    precision : {"float32", "bfloat16"}
        What convolutions are computed in.
    """

    def __init__(
        self,
        network: Generator,
        device: torch.device,
        intensity: Intensity,
        pixels: NDArray[np.float32],
        precision: Precision = "float32",
    ) -> None:
        self._network = network
        self._device = device
        self._intensity = intensity
        self._pixels = pixels
        self._precision = precision
        self._codes: dict[Tile, Tensor] = {}
        self._caller = _Caller()
        # The hooks hold the caller alone: codes are freed with the last reference to this object.
        for layer in network.modules():
            layer.register_forward_pre_hook(self._caller.check_stop)

    def code(self, tile: Tile, should_stop: StopCondition, *, alone: bool) -> Tensor:
        """Encode a tile unless that was done before, and keep the code.

        Codes of several tiles wait in main memory, so that smaller tiles always help where a
        device is short of it; that of one which is alone stays on the device.
        """
        if tile not in self._codes:
            place = self._device if alone else torch.device("cpu")
            self._codes[tile] = self.encode(tile, should_stop).to(place)
        return self._codes[tile]

    def forget(self) -> None:
        """Free all codes."""
        self._codes.clear()

    def encode(self, tile: Tile, should_stop: StopCondition) -> Tensor:
        """Encode the tile's window; (1, code_channels, Y, X) float32."""
        self._caller.should_stop = should_stop
        window = self._intensity.apply(tile.read_window(self._pixels))
        with torch.inference_mode(), self._autocast():
            code = self._network.encode(self._tensor(window))
        return code.float().contiguous()

    def decode(
        self,
        code: Tensor,
        tile: Tile,
        dpm_um: NDArray[np.float32] | float,
        should_stop: StopCondition,
    ) -> NDArray[np.float32]:
        """Refocus an encoded tile.

        Parameters
        ----------
        code : Tensor
            What `encode` returned for the tile.
        tile : Tile
            The tile.
        dpm_um : ndarray or float
            (Y, X) of the whole image on the model's grid, or one distance for all pixels.
        should_stop : callable
            Asked between the layers of the network.

        Returns
        -------
        ndarray
            `tile.output_shape` float32, in the input's units.
        """
        self._caller.should_stop = should_stop
        if isinstance(dpm_um, np.ndarray):
            distances = self._tensor(tile.read_window(dpm_um))
        else:
            one = torch.tensor(dpm_um, dtype=torch.float32, device=self._device)
            distances = one.expand(1, 1, *tile.window_shape)
        with torch.inference_mode(), self._autocast():
            decoded = self._network.decode(code.to(self._device), distances)[0, 0]
            kept = self._intensity.invert(decoded[tile.crop].float())
        restored: NDArray[np.float32] = kept.cpu().numpy()
        return restored

    def _autocast(self) -> torch.autocast:
        reduced = self._precision == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=reduced)

    def _tensor(self, window: NDArray[np.float32]) -> Tensor:
        # PyTorch does not take arrays that must not be written to.
        own = window if window.flags.writeable else window.copy()
        return torch.from_numpy(own)[None, None].to(self._device)

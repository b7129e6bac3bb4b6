"""One tile at a time through the generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_deepz.generators.base import Generator
from napari_deepz.intensity import Intensity
from napari_deepz.tiling import Tile


@dataclass(frozen=True, eq=False)
class TileCompute:
    """Encodes and decodes tiles of one image.

    Inference mode is entered for each call alone: it belongs to the thread, and a caller that
    takes planes one by one must not find itself in it.

    Parameters
    ----------
    network : Generator
        On `device`, in evaluation mode.
    device : torch.device
        Where tiles are computed.
    intensity : Intensity
        Fitted to the whole image.
    pixels : ndarray
        (Y, X) float32, the whole image on the model's grid, in the input's units.
    code_device : torch.device
        Where codes wait between `encode` and `decode`.
    """

    network: Generator
    device: torch.device
    intensity: Intensity
    pixels: NDArray[np.float32]
    code_device: torch.device

    def encode(self, tile: Tile) -> Tensor:
        """Encode the tile's window; (1, code_channels, Y, X)."""
        window = self.intensity.apply(tile.read_window(self.pixels))
        with torch.inference_mode():
            return self.network.encode(self._tensor(window)).to(self.code_device)

    def decode(
        self, code: Tensor, tile: Tile, dpm_um: NDArray[np.float32] | float
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

        Returns
        -------
        ndarray
            `tile.output_shape` float32, in the input's units.
        """
        if isinstance(dpm_um, np.ndarray):
            window = tile.read_window(dpm_um)
        else:
            window = np.full(tile.window_shape, dpm_um, dtype=np.float32)
        with torch.inference_mode():
            decoded = self.network.decode(code.to(self.device), self._tensor(window))[0, 0]
            kept = decoded[tile.crop].float().cpu().numpy()
        return self.intensity.invert(kept)

    def _tensor(self, window: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.array(window, copy=True))[None, None].to(self.device)

"""Tiles of one image through a lens."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_deepz.engine.lens import Lens
from napari_deepz.intensity import Intensity
from napari_deepz.tiling import Tile
from napari_deepz.watch import Watch


class TileCompute:
    """Encodes and decodes tiles of one image, and keeps codes.

    Parameters
    ----------
    lens : Lens
        What computes.
    intensity : Intensity
        Fitted to the whole image.
    pixels : ndarray
        (Y, X) float32, the whole image on the model's grid, in the input's units; (K, Y, X) where
        the network takes several.
    """

    def __init__(self, lens: Lens, intensity: Intensity, pixels: NDArray[np.float32]) -> None:
        self._lens = lens
        self.intensity = intensity
        self._pixels = pixels
        self._codes: dict[Tile, Tensor] = {}

    def code(self, tile: Tile, watch: Watch, *, alone: bool) -> Tensor:
        """Encode a tile unless that was done before, and keep the code.

        Codes of several tiles wait in main memory, so that smaller tiles always help where a
        device is short of it; that of one which is alone stays on the device.
        """
        if tile not in self._codes:
            place = self._lens.device if alone else torch.device("cpu")
            self._codes[tile] = self.encode(tile, watch).to(place)
        return self._codes[tile]

    def forget(self) -> None:
        """Free all codes."""
        self._codes.clear()

    def encode(self, tile: Tile, watch: Watch) -> Tensor:
        """Encode the tile's window; (1, code_channels, Y, X) float32."""
        window = self.intensity.apply(tile.read_window(self._pixels))
        return self._lens.encode(_tensor(window), watch)

    def decode(
        self,
        code: Tensor,
        tile: Tile,
        dpm_um: NDArray[np.float32] | float,
        watch: Watch,
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
        watch : Watch
            Asked between the operations of the network.

        Returns
        -------
        ndarray
            `tile.output_shape` float32, in the input's units.
        """
        if isinstance(dpm_um, np.ndarray):
            distances = _tensor(tile.read_window(dpm_um))
        else:
            one = torch.tensor(dpm_um, dtype=torch.float32, device=self._lens.device)
            distances = one.expand(1, 1, *tile.window_shape)
        decoded = self._lens.decode(code, distances, watch)[0, 0]
        with torch.inference_mode():
            kept = self.intensity.invert(decoded[tile.crop].float())
        restored: NDArray[np.float32] = kept.cpu().numpy()
        return restored


def _tensor(window: NDArray[np.float32]) -> Tensor:
    # PyTorch does not take arrays that must not be written to.
    own = window if window.flags.writeable else window.copy()
    return torch.from_numpy(own if own.ndim == 3 else own[None])[None]

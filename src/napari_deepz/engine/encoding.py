"""What runs over the same image share: its pixels for the network, and the codes."""

from __future__ import annotations

import threading
from copy import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.lens import Lens
from napari_deepz.engine.mending import CheckedImage
from napari_deepz.engine.resampling import LINEAR, resample
from napari_deepz.engine.tile_compute import TileCompute
from napari_deepz.intensity import Intensity, fit_intensity

_WHOLLY = 0.999


@dataclass(eq=False)
class Encoding:
    """An image on its way through a lens, as far as no surface matters.

    Attributes
    ----------
    image : CheckedImage
        What is refocused.
    lens : Lens
        With what.
    tile_px : int or None
        Tile size to start with; None for the default. It shrinks when memory runs out.
    intensity : Intensity or None
        Of the image or series that this one is a part of; None to fit it to this image.
    is_complete : bool
        Whether the codes of all tiles are held.
    """

    image: CheckedImage
    lens: Lens
    tile_px: int | None
    intensity: Intensity | None = None
    is_complete: bool = False
    _compute: TileCompute | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def compute(self, working_shape: tuple[int, int]) -> TileCompute:
        """Give what computes the tiles, made at the first call.

        Parameters
        ----------
        working_shape : tuple of int
            (Y, X) on the model's pixel grid, the same in every call.
        """
        with self._lock:
            if self._compute is None:
                pixels = self._on_grid(working_shape)
                intensity = self.intensity or self._intensity(pixels)
                self._compute = TileCompute(self.lens, intensity, pixels)
            return self._compute

    def has_codes_of(self, other: Encoding) -> bool:
        """Whether the codes of both are the same."""
        return (
            self.lens is other.lens
            and self.intensity == other.intensity
            and self.image.unmeasured is other.image.unmeasured
            and np.array_equal(self.image.pixels, other.image.pixels)
        )

    def shared(self, image: CheckedImage) -> Encoding:
        """Give the same codes for an image with the same pixels."""
        other = copy(self)
        other.image = image
        return other

    def _on_grid(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        pixels = self.image.pixels
        if pixels.ndim == 2:
            return resample(pixels, shape)
        return np.stack([resample(plane, shape) for plane in pixels])

    def _intensity(self, pixels: NDArray[np.float32]) -> Intensity:
        measured = self.image.measured
        if measured is not None:
            share = resample(measured.astype(np.float32), pixels.shape, order=LINEAR)
            measured = share > _WHOLLY
        return fit_intensity(self.lens.model.spec.normalisation, pixels, measured)

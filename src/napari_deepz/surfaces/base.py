"""What every surface can do."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_deepz.settings import Settings
from napari_deepz.surfaces.geometry import Depths

RANGE_TOLERANCE_UM = 1e-3

Length = Annotated[float, Field(ge=-1e9, le=1e9)]


class Surface(Settings):
    """Where in depth the virtual image is wanted: one or more digital propagation matrices (DPM).

    ``len(surface)`` is the number of DPMs: the number of planes of a flat range, otherwise 1.
    """

    kind: str

    def __init__(self, /, **settings: Any) -> None:
        super().__init__(**settings)

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        cls.called = f"a {cls.__name__} surface"

    def __len__(self) -> int:
        """Count the matrices."""
        return 1

    @property
    def notes(self) -> tuple[str, ...]:
        """Say in which way the surface is not quite what was asked for, a sentence each."""
        return ()

    @property
    def uniform_z_um(self) -> tuple[float, ...] | None:
        """Depth of every plane in µm where each is flat and level, otherwise None."""
        return None

    def dpm(self, shape: tuple[int, int], pixel_size_um: float, index: int = 0) -> Depths:
        """Compute one digital propagation matrix.

        Parameters
        ----------
        shape : tuple of int
            (Y, X) of the image in pixels.
        pixel_size_um : float
            Size of a pixel in µm.
        index : int, optional
            Which of the ``len(surface)`` matrices.

        Returns
        -------
        ndarray
            (Y, X) float32, z_target - z_input in µm.

        Raises
        ------
        ValueError
            If the shape or the pixel size is not positive, or does not suit this surface.
        IndexError
            If the surface has no matrix of this index.
        """
        if len(shape) != 2 or min(shape) < 1:
            raise ValueError(f"A surface needs a 2D image of at least one pixel, not {shape}.")
        if not (math.isfinite(pixel_size_um) and pixel_size_um > 0):
            raise ValueError(
                f"The pixel size is {pixel_size_um} µm; give a positive number of micrometres."
            )
        if not 0 <= index < len(self):
            raise IndexError(f"There is no plane {index} in a surface of {len(self)} plane(s).")
        return self._depths_um(shape, pixel_size_um, index)

    @abstractmethod
    def _depths_um(self, shape: tuple[int, int], pixel_size_um: float, index: int) -> Depths: ...

    def range_um(self, shape: tuple[int, int], pixel_size_um: float) -> tuple[float, float]:
        """Smallest and largest depth in µm over an image of this (Y, X) shape and pixel size."""
        depths = self.dpm(shape, pixel_size_um)
        return float(depths.min()), float(depths.max())

    @abstractmethod
    def describe(self) -> str:
        """Say in a few words what the surface is, such as 'flat, 3 µm'."""


def out_of_range_mask(
    dpm_um: NDArray[Any], axial_range_um: tuple[float, float]
) -> NDArray[np.bool_] | None:
    """Find the pixels whose depth lies outside the range that a model was trained on.

    Parameters
    ----------
    dpm_um : ndarray
        (Y, X) depths in µm.
    axial_range_um : tuple of float
        Smallest and largest depth in µm; up to 0.001 µm beyond still counts as inside.

    Returns
    -------
    ndarray or None
        (Y, X) bool, true where outside; None when every pixel is inside.
    """
    low, high = axial_range_um
    outside = (dpm_um < low - RANGE_TOLERANCE_UM) | (dpm_um > high + RANGE_TOLERANCE_UM)
    return outside if outside.any() else None

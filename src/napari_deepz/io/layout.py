"""What a stack will look like before its first plane exists."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_deepz.names import plain_name

_STORABLE = ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8")


@dataclass(frozen=True)
class StackLayout:
    """Shape, type and sizes of a stack (Z, Y, X) to be written.

    Parameters
    ----------
    count : int
        Number of planes.
    shape : tuple of int
        (Y, X) of every plane.
    dtype : numpy.dtype
        8, 16 or 32 bit integer, or 32 or 64 bit floating point number.
    pixel_size_um, z_step_um, z_start_um : float or None
        Pixel size, distance between planes and axial position of the first one in µm; None when
        unknown, or when the planes are not flat and evenly spaced.
    name : str
        Name of the image and its channel; kept as `names.plain_name` cleans it.

    Raises
    ------
    ValueError
        If a number is out of range or the type cannot be stored.
    """

    count: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    pixel_size_um: float | None
    z_step_um: float | None
    z_start_um: float | None
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", plain_name(self.name))
        if self.count < 1 or len(self.shape) != 2 or min(self.shape) < 1:
            raise ValueError(
                f"A stack of {self.count} planes of shape {self.shape} cannot be written: it needs "
                "at least one plane with two axes (Y, X)."
            )
        if self.dtype.newbyteorder("=") not in [np.dtype(code) for code in _STORABLE]:
            raise ValueError(
                f"Pixels of type {self.dtype} cannot be stored in OME files: choose one of "
                f"{', '.join(np.dtype(code).name for code in _STORABLE)}."
            )
        for field in ("pixel_size_um", "z_step_um"):
            size_um = getattr(self, field)
            if size_um is not None and not (math.isfinite(size_um) and size_um > 0):
                raise ValueError(
                    f"{field} is {size_um}: it must be a positive number of µm, or None when it "
                    "is not known."
                )
        if self.z_start_um is not None and not math.isfinite(self.z_start_um):
            raise ValueError(f"z_start_um is {self.z_start_um}: it must be a number of µm or None.")

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels, uncompressed."""
        return self.count * math.prod(self.shape) * self.dtype.itemsize

    @property
    def positions_um(self) -> list[float]:
        """Axial position of every plane in µm; empty when unknown."""
        if self.z_start_um is None or (self.z_step_um is None and self.count > 1):
            return []
        step_um = self.z_step_um or 0.0
        return [round(self.z_start_um + index * step_um, 9) for index in range(self.count)]

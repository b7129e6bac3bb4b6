"""What a series will look like before its first plane exists."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_deepz.images import AXIS_ORDER, require_optics
from napari_deepz.names import plain_name
from napari_deepz.sampling import Sampling

_STORABLE = ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8")
_ALWAYS_STORED = "ZYX"


@dataclass(frozen=True)
class StackLayout:
    """Shape, type, sizes and optics of a series (T, C, Z, Y, X) to be written.

    Parameters
    ----------
    shape : tuple of int
        Number of time points, channels and planes in depth, height and width of a plane.
    dtype : numpy.dtype
        8, 16 or 32 bit integer, or 32 or 64 bit floating point number.
    sampling : Sampling or None
        Pixel size and optics; None when the pixel size is unknown.
    z_step_um, z_start_um : float or None
        Distance between planes and axial position of the first one in µm; None when unknown, or
        when the planes are not flat and evenly spaced.
    name : str
        Name of the image; kept as `names.plain_name` cleans it.
    t_step_s : float or None, optional
        Time between time points in seconds; None when unknown.
    channel_names : tuple of str, optional
        One for each channel, cleaned as `name`; empty for one channel that is called as the image.
    wavelengths_um : tuple of float or None, optional
        Emission wavelength of each channel in µm; empty for that of `sampling`, if it is known.

    Raises
    ------
    ValueError
        If a number is out of range, the type cannot be stored, or there is not one name or
        wavelength for each channel.
    """

    shape: tuple[int, int, int, int, int]
    dtype: np.dtype[Any]
    sampling: Sampling | None
    z_step_um: float | None
    z_start_um: float | None
    name: str
    t_step_s: float | None = None
    channel_names: tuple[str, ...] = ()
    wavelengths_um: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", plain_name(self.name))
        names = tuple(map(plain_name, self.channel_names)) or (self.name,)
        object.__setattr__(self, "channel_names", names)
        times, channels, planes, *plane_shape = self.shape
        if min(self.shape) < 1:
            raise ValueError(
                f"{times} time points of {channels} channels of {planes} planes of shape "
                f"{tuple(plane_shape)} cannot be written: a series needs at least one plane with "
                "two axes (Y, X)."
            )
        if self.dtype.newbyteorder("=") not in [np.dtype(code) for code in _STORABLE]:
            raise ValueError(
                f"Pixels of type {self.dtype} cannot be stored in OME files: choose one of "
                f"{', '.join(np.dtype(code).name for code in _STORABLE)}."
            )
        for field, unit in (("z_step_um", "µm"), ("t_step_s", "s")):
            size = getattr(self, field)
            if size is not None and not (math.isfinite(size) and size > 0):
                raise ValueError(
                    f"{field} is {size}: it must be a positive number of {unit}, or None when it "
                    "is not known."
                )
        if self.z_start_um is not None and not math.isfinite(self.z_start_um):
            raise ValueError(f"z_start_um is {self.z_start_um}: it must be a number of µm or None.")
        for count, called in ((len(names), "names"), (len(self.wavelengths_um), "wavelengths")):
            if count not in (channels, 0):
                raise ValueError(
                    f"There are {channels} channels, but {count} {called} for them: give one for "
                    "each channel."
                )
        require_optics(None, None, self.wavelengths_um)
        if self.sampling and self.sampling.wavelength_um and not self.wavelengths_um:
            object.__setattr__(self, "wavelengths_um", (self.sampling.wavelength_um,) * channels)

    @property
    def axes(self) -> str:
        """Those that are stored: Z, Y and X, and T and C where they are longer than 1."""
        along = zip(AXIS_ORDER, self.shape, strict=True)
        return "".join(axis for axis, length in along if axis in _ALWAYS_STORED or length > 1)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Lengths of `axes`."""
        return tuple(self.shape[AXIS_ORDER.index(axis)] for axis in self.axes)

    @property
    def steps(self) -> dict[str, float | None]:
        """From one element to the next along T in seconds, along Z, Y and X in µm, if known."""
        pixel_um = None if self.sampling is None else self.sampling.pixel_size_um
        return {"T": self.t_step_s, "C": None, "Z": self.z_step_um, "Y": pixel_um, "X": pixel_um}

    @property
    def na(self) -> float | None:
        """Numerical aperture of the objective; None when unknown."""
        return None if self.sampling is None else self.sampling.na

    @property
    def immersion_index(self) -> float | None:
        """Refractive index of the immersion; None when unknown."""
        return None if self.sampling is None else self.sampling.immersion_index

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(Y, X)."""
        return self.shape[3], self.shape[4]

    @property
    def count(self) -> int:
        """Number of planes of all time points and channels."""
        return math.prod(self.shape[:3])

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels, uncompressed."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def positions_um(self) -> list[float]:
        """Axial position of every plane in depth in µm; empty when unknown."""
        depths = self.shape[2]
        if self.z_start_um is None or (self.z_step_um is None and depths > 1):
            return []
        step_um = self.z_step_um or 0.0
        return [round(self.z_start_um + index * step_um, 9) for index in range(depths)]

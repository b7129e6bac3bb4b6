"""The image as this package sees it: lazy pixels, fixed axis order, physical sizes."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_deepz.sampling import Sampling

AXIS_ORDER = "TCZYX"

_AXIS_NAMES = {"T": "time point", "C": "channel", "Z": "plane"}


class ImageFileError(ValueError):
    """A file cannot be used as an image; the message tells its owner why and what to do."""


def digest_of(pixels: NDArray[Any]) -> str:
    """SHA-256 that tells an image from any other: its shape, its type and its pixels."""
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype.str} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


class PixelArray(Protocol):
    """What pixels may be stored in: a numpy, dask or zarr array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one pixel."""

    def __getitem__(self, key: Any, /) -> Any:
        """Select a part by integers and slices."""


@dataclass(frozen=True, eq=False)
class ImageSeries:
    """One image, stack or movie with its axes and physical sizes.

    This class is the only authority on axis order: (T, C, Z, Y, X), whichever are present.

    Parameters
    ----------
    data : array
        numpy, dask or zarr array of integer, boolean or floating point pixels; nothing of a lazy
        array is loaded before `plane` or `stack` asks for it.
    axes : str
        Which of "TCZYX" the axes of `data` are, in that order; always ends with "YX".
    pixel_size_um : float or None
        Width and height of a pixel in µm; None when unknown.
    z_step_um : float or None
        Distance between neighbouring planes in µm; None when unknown.
    t_step_s : float or None, optional
        Time between neighbouring time points in seconds; None when unknown.
    name : str, optional
        How messages call this image.
    z_start_um : float or None, optional
        Where the first plane lies in depth, in µm; None when unknown.
    origin_um : tuple of float or None, optional
        Where the centre of the first pixel lies, (y, x) in µm; None when unknown.
    channel_names : tuple of str, optional
        A name for every channel, "" where it has none; empty when none has.
    pixel_size_problem : str or None, optional
        Why the pixel size that the file states cannot be believed, a clause without a full stop:
        then `pixel_size_um` is None, and must be asked for rather than assumed.
    missing : ndarray of bool or None, optional
        With the axes of `data` but Y and X: planes that were never taken. They are zero in `data`,
        and `plane` and `stack` do not give them out.
    na, immersion_index : float or None, optional
        Numerical aperture of the objective and refractive index of its immersion, see `Sampling`;
        None when unknown.
    wavelengths_um : tuple of float or None, optional
        Emission wavelength of every channel in µm, None where it is not known; empty when none is.
    notes : tuple of str, optional
        What the user must know about the image that was read, a sentence each: what was left out,
        or not believed.

    Raises
    ------
    ValueError
        If the axes, channel names or wavelengths do not fit the data, a size is not positive, a
        position not finite, the optics are none that a microscope can have, or the pixels are not
        real numbers.
    """

    data: PixelArray
    axes: str
    pixel_size_um: float | None
    z_step_um: float | None
    t_step_s: float | None = None
    name: str = "image"
    z_start_um: float | None = None
    origin_um: tuple[float, float] | None = None
    channel_names: tuple[str, ...] = ()
    pixel_size_problem: str | None = None
    missing: NDArray[np.bool_] | None = None
    na: float | None = None
    immersion_index: float | None = None
    wavelengths_um: tuple[float | None, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        in_order = "".join(axis for axis in AXIS_ORDER if axis in self.axes)
        if self.axes != in_order or not self.axes.endswith("YX"):
            raise ValueError(
                f"The axes of '{self.name}' are given as '{self.axes}': they must be letters of "
                f"'{AXIS_ORDER}' in that order and end with 'YX'."
            )
        if len(self.data.shape) != len(self.axes):
            raise ValueError(
                f"'{self.name}' has {len(self.data.shape)} dimensions, but its axes are given as "
                f"'{self.axes}'."
            )
        if 0 in self.data.shape:
            raise ValueError(f"'{self.name}' is empty: its shape is {self.data.shape}.")
        if self.data.dtype.kind not in "buif":
            raise ValueError(
                f"The pixels of '{self.name}' are of type {self.data.dtype}: only integers and "
                "floating point numbers can be used."
            )
        if self.channel_names and len(self.channel_names) != self.size("C"):
            raise ValueError(
                f"'{self.name}' has {self.size('C')} channels, but {len(self.channel_names)} names "
                "for them."
            )
        if self.missing is not None and self.missing.shape != self.data.shape[:-2]:
            raise ValueError(f"The missing planes of '{self.name}' do not fit its shape.")
        for field, unit in (("pixel_size_um", "µm"), ("z_step_um", "µm"), ("t_step_s", "s")):
            value = getattr(self, field)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(
                    f"{field} of '{self.name}' is {value} {unit}: it must be a positive number, "
                    "or None when it is not known."
                )
        for position_um in (self.z_start_um or 0.0, *(self.origin_um or ())):
            if not math.isfinite(position_um):
                raise ValueError(
                    f"A position of '{self.name}' is {position_um} µm: it must be a finite number, "
                    "or None when it is not known."
                )
        if self.wavelengths_um and len(self.wavelengths_um) != self.size("C"):
            raise ValueError(
                f"'{self.name}' has {self.size('C')} channels, but {len(self.wavelengths_um)} "
                "emission wavelengths."
            )
        require_optics(self.na, self.immersion_index, self.wavelengths_um)

    def size(self, axis: str) -> int:
        """Length of one axis of "TCZYX"; 1 for an axis that is absent."""
        return self.data.shape[self.axes.index(axis)] if axis in self.axes else 1

    def sampling(self, c: int = 0) -> Sampling | None:
        """Pixels and optics of one channel; None where the pixel size is unknown.

        Raises
        ------
        ValueError
            If there is no such channel.
        """
        self._require_index("C", c)
        if self.pixel_size_um is None:
            return None
        return Sampling(
            pixel_size_um=self.pixel_size_um,
            na=self.na,
            immersion_index=self.immersion_index,
            wavelength_um=self.wavelengths_um[c] if self.wavelengths_um else None,
        )

    def plane(self, *, t: int = 0, c: int = 0, z: int = 0) -> np.ndarray[Any, np.dtype[Any]]:
        """Load one plane.

        Parameters
        ----------
        t, c, z : int, optional
            Index of time point, channel and plane, counted from 0.

        Returns
        -------
        ndarray
            (Y, X), writable, contiguous, native byte order, same kind of numbers as `data`; shares
            memory with `data` where that already is such an array.

        Raises
        ------
        ValueError
            If there is no such time point, channel or plane.
        """
        return self._load({"T": t, "C": c, "Z": z})

    def stack(self, *, t: int = 0, c: int = 0) -> np.ndarray[Any, np.dtype[Any]]:
        """Load all planes of one time point and channel.

        Parameters
        ----------
        t, c : int, optional
            Index of time point and channel, counted from 0.

        Returns
        -------
        ndarray
            (Z, Y, X), with Z = 1 for an image without that axis; otherwise as from `plane`.

        Raises
        ------
        ValueError
            If there is no such time point or channel.
        """
        pixels = self._load({"T": t, "C": c})
        return pixels if "Z" in self.axes else pixels[np.newaxis]

    def _load(self, wanted: dict[str, int]) -> np.ndarray[Any, np.dtype[Any]]:
        for axis, index in wanted.items():
            self._require_index(axis, index)
        key = tuple(wanted.get(axis, slice(None)) for axis in self.axes)
        if self.missing is not None and (absent := int(np.sum(self.missing[key[:-2]]))):
            raise ValueError(
                f"{absent} of the wanted planes of '{self.name}' were never taken: choose another "
                "plane, channel or time point."
            )
        native = self.data.dtype.newbyteorder("=")
        return np.require(np.asarray(self.data[key]), native, ["C", "W"])

    def _require_index(self, axis: str, index: int) -> None:
        length = self.size(axis)
        if not 0 <= index < length:
            raise ValueError(
                f"'{self.name}' has no {_AXIS_NAMES[axis]} {index}: they are numbered from 0 to "
                f"{length - 1}."
            )


def require_optics(
    na: float | None, immersion_index: float | None, wavelengths_um: tuple[float | None, ...]
) -> None:
    """Refuse optics that no microscope has.

    Parameters
    ----------
    na, immersion_index : float or None
        Of the objective, see `Sampling`.
    wavelengths_um : tuple of float or None
        Emission wavelength of every channel in µm; may be empty.

    Raises
    ------
    ValueError
        With the sentence of `Sampling`.
    """
    for wavelength_um in wavelengths_um or (None,):
        Sampling(
            pixel_size_um=1,
            na=na,
            immersion_index=immersion_index,
            wavelength_um=wavelength_um,
        )


def in_axis_order(data: Any, axes: str, name: str) -> tuple[Any, str]:
    """Bring pixels from a file into the order of this package.

    Parameters
    ----------
    data : array
        numpy or dask array.
    axes : str
        One letter for each of its axes, in any order.
    name : str
        The image, for the message.

    Returns
    -------
    data : array
        The same pixels with the axes in the order (T, C, Z, Y, X); axes of length 1 other than Y
        and X are dropped.
    axes : str
        The letters that are left.

    Raises
    ------
    ImageFileError
        If an axis longer than 1 is none of the five, or one of them occurs twice.
    """
    kept = [i for i, axis in enumerate(axes) if axis in "YX" or data.shape[i] > 1]
    data = data[tuple(slice(None) if i in kept else 0 for i in range(len(axes)))]
    left = "".join(axes[i] for i in kept)
    ordered = "".join(axis for axis in AXIS_ORDER if axis in left)
    if sorted(ordered) != sorted(left) or not ordered.endswith("YX"):
        lengths = " x ".join(map(str, data.shape))
        raise ImageFileError(
            f"The axes of '{name}' ({lengths}) are not all marked as time points, channels, planes "
            "(z), y and x: save it as an OME-TIFF or as an ImageJ hyperstack."
        )
    if ordered != left:
        data = data.transpose([left.index(axis) for axis in ordered])
    return data, ordered

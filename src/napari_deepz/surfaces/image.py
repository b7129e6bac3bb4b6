"""The surface given by an image of depths in µm."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import PrivateAttr

from napari_deepz.images import ImageFileError
from napari_deepz.stored_pixels.png import open_png
from napari_deepz.stored_pixels.tiff_pages import PageTables, decoding, open_tiff
from napari_deepz.surfaces.base import Surface
from napari_deepz.surfaces.geometry import Depths

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".npy")

_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class FromImage(Surface):
    """Depths in µm taken from an image, one for each pixel of the image to refocus.

    Parameters
    ----------
    source : path or array-like
        (Y, X) depths in µm. Files: TIFF, NumPy .npy, or greyscale PNG (whole numbers >= 0 only).

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file cannot be read, is not one 2D image, or holds pixels that are not finite.
    """

    kind: Literal["image"] = "image"
    source: Path | None = None
    _depths: Depths = PrivateAttr()

    def __init__(self, /, source: str | os.PathLike[str] | ArrayLike, **settings: Any) -> None:
        path = Path(source) if isinstance(source, str | os.PathLike) else None
        super().__init__(source=path, **settings)
        self._depths = _as_depths(source if path is None else read_depths(path), self._name)

    @property
    def depths_um(self) -> Depths:
        """The (Y, X) float32 depths in µm; read-only."""
        return self._depths

    @property
    def _name(self) -> str:
        return f"surface image {self.source.name}" if self.source else "surface image"

    def __eq__(self, other: object) -> bool:
        """Compare the file's name and every depth."""
        return (
            isinstance(other, FromImage)
            and self.source == other.source
            and np.array_equal(self._depths, other._depths)
        )

    def describe(self) -> str:
        """Say where the depths come from, such as 'depths from the surface image tilt.tif'."""
        return f"depths from the {self._name}"

    def _depths_um(self, shape: tuple[int, int], pixel_size_um: float, index: int) -> Depths:
        if self._depths.shape != tuple(shape):
            have, want = self._depths.shape, shape
            raise ValueError(
                f"The {self._name} has {have[0]} x {have[1]} pixels (Y x X) but the image to "
                f"refocus has {want[0]} x {want[1]}; give a surface image of the same size."
            )
        return self._depths.copy()


def read_depths(path: Path) -> NDArray[Any]:
    """Read the pixels of a surface image, (Y, X) in µm, without judging them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is of another kind or damaged.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(
            f"The surface image {path.name} is not of a known kind; save it as TIFF, PNG or .npy."
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no surface image {path}; check its name and folder.")
    try:
        return _READERS[path.suffix.lower()](path)
    except Exception as error:
        raise ValueError(
            f"The surface image {path.name} cannot be read ({str(error).rstrip('.')}); "
            "save it again as an uncompressed TIFF of 32-bit floating point numbers."
        ) from error


def _read_npy(path: Path) -> NDArray[Any]:
    """Read an array without trusting the shape in its header."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in _NPY_HEADERS:
            raise ValueError("it is of an unknown version")
        shape, _, dtype = _NPY_HEADERS[version](file)
        if math.prod(shape) * dtype.itemsize > path.stat().st_size - file.tell():
            raise ValueError("it was cut short")
        file.seek(0)
        stored: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return stored


def _read_png(path: Path) -> NDArray[Any]:
    with open_png(path) as image:
        if image.mode not in ("L", "I", "I;16"):
            raise ImageFileError("it is not a greyscale image")
        return np.array(image)


def _read_tiff(path: Path) -> NDArray[Any]:
    with open_tiff(path) as tif:
        tables = PageTables(tif, path.name)
        form = tables.page(tables.offsets[0]).form
        dimensions = form.ndim + (len(tables.offsets) > 1)
        if dimensions != 2:
            raise ImageFileError(f"it has {dimensions} dimensions instead of 2")
        with decoding(path.name):
            pixels: NDArray[Any] = form.asarray()
        return pixels


_READERS = {".npy": _read_npy, ".png": _read_png, ".tif": _read_tiff, ".tiff": _read_tiff}


def _as_depths(pixels: Any, name: str) -> Depths:
    array = np.asarray(pixels)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "iuf":
        raise ValueError(
            f"The {name} is an array of shape {array.shape} and type {array.dtype}; "
            "give one 2D image of depths in µm."
        )
    with np.errstate(over="ignore"):
        depths = np.array(array, np.float32, order="C")
    wrong = int(np.count_nonzero(~np.isfinite(depths)))
    if wrong:
        raise ValueError(
            f"The {name} has {wrong} pixel(s) without a finite depth (NaN or infinite); "
            "fill them in, for instance with the depth of their neighbours."
        )
    depths.setflags(write=False)
    return depths

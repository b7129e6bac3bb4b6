"""Pixels of a CZI file: tiles are decoded and put together when a plane is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from napari_deepz.io.czi_directory import CziTile, read_tile_bytes
from napari_deepz.io.microscope_file import sentences_for
from napari_deepz.io.same_file import FileState, opened_again

CZI = "a CZI file of ZEISS"
"""What files are that this is for."""

PIXEL_TYPES = {0: ("u1", 1), 1: ("u2", 1), 2: ("f4", 1), 3: ("u1", 3), 4: ("u2", 3), 8: ("f4", 3)}
"""Kind of numbers, and samples of a pixel, by the number of the type."""

_RAW, _JPEG, _JPEG_XR, _ZSTD, _ZSTD_WITH_HEADER = 0, 1, 4, 5, 6
_SPLIT_BYTES = 1

Place = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class CziPlanes:
    """Reads the planes of one scene.

    Attributes
    ----------
    path, state
        The file as it was when it was opened.
    tiles : dict
        From a place along (T, C, Z), counted from 0, to the tiles there.
    left, top : int
        The corner of the scene.
    shape : tuple of int
        (Y, X, samples) of a plane.
    dtype : numpy.dtype
        Of all planes.
    """

    path: Path
    state: FileState
    tiles: dict[Place, list[CziTile]]
    left: int
    top: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def read(self, index: Place) -> NDArray[Any]:
        """Put the tiles of a plane together; what none of them covers is 0."""
        plane = np.zeros(self.shape, self.dtype)
        with opened_again(self.path, self.state) as file, sentences_for(self.path.name, CZI):
            for tile in sorted(self.tiles[index], key=lambda one: one.order):
                top, left = tile.top - self.top, tile.left - self.left
                place = np.s_[top : top + tile.height, left : left + tile.width]
                plane[place] = decoded(read_tile_bytes(file, tile), tile)
        return plane


def can_decode(tile: CziTile) -> bool:
    """Whether the pixels of a tile can be read."""
    return tile.pixel_type in PIXEL_TYPES and tile.compression in _DECODERS


def decoded(stored: bytes, tile: CziTile) -> NDArray[Any]:
    """Decode a tile.

    Parameters
    ----------
    stored : bytes
        As it lies in the file.
    tile : CziTile
        What the directory says of it.

    Returns
    -------
    ndarray
        (height, width, samples).

    Raises
    ------
    ValueError
        If they do not fit one another.
    """
    kind, samples = PIXEL_TYPES[tile.pixel_type]
    dtype = np.dtype(f"<{kind}")
    shape = (tile.height, tile.width, samples)
    found = _DECODERS[tile.compression](stored, math.prod(shape) * dtype.itemsize)
    pixels: NDArray[Any] = (
        found if isinstance(found, np.ndarray) else np.frombuffer(found, dtype, math.prod(shape))
    )
    if pixels.dtype != dtype or pixels.size != math.prod(shape):
        raise ValueError(f"{pixels.shape} pixels of {pixels.dtype} in a tile of {shape}, {dtype}")
    return pixels.reshape(shape)


def _raw(stored: bytes, _: int) -> bytes:
    return stored


def _zstd(stored: bytes, length: int) -> bytes:
    return bytes(imagecodecs.zstd_decode(stored, out=length))


def _zstd_with_header(stored: bytes, length: int) -> bytes:
    """The first byte is the length of the header, which may say that high bytes lie apart."""
    header, compressed = stored[1 : stored[0]], stored[stored[0] :]
    pixels = _zstd(compressed, length)
    if header[:1] == bytes([_SPLIT_BYTES]) and header[1] & 1:
        return np.frombuffer(pixels, np.uint8, length).reshape(2, -1).T.tobytes()
    return pixels


def _jpeg(stored: bytes, _: int) -> Any:
    return imagecodecs.jpeg8_decode(stored)


def _jpeg_xr(stored: bytes, _: int) -> Any:
    return imagecodecs.jpegxr_decode(stored)


_DECODERS: dict[int, Callable[[bytes, int], Any]] = {
    _RAW: _raw,
    _JPEG: _jpeg,
    _JPEG_XR: _jpeg_xr,
    _ZSTD: _zstd,
    _ZSTD_WITH_HEADER: _zstd_with_header,
}

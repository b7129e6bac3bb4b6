"""Pixels of a zarr array: checked before anything is made, read when asked for."""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

from napari_deepz.images import ImageFileError
from napari_deepz.io.noticing import note
from napari_deepz.io.packing import Packing
from napari_deepz.io.room import require_room

METADATA_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray", ".zmetadata")

_MOST_METADATA_BYTES = 100_000_000
_MOST_PLANES = 1_000_000
# Every chunk costs a look at the disk: many are only accepted where they are not tiny.
_MOST_SMALL_CHUNKS = 10_000
_SMALL_CHUNK_PX = 32 * 32
# Planes that share their chunks are read together up to this size.
_LARGEST_BLOCK_BYTES = 2**27
_MOST_ENTRIES_LOOKED_AT = 20_000
# Compression may make pixels larger, and a shard lists its parts, but not by more than this.
_MOST_GROWTH, _MARGIN_BYTES = 32, 2**20


def lazy_pixels(array: Any, axes: str, folder: Path, name: str) -> da.Array:
    """Make the pixels of an array readable, a few planes at a time.

    Parameters
    ----------
    array : zarr.Array
        The array, of any number of dimensions.
    axes : str
        A letter for each of them, "Y" and "X" among them.
    folder : Path
        The folder of the array.
    name : str
        The image, for messages.

    Returns
    -------
    dask.array.Array
        What cannot be read from it later raises ImageFileError.


    Raises
    ------
    ImageFileError
        If its size cannot be true, or a plane does not fit into memory.
    """
    _require_readable(array, axes, name)
    stored = _Stored(array, folder, name)
    return da.from_array(
        stored,
        chunks=_blocks(array, axes),
        name=False,
        meta=np.empty((0,) * array.ndim, stored.dtype),
    )


def require_plain_metadata(folder: Path, name: str) -> None:
    """Refuse metadata that are no files or too large to be metadata, before they are read.

    Raises
    ------
    ImageFileError
        If they are.
    """
    for file in METADATA_FILES:
        try:
            about = (folder / file).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISREG(about.st_mode) or about.st_size > _MOST_METADATA_BYTES:
            raise _damaged(name)


class _Stored:
    """A zarr array whose failures are sentences, and whose numbers are intensities."""

    def __init__(self, array: Any, folder: Path, name: str) -> None:
        from napari_deepz.io.checked_store import checked_array

        self._array = checked_array(array, folder)
        self._folder = folder
        self._name = name
        self._opened_as = _state_of_metadata(folder)
        self.shape: tuple[int, ...] = array.shape
        whole = array.dtype.kind in "iu"
        self._packing = Packing.of_attributes(array.attrs) if whole else None
        self.dtype = array.dtype if self._packing is None else np.dtype(np.float32)
        self.ndim: int = array.ndim

    def __getitem__(self, key: Any) -> np.ndarray[Any, np.dtype[Any]]:
        if _state_of_metadata(self._folder) != self._opened_as:
            raise ImageFileError(
                f"'{self._name}' was changed, moved or deleted after it was opened: open it again."
            )
        try:
            stored = np.asarray(self._array[key])
            return stored if self._packing is None else self._packing.unpack(stored)
        except MemoryError as error:
            raise ImageFileError(
                f"'{self._name}' needs more memory than there is, or is damaged: close other "
                "programs, or copy it again."
            ) from error
        except OSError as error:
            if error.errno is None:  # Some decoders' own.
                raise _damaged(self._name) from error
            raise ImageFileError(f"'{self._name}' cannot be read: {error.strerror}.") from error
        except Exception as error:  # every codec has exceptions of its own
            raise _damaged(self._name) from error


def _damaged(name: str) -> ImageFileError:
    return ImageFileError(f"'{name}' is damaged or was cut short: copy or export it again.")


def _state_of_metadata(folder: Path) -> list[tuple[int, int, int]]:
    found = []
    for file in METADATA_FILES:
        try:
            about = (folder / file).stat()
        except OSError:
            continue
        found.append((about.st_ino, about.st_size, about.st_mtime_ns))
    return found


def _require_readable(array: Any, axes: str, name: str) -> None:
    if not {"Y", "X"} <= set(axes):
        raise ImageFileError(
            f"The axes of '{name}' are not marked as y and x: save it as an OME-TIFF or as an "
            "ImageJ hyperstack."
        )
    if 0 in array.shape or array.dtype.kind not in "buif":
        raise ImageFileError(
            f"'{name}' holds no pixels that can be used: it is an array of shape {array.shape} and "
            f"type {array.dtype}."
        )
    sizes = dict(zip(axes, zip(array.shape, array.chunks, strict=True), strict=True))
    (height, chunk_height), (width, chunk_width) = sizes["Y"], sizes["X"]
    plane_px = height * width
    planes = math.prod(array.shape) // plane_px
    if planes > _MOST_PLANES:
        raise ImageFileError(
            f"'{name}' is said to hold {planes} planes, more than the {_MOST_PLANES} that can be "
            "opened: it is damaged, or must be saved in pieces."
        )
    chunks = math.ceil(height / chunk_height) * math.ceil(width / chunk_width)
    if chunks > max(_MOST_SMALL_CHUNKS, plane_px / _SMALL_CHUNK_PX):
        raise ImageFileError(
            f"A plane of '{name}' is said to lie in {chunks} tiny parts, which cannot be read in a "
            "reasonable time: it is damaged, or must be saved in larger chunks."
        )
    require_room((plane_px + math.prod(array.chunks)) * array.dtype.itemsize, name)


def _blocks(array: Any, axes: str) -> tuple[int, ...]:
    """Whole planes, and as many of them as are stored together."""
    together = tuple(
        length if axis in "YX" else min(chunk, length)
        for axis, chunk, length in zip(axes, array.chunks, array.shape, strict=True)
    )
    if math.prod(together) * array.dtype.itemsize <= _LARGEST_BLOCK_BYTES:
        return together
    return tuple(
        length if axis in "YX" else 1 for axis, length in zip(axes, array.shape, strict=True)
    )


def say_what_is_missing(array: Any, folder: Path, name: str) -> None:
    """Note parts that are not stored and filled, which may be meant or be what a bad copy left."""
    stored_shape = getattr(array, "shards", None) or array.chunks
    total = math.prod(
        math.ceil(length / part) for length, part in zip(array.shape, stored_shape, strict=True)
    )
    stored_bytes = math.prod(stored_shape) * array.dtype.itemsize
    stored = _count_stored(folder, _MOST_GROWTH * stored_bytes + _MARGIN_BYTES, name)
    if stored is None or stored >= total:
        return
    if stored == 0:
        sentence = (
            f"'{name}' holds no pixels, all of them are taken as {array.fill_value}: copy it again "
            "unless it is meant to be empty."
        )
    else:
        sentence = (
            f"{total - stored} of {total} parts of '{name}' are not there and are taken as "
            f"{array.fill_value}: copy it again unless they are meant to be empty."
        )
    note(sentence)


def _count_stored(folder: Path, largest_bytes: int, name: str) -> int | None:
    """Number of stored parts; None where there are too many files to count them."""
    stored = looked_at = 0
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                looked_at += 1
                if looked_at > _MOST_ENTRIES_LOOKED_AT:
                    return None
                try:
                    about = entry.stat()
                except FileNotFoundError:  # A link that leads nowhere.
                    continue
                if stat.S_ISDIR(about.st_mode):
                    waiting.append(Path(entry.path))
                elif not entry.name.replace(".", "").isdecimal():
                    continue
                elif not stat.S_ISREG(about.st_mode) or about.st_size > largest_bytes:
                    raise _damaged(name)
                else:
                    stored += 1
    return stored

"""Planes of TIFF files, each read when it is asked for, from a file that must still be the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import dask.array as da
import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_deepz.images import ImageFileError
from napari_deepz.io.same_file import FileState, changed, opened_again, state_of
from napari_deepz.stored_pixels.tiff_pages import StoredPage, damaged, decoding

_Plane = NDArray[Any]
_MISSING = -1


@dataclass(frozen=True)
class StoredFile:
    """A file as it was when it was opened.

    Nothing of it is mapped into memory: a mapped file that is cut or written anew in place ends
    the whole program.
    """

    path: Path
    state: FileState
    byteorder: Literal["<", ">"]

    @classmethod
    def of(cls, tif: tifffile.TiffFile, path: Path) -> StoredFile:
        """Remember an open file."""
        return cls(path, state_of(tif.filehandle.fileno()), tif.byteorder)

    def read(
        self, offset: int, *, contiguous: bool, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> _Plane:
        """Read one plane, contiguous from a byte on, or decoded by the table that lies there.

        Raises
        ------
        ImageFileError
            If the file was changed or replaced after it was opened, or cannot be decoded.
        """
        with opened_again(self.path, self.state) as file:
            if contiguous:
                return self._contiguous(file, offset, shape, dtype)
            with decoding(self.path.name), tifffile.TiffFile(file) as tif:
                tif.filehandle.seek(offset)
                plane: _Plane = tifffile.TiffPage(tif, 0).asarray()
        if plane.shape != shape or plane.dtype != dtype:
            raise damaged(self.path.name)
        return plane

    def _contiguous(
        self, file: IO[bytes], offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> _Plane:
        file.seek(offset)
        count = math.prod(shape)
        stored = np.fromfile(file, dtype.newbyteorder(self.byteorder), count)
        if stored.size != count:
            raise changed(self.path.name)
        return stored.reshape(shape).astype(dtype, copy=False)


class PlaneMap:
    """Which plane of an image lies where.

    Parameters
    ----------
    leading : tuple of int
        Lengths of the axes before those of a plane.
    form : tifffile.TiffPage
        Shape and kind of numbers of every plane.
    """

    def __init__(self, leading: tuple[int, ...], form: tifffile.TiffPage) -> None:
        self.leading, self.shape = leading, tuple(form.shape)
        self.dtype = np.dtype(form.dtype).newbyteorder("=")
        self._form = form
        self._files: list[StoredFile] = []
        self._file = np.full(leading, _MISSING, np.int32)
        self._offset = np.zeros(leading, np.int64)
        self._contiguous = np.zeros(leading, bool)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """(*leading), which planes no file holds."""
        return np.equal(self._file, _MISSING)

    def add_file(self, file: StoredFile) -> int:
        """Make a file known; planes refer to it by the number that is returned."""
        self._files.append(file)
        return len(self._files) - 1

    def place(self, index: tuple[int, ...], file: int, page: StoredPage) -> None:
        """Say on which page of a file a plane lies.

        Raises
        ------
        ImageFileError
            If that page is of another size or kind than the others.
        """
        if kind_of(page.form) != kind_of(self._form):
            raise ImageFileError(
                f"'{self._files[file].path.name}' has pages of different sizes or kinds, which "
                "cannot be the planes of one image: save the wanted ones alone."
            )
        self._file[index] = file
        self._contiguous[index] = page.start is not None
        self._offset[index] = page.offset if page.start is None else page.start

    def place_all(self, file: int, start: int) -> None:
        """Say that all planes lie in one piece, one after the other, from a byte of a file on."""
        size = math.prod(self.shape) * self.dtype.itemsize
        number = np.arange(self._offset.size, dtype=np.int64)
        self._offset[...] = (start + number * size).reshape(self.leading)
        self._file[...], self._contiguous[...] = file, True

    def read(self, index: tuple[int, ...]) -> _Plane:
        """Read one plane; a missing one is zero."""
        if self._file[index] == _MISSING:
            return np.zeros(self.shape, self.dtype)
        file = self._files[int(self._file[index])]
        contiguous = bool(self._contiguous[index])
        offset = int(self._offset[index])
        return file.read(offset, contiguous=contiguous, shape=self.shape, dtype=self.dtype)

    def read_one(self) -> None:
        """Decode the first plane that has to be, so that what cannot be decoded is said early."""
        to_decode = np.argwhere(~self._contiguous & ~self.missing)
        if len(to_decode):
            self.read(tuple(to_decode[0]))

    def lazy(self) -> da.Array:
        """Make an array (*leading, *shape) whose planes are read when they are asked for."""
        ones = ((1,) * length for length in self.leading)
        ndim = len(self.leading) + len(self.shape)
        return da.map_blocks(
            partial(_read_block, self),
            chunks=(*ones, *((length,) for length in self.shape)),
            dtype=self.dtype,
            meta=np.empty((0,) * ndim, self.dtype),
        )

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Name the array after what it reads."""
        places = (self._file.tobytes(), self._offset.tobytes(), self._contiguous.tobytes())
        files = [(str(file.path), file.state, file.byteorder) for file in self._files]
        return (self.leading, self.shape, self.dtype.str, files, places)


def kind_of(form: tifffile.TiffPage) -> tuple[Any, ...]:
    """What must be equal in all planes of an image."""
    return form.shape, form.dtype, form.photometric, form.bitspersample


def _read_block(planes: PlaneMap, block_id: tuple[int, ...]) -> _Plane:
    leading = len(planes.leading)
    return planes.read(block_id[:leading])[(np.newaxis,) * leading]

"""NDTiff, which Micro-Manager 2 and pycro-manager write: NDTiff.index beside NDTiffStack.tif."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_deepz.images import ImageFileError
from napari_deepz.io.tiff_image import TiffImage, listed, note_first_of, note_missing
from napari_deepz.io.tiff_planes import PlaneMap, StoredFile
from napari_deepz.stored_pixels.tiff_pages import StoredPage, open_tiff, require_whole

INDEX = "NDTiff.index"

# https://github.com/micro-manager/NDTiffStorage: what follows an entry's axes and file name.
_TAIL = struct.Struct("<IiiiiIii")
_LENGTH = struct.Struct("<I")
_AXES = {"time": "T", "channel": "C", "z": "Z"}
_PIXEL_TYPES = {
    0: ("uint8", 1),
    2: ("uint8", 3),
    **dict.fromkeys((1, 3, 4, 5, 6), ("uint16", 1)),
}


@dataclass(frozen=True)
class _Entry:
    """One plane of the data set."""

    at: dict[str, int | str]
    file: str
    start: int
    shape: tuple[int, int]
    pixel_type: int
    compressed: bool

    @property
    def image(self) -> tuple[tuple[str, int | str], ...]:
        """Position, tile and whatever else there is, but time, channel and z."""
        return tuple(sorted((axis, at) for axis, at in self.at.items() if axis not in _AXES))


def read_ndtiff(tif: tifffile.TiffFile, path: Path) -> TiffImage:
    """Find the planes of the position that lies first in a file, in all files of its data set.

    Raises
    ------
    ImageFileError
        If the index is damaged or does not fit, or a file of the position is not there.
    """
    path = path.resolve()
    entries = list(_entries(path.with_name(INDEX)))
    own = list(dict.fromkeys(entry.image for entry in entries if entry.file == path.name))
    if not own:
        raise ImageFileError(
            f"'{INDEX}' beside '{path.name}' does not list it: give the file its former name."
        )
    if len(own) > 1:
        note_first_of(len(own), path.name)
    wanted = [entry for entry in entries if entry.image == own[0]]
    absent = sorted({e.file for e in wanted if not path.with_name(e.file).is_file()})
    if absent:
        missing = sum(entry.file in absent for entry in wanted)
        raise ImageFileError(
            f"{missing} of {len(wanted)} planes of '{path.name}' are missing: put "
            f"{listed(absent)} into the same folder."
        )
    return _mapped(wanted, tif, path)


def _entries(index: Path) -> Iterator[_Entry]:
    data = index.read_bytes()
    at = 0

    def text() -> str:
        nonlocal at
        (length,) = _LENGTH.unpack_from(data, at)
        start, at = at + _LENGTH.size, at + _LENGTH.size + length
        if at > len(data):
            raise ValueError("too short")
        return data[start:at].decode("utf-8")

    try:
        while at < len(data) and any(data[at : at + _LENGTH.size]):  # Zeros while it is written.
            axes, file = json.loads(text()), text()
            start, width, height, pixel_type, compression, *_ = _TAIL.unpack_from(data, at)
            at += _TAIL.size
            if not isinstance(axes, dict) or Path(file).name != file:
                raise ValueError(file)
            if not all(isinstance(place, int | str) for place in axes.values()):
                raise ValueError(axes)
            shape = height, width
            yield _Entry(axes, file, start, shape, pixel_type, compression != 0)
    except (struct.error, ValueError, RecursionError) as error:
        raise ImageFileError(
            f"'{index.name}', which says where the planes are, is damaged: copy it again."
        ) from error


def _mapped(wanted: list[_Entry], tif: tifffile.TiffFile, path: Path) -> TiffImage:
    axes = [axis for axis in _AXES if any(axis in entry.at for entry in wanted)]
    numbers = [_numbered([entry.at.get(axis, 0) for entry in wanted]) for axis in axes]
    leading = tuple(map(len, numbers))
    found = {
        tuple(number[entry.at.get(axis, 0)] for number, axis in zip(numbers, axes, strict=True)): (
            entry
        )
        for entry in wanted
    }
    note_missing(len(found), leading, path.name)
    planes = PlaneMap(leading, tif.pages.first)
    for name in sorted({entry.file for entry in found.values()}):
        with open_tiff(path.with_name(name)) as other:
            file = planes.add_file(StoredFile.of(other, path.with_name(name)))
            for index, entry in found.items():
                if entry.file == name:
                    planes.place(index, file, _page(entry, other))
    letters = "".join(_AXES[axis] for axis in axes)
    channels = numbers[axes.index("channel")] if "channel" in axes else {}
    names = tuple(channel for channel in channels if isinstance(channel, str))
    page = tif.pages.first
    names = names if len(names) == len(channels) else ()
    return TiffImage(planes, letters + page.axes, page, "ndtiff", channel_names=names)


def _numbered(places: list[int | str]) -> dict[int | str, int]:
    """Number places in order, those that are names as they come."""
    distinct = list(dict.fromkeys(places))
    if all(isinstance(place, int) for place in distinct):
        distinct.sort()
    return {place: number for number, place in enumerate(distinct)}


def _page(entry: _Entry, tif: tifffile.TiffFile) -> StoredPage:
    form: Any = tif.pages.first
    stored = (str(form.dtype), form.samplesperpixel)
    if (
        tuple(form.shape[:2]) != entry.shape
        or _PIXEL_TYPES.get(entry.pixel_type) != stored
        or entry.compressed
        or not form.is_final
    ):
        raise ImageFileError(
            f"'{INDEX}' does not fit the pixels of '{entry.file}': copy the whole folder again."
        )
    start = np.array([entry.start], np.uint64)
    length = np.array([form.nbytes], np.uint64)
    require_whole(form, start, length, tif.filehandle.size, entry.file)
    return StoredPage(entry.start, form, entry.start)

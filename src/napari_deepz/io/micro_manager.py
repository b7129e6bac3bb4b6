"""Image stack files of Micro-Manager: the position that lies in the file that was opened."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_deepz.images import ImageFileError
from napari_deepz.io.ome_files import ome_file, own_image
from napari_deepz.io.ome_xml import OmeImage
from napari_deepz.io.tiff_image import TiffImage, note_first_of, note_missing
from napari_deepz.io.tiff_planes import PlaneMap, StoredFile
from napari_deepz.io.tiff_sizes import ome_sizes
from napari_deepz.stored_pixels.tiff_pages import PageTables, StoredPage, open_tiff

_CHANNEL, _SLICE, _FRAME, _POSITION, _OFFSET = range(5)
_LENGTHS = ("Channels", "Slices", "Frames")

# Acquisitions longer than 4 GB go on in further files.
_CONTINUATION = re.compile(r"(.*?)(_\d+)?(\.ome)?\.tif", re.IGNORECASE)

_Index = tuple[int, int, int]
_Said = TypeVar("_Said")


def read_mmstack(tif: tifffile.TiffFile, tables: PageTables, path: Path) -> TiffImage:
    """Find the planes of one position, in this file and in those in which it goes on.

    Files of other positions may lie beside it: what each file holds is told by its own index.

    Raises
    ------
    ImageFileError
        If a page of the file is not whole.
    """
    summary, index = _header(tif)
    positions = np.unique(index[:, _POSITION])
    if not len(positions):
        raise ImageFileError(f"'{path.name}' holds no planes: its recording was stopped at once.")
    if len(positions) > 1:
        note_first_of(len(positions), path.name)
    position = int(positions[0])
    found: dict[_Index, tuple[StoredFile, StoredPage]] = {}
    _add(found, index, position, tables, StoredFile.of(tif, path))
    planned = math.prod(_planned(summary, key) for key in _LENGTHS)
    if len(found) < planned:
        for beside in _continuations(path.resolve()):
            with open_tiff(beside) as other:
                if not other.is_mmstack:
                    continue
                others_summary, others = _header(other)
                if others_summary == summary and position in others[:, _POSITION]:
                    others_tables = PageTables(other, beside.name)
                    _add(found, others, position, others_tables, StoredFile.of(other, beside))
    return _mapped(found, planned, _described(tif, path), path.name)


def _header(tif: tifffile.TiffFile) -> tuple[dict[str, Any], NDArray[np.uint32]]:
    about = tif.micromanager_metadata or {}
    index: NDArray[np.uint32] = about["IndexMap"]
    return about["Summary"], index[index[:, _OFFSET] > 0]


def _planned(summary: dict[str, Any], key: str) -> int:
    planned = summary.get(key)
    return planned if isinstance(planned, int) and planned > 0 else 1


def _continuations(path: Path) -> list[Path]:
    """Files whose names differ from this one's in a number at the end only."""
    parts = _CONTINUATION.fullmatch(path.name)
    if parts is None:
        return []
    stems = {parts[1], parts[1] + (parts[2] or "")}
    same = re.compile(
        rf"(?:{'|'.join(map(re.escape, sorted(stems)))})(_\d+)?(\.ome)?\.tif", re.IGNORECASE
    )
    return sorted(
        other for other in path.parent.iterdir() if other != path and same.fullmatch(other.name)
    )


def _add(
    found: dict[_Index, tuple[StoredFile, StoredPage]],
    index: NDArray[np.uint32],
    position: int,
    tables: PageTables,
    file: StoredFile,
) -> None:
    for row in index[index[:, _POSITION] == position].tolist():
        at = row[_FRAME], row[_CHANNEL], row[_SLICE]
        found[at] = file, tables.page(row[_OFFSET])


def _described(tif: tifffile.TiffFile, path: Path) -> OmeImage | None:
    """Find what the OME-XML, if there is one that can be read, says of the image in this file."""
    if not tif.is_ome:
        return None
    try:
        return own_image(ome_file(tif, path))
    except ImageFileError:
        return None


def _mapped(
    found: dict[_Index, tuple[StoredFile, StoredPage]],
    planned: int,
    described: OmeImage | None,
    name: str,
) -> TiffImage:
    places = [sorted({at[axis] for at in found}) for axis in range(3)]
    numbers = [{at: number for number, at in enumerate(along)} for along in places]
    leading = tuple(map(len, places))
    note_missing(len(found), leading, name, planned=planned)
    planes = PlaneMap(leading, next(iter(found.values()))[1].form)
    files: dict[StoredFile, int] = {}
    for at, (file, page) in found.items():
        if file not in files:
            files[file] = planes.add_file(file)
        index = tuple(number[part] for number, part in zip(numbers, at, strict=True))
        planes.place(index, files[file], page)
    axes = "TCZ" + page.form.axes
    if described is None:
        return TiffImage(planes, axes, page.form, "mmstack")
    names = _of_channels(described.channel_names, places[1])
    wavelengths_um = _of_channels(described.optics.wavelengths_um, places[1])
    optics = replace(described.optics, wavelengths_um=wavelengths_um)
    return TiffImage(planes, axes, page.form, "mmstack", ome_sizes(described), names, optics)


def _of_channels(described: tuple[_Said, ...], channels: list[int]) -> tuple[_Said, ...]:
    """Choose what is said of the channels that were taken, where it is said of all."""
    if len(described) <= max(channels):
        return described
    return tuple(described[channel] for channel in channels)

"""What lies where in a CZI file of ZEISS.

The format is described in ZEN's "CZI - CZI File Format" of ZEISS; numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

_SEGMENT = struct.Struct("<16sqq")
_FILE_HEADER = struct.Struct("<ii8x32xiqqi")
_ENTRY = struct.Struct("<2siqiiB5xi")
_DIMENSION = struct.Struct("<4siifi")
_TILE_SIZES = struct.Struct("<iiq")
_METADATA_SIZES = struct.Struct("<ii")
_COUNT = struct.Struct("<i")
_DIRECTORY_HEADER_BYTES = 128
_METADATA_HEADER_BYTES = 256
_SMALLEST_TILE_HEADER_BYTES = 256
_MOST_DIMENSIONS = 40


@dataclass(frozen=True)
class CziTile:
    """A rectangle of pixels at full resolution.

    Attributes
    ----------
    place : dict
        From the letter of a dimension other than X, Y and M to the number along it.
    left, top, width, height : int
        Where it lies, in pixels; the origin is anywhere.
    order : int
        Of tiles that overlap, the one of the highest order is seen.
    pixel_type, compression : int
        As numbered in the format.
    position : int
        Of its segment, from the beginning of the file.
    """

    place: dict[str, int]
    left: int
    top: int
    width: int
    height: int
    order: int
    pixel_type: int
    compression: int
    position: int


@dataclass(frozen=True)
class CziDirectory:
    """Contents of a file.

    Attributes
    ----------
    tiles : tuple of CziTile
        In the order of the file, without reduced copies.
    xml : str
        What describes the image.
    """

    tiles: tuple[CziTile, ...]
    xml: str


def read_directory(file: IO[bytes]) -> CziDirectory:
    """Read which tiles there are.

    Parameters
    ----------
    file : binary file
        Open, at any position.

    Raises
    ------
    ValueError
        If it is no CZI file, or damaged.
    """
    header = _segment(file, 0, b"ZISRAWFILE")
    _, _, part, directory, metadata, pending = _FILE_HEADER.unpack_from(header)
    if part != 0 or pending:
        raise ValueError("a part of a set of files, or not written to its end")
    entries = _segment(file, directory, b"ZISRAWDIRECTORY")
    (count,) = _COUNT.unpack_from(entries)
    tiles = tuple(_tiles(entries, count))
    return CziDirectory(tiles, _xml(file, metadata) if metadata else "")


def read_tile_bytes(file: IO[bytes], tile: CziTile) -> bytes:
    """Read the pixels of a tile as they are stored.

    Raises
    ------
    ValueError
        If the file is damaged there.
    """
    _enter(file, tile.position, b"ZISRAWSUBBLOCK")
    start = file.tell()
    described, _, count = _TILE_SIZES.unpack(_exactly(file, _TILE_SIZES.size))
    *_, dimensions = _ENTRY.unpack(_exactly(file, _ENTRY.size))
    header = _TILE_SIZES.size + _ENTRY.size + _DIMENSION.size * dimensions
    file.seek(start + max(header, _SMALLEST_TILE_HEADER_BYTES) + described)
    return _exactly(file, count)


def _enter(file: IO[bytes], position: int, name: bytes) -> int:
    """Go to the data of the segment at a position, and give their length."""
    if position < 0:
        raise ValueError(f"position {position}")
    file.seek(position)
    found, allocated, used = _SEGMENT.unpack(_exactly(file, _SEGMENT.size))
    if found.rstrip(b"\0") != name:
        raise ValueError(f"no {name!r} at {position}")
    length: int = used or allocated
    return length


def _segment(file: IO[bytes], position: int, name: bytes) -> bytes:
    return _exactly(file, _enter(file, position, name))


def _exactly(file: IO[bytes], count: int) -> bytes:
    """Read as many bytes as are promised; no room is made for more than the file has."""
    here = file.tell()
    left = file.seek(0, 2) - here
    file.seek(here)
    if not 0 <= count <= left:
        raise ValueError(f"{count} bytes are promised, {left} are there")
    return file.read(count)


def _tiles(entries: bytes, count: int) -> Iterator[CziTile]:
    offset = _DIRECTORY_HEADER_BYTES
    for _ in range(count):
        schema, pixel_type, position, part, compression, _, dimensions = _ENTRY.unpack_from(
            entries, offset
        )
        offset += _ENTRY.size
        if schema != b"DV" or part != 0 or not 0 <= dimensions <= _MOST_DIMENSIONS:
            raise ValueError(f"entry {schema!r}, part {part}, {dimensions} dimensions")
        found = {}
        for _ in range(dimensions):
            name, start, size, _, stored = _DIMENSION.unpack_from(entries, offset)
            offset += _DIMENSION.size
            found[name.rstrip(b"\0").decode("ascii")] = start, size, stored
        (left, width, stored_width), (top, height, stored_height) = found.pop("X"), found.pop("Y")
        if (stored_width, stored_height) != (width, height):
            continue  # A smaller copy, for programs that show large images.
        if min(width, height) < 1:
            raise ValueError(f"a tile of {width} x {height}")
        order = found.pop("M", (0, 1, 1))[0]
        place = {axis: start for axis, (start, _, _) in found.items()}
        yield CziTile(place, left, top, width, height, order, pixel_type, compression, position)


def _xml(file: IO[bytes], position: int) -> str:
    segment = _segment(file, position, b"ZISRAWMETADATA")
    length, _ = _METADATA_SIZES.unpack_from(segment)
    if not 0 <= length <= len(segment) - _METADATA_HEADER_BYTES:
        raise ValueError("a description longer than its segment")
    text = segment[_METADATA_HEADER_BYTES : _METADATA_HEADER_BYTES + length]
    return text.decode("utf-8-sig", errors="replace").rstrip("\0")

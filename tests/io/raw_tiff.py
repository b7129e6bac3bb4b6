"""TIFF files made byte by byte, for what no honest program writes."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

Tags = Mapping[int, int | Sequence[int] | bytes]

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
DESCRIPTION, STARTS, SAMPLES, ROWS, LENGTHS = 270, 273, 277, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE_STARTS, TILE_LENGTHS = 322, 323, 324, 325

PIXELS_AT = 8


def page_tags(width: int, height: int, bits: int, length: int) -> dict[int, Any]:
    """One strip that lies behind the header of the file."""
    return {
        WIDTH: width,
        HEIGHT: height,
        BITS: bits,
        COMPRESSION: 1,
        PHOTOMETRIC: 1,
        STARTS: PIXELS_AT,
        SAMPLES: 1,
        ROWS: height,
        LENGTHS: length,
    }


def without(tags: Tags, *codes: int) -> dict[int, int | Sequence[int] | bytes]:
    return {code: value for code, value in tags.items() if code not in codes}


def raw_tiff(pixels: bytes, pages: Sequence[Tags], *, last_leads_to: int | None = None) -> bytes:
    """A file with its pixels behind the header, then a table for each page.

    The table of the last page leads nowhere, or to that of another page, by its number.
    """
    tables = []
    at = PIXELS_AT + len(pixels) + len(pixels) % 2
    for tags in pages:
        table, values = _table(tags, at)
        tables.append((at, table, values))
        at += len(table) + 4 + len(values)
    starts = [start for start, _, _ in tables] + [0]
    if last_leads_to is not None:
        starts[-1] = starts[last_leads_to]
    out = struct.pack("<2sHI", b"II", 42, starts[0]) + pixels + b"\0" * (len(pixels) % 2)
    for (_, table, values), following in zip(tables, starts[1:], strict=True):
        out += table + struct.pack("<I", following) + values
    return out


def _table(tags: Tags, at: int) -> tuple[bytes, bytes]:
    table = struct.pack("<H", len(tags))
    values = b""
    behind = at + 2 + 12 * len(tags) + 4
    for code, value in sorted(tags.items()):
        if isinstance(value, int):
            value = [value]
        kind, data = (
            (2, value) if isinstance(value, bytes) else (4, struct.pack(f"<{len(value)}I", *value))
        )
        table += struct.pack("<HHI", code, kind, len(value))
        if len(data) > 4:
            table += struct.pack("<I", behind + len(values))
            values += data + b"\0" * (len(data) % 2)
        else:
            table += data.ljust(4, b"\0")
    return table, values

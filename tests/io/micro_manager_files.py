"""Files as Micro-Manager writes them: image stack files, and NDTiff with its index."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

_MAGIC_INDEX, _MAGIC_DISPLAY, _MAGIC_COMMENTS, _MAGIC_SUMMARY = (
    54773648,
    483765892,
    99384722,
    2355492,
)
_MAGIC_INDEX_MAP = 3453623
_MAGIC_NDTIFF = 483729
_METADATA_TAG = 51123

Key = tuple[int, int, int, int]  # channel, slice, frame, position


def summary(channels: int, slices: int, frames: int = 1, positions: int = 1) -> dict[str, Any]:
    return {
        "MicroManagerVersion": "2.0.1",
        "Prefix": "worms_1",
        "Channels": channels,
        "Slices": slices,
        "Frames": frames,
        "Positions": positions,
        "SlicesFirst": False,
        "TimeFirst": False,
        "Width": 48,
        "Height": 40,
    }


def write_mmstack(
    path: Path,
    planes: dict[Key, np.ndarray],
    about: dict[str, Any],
    description: str | None = None,
) -> None:
    """One image stack file with the planes of an acquisition that lie in it."""
    text = json.dumps(about).encode()
    header = 8 + 32 + len(text)
    out = bytearray(header)
    offsets = {}
    for number, (key, plane) in enumerate(planes.items()):
        offsets[key] = len(out)
        first = description if number == 0 else None
        _page(out, plane, first, is_last=number == len(planes) - 1)
    index = len(out)
    out += struct.pack("<II", _MAGIC_INDEX_MAP, len(planes))
    for key, offset in offsets.items():
        out += struct.pack("<5I", *key, offset)
    start = struct.pack("<2sHI", b"II", 42, header)
    start += struct.pack("<8I", _MAGIC_INDEX, index, _MAGIC_DISPLAY, 0, _MAGIC_COMMENTS, 0,
                         _MAGIC_SUMMARY, len(text))  # fmt: skip
    out[:header] = start + text
    path.write_bytes(out)


def write_ndtiff(
    folder: Path, planes: list[tuple[dict[str, Any], str, np.ndarray]], *, end: bytes = b""
) -> None:
    """An NDTiff data set: what lies along its axes, in which file, and its pixels."""
    folder.mkdir()
    text = b"{}"
    files: dict[str, bytearray] = {}
    index = b""
    last = {file: number for number, (_, file, _) in enumerate(planes)}
    for number, (axes, file, plane) in enumerate(planes):
        if file not in files:
            start = struct.pack("<2sHI", b"II", 42, 28 + len(text))
            start += struct.pack("<IIIII", _MAGIC_NDTIFF, 3, 3, _MAGIC_SUMMARY, len(text))
            files[file] = bytearray(start + text)
        at = _page(files[file], plane, None, is_last=last[file] == number)
        kind = {(np.dtype("u1"), 2): 0, (np.dtype("u2"), 2): 1, (np.dtype("u1"), 3): 2}
        name, place = file.encode(), json.dumps(axes).encode()
        index += struct.pack("<I", len(place)) + place + struct.pack("<I", len(name)) + name
        pixel_type = kind[plane.dtype, plane.ndim]
        index += struct.pack("<8I", at, plane.shape[1], plane.shape[0], pixel_type, 0, 0, 2, 0)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    (folder / "NDTiff.index").write_bytes(index + end)


def _page(out: bytearray, plane: np.ndarray, description: str | None, *, is_last: bool) -> int:
    """Append one page to a file; where its pixels begin."""
    height, width = plane.shape[:2]
    samples = 1 if plane.ndim == 2 else plane.shape[2]
    texts = [] if description is None else [description.encode() + b"\0"]
    count = 13 + len(texts)
    pixels = len(out) + 2 + 12 * count + 4
    behind = pixels + plane.nbytes
    values = b""
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8 * plane.itemsize),
        (259, 3, 1, 1),
    ]
    tags.append((262, 3, 1, 1 if samples == 1 else 2))
    for text in texts:
        tags.append((270, 2, len(text), behind + len(values)))
        values += text
    tags += [
        (273, 4, 1, pixels),
        (277, 3, 1, samples),
        (278, 4, 1, height),
        (279, 4, 1, plane.nbytes),
    ]
    resolution = behind + len(values)
    values += struct.pack("<II", 30769, 1)
    metadata = b'{"a": 1}\0'
    tags += [(282, 5, 1, resolution), (283, 5, 1, resolution), (296, 3, 1, 3)]
    tags.append((_METADATA_TAG, 2, len(metadata), behind + len(values)))
    values += metadata
    following = 0 if is_last else behind + len(values)
    table = b"".join(
        struct.pack("<HHIHH" if kind == 3 else "<HHII", *(*tag, 0)[: 5 if kind == 3 else 4])
        for tag in tags
        for kind in (tag[1],)
    )
    out += struct.pack("<H", count) + table + struct.pack("<I", following)
    out += plane.astype(plane.dtype.newbyteorder("<")).tobytes() + values
    return pixels

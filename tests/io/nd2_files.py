"""ND2 files, written chunk by chunk as the package nd2 reads them, as only Nikon writes them.

The chunks are those of version 2.1, which are described in XML. The fields are those of a file that
came from a microscope.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

_MAGIC = 0x0ABECEDA
_FILE = b"ND2 FILE SIGNATURE CHUNK NAME01!"
_MAP = b"ND2 FILEMAP SIGNATURE NAME 0001!"
_END = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_NAME_BYTES = 4072
_TIME_BYTES = 8
TIME_LOOP, POSITIONS, Z_STACK = 1, 2, 4


def time_loop(count: int, *, planned_ms: float = 0.0, measured_ms: float = 0.0) -> dict[str, Any]:
    settings = {
        "uiCount": count,
        "dStart": 0.0,
        "dPeriod": planned_ms,
        "dDuration": 0.0,
        "dAvgPeriodDiff": measured_ms,
    }
    return {"eType": TIME_LOOP, "uLoopPars": settings}


def positions(count: int) -> dict[str, Any]:
    points = {f"p{i}": {"dPosX": 100.0 * i, "dPosY": 0.0} for i in range(count)}
    return {"eType": POSITIONS, "uLoopPars": {"Points": points}}


def z_stack(count: int, step_um: float) -> dict[str, Any]:
    return {"eType": Z_STACK, "uLoopPars": {"uiCount": count, "dZStep": step_um}}


def write_nd2(
    path: Path,
    pixels: np.ndarray[Any, Any],
    loops: list[dict[str, Any]],
    *,
    pixel_um: float = 0.25,
    na: float = 1.4,
    index: float = 1.515,
    channels: tuple[tuple[str, float], ...] = (("GFP", 510.0),),
    taken: int | None = None,
) -> Path:
    """Write pixels (..., C, Y, X), the leading axes as the loops; frames are stored (Y, X, C)."""
    *leading, count, height, width = pixels.shape
    frames = int(np.prod(leading, dtype=int))
    taken = frames if taken is None else taken
    stored = np.ascontiguousarray(np.moveaxis(pixels.reshape(frames, count, height, width), 1, -1))
    bits = 8 * pixels.dtype.itemsize
    chunks: dict[bytes, bytes] = {
        b"ImageAttributes!": _xml(
            {
                "uiWidth": width,
                "uiWidthBytes": width * count * pixels.dtype.itemsize,
                "uiHeight": height,
                "uiComp": count,
                "uiBpcInMemory": bits,
                "uiBpcSignificant": bits,
                "uiSequenceCount": taken,
                "eCompression": 2,
            }
        ),
        b"ImageMetadataSeq|0!": _xml(
            {
                "dCalibration": pixel_um,
                "bCalibrated": True,
                "dObjectiveNA": na,
                "dRefractIndex1": index,
                "wsObjectiveName": "Plan",
                "dObjectiveMag": 60.0,
                "dZoom": 1.0,
                "sPicturePlanes": {
                    "uiCount": len(channels),
                    "sPlaneNew": {
                        f"a{i}": {
                            "sDescription": name,
                            "uiCompCount": count // len(channels),
                            "pFluorescentProbe": {"m_EmissionSpectrum": _line(emission)},
                        }
                        for i, (name, emission) in enumerate(channels)
                    },
                },
            }
        ),
    }
    if loops:
        chunks[b"ImageMetadata!"] = _xml(_nested(loops))
    chunks |= {
        b"ImageDataSeq|%d!" % i: bytes(_TIME_BYTES) + stored[i].tobytes() for i in range(taken)
    }
    _write_chunks(path, chunks)
    return path


def _line(wavelength_nm: float) -> dict[str, Any]:
    return {"uiCount": 1, "pPoint": {"Point0": {"eType": 0, "dWavelength": wavelength_nm}}}


def _nested(loops: list[dict[str, Any]]) -> dict[str, Any]:
    first, *inner = loops
    return first | ({"ppNextLevelEx": {"next": _nested(inner)}} if inner else {})


def _write_chunks(path: Path, chunks: dict[bytes, bytes]) -> None:
    places = b""
    with path.open("wb") as file:
        file.write(struct.pack("<IIQ", _MAGIC, len(_FILE), 64) + _FILE)
        file.write(b"Ver2.1".ljust(64, b"\0"))
        for name, data in chunks.items():
            places += name + struct.pack("<QQ", file.tell(), len(data))
            file.write(struct.pack("<IIQ", _MAGIC, _NAME_BYTES, len(data)))
            file.write(name.ljust(_NAME_BYTES, b"\0") + data)
        start = struct.pack("<Q", file.tell())
        places += _END + start
        file.write(struct.pack("<IIQ", _MAGIC, len(_MAP), len(places)) + _MAP + places)


def _xml(fields: dict[str, Any]) -> bytes:
    return f"<variant><no_name>{''.join(_nodes(fields))}</no_name></variant>".encode()


def _nodes(fields: dict[str, Any]) -> list[str]:
    found = []
    for name, value in fields.items():
        if isinstance(value, dict):
            found.append(f"<{name}>{''.join(_nodes(value))}</{name}>")
            continue
        kinds = {bool: "bool", int: "lx_int32", float: "double", str: "CLxStringW"}
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found.append(f'<{name} runtype="{kinds[type(value)]}" value={quoteattr(text)}/>')
    return found

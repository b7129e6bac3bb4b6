"""Surface images that are damaged or hold less than they claim."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_deepz.surfaces import FromImage
from tests.io.raw_tiff import COMPRESSION, HEIGHT, LENGTHS, STARTS, page_tags, raw_tiff

DEPTHS = np.linspace(-5, 5, 40 * 48, dtype=np.float32).reshape(40, 48)
RAW = DEPTHS.tobytes()
WHOLE = page_tags(48, 40, 32, len(RAW)) | {339: 3}
MOST_BYTES = 20_000_000


def refused(path: Path) -> str:
    """Read a file that must be refused, in little memory; the sentence."""
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"The surface image {path.name} cannot be read") as error:
        FromImage(path)
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most_bytes < MOST_BYTES
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_whole_tiff(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(raw_tiff(RAW, [WHOLE]))
    np.testing.assert_array_equal(FromImage(tmp_path / "a.tif").depths_um, DEPTHS)


@pytest.mark.parametrize(
    "change",
    [
        {HEIGHT: 400},
        {HEIGHT: 2**30},
        {STARTS: [8, 8 + 960], LENGTHS: [960, 0], 278: 20},
        {STARTS: 2**31},
        {LENGTHS: 100},
        {COMPRESSION: 8, HEIGHT: 65535, 256: 65535, 278: 65535},
        {COMPRESSION: 32773, HEIGHT: 65535, 256: 65535, 278: 65535},
    ],
)
def test_a_tiff_that_holds_less_than_it_claims(tmp_path: Path, change: dict[Any, Any]) -> None:
    (tmp_path / "a.tif").write_bytes(raw_tiff(RAW, [WHOLE | change]))
    refused(tmp_path / "a.tif")


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_that_was_cut(tmp_path: Path, kept: float, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, DEPTHS, compression=compression)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    refused(path)


def test_a_tiff_whose_pages_go_round_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(raw_tiff(RAW, [WHOLE] * 120, last_leads_to=110))
    refused(tmp_path / "a.tif")


def test_an_ome_tiff_that_claims_a_thousand_million_planes(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", DEPTHS, metadata={"axes": "YX"})
    content = (tmp_path / "a.ome.tif").read_bytes()
    (tmp_path / "a.ome.tif").write_bytes(content.replace(b'SizeZ="1"', b'SizeZ="9"'))
    np.testing.assert_array_equal(FromImage(tmp_path / "a.ome.tif").depths_um, DEPTHS)


def test_a_stack_is_no_surface(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(raw_tiff(RAW, [WHOLE, WHOLE]))
    assert "it has 3 dimensions instead of 2" in refused(tmp_path / "a.tif")


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
def test_a_png_that_holds_less_than_it_claims(tmp_path: Path, side: Any) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content + chunk(b"IEND", b""))
    refused(tmp_path / "a.png")


def test_a_png_that_was_cut(tmp_path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 255, (40, 48), np.uint8)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for kept in (0.05, 0.5, 0.9):
        (tmp_path / "a.png").write_bytes(content[: int(kept * len(content))])
        refused(tmp_path / "a.png")


@pytest.mark.parametrize("shape", [(10**6, 10**6), (41, 48), (40, 2**62), (10**9,)])
def test_an_array_that_holds_less_than_it_claims(tmp_path: Path, shape: Any) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(RAW)
    assert "it was cut short" in refused(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00" + bytes(200), b"PK" * 99]
)
def test_an_array_that_is_none(tmp_path: Path, content: Any) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    refused(tmp_path / "a.npy")

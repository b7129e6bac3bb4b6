"""TIFF files that hold fewer pixels than they claim: refused before anything is made for them."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_deepz.images import ImageFileError
from napari_deepz.io.reading import read_image, read_provenance
from tests.io.notes import noted
from tests.io.ome_sets import Image, Part, ome_xml, write_tiff
from tests.io.raw_tiff import (
    COMPRESSION,
    DESCRIPTION,
    HEIGHT,
    LENGTHS,
    PIXELS_AT,
    ROWS,
    STARTS,
    TILE_HEIGHT,
    TILE_LENGTHS,
    TILE_STARTS,
    TILE_WIDTH,
    page_tags,
    raw_tiff,
    without,
)
from tests.io.samples import STACK

PLANE = STACK[0]
RAW = PLANE.tobytes()
STRIP = 48 * 2 * 10
WHOLE = page_tags(48, 40, 16, len(RAW))
STRIPS = WHOLE | {
    ROWS: 10,
    STARTS: [PIXELS_AT + n * STRIP for n in range(4)],
    LENGTHS: [STRIP] * 4,
}
DEFLATE, LZW, ZSTD, PACKBITS = 8, 5, 50000, 32773
MOST_BYTES = 20_000_000


def write(path: Path, *pages: Any, pixels: Any = RAW, **options: Any) -> Path:
    path.write_bytes(raw_tiff(pixels, pages, **options))
    return path


def refused(path: Path) -> str:
    """Read a file that must be refused, in little memory; the sentence."""
    tracemalloc.start()
    with pytest.raises(ImageFileError) as error:
        read_image(path)
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most_bytes < MOST_BYTES
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)
    return str(error.value)


def tiles(size: int, count: int, length: Any) -> Any:
    starts = [PIXELS_AT] * count
    return without(WHOLE, ROWS, STARTS, LENGTHS) | {
        TILE_WIDTH: size, TILE_HEIGHT: size, TILE_STARTS: starts, TILE_LENGTHS: [length] * count,
    }  # fmt: skip


@pytest.mark.parametrize("tags", [WHOLE, STRIPS, WHOLE | {ROWS: 2**32 - 1}, WHOLE | {ROWS: 1}])
def test_whole_pages_are_read(tmp_path: Path, tags: Any) -> None:
    np.testing.assert_array_equal(read_image(write(tmp_path / "a.tif", tags)).plane(), PLANE)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({STARTS: STRIPS[STARTS][:1], LENGTHS: [STRIP]}, "with 1 of the 4 strips"),
        ({STARTS: STRIPS[STARTS][:3], LENGTHS: [STRIP] * 3}, "with 3 of the 4 strips"),
        ({LENGTHS: [STRIP] * 3}, "with 3 of the 4 strips"),
        ({HEIGHT: 65535}, "with 4 of the 6554 strips"),
        ({STARTS: [*STRIPS[STARTS][:3], 0]}, "1 of its 4 strips of pixels are not in it"),
        ({LENGTHS: [STRIP, 0, 0, STRIP]}, "2 of its 4 strips of pixels are not in it"),
        ({LENGTHS: [STRIP, STRIP, STRIP, STRIP // 2]}, "damaged or was cut short"),
        ({STARTS: [*STRIPS[STARTS][:3], 2**32 - 1]}, "damaged or was cut short"),
        ({LENGTHS: [STRIP, STRIP, STRIP, 2**32 - 1]}, "damaged or was cut short"),
        ({COMPRESSION: DEFLATE, STARTS: STRIPS[STARTS][:1], LENGTHS: [STRIP]}, "with 1 of the 4"),
    ],
)
def test_missing_strips(tmp_path: Path, change: dict[Any, Any], sentence: str) -> None:
    assert sentence in refused(write(tmp_path / "a.tif", STRIPS | change))


@pytest.mark.parametrize("later", [1, 7, 12])
@pytest.mark.parametrize(
    "change",
    [{STARTS: STRIPS[STARTS][:1], LENGTHS: [STRIP]}, {LENGTHS: [STRIP, 0, 0, 0]}],
)
def test_missing_strips_of_a_later_page(tmp_path: Path, later: int, change: dict[Any, Any]) -> None:
    pages = [STRIPS] * later + [STRIPS | change]
    assert "incomplete" in refused(write(tmp_path / "a.tif", *pages))


@pytest.mark.parametrize(
    ("size", "count", "length", "sentence"),
    [
        (16, 8, 512, "with 8 of the 9 tiles"),
        (16, 9, 0, "9 of its 9 tiles of pixels are not in it"),
        (16, 9, 100, "damaged or was cut short"),
        (65536, 1, len(RAW), "damaged or was cut short"),
        (2**30, 1, len(RAW), "damaged or was cut short"),
    ],
)
def test_missing_tiles_and_tiles_that_no_file_could_fill(
    tmp_path: Path, size: Any, count: int, length: int, sentence: str
) -> None:
    for compression in (1, DEFLATE):
        tags = tiles(size, count, length) | {COMPRESSION: compression}
        if compression == DEFLATE and length == 100:
            continue
        assert sentence in refused(write(tmp_path / "a.tif", tags))


@pytest.mark.parametrize("compression", [DEFLATE, LZW, PACKBITS, ZSTD])
def test_a_few_bytes_cannot_be_gigabytes(tmp_path: Path, compression: Any) -> None:
    tags = page_tags(65535, 65535, 8, 2000) | {COMPRESSION: compression}
    assert "damaged or was cut short" in refused(write(tmp_path / "a.tif", tags))


def test_what_deflate_can_hold_is_read(tmp_path: Path) -> None:
    black = zlib.compress(bytes(2000 * 2000), 9)
    tags = page_tags(2000, 2000, 8, len(black)) | {COMPRESSION: DEFLATE}
    plane = read_image(write(tmp_path / "a.tif", tags, pixels=black)).plane()
    assert plane.shape == (2000, 2000)
    assert not plane.any()


@pytest.mark.parametrize("pages", [1, 3, 150])
@pytest.mark.parametrize("back_to", [0, -1])
def test_a_chain_of_pages_that_goes_round_in_circles(
    tmp_path: Path, pages: int, back_to: int
) -> None:
    path = write(tmp_path / "a.tif", *[WHOLE] * pages, last_leads_to=back_to % pages)
    assert "damaged or was cut short" in refused(path)


def test_a_page_without_a_place_for_its_pixels(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.tif", without(WHOLE, STARTS, LENGTHS)))
    refused(write(tmp_path / "a.tif", WHOLE, without(WHOLE, STARTS)))


def test_a_page_of_no_known_kind_of_number(tmp_path: Path) -> None:
    sentence = refused(write(tmp_path / "a.tif", WHOLE | {258: 57}))
    assert "of a kind that cannot be read" in sentence


def test_one_odd_page_among_many_is_no_plane(tmp_path: Path) -> None:
    """Programs that only look at some pages take its bytes for pixels of the others' kind."""
    odd = page_tags(24, 40, 16, len(RAW) // 2)
    path = write(tmp_path / "a.tif", *[WHOLE] * 3, odd, *[WHOLE] * 8)
    with noted(r"'a.tif' holds 2 images of which only the first"):
        series = read_image(path)
    assert series.data.shape == (11, 40, 48)
    np.testing.assert_array_equal(series.plane(z=3), PLANE)


def test_a_preview_is_no_further_image(tmp_path: Path) -> None:
    preview = page_tags(24, 20, 16, len(RAW) // 4) | {254: 1}
    series = read_image(write(tmp_path / "a.tif", WHOLE, WHOLE, preview))
    assert series.data.shape == (2, 40, 48)


@pytest.mark.parametrize(
    "lengths",
    [{"Z": 999_999_999}, {"T": 10**12}, {"C": 10**7}, {"Z": 10**6, "C": 1000, "T": 10**9}],
)
def test_ome_axes_longer_than_the_file(tmp_path: Path, lengths: dict[str, Any]) -> None:
    channels = ["one"]
    image = Image([Part(None, None)], lengths, channels=channels)
    write_tiff(tmp_path / "a.ome.tif", [PLANE], ome_xml([image]))
    assert "planes of 'a.ome.tif' are missing" in refused(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    "part",
    [
        Part(None, None, count=10**12),
        Part(None, None, count=None, page=None, first={"Z": 10**9}),
        Part(None, None, page=10**9),
        Part(None, None, first={"T": 1}),
    ],
)
def test_ome_planes_beyond_the_file(tmp_path: Path, part: Part) -> None:
    write_tiff(tmp_path / "a.ome.tif", [PLANE], ome_xml([Image([part], {"Z": 10**9})]))
    assert "planes of 'a.ome.tif' are missing" in refused(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("key", ["Size", "PlaneCount", "IFD", "First", "DimensionOrder"])
def test_ome_numbers_that_are_none(tmp_path: Path, key: str) -> None:
    xml = ome_xml([Image([Part(None, None, first={"Z": 0})], {"Z": 1})])
    for old in ('SizeT="1"', 'PlaneCount="1"', 'IFD="0"', 'FirstZ="0"', "XYZCT"):
        if key in old or (key == "DimensionOrder" and old == "XYZCT"):
            xml = xml.replace(old, "XYZZT" if old == "XYZCT" else old.split('"')[0] + '"-1"')
    write_tiff(tmp_path / "a.ome.tif", [PLANE], xml)
    assert "The OME-XML that describes 'a.ome.tif' is damaged" in refused(tmp_path / "a.ome.tif")


BOMBS = {
    "entities": '<!DOCTYPE OME [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]><OME>&j;</OME>",
    "one long entity": f'<!DOCTYPE OME [<!ENTITY a "{"ha" * 1000}">]><OME>{"&a;" * 9000}</OME>',
    "a file from outside": '<!DOCTYPE OME [<!ENTITY a SYSTEM "file:///etc/passwd">]><OME>&a;</OME>',
    "depth": "<OME>" + "<a>" * 20_000 + "</a>" * 20_000 + "</OME>",
    "no end": "<OME><Image></OME>",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_ome_xml_that_blows_up(tmp_path: Path, bomb: Any) -> None:
    write_tiff(tmp_path / "a.ome.tif", [PLANE], '<?xml version="1.0"?>' + BOMBS[bomb])
    assert "The OME-XML that describes 'a.ome.tif' is damaged" in refused(tmp_path / "a.ome.tif")
    tifffile.imwrite(
        tmp_path / "a.ome.tif", PLANE, metadata=None, ome=False,
        description=BOMBS[bomb].replace("</OME>", "napari-deepz/provenance</OME>"),
    )  # fmt: skip
    with pytest.raises(ImageFileError, match="The OME-XML that describes"):
        read_provenance(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    "claim",
    [
        b"ImageJ=1.54f\nimages=1000000000\nslices=1000000000\n",
        b"ImageJ=1.54f\nimages=2\nchannels=30000\nslices=30000\nframes=30000\n",
        b"ImageJ=1.54f\nimages=4\nslices=4\n",
        b'{"shape": [1000000000, 40, 48]}',
        b'{"shape": [1000000, 1000000, 40, 48], "axes": "TZYX"}',
        b'{"shape": [2, 40, 48], "truncated": true}',
    ],
)
@pytest.mark.parametrize("compression", [1, DEFLATE])
def test_imagej_and_tifffile_stacks_longer_than_the_file(
    tmp_path: Path, claim: bytes, compression: Any
) -> None:
    pixels = RAW if compression == 1 else zlib.compress(RAW)
    tags = page_tags(48, 40, 16, len(pixels)) | {
        COMPRESSION: compression,
        DESCRIPTION: claim + b"\0",
    }
    path = write(tmp_path / "a.tif", tags, pixels=pixels)
    refused(path)

"""Numbers that are no intensities as they are: negatives, places in colour tables, inks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_deepz.images import ImageFileError
from napari_deepz.io.reading import read_image
from tests.io.notes import noted
from tests.io.raw_tiff import BITS, LENGTHS, PHOTOMETRIC, page_tags, raw_tiff, without
from tests.io.samples import STACK

BYTES = (STACK[0] // 16).astype(np.uint8)
RAMP = np.arange(256, dtype=np.uint16)
BLACK = np.zeros(256, np.uint16)
INVERTED = "zero is white, so its brightness was inverted"
AS_THEY_ARE = "its numbers were taken as they are"
COLOURED = "its numbers, not its colours, were taken as the intensities"
SHADES = "stored as places in a table of shades, which were taken as the intensities"


@pytest.mark.parametrize(
    ("stored", "intensities"),
    [
        (STACK, 65535 - STACK),
        (BYTES, 255 - BYTES),
        (STACK.astype(np.uint32), 2**32 - 1 - STACK.astype(np.uint32)),
        (STACK.astype(np.int16), -1 - STACK.astype(np.int16)),
        (STACK[0] > 2000, STACK[0] <= 2000),
    ],
    ids=["16 bits", "8 bits", "32 bits", "signed", "1 bit"],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_white_is_zero(
    tmp_path: Path, stored: Any, intensities: Any, compression: str | None
) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="miniswhite", metadata=None, compression=compression
    )
    with noted(f"In 'a.tif' {INVERTED}"):
        series = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(series.data, intensities)
    assert series.data.dtype == stored.dtype


def test_white_is_zero_in_twelve_bits(tmp_path: Path) -> None:
    bits = (STACK[0][..., None] >> np.arange(11, -1, -1, dtype=STACK.dtype)) & 1
    packed = np.packbits(bits.astype(np.uint8)).tobytes()
    tags = page_tags(48, 40, 12, len(packed)) | {PHOTOMETRIC: 0}
    (tmp_path / "a.tif").write_bytes(raw_tiff(packed, [tags]))
    with noted(INVERTED):
        series = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(series.plane(), 4095 - STACK[0])


def test_white_is_zero_of_fractions_is_left_and_said(tmp_path: Path) -> None:
    stored = STACK.astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite", metadata=None)
    with noted(AS_THEY_ARE):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, stored)


def test_imagej_shows_intensities_inverted(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, photometric="miniswhite")
    with noted(f"'a.tif' is .* shown inverted .*{AS_THEY_ARE}"):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, STACK)


def test_grey_with_alpha_where_white_is_zero(tmp_path: Path) -> None:
    samples = np.stack([STACK[0], np.full_like(STACK[0], 65535)], axis=-1)
    tifffile.imwrite(
        tmp_path / "a.tif", samples, photometric="miniswhite", extrasamples=["unassalpha"],
        planarconfig="contig", metadata=None,
    )  # fmt: skip
    with noted(INVERTED):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").plane(), 65535 - STACK[0])


def test_a_file_that_does_not_say_is_no_negative(tmp_path: Path) -> None:
    tags = without(page_tags(48, 40, 16, STACK[0].nbytes), PHOTOMETRIC)
    (tmp_path / "a.tif").write_bytes(raw_tiff(STACK[0].tobytes(), [tags]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").plane(), STACK[0])


def write_table(path: Path, table: Any, places: Any = BYTES, **options: Any) -> None:
    tifffile.imwrite(path, places, photometric="palette", colormap=np.asarray(table), **options)


@pytest.mark.parametrize(
    "table",
    [
        [RAMP * 257] * 3,
        [RAMP * 256] * 3,
        [BLACK, RAMP * 257, BLACK],
        [RAMP * 100, BLACK, BLACK],
    ],
    ids=["grey", "grey of 256 steps", "green", "dark red"],
)
def test_a_table_that_rises_evenly_says_the_same_as_the_places(tmp_path: Path, table: Any) -> None:
    write_table(tmp_path / "a.tif", table, metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").plane(), BYTES)


SHUFFLED = np.random.default_rng(4).permutation(256).astype(np.uint16)


@pytest.mark.parametrize(
    ("shades", "dtype"),
    [
        (SHUFFLED, np.uint8),
        (255 - RAMP, np.uint8),
        ((RAMP.astype(int) ** 2 // 255).astype(np.uint16), np.uint8),
    ],
    ids=["in any order", "falling", "squared"],
)
@pytest.mark.parametrize("colours", [(1, 1, 1), (0, 1, 0)])
def test_a_table_of_shades_is_looked_up(
    tmp_path: Path, shades: Any, dtype: Any, colours: tuple[int, ...]
) -> None:
    table = [shades * 257 * lit for lit in colours]
    write_table(tmp_path / "a.tif", table, metadata=None, compression="zlib")
    with noted(f"'a.tif' is {SHADES}"):
        series = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(series.plane(), shades[BYTES])
    assert series.data.dtype == dtype


def test_a_table_of_sixteen_bit_shades(tmp_path: Path) -> None:
    shades = (np.sqrt(RAMP / 255) * 65535).astype(np.uint16)
    write_table(tmp_path / "a.tif", [shades] * 3, metadata=None)
    with noted(SHADES):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").plane(), shades[BYTES])


def test_a_stack_of_places(tmp_path: Path) -> None:
    places = (STACK // 16).astype(np.uint8)
    write_table(tmp_path / "a.tif", [SHUFFLED * 257] * 3, places, metadata=None)
    with noted(SHADES):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").stack(), SHUFFLED[places])


FIRE = [np.minimum(RAMP * 771, 65535), np.maximum(RAMP, 128) * 257 - 128 * 257, SHUFFLED * 257]


def test_a_table_of_many_colours_is_asked_about(tmp_path: Path) -> None:
    write_table(tmp_path / "a.tif", FIRE, metadata=None)
    with pytest.raises(ImageFileError, match=r"'a.tif' is stored as places in a table of colours"):
        read_image(tmp_path / "a.tif")


def test_imagej_colours_intensities_with_a_table(tmp_path: Path) -> None:
    write_table(tmp_path / "a.tif", FIRE, imagej=True)
    with noted(f"'a.tif' is coloured with a table; {COLOURED}"):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").plane(), BYTES)


def test_ome_tiff_colours_intensities_with_a_table(tmp_path: Path) -> None:
    write_table(tmp_path / "a.ome.tif", FIRE, metadata={"axes": "YX"})
    with noted(COLOURED):
        np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif").plane(), BYTES)


@pytest.mark.parametrize("table", [None, [0] * 768, [1] * 30])
def test_a_table_that_says_nothing_leaves_the_numbers(tmp_path: Path, table: Any) -> None:
    tags = page_tags(48, 40, 8, BYTES.nbytes) | {PHOTOMETRIC: 3}
    if table is not None:
        tags[320] = table
    (tmp_path / "a.tif").write_bytes(raw_tiff(BYTES.tobytes(), [tags]))
    with noted(COLOURED):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").plane(), BYTES)


@pytest.mark.parametrize(
    ("photometric", "samples", "what"),
    [
        (5, 4, "the inks of a print"),
        (8, 3, "colours .CIELAB"),
        (32803, 1, "the mosaic of a colour"),
    ],
)
def test_what_is_no_single_intensity_is_refused(
    tmp_path: Path, photometric: Any, samples: Any, what: str
) -> None:
    pixels = np.zeros((40, 48, samples), np.uint8)
    tags: dict[int, Any] = {**page_tags(48, 40, 8, pixels.nbytes)}
    tags |= {BITS: [8] * samples, 277: samples, PHOTOMETRIC: photometric, LENGTHS: pixels.nbytes}
    (tmp_path / "a.tif").write_bytes(raw_tiff(pixels.tobytes(), [tags]))
    with pytest.raises(ImageFileError, match=f"'a.tif' holds {what}.*turn it into a greyscale"):
        read_image(tmp_path / "a.tif")


def png_of(table: Any, path: Path) -> None:
    picture = Image.fromarray(BYTES, "P")
    picture.putpalette(np.asarray(table, np.uint8).T.tobytes())
    picture.save(path)


def test_a_png_table_that_rises_evenly(tmp_path: Path) -> None:
    png_of([RAMP] * 3, tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").plane(), BYTES)


@pytest.mark.parametrize("shades", [SHUFFLED, 255 - RAMP], ids=["in any order", "falling"])
@pytest.mark.parametrize("colours", [(1, 1, 1), (0, 1, 0)])
def test_a_png_table_of_shades_is_looked_up_and_said(
    tmp_path: Path, shades: Any, colours: tuple[int, ...]
) -> None:
    png_of([shades * lit for lit in colours], tmp_path / "a.png")
    with noted(f"'a.png' is {SHADES}"):
        np.testing.assert_array_equal(read_image(tmp_path / "a.png").plane(), shades[BYTES])


def test_a_png_table_of_many_colours_is_refused(tmp_path: Path) -> None:
    png_of(np.asarray(FIRE) // 257, tmp_path / "a.png")
    with pytest.raises(ImageFileError, match=r"'a.png' is a colour image"):
        read_image(tmp_path / "a.png")

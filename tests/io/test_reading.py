import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from napari_deepz.images import ImageFileError
from napari_deepz.io.reading import read_image, read_provenance
from tests.conftest import shared_file
from tests.io.samples import STACK, write_every_kind, write_zarr


@pytest.mark.parametrize(
    ("file", "shape", "pixel_um", "z_um"),
    [
        ("celegans_embryo_cy3.ome.tif", (52, 712, 672), 0.0645, 0.32),
        ("celegans_embryo_fitc.ome.tif", (52, 712, 672), 0.0645, 0.32),
        ("bead_na085.ome.tif", (25, 256, 256), 0.13, 0.3),
    ],
)
def test_real_stacks(file: str, shape: tuple[int, ...], pixel_um: float, z_um: float) -> None:
    path = shared_file(f"data/{file}")
    series = read_image(path)
    assert (series.axes, tuple(series.data.shape)) == ("ZYX", shape)
    assert (series.pixel_size_um, series.z_step_um) == (pixel_um, z_um)
    assert series.name == file.removesuffix(".ome.tif")
    np.testing.assert_array_equal(series.plane(z=7), tifffile.imread(path, key=7))


def test_real_plane_without_metadata() -> None:
    series = read_image(shared_file("data/celegans_embryo_cy3_plane20.png"))
    assert (series.axes, series.data.shape) == ("YX", (712, 672))
    assert series.data.dtype == np.uint16
    assert (series.pixel_size_um, series.z_step_um) == (None, None)
    stack = read_image(shared_file("data/celegans_embryo_cy3.ome.tif"))
    np.testing.assert_array_equal(series.plane(), stack.plane(z=20))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_png(tmp_path: Path, dtype: Any) -> None:
    Image.fromarray(STACK[0].astype(dtype)).save(tmp_path / "a.PNG")
    series = read_image(tmp_path / "a.PNG")
    assert (series.axes, series.data.dtype, series.name) == ("YX", dtype, "a")
    np.testing.assert_array_equal(series.plane(), STACK[0].astype(dtype))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_colour_modes_of_png_that_hold_grey(tmp_path: Path, mode: str) -> None:
    grey = STACK[0].astype(np.uint8)
    Image.fromarray(grey).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").plane(), grey)


def test_png_resolution_counts_only_where_it_can_mean_the_sample(tmp_path: Path) -> None:
    image = Image.fromarray(STACK[0])
    image.save(tmp_path / "print.png", dpi=(300, 300))
    image.save(tmp_path / "sample.png", dpi=(25400 / 0.325, 25400 / 0.325))
    assert read_image(tmp_path / "print.png").pixel_size_um is None
    assert read_image(tmp_path / "sample.png").pixel_size_um == pytest.approx(0.325, rel=1e-4)


def test_sixteen_bit_colour_png_is_not_cut_to_eight_bits(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        PngImagePlugin.putchunk(file, b"IHDR", header)
        PngImagePlugin.putchunk(file, b"IEND")
    with pytest.raises(ImageFileError, match=r"'deep.png' is a colour PNG of 16 bits"):
        read_image(path)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.ome.zarr"])
def test_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no file .*: check the name"):
        read_image(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_provenance(tmp_path / name)


@pytest.mark.parametrize("name", ["notes.txt", "photo.jpg", "image"])
def test_other_kinds_of_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("hello")
    with pytest.raises(ImageFileError, match=f"'{name}' is not of a kind that can be read: use"):
        read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"Dear diary, today I imaged worms. " * 50, "is not a TIFF file"),
        (b"II*\0", "is damaged or was cut short"),
        (b"II*\0\xff\xff\xff\x7f" + b"x" * 200, "is damaged or was cut short"),
        (b"II*\0\x08\0\0\0" + b"\xff" * 400, "is damaged or was cut short"),
    ],
)
def test_tiff_that_is_none(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "worm.tif").write_bytes(content)
    with pytest.raises(ImageFileError, match=f"'worm.tif' {message}"):
        read_image(tmp_path / "worm.tif")


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
@pytest.mark.parametrize("colour_type", [0, 2, 3, 6])
def test_png_that_holds_less_than_it_claims(tmp_path: Path, side: Any, colour_type: int) -> None:
    with (tmp_path / "bomb.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        header = struct.pack(">IIBBBBB", side, side, 8, colour_type, 0, 0, 0)
        PngImagePlugin.putchunk(file, b"IHDR", header)
        PngImagePlugin.putchunk(file, b"IDAT", zlib.compress(bytes(1000)))
        PngImagePlugin.putchunk(file, b"IEND")
    with pytest.raises(ImageFileError, match=r"'bomb.png' is not a PNG image, is damaged or"):
        read_image(tmp_path / "bomb.png")


def test_a_large_png_is_no_bomb(tmp_path: Path) -> None:
    Image.fromarray(np.full((9500, 9500), 7, np.uint8)).save(tmp_path / "a.png", compress_level=1)
    assert read_image(tmp_path / "a.png").data.shape == (9500, 9500)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
@pytest.mark.parametrize("name", ["pipe.tif", "pipe.png", "pipe.zarr"])
def test_what_is_neither_file_nor_folder(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ImageFileError, match=f"'{name}' is neither a file nor a folder"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"hello" * 20, b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_png_that_is_none(tmp_path: Path, content: Any) -> None:
    (tmp_path / "worm.png").write_bytes(content)
    with pytest.raises(ImageFileError, match=r"'worm.png' is not a PNG image, is damaged or"):
        read_image(tmp_path / "worm.png")


def test_a_file_cut_anywhere_never_passes_as_whole(tmp_path: Path) -> None:
    write_every_kind(tmp_path)
    messages = []
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        whole = read_image(path)
        pixels, sizes = whole.stack(), (whole.pixel_size_um, whole.z_step_um)
        for kept in (0.02, 0.3, 0.6, 0.9, 0.97, 0.999):
            cut = tmp_path / f"cut{path.suffix}"
            cut.write_bytes(content[: int(len(content) * kept)])
            try:
                series = read_image(cut)
            except ImageFileError as error:
                messages.append(str(error))
            else:
                np.testing.assert_array_equal(series.stack(), pixels, err_msg=f"{path} {kept}")
                assert (series.pixel_size_um, series.z_step_um) == sizes
            cut.unlink()
    assert len(messages) > 30
    assert not any("\n" in message for message in messages)


def test_noise_in_a_file_is_one_sentence_or_an_image(tmp_path: Path) -> None:
    write_every_kind(tmp_path)
    rng = np.random.default_rng(1)
    messages = []
    for path in sorted(tmp_path.iterdir()):
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            noisy = content.copy()
            noisy[rng.integers(0, min(400, len(noisy)), 3)] = rng.integers(0, 256, 3)
            bad = tmp_path / f"bad{path.suffix}"
            bad.write_bytes(noisy.tobytes())
            try:
                read_image(bad).plane()
            except ImageFileError as error:
                messages.append(str(error))
            finally:
                bad.unlink()
    assert len(messages) > 40
    assert not any("\n" in message for message in messages)


def test_files_of_others_have_no_provenance(tmp_path: Path) -> None:
    write_every_kind(tmp_path)
    for path in tmp_path.iterdir():
        assert read_provenance(path) is None
    write_zarr(tmp_path / "a.zarr", STACK, "0.4", "zyx", (1.0,) * 3, (None,) * 3)
    assert read_provenance(tmp_path / "a.zarr") is None

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_deepz.images import ImageFileError
from napari_deepz.io.reading import read_image
from tests.io.notes import noted
from tests.io.samples import STACK


def test_rgb_tiff_that_is_grey_becomes_grey(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([STACK] * 3, axis=-1), photometric="rgb")
    series = read_image(tmp_path / "a.tif")
    assert series.axes == "ZYX"
    np.testing.assert_array_equal(series.stack(), STACK)


def test_fluorescence_painted_green_becomes_grey(tmp_path: Path) -> None:
    dark = np.zeros_like(STACK[0])
    planar = np.stack([dark, STACK[0], dark])
    tifffile.imwrite(tmp_path / "a.tif", planar, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").plane(), STACK[0])


def test_grey_with_alpha_drops_alpha(tmp_path: Path) -> None:
    grey_alpha = np.stack([STACK[0], np.full_like(STACK[0], 65535)], axis=-1)
    tifffile.imwrite(
        tmp_path / "a.tif", grey_alpha, photometric="minisblack", extrasamples=["unassalpha"],
        planarconfig="contig",
    )  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").plane(), STACK[0])


def test_samples_that_are_no_colours_are_channels(tmp_path: Path) -> None:
    samples = STACK.transpose(1, 2, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", samples, photometric="minisblack", planarconfig="contig", metadata=None
    )
    series = read_image(tmp_path / "a.tif")
    assert series.axes == "CYX"
    np.testing.assert_array_equal(series.plane(c=3), STACK[3])


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_true_colour_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(STACK[:3].transpose(1, 2, 0).astype(np.uint8)).save(path)
    with pytest.raises(ImageFileError, match=f"'photo.{suffix}' is a colour image.*split its"):
        read_image(path)


def test_three_planes_that_tifffile_takes_for_colours_are_planes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:3], photometric="rgb", planarconfig="separate")
    with noted("'a.tif' stores its 3 images as the colours of one; they were taken as planes"):
        series = read_image(path)
    assert series.axes == "ZYX"
    np.testing.assert_array_equal(series.stack(), STACK[:3])

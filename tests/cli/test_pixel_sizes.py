"""Pixel sizes that a file states wrongly: asked about, and mended with an option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_deepz import Flat, load_model, read_image, refocus
from napari_deepz.io.reading import read_provenance
from tests.cli.conftest import Run
from tests.conftest import write_tiny_model

OBLONG = "The pixels of 'a.ome.tif' are stored as 0.325 µm wide but 1 µm high"
HUGE = "The pixel size stored in 'a.ome.tif', 325 µm, is none that a microscope has"
FILES = pytest.mark.parametrize(
    ("x_um", "y_um", "problem"), [(0.325, 1.0, OBLONG), (325.0, 325.0, HUGE)]
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


def write_stack_of(path: Path, x_um: float, y_um: float, rng: np.random.Generator) -> np.ndarray:
    pixels = rng.poisson(rng.gamma(2, 40, (3, 48, 64))).astype(np.uint16)
    sizes = {"PhysicalSizeX": x_um, "PhysicalSizeY": y_um, "PhysicalSizeZ": 0.5}
    tifffile.imwrite(path, pixels, metadata={"axes": "ZYX", **sizes})
    return pixels


@FILES
def test_the_option_mends_what_the_file_says(
    deepz: Run,
    model: Path,
    tmp_path: Path,
    rng: np.random.Generator,
    x_um: float,
    y_um: float,
    problem: Any,
) -> None:
    pixels = write_stack_of(tmp_path / "a.ome.tif", x_um, y_um, rng)
    said = deepz(
        *("refocus", "a.ome.tif", "o.ome.tif", "--z", "1", "--model", model, "--plane", "1"),
        *("--pixel-size", "0.325"),
        cwd=tmp_path,
    )
    assert f"Note: {problem}, so it counts as unknown." in said.stdout
    expected = refocus(pixels[1], Flat(1), load_model(model), pixel_size_um=0.325)
    written = read_image(tmp_path / "o.ome.tif")
    np.testing.assert_array_equal(written.plane(), expected.data[0])
    assert written.pixel_size_um == pytest.approx(0.325)
    assert f"{problem}, so it counts as unknown." in read_provenance(tmp_path / "o.ome.tif").notes


@FILES
def test_without_the_option_it_is_asked_for(
    deepz: Run,
    model: Path,
    tmp_path: Path,
    rng: np.random.Generator,
    x_um: float,
    y_um: float,
    problem: Any,
) -> None:
    write_stack_of(tmp_path / "a.ome.tif", x_um, y_um, rng)
    for command in (
        ("refocus", "a.ome.tif", "o.ome.tif", "--z", "1", "--plane", "1"),
        ("evaluate", "a.ome.tif", "--input-plane", "1"),
    ):
        said = deepz(*command, "--model", model, cwd=tmp_path, check=False)
        assert said.code == 1
        assert said.stderr.strip() == (
            f"Error: {problem}: give the width of a pixel in µm with --pixel-size, or correct the "
            "image."
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ome.tif", "tiny"]


def test_evaluate_takes_the_option(
    deepz: Run, model: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    write_stack_of(tmp_path / "a.ome.tif", 0.325, 1.0, rng)
    arguments = ("evaluate", "a.ome.tif", "--input-plane", "1", "--model", model)
    deepz(*arguments, "--pixel-size", "0.325", "--output", "scores", cwd=tmp_path)
    assert (tmp_path / "scores/evaluation.csv").is_file()


def test_a_pixel_size_in_nm_is_asked_about(deepz: Run, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "cells.tif", np.zeros((64, 64), np.uint16) + 3)
    said = deepz(
        *("refocus", "cells.tif", "out.ome.tif", "--z", "1", "--pixel-size", "325"),
        cwd=tmp_path,
        check=False,
    )
    assert said.code == 1
    assert said.stderr == (
        "Error: This pixel size cannot be used: --pixel-size is the width of a pixel in the sample "
        "in µm, between 0.005 and 20, not 325.\n"
    )
    assert not (tmp_path / "out.ome.tif").exists()

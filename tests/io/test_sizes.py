"""Sizes that files state and no microscope has, or that do not belong to the sample."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_deepz.io.noticing import noticing
from napari_deepz.io.reading import read_image
from napari_deepz.io.units import plausible_pixel_um, plausible_z_step_um
from tests.io.notes import noted
from tests.io.samples import STACK, write_imagej

COUNTS_AS_UNKNOWN = "so it counts as unknown"


@pytest.mark.parametrize("size_um", [0.005, 0.0065, 0.1, 0.325, 6.5, 20.0])
def test_pixels_that_a_microscope_has_are_believed(size_um: float) -> None:
    assert plausible_pixel_um("a.tif", size_um, size_um) == (size_um, None)


@pytest.mark.parametrize("size_um", [1e-6, 0.0049, 20.1, 325.0, 25400.0])
def test_pixels_that_no_microscope_has_are_not_believed(size_um: float) -> None:
    stated = f"The pixel size stored in 'a.tif', {size_um:g} µm, is none that a microscope has"
    with noticing() as notes:
        assert plausible_pixel_um("a.tif", size_um, size_um) == (None, stated)
    assert notes == [f"{stated}, {COUNTS_AS_UNKNOWN}."]


@pytest.mark.parametrize("z_um", [None, 0.005, 0.1, 0.5, 10.0, 200.0])
def test_z_steps_that_a_microscope_has_are_believed(z_um: float | None) -> None:
    assert plausible_z_step_um("a.tif", z_um) == z_um


@pytest.mark.parametrize("z_um", [1e-3, 200.1, 1000.0, 25400.0, 1e6])
def test_z_steps_that_no_microscope_has_are_not_believed(z_um: float) -> None:
    stated = f"The z step stored in 'a.tif', {z_um:g} µm, is none that a microscope has"
    with noted(re.escape(f"{stated}, {COUNTS_AS_UNKNOWN}")):
        assert plausible_z_step_um("a.tif", z_um) is None


@pytest.mark.parametrize(
    ("z_step", "unit", "stated"),
    [(1.0, "mm", "1000"), (0.3, "cm", "3000"), (1.0, "m", "1e\\+06"), (0.5, "pm", "5e-07")],
)
def test_an_ome_z_step_in_the_wrong_unit_is_asked_about(
    tmp_path: Path, z_step: float, unit: str, stated: str
) -> None:
    metadata = {"axes": "ZYX", "PhysicalSizeZ": z_step, "PhysicalSizeZUnit": unit}
    metadata |= {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=metadata)
    with noted(f"The z step stored in 'a.ome.tif', {stated} µm"):
        series = read_image(tmp_path / "a.ome.tif")
    assert (series.pixel_size_um, series.z_step_um) == (0.1, None)


def test_the_z_step_of_a_single_plane_is_not_asked_about(tmp_path: Path) -> None:
    metadata = {"axes": "YX", "PhysicalSizeZ": 25400.0}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK[0], metadata=metadata)
    assert read_image(tmp_path / "a.ome.tif").z_step_um is None


@pytest.mark.parametrize(("unit", "pixel_um"), [("mm", 1000), ("nm", 0.001), ("m", 1e6)])
def test_an_imagej_pixel_size_in_the_wrong_unit_is_asked_about(
    tmp_path: Path, unit: str, pixel_um: float
) -> None:
    write_imagej(tmp_path / "ij.tif", STACK, axes="ZYX", unit=unit)
    with noted(re.escape(f"stored in 'ij.tif', {pixel_um:g}")):
        series = read_image(tmp_path / "ij.tif")
    assert series.pixel_size_um is None
    assert "ij.tif" in (series.pixel_size_problem or "")


@pytest.mark.parametrize(
    ("metadata", "pixels_per_unit", "expected_um"),
    [
        ({"unit": "micron", "yunit": "nm"}, (10.0, 0.01), 0.1),
        ({"unit": "mm", "yunit": "um"}, (10000.0, 10.0), 0.1),
        ({"unit": "um", "yunit": "um"}, (10.0, 10.0), 0.1),
        ({"unit": "um", "yunit": "pixel"}, (10.0, 1.0), None),
        ({"unit": "um", "yunit": "inch"}, (10.0, 72.0), None),
    ],
)
def test_imagej_may_give_y_a_unit_of_its_own(
    tmp_path: Path,
    metadata: dict[str, Any],
    pixels_per_unit: tuple[float, ...],
    expected_um: float | None,
) -> None:
    path = tmp_path / "ij.tif"
    write_imagej(path, STACK, pixels_per_unit=pixels_per_unit, axes="ZYX", **metadata)
    size = read_image(path).pixel_size_um
    assert size == (None if expected_um is None else pytest.approx(expected_um, rel=1e-4))


def test_a_z_step_with_a_unit_of_its_own_outlives_a_left_over_inch(tmp_path: Path) -> None:
    path = tmp_path / "ij.tif"
    metadata: dict[str, Any] = {"unit": "inch", "zunit": "um", "spacing": 0.3}
    write_imagej(path, STACK, pixels_per_unit=(72.0, 72.0), axes="ZYX", **metadata)
    series = read_image(path)
    assert (series.pixel_size_um, series.z_step_um) == (None, 0.3)


def test_a_spacing_left_at_1_beside_a_true_pixel_size_in_inches_is_asked_about(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ij.tif"
    write_imagej(
        path, STACK, pixels_per_unit=(254000.0, 254000.0), axes="ZYX", unit="inch", spacing=1.0
    )
    with noted("The z step stored in 'ij.tif', 25400 µm"):
        series = read_image(path)
    assert series.pixel_size_um == pytest.approx(0.1)
    assert series.z_step_um is None


@pytest.mark.parametrize(("x_um", "y_um"), [(0.325, 1.0), (1.0, 0.325), (0.1, 0.102), (0.2, 200)])
def test_pixels_that_are_not_square_are_said_and_asked_about(
    tmp_path: Path, x_um: float, y_um: float
) -> None:
    metadata = {"axes": "ZYX", "PhysicalSizeX": x_um, "PhysicalSizeY": y_um}
    metadata |= {"PhysicalSizeZ": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=metadata)
    stated = f"stored as {x_um:.4g} µm wide but {y_um:.4g} µm high"
    with noted(f"{stated}, {COUNTS_AS_UNKNOWN}"):
        series = read_image(tmp_path / "a.ome.tif")
    assert (series.pixel_size_um, series.z_step_um) == (None, 0.5)
    assert stated in (series.pixel_size_problem or "")
    np.testing.assert_array_equal(series.stack(), STACK)


def test_a_png_of_oblong_pixels_is_said(tmp_path: Path) -> None:
    dots = (25400 / 0.325, 25400 / 0.65)
    Image.fromarray(STACK[0]).save(tmp_path / "a.png", dpi=dots)
    with noted("'a.png' are stored as 0.325 µm wide but 0.65 µm"):
        series = read_image(tmp_path / "a.png")
    assert series.pixel_size_um is None


def test_resolution_tags_in_cm_that_no_microscope_has_are_asked_about(tmp_path: Path) -> None:
    per_cm = 1e4 / 0.0001
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], resolution=(per_cm, per_cm), resolutionunit=3)
    with noted("stored in 'a.tif', 0.0001 µm"):
        assert read_image(tmp_path / "a.tif").pixel_size_um is None


@pytest.mark.parametrize("unit", ["inch", "cm"])
def test_left_over_print_resolutions_are_unknown_without_a_word(tmp_path: Path, unit: str) -> None:
    dots = {"inch": (72, 2), "cm": (28.346, 3)}[unit]
    tifffile.imwrite(
        tmp_path / "a.tif", STACK[0], resolution=(dots[0],) * 2, resolutionunit=dots[1]
    )
    series = read_image(tmp_path / "a.tif")
    assert (series.pixel_size_um, series.pixel_size_problem) == (None, None)

"""Intensities stored as whole numbers with a scale and an offset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_deepz import read_image
from napari_deepz.io.packing import Packing


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-300.5, 61_000), (3.2, 3.2001), (-5, 5)])
def test_what_is_packed_comes_back_within_half_a_step(
    low: float, high: float, rng: np.random.Generator
) -> None:
    packing = Packing.for_range(low, high)
    values = rng.uniform(low, high, 1000).astype("f4")
    stored, beyond = packing.pack(values)
    assert (stored.dtype.name, beyond) == ("uint16", 0)
    allowed = 0.51 * packing.scale + 2e-7 * max(abs(low), abs(high))
    np.testing.assert_allclose(packing.unpack(stored), values, atol=allowed)
    assert packing.scale <= max(high - low, 1e-6) / 65535 * 2


def test_what_lies_beyond_is_counted_and_cut() -> None:
    packing = Packing(0.5, 10)
    stored, beyond = packing.pack(np.array([9, 10, 40_000, 10_010.5, np.nan], "f4"))
    assert stored.tolist() == [0, 0, 65535, 20_001, 0]
    assert beyond == 3


def written(folder: Path, attributes: dict[str, Any], pixels: np.ndarray) -> Path:
    """As another program writes it."""
    group = zarr.create_group(str(folder), zarr_format=3)
    array = group.create_array("0", shape=pixels.shape, dtype=pixels.dtype, attributes=attributes)
    array[:] = pixels
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1, 1, 1]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return folder


def test_packed_arrays_of_others_are_read_as_the_intensities_they_stand_for(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    pixels = rng.integers(0, 4000, (3, 40, 48)).astype("i2")
    packed = written(tmp_path / "a.zarr", {"scale_factor": 0.25, "add_offset": -7}, pixels)
    np.testing.assert_allclose(read_image(packed).stack(), pixels * 0.25 - 7)
    scaled = written(tmp_path / "b.zarr", {"scale_factor": 2}, pixels)
    np.testing.assert_allclose(read_image(scaled).plane(z=1), pixels[1] * 2)


@pytest.mark.parametrize(
    "attributes",
    [
        *({"scale_factor": -1}, {"scale_factor": "wide"}, {"scale_factor": [2]}),
        *({"scale_factor": 2, "add_offset": "low"}, {"add_offset": 3}),
        {"scale_factor": 2, "add_offset": True},
    ],
)
def test_what_says_nothing_of_that_kind_changes_nothing(
    attributes: dict[str, Any], tmp_path: Path, rng: np.random.Generator
) -> None:
    pixels = rng.integers(0, 4000, (3, 40, 48)).astype("u2")
    series = read_image(written(tmp_path / "a.zarr", attributes, pixels))
    np.testing.assert_array_equal(series.stack(), pixels)
    assert series.data.dtype == np.uint16


def test_numbers_with_a_fraction_are_taken_as_they_are(tmp_path: Path) -> None:
    pixels = np.full((2, 40, 48), 0.5, "f4")
    series = read_image(written(tmp_path / "a.zarr", {"scale_factor": 2}, pixels))
    assert series.stack().max() == 0.5

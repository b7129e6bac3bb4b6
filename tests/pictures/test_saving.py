"""A stack as a picture or a movie, from Python and at the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_deepz.cli import app
from napari_deepz.io.reading import read_provenance
from napari_deepz.io.writing import write_stack
from napari_deepz.pictures.saving import FlatPlanes, save_picture
from napari_deepz.provenance import Provenance
from napari_deepz.watch import Cancelled, Watch

Z_UM = (-2.0, -1.0, 0.0, 1.0)
RECORD = Provenance(kind="inferred", model_name="tiny", model_version="1", axial_range_um=(-2, 1))


@pytest.fixture
def planes(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, 1000, (4, 40, 48)).astype(np.float32)


def shown(planes: np.ndarray, record: Provenance = RECORD) -> FlatPlanes:
    return FlatPlanes(planes, Z_UM, 0.325, "cells", record)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("inferred", "INFERRED by tiny 1 from one image, not measured"),
        ("simulated", "SIMULATED, not measured"),
        ("measured", "measured"),
    ],
)
def test_who_made_the_planes_is_said(planes: np.ndarray, kind: str, said: str) -> None:
    assert shown(planes, RECORD.model_copy(update={"kind": kind})).origin == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "INFERRED by tiny 1 from 2 images, not measured"),
        ({"merge": "linear"}, "INTERPOLATED between 2 images, not measured"),
        ({"spread": True}, "HOW FAR virtual planes of 2 images may be off, not measured"),
    ],
)
def test_titles_say_what_was_made_of_several_planes(
    planes: np.ndarray, changes: dict[str, object], said: str
) -> None:
    record = RECORD.model_copy(update={"further_inputs": ("z 3",), "merge": "distance", **changes})
    assert shown(planes, record).origin == said


def test_a_picture_keeps_its_record(planes: np.ndarray, tmp_path: Path) -> None:
    save_picture(shown(planes), tmp_path / "a.png")
    assert read_provenance(tmp_path / "a.png") == RECORD


def test_a_sweep_goes_there_and_back(planes: np.ndarray, tmp_path: Path) -> None:
    told: list[int] = []
    watch = Watch(on_progress=lambda progress: told.append(progress.total))
    save_picture(shown(planes), tmp_path / "a.gif", watch=watch)
    with Image.open(tmp_path / "a.gif") as movie:
        assert movie.n_frames == 6  # type: ignore[attr-defined]
    assert told == [6] * 6


def test_what_cannot_be_shown_is_a_sentence(planes: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'a\.bmp' is no picture or movie"):
        save_picture(shown(planes), tmp_path / "a.bmp")
    with pytest.raises(ValueError, match="'cells' has one plane only"):
        save_picture(shown(planes[:1]), tmp_path / "a.gif")
    with pytest.raises(Cancelled):
        save_picture(shown(planes), tmp_path / "a.gif", watch=Watch(lambda: True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".png", ".gif"])
def test_the_command_shows_a_stack(planes: np.ndarray, tmp_path: Path, ending: str) -> None:
    stack, output = tmp_path / "stack.ome.tif", tmp_path / f"shown{ending}"
    write_stack(
        stack,
        planes,
        count=4,
        shape=(40, 48),
        pixel_size_um=0.325,
        z_step_um=1,
        z_start_um=-2,
        name="cells",
        provenance=RECORD,
    )
    result = CliRunner().invoke(app, ["picture", str(stack), str(output)])
    assert result.exit_code == 0, result.output
    expected = tmp_path / f"expected{ending}"
    save_picture(replace(shown(planes), name="stack"), expected)
    with Image.open(output) as found, Image.open(expected) as wanted:
        assert found.size == wanted.size
        np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))
    again = CliRunner().invoke(app, ["picture", str(stack), str(stack)])
    assert "which is never changed" in str(again.exception)

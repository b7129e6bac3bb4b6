"""Several input planes on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_deepz as dz
from napari_deepz.io.reading import read_provenance
from napari_deepz.samples import WORM
from tests.cli.conftest import Run
from tests.conftest import write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    series = dz.read_image(WORM)
    for z in (8, 12):
        tifffile.imwrite(tmp_path / f"z {z}.tif", series.plane(z=z))
    return ["z 8.tif", "z 12.tif"]


def test_planes_of_a_stack_lie_where_its_z_step_says(
    deepz: Run, model: Path, tmp_path: Path
) -> None:
    options = ("--z=-1:5:2", f"--model={model}", "--merge=distance")
    said = deepz("refocus", WORM, "a.ome.tif", "--planes", "8,12", *options, cwd=tmp_path)
    assert "2 input planes, merge distance, tiny on CPU" in said.stdout
    series = dz.read_image(WORM)
    planes = dz.EncodedPlanes(
        [series.plane(z=z) for z in (8, 12)],
        (0, 4),
        dz.load_model(model),
        sampling=series.sampling(0),
    )
    found = dz.read_image(tmp_path / "a.ome.tif").stack()
    np.testing.assert_array_equal(found, planes.refocus(dz.Flat(-1, 5, 2)).data)


def test_frames_of_a_fast_drive_lie_where_it_is_said(
    deepz: Run, model: Path, tmp_path: Path
) -> None:
    series = dz.read_image(WORM)
    frames = np.stack([series.plane(z=z) for z in (8, 12, 5)])
    tifffile.imwrite(tmp_path / "drive.ome.tif", frames, metadata={"axes": "TYX"})
    options = ("--z=-1:5:2", f"--model={model}", "--pixel-size=0.325")
    deepz(
        *("refocus", "drive.ome.tif", "a.ome.tif", "--planes=0,1,2", "--at=0,4,-3", *options),
        cwd=tmp_path,
    )
    record = read_provenance(tmp_path / "a.ome.tif")
    assert record is not None
    assert record.further_inputs == ("drive.ome.tif, t 1, at 4 µm", "drive.ome.tif, t 2, at -3 µm")
    deepz("refocus", WORM, "b.ome.tif", "--planes=8,12,5", *options, cwd=tmp_path)
    one, other = (dz.read_image(tmp_path / f"{name}.ome.tif").stack() for name in "ab")
    np.testing.assert_array_equal(one, other)
    deepz("refocus", "--again", "a.ome.tif", "c.ome.tif", cwd=tmp_path)
    np.testing.assert_array_equal(dz.read_image(tmp_path / "c.ome.tif").stack(), one)
    for wrong, words in (
        (("--planes=0,1",), "'drive' is a movie; say where its frames were taken"),
        (("--planes=0,3", "--at=0,4"), "'drive' has 3 frames, counted from 0"),
        (("--planes=0,1", "--at=0,4", "--time=1"), "leave --time out"),
    ):
        refused = deepz(
            *("refocus", "drive.ome.tif", "d.ome.tif", *wrong, *options),
            cwd=tmp_path,
            check=False,
        )
        assert words in refused.stderr.replace("\n", " ")


def test_files_lie_where_it_is_said(
    deepz: Run, model: Path, files: list[str], tmp_path: Path
) -> None:
    options = ("--z=-1:5:2", f"--model={model}", "--pixel-size=0.325")
    deepz("refocus", *files, "a.ome.tif", "--at=0,4", *options, cwd=tmp_path)
    deepz("refocus", WORM, "b.ome.tif", "--planes=8,12", *options, cwd=tmp_path)
    one, other = (dz.read_image(tmp_path / f"{name}.ome.tif").stack() for name in "ab")
    np.testing.assert_array_equal(one, other)
    deepz("refocus", "--again", "a.ome.tif", "c.ome.tif", cwd=tmp_path)
    np.testing.assert_array_equal(dz.read_image(tmp_path / "c.ome.tif").stack(), one)


def test_an_unknown_distance_is_estimated(deepz: Run, files: list[str], tmp_path: Path) -> None:
    said = deepz(
        *("refocus", *files, "a.ome.tif", "--at=0,deeper", "--z=0:4:2", "--pixel-size=0.325"),
        cwd=tmp_path,
    )
    assert "Plane 2 lies 4.8 ± 0.9 µm deeper than the first: so far as" in said.stdout
    wrong = deepz(
        *("refocus", *files, "w.ome.tif", "--at=0,shallower", "--z=0:4:2", "--pixel-size=0.325"),
        cwd=tmp_path,
        check=False,
    )
    assert "looks as if it lay 4.8 ± 0.9 µm deeper" in wrong.stderr
    assert not (tmp_path / "w.ome.tif").exists()
    blank = np.full((64, 64), 7, np.uint16)
    for name in ("x.tif", "y.tif"):
        tifffile.imwrite(tmp_path / name, blank)
    refused = deepz(
        *("refocus", "x.tif", "y.tif", "b.ome.tif", "--at=0,shallower", "--z=1"),
        cwd=tmp_path,
        check=False,
    )
    assert "cannot be told from the images" in refused.stderr


def test_a_plane_of_a_stack_and_a_file_of_one_plane(
    deepz: Run, files: list[str], model: Path, tmp_path: Path
) -> None:
    options = ("--at=0,4", "--z=-1:5:2", f"--model={model}", "--pixel-size=0.325")
    deepz("refocus", WORM, files[1], "a.ome.tif", "--plane=8", *options, cwd=tmp_path)
    deepz("refocus", WORM, "b.ome.tif", "--planes=8,12", *options, cwd=tmp_path)
    one, other = (dz.read_image(tmp_path / f"{name}.ome.tif").stack() for name in "ab")
    np.testing.assert_array_equal(one, other)


def test_files_of_other_magnifications_are_refused(deepz: Run, tmp_path: Path) -> None:
    for name, pixel_um in (("one.ome.tif", 0.325), ("two.ome.tif", 0.65)):
        sizes = {"PhysicalSizeX": pixel_um, "PhysicalSizeY": pixel_um}
        image = dz.read_image(WORM).plane(z=8)
        tifffile.imwrite(tmp_path / name, image, metadata={"axes": "YX", **sizes})
    said = deepz(
        *("refocus", "one.ome.tif", "two.ome.tif", "a.ome.tif", "--at=0,3", "--z=1"),
        cwd=tmp_path,
        check=False,
    )
    assert "pixels of 0.325 and 0.65 µm" in said.stderr


def test_how_far_it_may_be_off_is_written_where_it_is_asked_for(
    deepz: Run, model: Path, tmp_path: Path
) -> None:
    options = ("--z=-1:5:2", f"--model={model}", "--spread")
    said = deepz("refocus", WORM, "a.ome.tif", "--planes=8,12", *options, cwd=tmp_path)
    assert "how far they may be off, 2 input planes, merge distance" in said.stdout
    assert "is no percentage" in said.stdout.replace("\n", " ")
    series = dz.read_image(WORM)
    pixels = [series.plane(z=z) for z in (8, 12)]
    planes = dz.EncodedPlanes(pixels, (0, 4), dz.load_model(model), sampling=series.sampling(0))
    expected = planes.spread().refocus(dz.Flat(-1, 5, 2)).data
    np.testing.assert_array_equal(dz.read_image(tmp_path / "a.ome.tif").stack(), expected)
    for wrong, words in (
        (("--planes=8,12", "--merge=linear"), "of the merge 'linear' may be off; use 'blended'"),
        (("--plane=8",), "One input plane does not say how far"),
    ):
        refused = deepz("refocus", WORM, "b.ome.tif", *wrong, *options, cwd=tmp_path, check=False)
        assert words in refused.stderr.replace("\n", " ")
        assert not (tmp_path / "b.ome.tif").exists()


def test_interpolation_says_so_and_what_lies_beyond(deepz: Run, tmp_path: Path) -> None:
    options = ("--planes=8,12", "--z=-2:4:1", "--merge=linear")
    said = deepz("refocus", WORM, "a.ome.tif", *options, cwd=tmp_path)
    assert "2 input planes, interpolated" in said.stdout
    assert "no network was used" in said.stdout
    assert "2 of 7 planes lie beyond the measured ones, 0 to 4 µm" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("W", "--planes=8"), "--planes takes two planes or more"),
        (("W", "--planes=8,99"), "'worm' has 21 planes, counted from 0: there is no plane 99."),
        (("W", "--planes=8;12"), "numbers such as 8,14,20, not '8;12'"),
        (("W", "--planes=8,12", "--plane=3"), "leave --plane out"),
        (("W", "W", "--planes=8,12"), "leave several files out"),
        (("W", "--planes=8,8"), "depths that are all different"),
        (("W", "--planes=8,12", "--at=0"), "2 planes and 1 depths"),
        (("W", "--planes=8,12", "--at=0,down"), "depths in µm such as 0,3,6"),
        (("W", "--planes=8,12", "--at=0,nan"), "not 'nan'"),
        (("W", "--plane=8", "--at=0"), "leave it out"),
        (("W", "--plane=8", "--merge=linear"), "nothing to merge"),
        (("W", "--planes=8,12", "--merge=mean"), "'mean' is not known; use 'blended'"),
        (("z 8.tif", "z 12.tif"), "--at 0,3 if the second lies 3 µm deeper"),
        (("z 8.tif", "none.tif", "--at=0,3"), "There is no file"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    deepz: Run, files: list[str], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    given = [str(WORM) if word == "W" else word for word in arguments]
    names = [word for word in given if not word.startswith("--")]
    options = [word for word in given if word.startswith("--")]
    said = deepz("refocus", *names, "a.ome.tif", "--z=0:2:1", *options, cwd=tmp_path, check=False)
    assert said.code == 1
    assert words in said.stderr
    assert not (tmp_path / "a.ome.tif").exists()

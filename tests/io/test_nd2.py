"""ND2 files, read by the package nd2."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from napari_deepz.images import ImageFileError
from napari_deepz.io.reading import read_image, read_provenance
from tests.io.nd2_files import positions, time_loop, write_nd2, z_stack
from tests.io.notes import noted

pytest.importorskip("nd2", reason="needs the extra napari-deepz[bioio]")

CHANNELS = (("GFP", 510.0), ("mCherry", 610.0))


def numbered(*shape: int, dtype: Any = np.uint16) -> Any:
    return np.arange(np.prod(shape)).astype(dtype).reshape(shape)


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    loops = [time_loop(3, planned_ms=1000.0, measured_ms=1250.0), z_stack(4, 0.4)]
    return write_nd2(tmp_path / "worm.nd2", numbered(3, 4, 2, 6, 7), loops, channels=CHANNELS)


def test_every_plane_lies_where_it_was_taken(movie: Path) -> None:
    series = read_image(movie)
    assert (series.axes, series.data.shape, series.name) == ("TCZYX", (3, 2, 4, 6, 7), "worm")
    stored = numbered(3, 4, 2, 6, 7)
    for t, c, z in np.ndindex(3, 2, 4):
        np.testing.assert_array_equal(series.plane(t=t, c=c, z=z), stored[t, z, c])
    assert series.notes == ()


def test_sizes_and_optics_are_those_that_the_file_states(movie: Path) -> None:
    series = read_image(movie)
    assert series.pixel_size_um == 0.25
    assert series.z_step_um == pytest.approx(0.4)
    assert series.t_step_s == 1.25
    assert series.channel_names == ("GFP", "mCherry")
    assert (series.na, series.immersion_index) == (1.4, 1.515)
    assert series.wavelengths_um == (0.51, 0.61)
    assert read_provenance(movie) is None


def test_the_planned_time_step_counts_where_none_was_measured(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", numbered(2, 1, 4, 5), [time_loop(2, planned_ms=20.0)])
    series = read_image(path)
    assert (series.axes, series.t_step_s) == ("TYX", 0.02)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_single_plane(tmp_path: Path, dtype: Any) -> None:
    stored = numbered(1, 5, 4, dtype=dtype)
    series = read_image(write_nd2(tmp_path / "a.nd2", stored, []))
    assert (series.axes, series.data.dtype) == ("YX", dtype)
    np.testing.assert_array_equal(series.plane(), stored[0])


@pytest.mark.parametrize("inside", [False, True])
def test_of_several_positions_the_first_is_read(tmp_path: Path, inside: bool) -> None:
    stored = numbered(3, 2, 1, 4, 5)
    loops = [positions(3), time_loop(2, planned_ms=10.0)]
    if inside:
        stored, loops = stored.swapaxes(0, 1), loops[::-1]
    path = write_nd2(tmp_path / "a.nd2", stored, loops)
    series = read_image(path)
    assert series.notes == ("'a.nd2' holds 3 images of which only the first was read.",)
    expected = stored[:, 0, 0] if inside else stored[0, :, 0]
    np.testing.assert_array_equal(np.asarray(series.data), expected)


def test_frames_that_were_never_taken_are_not_given_out(tmp_path: Path) -> None:
    loops = [time_loop(3, planned_ms=10.0), z_stack(2, 1.0)]
    path = write_nd2(tmp_path / "a.nd2", numbered(3, 2, 2, 4, 5), loops, channels=CHANNELS, taken=5)
    with noted(r"1 of 6 planes of 'a\.nd2' are missing"):
        series = read_image(path)
    np.testing.assert_array_equal(series.plane(t=2, c=1, z=0), numbered(3, 2, 2, 4, 5)[2, 0, 1])
    with pytest.raises(ValueError, match="never taken"):
        series.plane(t=2, c=1, z=1)


def test_colours_of_one_fluorescence_become_it_and_others_are_refused(tmp_path: Path) -> None:
    grey = numbered(1, 4, 5)
    one = np.concatenate([grey * 0, grey, grey * 0])
    series = read_image(write_nd2(tmp_path / "a.nd2", one, []))
    assert series.axes == "YX"
    np.testing.assert_array_equal(series.plane(), grey[0])
    many = np.concatenate([grey, grey + 1, grey + 2])
    with pytest.raises(ImageFileError, match="is a colour image"):
        read_image(write_nd2(tmp_path / "b.nd2", many, []))


def test_a_description_that_nd2_cannot_read_leaves_the_pixels(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", numbered(1, 4, 5), [])
    path.write_bytes(path.read_bytes().replace(b"dCalibration", b"xCalibration"))
    with noted("so its sizes and optics count as unknown"):
        series = read_image(path)
    assert (series.pixel_size_um, series.na) == (None, None)
    np.testing.assert_array_equal(series.plane(), numbered(1, 4, 5)[0])


def test_uncalibrated_pixels_have_no_size(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", numbered(1, 4, 5), [])
    known = b'<bCalibrated runtype="bool" value="true"/>'
    assert known in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(known, known.replace(b"true", b"0000")))
    assert read_image(path).pixel_size_um is None


def test_the_file_is_closed_in_between_and_must_stay_the_same(movie: Path) -> None:
    series = read_image(movie)
    series.plane()
    assert movie not in [Path(file.path) for file in psutil.Process().open_files()]
    movie.write_bytes(movie.read_bytes() + b"more")
    with pytest.raises(ImageFileError, match="was changed after it was opened"):
        series.plane()
    movie.unlink()
    with pytest.raises(ImageFileError, match="was moved or deleted"):
        series.plane()


def test_damaged_and_foreign_files_are_said(movie: Path, tmp_path: Path) -> None:
    whole = movie.read_bytes()
    for part in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.nd2").write_bytes(whole[:part])
        with pytest.raises(ImageFileError, match=r"'cut\.nd2' is not an ND2 file of Nikon, or it"):
            read_image(tmp_path / "cut.nd2")
    (tmp_path / "text.nd2").write_text("not an image")
    with pytest.raises(ImageFileError, match="is not an ND2 file"):
        read_image(tmp_path / "text.nd2")


def test_any_byte_may_be_wrong(movie: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    whole = np.frombuffer(movie.read_bytes(), np.uint8)
    for _ in range(40):
        broken = whole.copy()
        broken[rng.integers(len(whole), size=300)] = rng.integers(256, size=300)
        (tmp_path / "a.nd2").write_bytes(broken.tobytes())
        with suppress(ImageFileError):
            read_image(tmp_path / "a.nd2").stack()


def test_without_its_package_the_extra_is_named(
    movie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nd2", None)
    with pytest.raises(ImageFileError, match=r"napari-deepz\[bioio\]"):
        read_image(movie)

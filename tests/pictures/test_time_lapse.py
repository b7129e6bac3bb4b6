"""Movies over time, decoded again: a spot that moves sideways and in depth."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from typer.testing import CliRunner

from napari_deepz.cli import app
from napari_deepz.images import ImageSeries
from napari_deepz.io.movie_frames import FRAMES, WrittenFrame
from napari_deepz.io.reading import read_provenance
from napari_deepz.io.writing import write_stack
from napari_deepz.pictures.over_time import depth_legend, time_label
from napari_deepz.pictures.time_lapse import TimeLapse, save_time_lapse
from napari_deepz.provenance import Provenance
from napari_deepz.watch import Cancelled, Watch
from tests.pictures.test_movie import BOTH, pictures_in

RECORD = Provenance(kind="inferred", model_name="tiny", model_version="1", axial_range_um=(-4, 4))
Z_UM = (-4.0, -2.0, 0.0, 2.0, 4.0)
SIDE, ENLARGED, SPOT = 80, 6, 8
# Where the spot is in each frame: its plane, row and column.
PATH = [(0, 30, 10), (1, 30, 24), (2, 40, 38), (3, 50, 52), (4, 50, 30), (2, 30, 30)]


def spots() -> Any:
    pixels = np.full((len(PATH), len(Z_UM), SIDE, SIDE), 100, np.float32)
    for t, (z, y, x) in enumerate(PATH):
        pixels[t, z, y : y + SPOT, x : x + SPOT] = 1000
    return pixels


def movie(pixels: Any = None, **changes: Any) -> TimeLapse:
    pixels = spots() if pixels is None else pixels
    series = ImageSeries(pixels, "TZYX", 0.5, 2.0, 0.25, "worm")
    return replace(TimeLapse(series, 0, Z_UM, None, 0.5, RECORD), **changes)


def place_of(frame: Any) -> tuple[float, float]:
    """Centre of what is bright in the picture, below its label, in pixels of the image."""
    bright = frame[60:400, : SIDE * ENLARGED].max(axis=2) > 45
    rows, columns = np.nonzero(bright)
    return (rows.mean() + 60) / ENLARGED, columns.mean() / ENLARGED


@pytest.mark.parametrize("name", BOTH)
def test_the_spot_is_where_it_was_in_the_colour_of_its_depth(tmp_path: Path, name: str) -> None:
    save_time_lapse(movie(frames_per_s=5), tmp_path / name)
    frames, frames_per_s = pictures_in(tmp_path / name)
    assert len(frames) == len(PATH)
    assert frames_per_s == pytest.approx(5, rel=0.05)
    for frame, (z, y, x) in zip(frames, PATH, strict=True):
        middle = y + SPOT / 2, x + SPOT / 2
        assert place_of(frame) == pytest.approx(middle, abs=0.5)
        row, column = (round(part * ENLARGED) for part in middle)
        expected = 255 * np.array(colormaps["turbo"](z / 4)[:3])
        found = frame[row - 6 : row + 6, column - 6 : column + 6].mean(axis=(0, 1))
        assert np.abs(found - expected).max() <= (12 if name.endswith("mp4") else 25), z
    assert read_provenance(tmp_path / name) == RECORD


@pytest.mark.parametrize("name", BOTH)
def test_one_depth_alone_is_played_in_grey(tmp_path: Path, name: str) -> None:
    save_time_lapse(movie(plane=2), tmp_path / name)
    frames, _ = pictures_in(tmp_path / name)
    assert len(frames) == len(PATH)
    for t, (z, y, x) in enumerate(PATH):
        row, column = (round((part + SPOT / 2) * ENLARGED) for part in (y, x))
        assert (frames[t, row, column] > 200).all() == (z == 2)
        assert np.ptp(frames[t, row, column].astype(int)) <= 4


def test_the_range_of_intensities_is_the_same_in_all_frames(tmp_path: Path) -> None:
    pixels = spots()
    pixels[:, 2] = pixels.max(axis=1)
    pixels[1::2] = 100 + (pixels[1::2] - 100) / 2
    save_time_lapse(movie(pixels, plane=2), tmp_path / "a.gif")
    save_time_lapse(movie(pixels), tmp_path / "b.gif")
    for path in ("a.gif", "b.gif"):
        frames, _ = pictures_in(tmp_path / path)
        peaks = []
        for t in (2, 5):
            _, y, x = PATH[t]
            row, column = (round((part + SPOT / 2) * ENLARGED) for part in (y, x))
            peaks.append(frames[t, row, column].max())
        assert peaks[1] == pytest.approx(peaks[0] / 2, abs=20)


def test_labels_and_legend_tell_time_and_depth(tmp_path: Path) -> None:
    save_time_lapse(movie(), tmp_path / "a.gif")
    frames, _ = pictures_in(tmp_path / "a.gif")
    labels = frames[:, :60, :400]
    assert all((label.min(axis=2) > 200).sum() > 100 for label in labels)
    assert len({label.tobytes() for label in labels}) == len(PATH)
    legends = frames[:, :, SIDE * ENLARGED :]
    assert (legends == legends[0]).all()
    legend = depth_legend(Z_UM, 480, 20)
    colours = legend[:, 15]
    lit = np.flatnonzero(colours.max(axis=1) > 40)
    assert (colours[lit[0], 0], colours[lit[-1], 2]) > (100, 50)
    assert depth_legend(Z_UM, 12, 10).shape[0] == 12


@pytest.mark.parametrize(
    ("t", "step", "said"),
    [
        (3, 0.25, "t = 0.75 s"),
        (3, 1.0, "t = 3.0 s"),
        (1234, 0.01, "t = 12.340 s"),
        (2, 60.0, "t = 120 s"),
        (7, None, "time point 7"),
    ],
)
def test_times_are_written_as_finely_as_they_differ(t: int, step: Any, said: str) -> None:
    assert time_label(t, step) == said


def test_memory_does_not_grow_with_the_movie(tmp_path: Path) -> None:
    class Endless:
        """A movie that is made when it is asked for."""

        dtype = np.dtype(np.float32)

        def __init__(self, times: int) -> None:
            self.shape = (times, len(Z_UM), 256, 256)

        def __getitem__(self, key: Any) -> Any:
            return np.full(self.shape[1:], key[0] % 7, np.float32)[key[1:]]

    peaks = []
    for times in (40, 160):
        tracemalloc.start()
        save_time_lapse(movie(Endless(times), plane=0), tmp_path / f"{times}.gif")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1e6


def test_what_cannot_be_played_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"let it end with \.mp4 or \.gif"):
        save_time_lapse(movie(), tmp_path / "a.png")
    with pytest.raises(ValueError, match="'worm' has one time point only"):
        save_time_lapse(movie(spots()[:1]), tmp_path / "a.gif")
    with pytest.raises(ValueError, match="cannot show 1000 frames in a second"):
        save_time_lapse(movie(frames_per_s=1000), tmp_path / "a.gif")
    with pytest.raises(Cancelled):
        save_time_lapse(movie(), tmp_path / "a.gif", watch=Watch(lambda: True))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    path = tmp_path / "worm.ome.zarr"
    write_stack(
        path,
        spots().reshape(-1, SIDE, SIDE),
        count=len(Z_UM),
        t_count=len(PATH),
        shape=(SIDE, SIDE),
        pixel_size_um=0.5,
        z_step_um=2,
        z_start_um=-4,
        t_step_s=0.25,
        name="worm",
        provenance=RECORD,
    )
    return path


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, ["picture", *map(str, words)])


def test_the_command_plays_a_movie(folder: Path, tmp_path: Path) -> None:
    for options, expected in (
        ((), movie()),
        (("--depth", "1.9"), movie(plane=3)),
        (("--fps", "3"), movie(frames_per_s=3)),
    ):
        done = run(folder, tmp_path / "shown.gif", *options)
        assert done.exit_code == 0, (done.output, done.exception)
        save_time_lapse(expected, tmp_path / "expected.gif")
        shown, wanted = (pictures_in(tmp_path / f"{name}.gif") for name in ("shown", "expected"))
        np.testing.assert_array_equal(shown[0], wanted[0])
        assert shown[1] == wanted[1]
        (tmp_path / "shown.gif").unlink()


def test_the_command_sweeps_through_the_focus_of_a_time_point(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path / "a.gif", "--time", "3").exit_code == 0
    frames, _ = pictures_in(tmp_path / "a.gif")
    assert len(frames) == 8
    z, y, x = PATH[3]
    row, column = (round((part + SPOT / 2) * ENLARGED) for part in (y, x))
    assert [bool(frame[row, column].min() > 200) for frame in frames[:5]] == [
        plane == z for plane in range(5)
    ]


def test_what_the_command_cannot_play_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    for words, said in (
        (("a.png",), "has 6 time points; say which one"),
        (("a.gif", "--depth", "9"), "planes of worm.ome.zarr lie from -4 to 4 µm"),
        (("a.gif", "--depth", "nan"), "planes of worm.ome.zarr lie from -4 to 4 µm"),
        (("a.gif", "--time", "1", "--depth", "0"), "--depth and --fps are for a movie"),
        (("a.png", "--fps", "2"), "--depth and --fps are for a movie"),
    ):
        refused = run(folder, tmp_path / words[0], *words[1:])
        assert said in str(refused.exception)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_an_unfinished_movie_says_which_time_points_are_missing(
    folder: Path, tmp_path: Path
) -> None:
    lines = [json.dumps(asdict(WrittenFrame(t, 0, 1, 0))) + "\n" for t in (0, 2)]
    (folder / FRAMES).write_text("".join(lines), "ascii")
    refused = run(folder, tmp_path / "a.gif")
    assert "is unfinished, and time points 1, 3 to 5 are not there yet" in str(refused.exception)
    refused = run(folder, tmp_path / "a.gif", "--time", "4")
    assert "is unfinished, and time point 4 is not there yet" in str(refused.exception)
    assert run(folder, tmp_path / "a.gif", "--time", "2").exit_code == 0


def test_a_movie_of_one_plane_is_played_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "straight.ome.tif"
    write_stack(
        path,
        spots().max(axis=1),
        count=1,
        t_count=len(PATH),
        shape=(SIDE, SIDE),
        pixel_size_um=0.5,
        z_step_um=None,
        z_start_um=None,
        name="straight",
        provenance=RECORD,
    )
    done = run(path, tmp_path / "a.gif")
    assert done.exit_code == 0, (done.output, done.exception)
    frames, _ = pictures_in(tmp_path / "a.gif")
    for frame, (_, y, x) in zip(frames, PATH, strict=True):
        assert place_of(frame) == pytest.approx((y + SPOT / 2, x + SPOT / 2), abs=0.5)

"""Movies, read back with Pillow and ffmpeg."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_deepz.atomic_files import written_beside
from napari_deepz.io.reading import read_provenance
from napari_deepz.names import plain_name
from napari_deepz.pictures.movie import _feed, write_movie
from napari_deepz.provenance import Provenance
from napari_deepz.watch import Cancelled

RECORD = Provenance(kind="inferred", model_name='a "model"; of = us', notes=("x" * 700,))
PALETTE = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 40)], 1).astype(np.uint8)
BOTH = [
    "sweep.gif",
    pytest.param(
        "sweep.mp4",
        marks=pytest.mark.skipif(
            "not __import__('importlib.util').util.find_spec('imageio_ffmpeg')",
            reason="needs imageio-ffmpeg",
        ),
    ),
]


def some_frames(count: int = 6, shape: tuple[int, ...] = (48, 64)) -> list[Any]:
    ramp = np.linspace(0, 200, shape[1]).astype(np.uint8)
    return [np.broadcast_to(ramp, shape) + np.uint8(8 * index) for index in range(count)]


def write(path: Path, frames: Any = None, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "palette": PALETTE,
        "frames_per_s": 8,
        "title": "cells: up = and; down µm",
        "provenance": RECORD,
    }
    write_movie(path, some_frames() if frames is None else frames, **(settings | changes))


def pictures_in(path: Path) -> Any:
    """Frames (n, Y, X, 3) and their rate, as other programs read them."""
    if path.suffix == ".gif":
        with Image.open(path) as movie:
            found, durations = [], set()
            for index in range(movie.n_frames):  # type: ignore[attr-defined]
                movie.seek(index)
                found.append(np.asarray(movie.convert("RGB")))
                durations.add(movie.info["duration"])
        return np.stack(found), 1000 / durations.pop()
    told = ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    facts = re.search(rb"Video: h264.*? (\d\d+)x(\d+).*? ([\d.]+) fps", told.stderr)
    width, height, frames_per_s = map(float, facts.groups())
    found = np.frombuffer(told.stdout, np.uint8)  # type: ignore[assignment]
    return found.reshape(-1, int(height), int(width), 3), frames_per_s  # type: ignore[attr-defined]


def ffmpeg(*words: Any) -> Any:
    program = pytest.importorskip(
        "imageio_ffmpeg", reason="needs the extra napari-deepz[movie]"
    ).get_ffmpeg_exe()
    return subprocess.run([program, *words], capture_output=True, check=True)


@pytest.mark.parametrize("name", BOTH)
def test_frames_and_their_rate_come_back(tmp_path: Path, name: Any) -> None:
    write(tmp_path / name)
    found, frames_per_s = pictures_in(tmp_path / name)
    expected = PALETTE[np.stack(some_frames())]
    assert found.shape == expected.shape
    allowed = 0 if name.endswith(".gif") else 6
    assert np.abs(found.astype(int) - expected).mean() <= allowed
    assert frames_per_s == pytest.approx(8, rel=0.05)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", BOTH)
def test_odd_sides(tmp_path: Path, name: Any) -> None:
    write(tmp_path / name, some_frames(shape=(31, 45)))
    found, _ = pictures_in(tmp_path / name)
    expected = PALETTE[np.stack(some_frames(shape=(31, 45)))]
    assert found.shape[1:3] == ((31, 45) if name.endswith(".gif") else (32, 46))
    assert np.abs(found[:, :31, :45].astype(int) - expected).mean() <= 6


def test_a_gif_repeats_and_carries_its_record(tmp_path: Path) -> None:
    write(tmp_path / "sweep.gif")
    with Image.open(tmp_path / "sweep.gif") as movie:
        assert movie.info["loop"] == 0
        assert Provenance.from_json(movie.info["comment"].decode()) == RECORD


def test_an_mp4_carries_its_title_and_record(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="needs the extra napari-deepz[movie]")
    write(tmp_path / "sweep.mp4")
    told = ffmpeg("-i", tmp_path / "sweep.mp4", "-f", "ffmetadata", "-")
    lines = told.stdout.decode().replace("\\=", "=").replace("\\;", ";").replace("\\\\", "\\")
    tags = dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)
    assert tags["title"] == "cells: up = and; down µm"
    assert Provenance.from_json(tags["comment"]) == RECORD


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("after", [0, 1, 5, 6])
def test_a_cancelled_movie_leaves_the_former_one(tmp_path: Path, name: Any, after: int) -> None:
    def frames() -> Iterator[Any]:
        yield from some_frames()[:after]
        raise Cancelled

    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(Cancelled):
        write(tmp_path / name, frames())
    assert (tmp_path / name).read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", BOTH)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, name: Any) -> None:
    resource = pytest.importorskip("resource", reason="Unix alone limits a process")
    rng = np.random.default_rng(0)
    noise = list(rng.integers(0, 255, (6, 300, 300), dtype=np.uint8))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(OSError, match=f"^'{name}' could not be written, nothing is left of"):
            write(tmp_path / name, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_what_ffmpeg_says_of_a_full_disk_is_said_in_our_words(tmp_path: Path) -> None:
    """As ffmpeg does it, with the address of a part of it in front."""
    complaint = "[vost#0:0/libx264 @ 0x55d] Error\n[out#0/mp4 @ 0x55d] Error closing file: {}\n"
    for cause, said in (
        ("No space left on device", "No space left on device; make room or choose another folder."),
        ("Input/output error", "Error closing file: Input/output error."),
    ):
        script = f"import sys; sys.stdin.buffer.read(); sys.exit({complaint.format(cause)!r})"
        with (
            tempfile.TemporaryFile() as file,
            pytest.raises(OSError, match=re.escape(said)),
            written_beside(tmp_path / "sweep.mp4"),
        ):
            _feed([sys.executable, "-c", script], iter(some_frames(1)), file)


@pytest.mark.parametrize("name", BOTH)
def test_no_folder(tmp_path: Path, name: Any) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        write(tmp_path / "nowhere" / name)


@pytest.mark.parametrize("name", ["sweep.avi", "sweep"])
def test_another_ending(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"end with .mp4 or .gif"):
        write(tmp_path / name)


def test_no_frames(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no frames"):
        write(tmp_path / "sweep.gif", [])


def test_mp4_without_its_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ValueError, match=r"napari-deepz\[movie\]"):
        write(tmp_path / "sweep.mp4")
    write(tmp_path / "sweep.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.gif"]


@pytest.mark.parametrize("name", BOTH)
def test_the_record_of_a_movie_is_read_where_it_is_looked_for(tmp_path: Path, name: Any) -> None:
    odd = RECORD.model_copy(update={"notes": ("a = b; c # d \\ 'e' \u00b5 {f}",)})
    write(tmp_path / name, provenance=odd)
    assert read_provenance(tmp_path / name) == odd


def test_mp4_written_before_its_package_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="needs the extra napari-deepz[movie]")
    write(tmp_path / "sweep.mp4")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ValueError, match=r"napari-deepz\[movie\]"):
        read_provenance(tmp_path / "sweep.mp4")


@pytest.mark.parametrize("name", BOTH)
def test_a_damaged_movie_has_no_record(tmp_path: Path, name: Any) -> None:
    (tmp_path / name).write_bytes(b"no movie at all")
    with pytest.raises(ValueError, match=f"{name}' is damaged or no"):
        read_provenance(tmp_path / name)


def test_another_programs_gif_has_no_record(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((8, 8), np.uint8))
    for comment in (b"", b"made with love"):
        picture.save(tmp_path / "other.gif", comment=comment)
        assert read_provenance(tmp_path / "other.gif") is None
    picture.save(tmp_path / "cut.gif", comment=RECORD.to_json()[:-5].encode())
    with pytest.raises(ValueError, match="cannot be read: it is damaged"):
        read_provenance(tmp_path / "cut.gif")


@pytest.mark.parametrize("name", BOTH)
def test_a_record_longer_than_an_argument_may_be(tmp_path: Path, name: Any) -> None:
    points = [[float(i), 2.0 * i, 0.1] for i in range(10_000)]
    record = Provenance(kind="inferred", surfaces=[{"kind": "points", "points_um": points}])
    assert len(record.to_json()) > 200_000
    write(tmp_path / name, provenance=record)
    if name.endswith(".gif"):
        with Image.open(tmp_path / name) as movie:
            assert Provenance.from_json(movie.info["comment"].decode()) == record
    else:
        told = ffmpeg("-i", tmp_path / name, "-f", "ffmetadata", "-").stdout.decode()
        text = re.search(r"^comment=(.*)$", told, re.MULTILINE)[1]  # type: ignore[index]
        assert Provenance.from_json(re.sub(r"\\(.)", r"\1", text)) == record


@pytest.mark.parametrize(
    "title", ["nul\x00 and\nlines", "lone \udcfc", "t" * 200_000, "# ; = \\ '"]
)
def test_any_title(tmp_path: Path, title: Any) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="needs the extra napari-deepz[movie]")
    write(tmp_path / "sweep.mp4", title=title)
    told = ffmpeg("-i", tmp_path / "sweep.mp4", "-f", "ffmetadata", "-").stdout.decode()
    found = re.search(r"^title=(.*)$", told, re.MULTILINE)[1]  # type: ignore[index]
    assert re.sub(r"\\(.)", r"\1", found) == plain_name(title)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("folder", ["http:", "a:b", "concat:x", "-i", "%d"])
def test_folders_that_look_like_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="needs the extra napari-deepz[movie]")
    monkeypatch.chdir(tmp_path)
    (tmp_path / folder).mkdir()
    write(Path(folder) / "sweep.mp4")
    assert pictures_in(tmp_path / folder / "sweep.mp4")[0].shape == (6, 48, 64, 3)

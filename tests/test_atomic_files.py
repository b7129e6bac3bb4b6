"""A file or folder is complete or not there, whatever happens, and nothing else stays behind."""

from __future__ import annotations

import os
import platform
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from napari_deepz import atomic_files
from napari_deepz.atomic_files import (
    WriteError,
    clear_leftovers,
    is_in_use,
    made_folder,
    own_mark,
    reason_of,
    scratch_folder,
    written_beside,
)

_WRITES_AND_WAITS = """
import sys, time
from pathlib import Path
from napari_deepz.atomic_files import written_beside
with written_beside(Path(sys.argv[1])) as beside:
    beside.mkdir() if sys.argv[2] == "folder" else beside.write_bytes(b"half")
    if sys.argv[2] == "folder":
        (beside / "chunk").write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""
_UNIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="Unix alone kills a process at once")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, text: str = "new") -> None:
    with written_beside(path) as beside:
        beside.write_text(text)


def write_folder(path: Path, text: str) -> None:
    with written_beside(path) as beside:
        beside.mkdir()
        (beside / "part").write_text(text)


@pytest.fixture
def killed(tmp_path: Path) -> Any:
    """Start to write, and kill the process in the middle."""

    def run(kind: Any) -> Path:
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITES_AND_WAITS, str(tmp_path / "result"), kind],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        with process, process.stdout:
            assert process.stdout.readline() == b"writing\n"
            (left,) = tmp_path.iterdir()
            clear_leftovers(tmp_path)
            assert names(tmp_path) == [left.name], "what is being written stays"
            process.send_signal(signal.SIGKILL)
        return left

    return run


@_UNIX_ONLY
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_leaves_is_gone_when_the_next_one_writes(
    killed: Any, tmp_path: Path, kind: str
) -> None:
    assert killed(kind).exists()
    code = (
        "import sys; from pathlib import Path; from napari_deepz.atomic_files import "
        "written_beside\nwith written_beside(Path(sys.argv[1])) as p: p.write_text('whole')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "other")], check=True)
    assert names(tmp_path) == ["other"]


def _leftover(folder: Path, host: str, pid: int, started: int, end: str = ".part") -> Path:
    path = folder / f".deepz-{host}-{pid}-{started}-0123abcd{end}"
    path.write_text("half")
    return path


def _own_host(folder: Path) -> str:
    with written_beside(folder / "x") as beside:
        beside.write_text("")
        found = re.match(r"\.deepz-([0-9a-f]{8})-", beside.name)
    (folder / "x").unlink()
    assert found is not None
    return found[1]


def test_a_number_that_another_process_has_got_since_does_not_protect(tmp_path: Path) -> None:
    me = psutil.Process()
    host, started = _own_host(tmp_path), int(me.create_time())
    mine = _leftover(tmp_path, host, me.pid, started)
    older = _leftover(tmp_path, host, me.pid, started - 1000)
    clear_leftovers(tmp_path)
    assert mine.exists()
    assert not older.exists()


def test_another_computer_has_a_day(tmp_path: Path) -> None:
    fresh = _leftover(tmp_path, "00000000", 1, 1)
    old = _leftover(tmp_path, "00000001", 1, 1)
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    clear_leftovers(tmp_path)
    assert fresh.exists()
    assert not old.exists()


def test_nothing_else_is_ever_cleared(tmp_path: Path) -> None:
    others = [".deepz", ".deepz-notes.part", ".hidden.part", "deepz-00000000-1-1-0123abcd.part"]
    for name in others:
        (tmp_path / name).write_text("theirs")
        os.utime(tmp_path / name, (0, 0))
    clear_leftovers(tmp_path)
    assert names(tmp_path) == sorted(others)
    clear_leftovers(tmp_path / "nowhere")


def test_a_folder_that_a_kill_left_without_its_name_gets_it_back(tmp_path: Path) -> None:
    """Between two renames, where the system cannot exchange folders."""
    former = _leftover(tmp_path, _own_host(tmp_path), 2**22 + 1, 1, ".former-my stack.ome.zarr")
    clear_leftovers(tmp_path)
    assert names(tmp_path) == ["my stack.ome.zarr"]
    assert (tmp_path / "my stack.ome.zarr").read_text() == "half"
    former.write_text("older")
    clear_leftovers(tmp_path)
    assert (tmp_path / "my stack.ome.zarr").read_text() == "half"
    assert not former.exists()


@pytest.mark.parametrize("system", [platform.system(), "Windows"])
def test_a_folder_is_replaced_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: Any
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    write_folder(tmp_path / "stack", "old")
    write_folder(tmp_path / "stack", "new")
    assert (tmp_path / "stack" / "part").read_text() == "new"
    assert names(tmp_path) == ["stack"]


@pytest.mark.skipif(platform.system() not in ("Linux", "Darwin"), reason="Cannot exchange folders")
def test_a_folder_keeps_its_name_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment that a kill would have to hit: nothing is ever renamed away."""
    write_folder(tmp_path / "stack", "old")
    renamed: list[object] = []
    monkeypatch.setattr(os, "rename", lambda *both: renamed.append(both))
    write_folder(tmp_path / "stack", "new")
    assert renamed == []
    assert (tmp_path / "stack" / "part").read_text() == "new"


def test_a_failure_keeps_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "a", "old")

    def write_half() -> None:
        with written_beside(tmp_path / "a") as beside:
            beside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


@_UNIX_ONLY
def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk" / "real")
    write(link)
    assert link.is_symlink()
    assert (tmp_path / "disk" / "real").read_text() == "new"
    assert names(tmp_path / "disk") == ["real"]
    link.unlink()
    link.symlink_to(tmp_path / "gone" / "real")
    with pytest.raises(FileNotFoundError, match=r"There is no folder '.*gone' to write 'link' int"):
        write(link)
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(WriteError, match="leads in a circle"):
        write(link)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (28, "No space left on device; make room or choose another folder"),
        (13, "Permission denied; choose another folder"),
        (5, "Input/output error"),
    ],
)
def test_the_reason_says_what_to_do(tmp_path: Path, number: int, said: str) -> None:
    error = OSError(number, os.strerror(number))
    assert reason_of(error) == said
    with (
        pytest.raises(WriteError, match=f"'a' could not be written, nothing is left of it: {said}"),
        written_beside(tmp_path / "a"),
    ):
        raise error


def test_numpy_does_not_know_why_a_file_was_cut_short() -> None:
    said = reason_of(OSError("360000 requested and 13704 written"))
    assert said == "the disk took only a part of it; make room or choose another folder"
    assert reason_of(OSError("ffmpeg stopped.")) == "ffmpeg stopped"


def test_a_folder_for_results(tmp_path: Path) -> None:
    assert made_folder(tmp_path / "a" / "b").is_dir()
    assert made_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    for inside in ("file", "file/below"):
        with pytest.raises(WriteError, match="a file is in its place"):
            made_folder(tmp_path / inside)


def test_a_folder_is_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic_files._clear_once.cache_clear()
    seen = []
    scandir = os.scandir

    def seeing(path: Any) -> Any:
        seen.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", seeing)
    for name in ("a", "b", "c"):
        write(tmp_path / name)
    assert seen == [tmp_path]


_SCRATCH_AND_WAITS = """
import sys, time
from pathlib import Path
from napari_deepz.atomic_files import scratch_folder
with scratch_folder() as folder:
    (folder / "half").write_text("half")
    print(folder, flush=True)
    time.sleep(60)
"""


@_UNIX_ONLY
def test_a_scratch_folder_goes_with_its_work_or_when_the_next_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder() as folder:
        assert folder.parent == tmp_path
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "a").write_text("a")
    assert names(tmp_path) == []
    process = subprocess.Popen(
        [sys.executable, "-c", _SCRATCH_AND_WAITS],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout:
        left = Path(process.stdout.readline().strip())
        atomic_files._clear_once.cache_clear()
        with scratch_folder() as folder:
            assert names(tmp_path) == sorted((left.name, folder.name)), "a living one's stays"
        process.send_signal(signal.SIGKILL)
    assert names(left) == ["half"]
    atomic_files._clear_once.cache_clear()
    with scratch_folder(tmp_path):
        assert not left.exists()


def test_where_there_can_be_no_scratch_folder(tmp_path: Path) -> None:
    where = f"Nothing can be written to '{tmp_path / 'gone'}': No such file or directory"
    with pytest.raises(WriteError, match=where), scratch_folder(tmp_path / "gone"):
        pass


def test_the_reason_of_a_sentence_is_that_of_its_cause(tmp_path: Path) -> None:
    with pytest.raises(WriteError) as caught, written_beside(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    assert reason_of(caught.value) == "No space left on device; make room or choose another folder"


def test_a_mark_says_whose_a_name_is(tmp_path: Path) -> None:
    mine = own_mark()
    assert own_mark() != mine
    assert is_in_use(mine, tmp_path)
    host = mine.partition("-")[0]
    for dead in (f"{host}-{2**22 + 1}-1-01234567", f"{host}-{10**17}-1-01234567"):
        assert not is_in_use(dead, tmp_path)
    for foreign in ("00000000-1-1-01234567", "no mark at all"):
        assert is_in_use(foreign, tmp_path, 60)
        os.utime(tmp_path, (time.time() - 61,) * 2)
        assert not is_in_use(foreign, tmp_path, 60)
        os.utime(tmp_path)

"""Folders that look like SavedModels: nothing in them makes the conversion endless or leaves it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from napari_deepz import atomic_files
from napari_deepz.atomic_files import scratch_folder
from napari_deepz.models.errors import ModelError
from napari_deepz.models.package import new_package
from napari_deepz.models.tensorflow import conversion, convert_saved_model, reader

_UNIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")
_CONVERTS_AND_WAITS = """
import subprocess, sys
from pathlib import Path
from napari_deepz.models.tensorflow import conversion, convert_saved_model
from napari_deepz.watch import Watch

genuine = subprocess.Popen
program = '''
import time
from napari_deepz.models.tensorflow.reader import _end_with_parent
_end_with_parent()
print('napari-deepz: {"done": 0, "total": 2}', flush=True)
time.sleep(60)
'''

def popen(_, **settings):
    process = genuine([sys.executable, "-c", program], **settings)
    print(process.pid, flush=True)
    return process

subprocess.Popen = popen
conversion.find_spec = lambda _: True
convert_saved_model(
    Path("model"), Path("out"), watch=Watch(on_progress=lambda _: print("at work", flush=True))
)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a SavedModel from outside."""
    (tmp_path / "model/variables").mkdir(parents=True)
    (tmp_path / "model/saved_model.pb").touch()
    (tmp_path / "model/variables/variables.index").write_bytes(b"index")
    (tmp_path / "model/variables/variables.data-00000-of-00001").write_bytes(b"data")
    monkeypatch.setattr(conversion, "find_spec", lambda _: True)
    return tmp_path / "model"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(5 << 40)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@_UNIX_ONLY
@pytest.mark.parametrize("part", ["variables.index", "variables.data-00000-of-00001"])
@pytest.mark.parametrize(
    "make", [sparse, device, pipe, directory, dangling], ids=lambda make: make.__name__
)
def test_files_that_would_never_end_are_refused_at_once(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], None],
    part: str,
) -> None:
    make(folder / "variables" / part)
    monkeypatch.setattr(conversion, "run_reader", pytest.fail)
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"is larger than any|is no file|is not whole"):
        convert_saved_model(folder, tmp_path / "out")
    assert time.monotonic() - began < 1
    assert names(tmp_path) == ["model"]


def test_files_that_are_too_large_together(folder: Path, tmp_path: Path) -> None:
    for number in range(5):
        with (folder / f"variables/variables.data-0000{number}-of-00005").open("wb") as stream:
            stream.truncate(1 << 30)
    with pytest.raises(ModelError, match="larger than any Deep-Z generator"):
        convert_saved_model(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ([2**40, 2**40], "larger than any Deep-Z generator"),
        ([2**31, 2**31, 2, 2], "larger than any Deep-Z generator"),
        ([3, 1], "more than its files can hold; the model is damaged"),
    ],
)
def test_weights_that_the_files_cannot_hold_take_no_memory(
    folder: Path, shape: list[int], sentence: str
) -> None:
    checkpoint = SimpleNamespace(
        get_variable_to_shape_map=lambda: {"Generator/down0/conv1/filters": shape}
    )
    tf = SimpleNamespace(train=SimpleNamespace(load_checkpoint=lambda _: checkpoint))
    with pytest.raises(ValueError, match=sentence):
        reader._read(tf, folder)


def test_a_reader_that_says_nothing_any_more_is_ended(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = subprocess.Popen
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(subprocess, "Popen", lambda _, **settings: genuine(sleep, **settings))
    monkeypatch.setattr(reader, "_LONGEST_SILENCE_S", 0.3)
    with pytest.raises(ModelError, match="TensorFlow has not answered for"):
        convert_saved_model(folder, tmp_path / "out")
    assert names(tmp_path) == ["model"]


@_UNIX_ONLY
def test_a_kill_leaves_no_process_and_nothing_that_stays(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", _CONVERTS_AND_WAITS],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout:
        child = psutil.Process(int(process.stdout.readline()))
        assert process.stdout.readline() == "at work\n"
        process.kill()
    assert len(names(scratch)) == 1
    assert len(names(tmp_path)) == 3
    child.wait(10)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    atomic_files._clear_once.cache_clear()
    with scratch_folder() as own:
        assert names(scratch) == [own.name]
    with new_package(tmp_path / "next"):
        pass
    assert names(tmp_path) == ["model", "next", "scratch"]

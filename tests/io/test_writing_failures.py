import builtins
import os
import platform
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.watch import Cancelled
from tests.io.stacks import BOTH, STACK, write


@pytest.fixture(autouse=True)
def _zarr(request: pytest.FixtureRequest) -> None:
    if "name" in request.fixturenames and "zarr" in request.getfixturevalue("name"):
        pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")


def failing(error: Any, after: int = 3) -> Iterator[Any]:
    yield from STACK[:after]
    raise error


def listing(folder: Path) -> list[Any]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("after", [0, 1, 5, 6])
@pytest.mark.parametrize("error", [Cancelled, RuntimeError, KeyboardInterrupt, MemoryError])
def test_whatever_the_planes_raise_is_passed_on_and_nothing_is_left(
    tmp_path: Path, name: Any, after: int, error: Any
) -> None:
    raised = error("stop")
    with pytest.raises(error) as caught:
        write(tmp_path / name, failing(raised, after))
    assert caught.value is raised
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", BOTH)
def test_a_failure_leaves_the_former_file_as_it_was(tmp_path: Path, name: Any) -> None:
    write(tmp_path / name)
    before = listing(tmp_path)
    with pytest.raises(Cancelled):
        write(tmp_path / name, failing(Cancelled()), name="newer")
    assert listing(tmp_path) == before
    np.testing.assert_array_equal(read_image(tmp_path / name).stack(), STACK)


@pytest.mark.parametrize("name", BOTH)
def test_success_replaces_the_former_file(tmp_path: Path, name: Any) -> None:
    write(tmp_path / name)
    write(tmp_path / name, STACK[:2] + 1, count=2)
    np.testing.assert_array_equal(read_image(tmp_path / name).stack(), STACK[:2] + 1)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", BOTH)
def test_the_file_has_its_name_only_when_complete(tmp_path: Path, name: Any) -> None:
    def planes() -> Iterator[Any]:
        for plane in STACK:
            assert not (tmp_path / name).exists()
            assert [path.suffix for path in tmp_path.iterdir()] in ([], [".part"])
            yield plane

    write(tmp_path / name, planes())
    assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("made", [0, 1, 5])
def test_too_few_planes(tmp_path: Path, name: Any, made: int) -> None:
    with pytest.raises(ValueError, match=f"'{name}' was not written: only {made} of its 6 planes"):
        write(tmp_path / name, iter(STACK[:made]))
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", BOTH)
def test_too_many_planes(tmp_path: Path, name: Any) -> None:
    with pytest.raises(ValueError, match=f"'{name}' was not written: more than 5 planes"):
        write(tmp_path / name, STACK, count=5)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", BOTH)
def test_a_plane_of_another_shape(tmp_path: Path, name: Any) -> None:
    planes = [*STACK[:2], STACK[2, :30], *STACK[3:]]
    with pytest.raises(ValueError, match=r"plane 2 has the shape \(30, 44\) in place of \(32, 44"):
        write(tmp_path / name, planes)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("made", "stored"), [("float32", "uint16"), ("int32", "uint16"), ("int16", "uint16")]
)
def test_values_that_might_overflow_are_not_converted(
    tmp_path: Path, name: Any, made: str, stored: str
) -> None:
    with pytest.raises(ValueError, match=f"pixels of type {made} do not fit into {stored}"):
        write(tmp_path / name, STACK.astype(made), dtype=stored)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", BOTH)
def test_a_disk_that_fails_in_the_middle(tmp_path: Path, name: Any) -> None:
    resource = pytest.importorskip("resource", reason="Unix alone limits a process")
    write(tmp_path / name)
    before = listing(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).random((6, 600, 600), np.float32)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
        with pytest.raises(OSError, match=f"'{name}' could not be written, nothing is left of it"):
            write(tmp_path / name, noise, shape=(600, 600))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert listing(tmp_path) == before
    np.testing.assert_array_equal(read_image(tmp_path / name).stack(), STACK)


@pytest.mark.parametrize("name", BOTH)
def test_a_full_disk_is_noticed_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(10**12, 10**12 - 10**9, 10**9))
    with pytest.raises(OSError, match=r"needs 6.71 GB, but only 1 GB are free in .*: make room"):
        write(tmp_path / name, failing(AssertionError, 0), count=100, shape=(4096, 4096))
    assert listing(tmp_path) == []


def test_a_rename_that_fails_keeps_the_former_zarr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    path = tmp_path / "stack.ome.zarr"
    write(path)
    original, renamed = os.rename, []

    def fail_once(source: Any, target: Any, *args: Any, **kwargs: Any) -> None:
        renamed.append(target)
        if len(renamed) == 2:
            raise PermissionError(13, "Permission denied")
        original(source, target, *args, **kwargs)

    monkeypatch.setattr(os, "rename", fail_once)
    monkeypatch.setattr(platform, "system", lambda: "Windows")  # It cannot exchange two folders.
    with pytest.raises(OSError, match=r"could not be written, .*: Permission denied"):
        write(path, STACK + 1)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    np.testing.assert_array_equal(read_image(path).stack(), STACK)


@pytest.mark.parametrize("name", ["stack.png", "stack", "stack.npy"])
def test_other_endings(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"let it end with .ome.tif or .ome.zarr"):
        write(tmp_path / name)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no folder .* to write 's.ome.tif' into"):
        write(tmp_path / "nowhere" / "s.ome.tif")


@pytest.mark.parametrize("name", BOTH)
def test_a_folder_with_other_things_in_it_is_never_replaced(tmp_path: Path, name: Any) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("three years of work")
    with pytest.raises(ValueError, match="choose another name"):
        write(tmp_path / name)
    assert (tmp_path / name / "thesis.txt").read_text() == "three years of work"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "at least one plane"),
        ({"shape": (0, 44)}, "at least one plane"),
        ({"dtype": "complex64"}, "type complex64 cannot be stored"),
        ({"dtype": "float16"}, "type float16 cannot be stored"),
        ({"dtype": "int64"}, "type int64 cannot be stored"),
        ({"pixel_size_um": 0.0}, "'pixel_size_um' of a sampling is 0.0"),
        ({"z_step_um": -0.5}, "z_step_um is -0.5: it must be a positive"),
        ({"z_start_um": float("nan")}, "z_start_um is nan"),
    ],
)
def test_settings_that_make_no_stack(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "stack.ome.tif", **change)
    assert listing(tmp_path) == []


def test_without_zarr_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_zarr(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "zarr":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_zarr)
    with pytest.raises(ValueError, match=r"pip install 'napari-deepz\[zarr\]'"):
        write(tmp_path / "stack.ome.zarr", failing(AssertionError, 0))
    assert listing(tmp_path) == []


def test_a_damaged_record_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "stack.ome.tif"
    write(path)
    content = path.read_bytes()
    assert content.count(b'"inferred"') == 1
    path.write_bytes(content.replace(b'"inferred"', b'"inferned"'))
    with pytest.raises(ValueError, match="record of how this stack was made cannot be read"):
        read_provenance(path)

import errno
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_deepz.engine.planning import ResourceError
from napari_deepz.engine.scratch import MemoryStore, ScratchFile, free_scratch_bytes

SHAPES = [(5, 7), (3, 2), (1, 9)]


@pytest.mark.parametrize("make", [MemoryStore, lambda: ScratchFile(SHAPES)])
def test_tiles_come_back_as_they_were_written(make: Any, rng: np.random.Generator) -> None:
    written = {
        (plane, tile): rng.random(shape, dtype=np.float32)
        for plane in range(3)
        for tile, shape in enumerate(SHAPES)
    }
    with make() as store:
        for (plane, tile), values in written.items():
            store.write(plane, tile, values)
        for (plane, tile), values in reversed(written.items()):
            np.testing.assert_array_equal(store.read(plane, tile), values)


def test_the_scratch_file_takes_no_more_than_its_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ScratchFile(SHAPES) as store:
        for tile, shape in enumerate(SHAPES):
            store.write(0, tile, np.zeros(shape, dtype=np.float32))
            store.write(1, tile, np.ones(shape, dtype=np.float32))
        assert os.fstat(store._file.fileno()).st_size == 2 * 4 * (35 + 6 + 9)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows names a file until it is closed")
def test_the_scratch_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ScratchFile(SHAPES) as store:
        store.write(0, 0, np.zeros(SHAPES[0], dtype=np.float32))
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    class FullDisk:
        def seek(self, offset: Any) -> None: ...

        def write(self, data: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None: ...

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: FullDisk())
    sentence = rf"{tmp_path} could not take .* \(No space left on device\).* TMPDIR"
    with (
        ScratchFile(SHAPES) as store,
        pytest.raises(ResourceError, match=sentence),
    ):
        store.write(0, 0, np.zeros(SHAPES[0], dtype=np.float32))


def test_some_of_the_free_space_is_left_to_others(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def disk_usage(folder: str) -> Any:
        asked.append(folder)
        return SimpleNamespace(free=1000)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    assert free_scratch_bytes() == 900
    assert asked == [str(tmp_path)]

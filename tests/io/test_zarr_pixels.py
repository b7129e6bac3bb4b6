"""Zarr arrays that are damaged, cut short, incomplete, or claim what cannot be."""

import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_deepz.images import ImageFileError
from napari_deepz.io import zarr_pixels
from napari_deepz.io.reading import read_image
from tests.io.notes import noted
from tests.io.samples import STACK, write_zarr

zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
numcodecs = pytest.importorskip("numcodecs", reason="comes with zarr")

DAMAGED = "'a.zarr' is damaged or was cut short: copy or export it again"
CODECS = {
    "blosc": {"compressors": zarr.codecs.BloscCodec()},
    "zstd": {"compressors": zarr.codecs.ZstdCodec()},
    "gzip": {"compressors": zarr.codecs.GzipCodec()},
    "crc32c": {"compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]},
    "sharding": {"shards": (1, 40, 48)},
    "none": {"compressors": None},
    "zarr 2, blosc": {"compressors": numcodecs.Blosc(), "zarr_format": 2},
    "zarr 2, lz4": {"compressors": numcodecs.LZ4(), "zarr_format": 2},
    "zarr 2, gzip": {"compressors": numcodecs.GZip(), "zarr_format": 2},
}


@pytest.fixture
def image(tmp_path: Path) -> Any:
    """An image of 5 planes of 40 x 48, each in four parts."""

    def make(codec: str = "zstd", data: Any = STACK) -> Any:
        settings = dict(CODECS[codec])
        version = settings.pop("zarr_format", 3)
        multiscale = {"axes": [{"name": axis} for axis in "zyx"], "datasets": [{"path": "0"}]}
        ome = {"version": "0.5", "multiscales": [multiscale]}
        group = zarr.create_group(
            tmp_path / "a.zarr",
            zarr_format=version,
            attributes={"ome": ome} if version == 3 else {"multiscales": [multiscale]},
        )
        group.create_array("0", data=data, chunks=(1, 20, 24), **settings)
        return tmp_path / "a.zarr"

    return make


def parts(path: Path) -> list[Any]:
    files = [file for file in (path / "0").rglob("*") if file.is_file()]
    return sorted(f for f in files if f.name not in ("zarr.json", ".zarray", ".zattrs"))


def change(path: Path, **settings: Any) -> None:
    about = json.loads((path / "0" / "zarr.json").read_text())
    about |= settings
    (path / "0" / "zarr.json").write_text(json.dumps(about))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: bytes(len(content)) + b"\0",
        lambda content: b"\xff" * 15,
    ],
    ids=["cut", "empty", "zeros", "nonsense"],
)
def test_a_damaged_part_is_the_same_sentence_whenever_it_is_met(
    image: Any, codec: Any, damage: Any
) -> None:
    path = image(codec)
    np.testing.assert_array_equal(read_image(path).stack(), STACK)
    first = parts(path)[0]
    first.write_bytes(damage(first.read_bytes()))
    series = read_image(path)
    with pytest.raises(ImageFileError, match=DAMAGED):
        series.plane(z=0)
    with pytest.raises(ImageFileError, match=DAMAGED):
        series.stack()
    np.testing.assert_array_equal(series.plane(z=4), STACK[4])


@pytest.mark.parametrize("codec", ["blosc", "zarr 2, blosc"])
@pytest.mark.parametrize("left", [1, 15, 16, 100, -1])
def test_blosc_is_never_given_less_than_it_expects(image: Any, codec: str, left: int) -> None:
    """It would take what lies behind in memory for pixels: noise is stored as it is."""
    path = image(codec)
    first = parts(path)[0]
    first.write_bytes(first.read_bytes()[:left])
    with pytest.raises(ImageFileError, match=DAMAGED):
        read_image(path).plane(z=0)


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (RuntimeError("Zstd decompression error"), DAMAGED),
        (OSError("Not a gzipped file"), DAMAGED),
        (OSError(5, "Input/output error"), "'a.zarr' cannot be read: Input/output error"),
        (PermissionError(13, "Permission denied"), "'a.zarr' cannot be read: Permission denied"),
        (MemoryError(), "'a.zarr' needs more memory than there is, or is damaged"),
    ],
)
def test_what_decoding_raises_becomes_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Any, sentence: Any
) -> None:
    class Array(SimpleNamespace):
        def __getitem__(self, key: Any) -> None:
            raise raised

    array = Array(shape=(4, 4), dtype=np.dtype("u2"), ndim=2, attrs={})
    monkeypatch.setattr("napari_deepz.io.checked_store.checked_array", lambda array, _folder: array)
    with pytest.raises(ImageFileError, match=sentence):
        zarr_pixels._Stored(array, tmp_path, "a.zarr")[0:2]


def test_parts_that_are_missing_are_said(image: Any) -> None:
    path = image()
    for part in parts(path)[:3]:
        part.unlink()
    sentence = "3 of 20 parts of 'a.zarr' are not there and are taken as 0: copy it again unless"
    with noted(sentence):
        series = read_image(path)
    expected = STACK.copy()
    expected[0, :20] = expected[0, 20:, :24] = 0
    np.testing.assert_array_equal(series.stack(), expected)


@pytest.mark.parametrize("codec", ["zstd", "sharding", "zarr 2, blosc"])
def test_an_image_without_any_pixels_is_said(image: Any, codec: str) -> None:
    path = image(codec)
    for part in parts(path):
        part.unlink()
    with noted(r"'a.zarr' holds no pixels, all of them are taken"):
        assert read_image(path).stack().max() == 0


@pytest.mark.parametrize("codec", CODECS)
def test_a_whole_image_is_read_without_a_word(image: Any, codec: Any) -> None:
    np.testing.assert_array_equal(read_image(image(codec)).stack(), STACK)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"shape": [10**6, 10**6, 10**6], "chunks": [1, 1, 1]},
            "A plane of 'a.zarr' is said to lie in 1000000000000 tiny parts",
        ),
        ({"shape": [5, 10**6, 10**6], "chunks": [1, 10**5, 10**5]}, "needs 2.02e.03 GB of memory"),
        ({"shape": [5, 40, 48], "chunks": [1, 10**6, 10**6]}, "A plane of 'a.zarr' needs 2e.03 GB"),
        ({"shape": [10**9, 40, 48]}, "'a.zarr' is said to hold 1000000000 planes, more than the"),
        ({"shape": [5, 1000, 1000], "chunks": [1, 1, 1]}, "lie in 1000000 tiny parts"),
        ({"shape": [5, 0, 48]}, r"holds no pixels that can be used: .* shape \(5, 0, 48\)"),
        ({"shape": [5, -40, 48]}, "The folder 'a.zarr' is not an OME-Zarr image"),
        ({"shape": [5, 40]}, "The folder 'a.zarr' is not an OME-Zarr image"),
        ({"data_type": "complex64", "fill_value": [0, 0]}, "and type complex64"),
        ({"data_type": "float64"}, DAMAGED),
        ({"data_type": "uint8"}, DAMAGED),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    image: Any, settings: dict[str, Any], sentence: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = image()
    free = SimpleNamespace(available=16 * 10**9)
    monkeypatch.setattr("napari_deepz.io.room.psutil.virtual_memory", lambda: free)
    if "shape" in settings:
        monkeypatch.setattr("napari_deepz.io.ome_zarr.say_what_is_missing", lambda *_: None)
    if "chunks" in settings:
        chunks = {"chunk_shape": settings.pop("chunks")}
        settings = settings | {"chunk_grid": {"name": "regular", "configuration": chunks}}
    change(path, **settings)
    started = time.monotonic()
    with pytest.raises(ImageFileError, match=sentence):
        read_image(path).stack()
    assert time.monotonic() - started < 5


def test_more_planes_than_are_stored_are_said(image: Any) -> None:
    path = image()
    change(path, shape=[90_000, 40, 48])
    with noted(r"359980 of 360000 parts of 'a.zarr' are not there"):
        series = read_image(path)
    np.testing.assert_array_equal(series.plane(z=4), STACK[4])
    assert series.plane(z=89_999).max() == 0


@pytest.mark.skipif(os.name == "nt", reason="Unix alone has such files")
@pytest.mark.parametrize("file", ["zarr.json", "0/zarr.json", "0/c/0/0/0"])
@pytest.mark.parametrize("kind", ["endless", "pipe"])
def test_what_is_no_file_is_not_read(image: Any, file: str, kind: str) -> None:
    path = image()
    (path / file).unlink()
    if kind == "endless":
        (path / file).symlink_to("/dev/zero")
    else:
        os.mkfifo(path / file)
    with pytest.raises(ImageFileError, match=DAMAGED):
        read_image(path)


def test_a_part_that_is_far_too_large_is_not_read(image: Any) -> None:
    path = image()
    with parts(path)[2].open("wb") as file:
        file.truncate(10**12)  # Takes no room on the disk.
    with pytest.raises(ImageFileError, match=DAMAGED):
        read_image(path)


def test_many_files_are_not_counted(image: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image()
    parts(path)[0].unlink()
    monkeypatch.setattr(zarr_pixels, "_MOST_ENTRIES_LOOKED_AT", 10)
    assert read_image(path).plane(z=0)[:20, :24].max() == 0


def test_an_image_that_goes_away_or_is_replaced_is_said(image: Any, tmp_path: Path) -> None:
    path = image()
    series = read_image(path)
    other = STACK[:, ::-1]
    path.rename(tmp_path / "b.zarr")
    with pytest.raises(ImageFileError, match=r"'a.zarr' was changed, moved or deleted after it"):
        series.plane(z=1)
    image(data=other)
    with pytest.raises(ImageFileError, match="open it again"):
        series.plane(z=1)
    np.testing.assert_array_equal(read_image(path).stack(), other)
    shutil.rmtree(path)


def test_planes_that_are_stored_together_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    write_zarr(path, STACK, "0.5", "zyx", (1, 1, 1), (None,) * 3)
    about = json.loads((path / "full" / "zarr.json").read_text())
    shutil.rmtree(path / "full")
    assert about["chunk_grid"]["configuration"]["chunk_shape"] == [1, 40, 48]
    zarr.open_group(path, mode="r+").create_array("full", data=STACK, chunks=(3, 20, 24))
    data: Any = read_image(path).data
    assert data.chunks == ((3, 2), (40,), (48,))
    monkeypatch.setattr(zarr_pixels, "_LARGEST_BLOCK_BYTES", 10_000)
    series = read_image(path)
    data = series.data
    assert data.chunks == ((1,) * 5, (40,), (48,))
    np.testing.assert_array_equal(series.stack(), STACK)

"""Reading archives that strangers made: one sentence, little memory, nothing on the disk."""

from __future__ import annotations

import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from napari_deepz.models.archives import PackageFiles
from napari_deepz.models.errors import ModelError
from napari_deepz.models.package import read_spec
from tests.conftest import tiny_spec, write_tiny_model
from tests.models.packages import HOSTILE, Hostile, name_of, zipped

LIMIT = 1 << 20


@pytest.mark.parametrize(("make", "sentence"), HOSTILE, ids=name_of)
def test_hostile_archives_end_in_their_sentence(
    tmp_path: Path, make: Hostile, sentence: str
) -> None:
    path = make(write_tiny_model(tmp_path / "inner/tiny"))
    before = sorted(tmp_path.rglob("*"))
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=sentence) as caught:
            PackageFiles(path, called="the worm").read("model.json", LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert "the worm" in str(caught.value)
    assert str(path) not in str(caught.value)
    assert peak < 8 << 20
    assert sorted(tmp_path.rglob("*")) == before


def test_whatever_is_damaged_there_is_no_crash(tmp_path: Path, rng: np.random.Generator) -> None:
    contents = {"model.json": b"{}" * 50, "weights.safetensors": bytes(range(250))}
    path = tmp_path / "tiny.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    whole = path.read_bytes()
    said = []
    for _ in range(2000):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] = rng.integers(0, 256)
        path.write_bytes(data)
        try:
            files = PackageFiles(path)
            for name, content in contents.items():
                assert files.read(name, LIMIT) == content
        except ModelError as error:
            said.append(str(error))
    assert len(said) > 1000
    assert not any("\n" in sentence for sentence in said)


@pytest.mark.parametrize("cut", [1, 10, 22, 100, 1000])
def test_archives_that_were_cut_off(tmp_path: Path, cut: int) -> None:
    path = zipped(write_tiny_model(tmp_path / "tiny"))
    os.truncate(path, path.stat().st_size - cut)
    with pytest.raises(ModelError, match="is damaged or was not copied whole"):
        PackageFiles(path)


@pytest.mark.parametrize("names", ["tiny/", "tiny\\", "./"])
def test_archives_of_other_systems(tmp_path: Path, names: str) -> None:
    path = zipped(write_tiny_model(tmp_path / "tiny"), names)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/._model.json", b"of the Finder")
    assert read_spec(path) == tiny_spec()


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_the_limit_is_the_limit(tmp_path: Path, size: int, as_zip: bool) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "model.json").write_bytes(bytes(size))
    files = PackageFiles(zipped(folder) if as_zip else folder)
    if size <= LIMIT:
        assert files.read("model.json", LIMIT) == bytes(size)
    else:
        with pytest.raises(ModelError, match="larger than 1 MiB"):
            files.read("model.json", LIMIT)


def test_a_folder_may_link_to_files_but_not_to_what_never_ends(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    card = folder / "model.json"
    card.rename(tmp_path / "elsewhere.json")
    card.symlink_to(tmp_path / "elsewhere.json")
    assert read_spec(folder) == tiny_spec()
    card.unlink()
    card.symlink_to("/dev/zero")
    with pytest.raises(ModelError, match=r"has no model\.json"):
        read_spec(folder)
    card.unlink()
    os.mkfifo(card)
    with pytest.raises(ModelError, match=r"has no model\.json"):
        read_spec(folder)
    with pytest.raises(ModelError, match="neither a folder nor a readable zip"):
        PackageFiles(card)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret"])
def test_names_do_not_lead_out_of_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "package/a").mkdir(parents=True)
    files = PackageFiles(tmp_path / "package")
    assert name not in files
    with pytest.raises(ModelError, match="has no"):
        files.read(name, LIMIT)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model package at"):
        PackageFiles(tmp_path / "nothing")


@pytest.mark.parametrize("method", ["is_dir", "exists", "open"])
def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    path = zipped(write_tiny_model(tmp_path / "tiny"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(ModelError, match=r"tiny\.zip cannot be read: Permission denied\.$"):
        PackageFiles(path)

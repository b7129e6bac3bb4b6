"""Adding and removing models: whole or not at all, and a sentence for everything that is wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_deepz.atomic_files import own_mark
from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.card import CardFields
from napari_deepz.models.errors import ModelError
from napari_deepz.models.installing import add_model, remove_model
from napari_deepz.models.kept_downloads import downloads_folder
from napari_deepz.models.library import list_models, load_model, user_models_folder
from napari_deepz.models.package import load_package, read_test
from napari_deepz.watch import Cancelled, Watch
from tests.conftest import tiny_spec, write_tiny_model
from tests.models.file_server import Server
from tests.models.packages import (
    OFTEN_DAMAGED,
    OFTEN_HOSTILE,
    Damage,
    Hostile,
    name_of,
    nan_weights,
    zipped,
)

FILES = ["model.json", "test.safetensors", "weights.safetensors"]


@pytest.fixture
def folder() -> Path:
    """The models folder, which the tests' own settings name; a model is in it already."""
    write_tiny_model(user_models_folder() / "earlier", name="earlier")
    return user_models_folder()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


@pytest.fixture
def server(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(zipped(package).read_bytes())
    yield server
    server.close()


def contents(folder: Path) -> dict[str, bytes]:
    """Everything in a folder but empty folders."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_refused(folder: Path, source: str | Path, sentence: str, **options: Any) -> str:
    """Adding must end in one sentence, with everything as it was; returns the sentence."""
    before, listed = contents(folder), {*folder.iterdir()}
    with pytest.raises(ModelError, match=sentence) as caught:
        add_model(source, **options)
    assert contents(folder) == before
    assert {*folder.iterdir()} - listed <= {downloads_folder()}
    assert str(caught.value).isprintable()
    assert ".partial" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("damage", "sentence"), OFTEN_DAMAGED, ids=name_of)
def test_broken_packages_are_not_added(
    folder: Path, package: Path, damage: Damage, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(package.parent)
    damage(package)
    assert str(package) in check_refused(folder, package, sentence)
    assert not (package.parent / "ran").exists()


@pytest.mark.parametrize(("make", "sentence"), OFTEN_HOSTILE, ids=name_of)
def test_hostile_archives_are_not_added(
    folder: Path, package: Path, make: Hostile, sentence: str
) -> None:
    path = make(package)
    assert str(path) in check_refused(folder, path, sentence)


@pytest.mark.parametrize("kind", ["folder", "zip", "zip with folder", "link"])
def test_a_model_is_added_as_it_is(folder: Path, package: Path, tmp_path: Path, kind: str) -> None:
    (package / "evil.py").write_text("print('no file of a model package')")
    source = package
    if kind.startswith("zip"):
        source = zipped(package, "tiny/" if "folder" in kind else "")
    elif kind == "link":
        for name in FILES:
            (package / name).rename(tmp_path / name)
            (package / name).symlink_to(tmp_path / name)
    assert add_model(source) == tiny_spec()
    added = list_models()["tiny"]
    assert added == folder / "tiny"
    assert sorted(path.name for path in added.iterdir()) == FILES
    assert not any(path.is_symlink() for path in added.iterdir())
    for name in FILES:
        assert (added / name).read_bytes() == (package / name).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["earlier", "tiny"]


def test_a_new_name_is_the_only_thing_that_changes(folder: Path, package: Path) -> None:
    said = CardFields("mine")
    assert add_model(package, fields=said) == tiny_spec(name="mine")
    assert load_model("mine").spec == tiny_spec(name="mine")
    assert load_model("mine").sha256 == load_package(package).sha256
    assert read_test(folder / "mine") is not None


@pytest.mark.parametrize(
    "name", ["con", "NUL.v1", "Com1", "lpt9", "tiny.", "a b", "../x", "", "x" * 81, ".tiny", "a/b"]
)
def test_names_that_no_folder_may_have(folder: Path, package: Path, name: str) -> None:
    check_refused(folder, package, "cannot be a model's name", fields=CardFields(name))


def test_a_package_that_calls_itself_so(folder: Path, tmp_path: Path) -> None:
    source = write_tiny_model(tmp_path / "any", name="aux")
    check_refused(folder, source, "'aux' cannot be a model's name: choose one of up to")
    assert add_model(source, fields=CardFields("fine")).name == "fine"


def test_the_same_model_again(folder: Path, package: Path) -> None:
    add_model(package)
    check_refused(folder, package, "The model 'tiny' is already there, in .*tiny")


@pytest.mark.parametrize("name", ["tiny", "TINY"])
def test_another_model_of_that_name(folder: Path, package: Path, tmp_path: Path, name: str) -> None:
    add_model(package)
    other = write_tiny_model(tmp_path / "other", name=name, parameters={"base": 2, "levels": 2})
    check_refused(folder, other, "remove it with 'napari-deepz models remove tiny', or .* --name")
    assert add_model(other, fields=CardFields("other")).name == "other"


@pytest.mark.parametrize("name", [DEFAULT_MODEL, DEFAULT_MODEL.upper()])
def test_names_of_bundled_models_are_taken(folder: Path, package: Path, name: str) -> None:
    sentence = "name of a model of napari-deepz; choose another with --name"
    check_refused(folder, package, sentence, fields=CardFields(name))


@pytest.mark.parametrize("what", ["file", "folder", "broken package", "upper case"])
def test_something_else_is_in_the_way(folder: Path, package: Path, what: str) -> None:
    place = folder / ("TINY" if what == "upper case" else "tiny")
    if what == "file":
        place.write_text("a note")
    elif what == "broken package":
        nan_weights(write_tiny_model(place, name="tiny"))
    else:
        place.mkdir()
    sentence = "another model called 'tiny'" if what == "broken package" else "is in the way"
    check_refused(folder, package, sentence)


def test_stopping_at_any_time_leaves_nothing(folder: Path, package: Path) -> None:
    before = contents(folder)
    for steps in range(20):
        asked = iter([False] * steps + [True])
        try:
            add_model(package, watch=Watch(lambda asked=asked: next(asked)))  # type: ignore[misc]
        except Cancelled:
            assert contents(folder) == before
            assert [path.name for path in folder.iterdir()] == ["earlier"]
        else:
            break
    assert steps >= 4
    assert "tiny" in list_models()


def test_a_disk_that_takes_no_more(folder: Path, package: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    before = contents(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot be written to .*: File too large") as caught:
            add_model(package)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert contents(folder) == before
    assert [path.name for path in folder.iterdir()] == ["earlier"]


def test_what_killed_runs_have_left_goes_when_nobody_can_be_at_work_on_it(
    folder: Any, package: Path
) -> None:
    mine = own_mark()
    host = mine.partition("-")[0]
    for mark, age_h in (
        (mine, 25),
        (f"{host}-{2**22 + 1}-1-01234567", 0),
        ("00000000-1-1-01234567", 25),
        ("00000001-1-1-01234567", 23),
    ):
        left = write_tiny_model(folder / f".deepz-{mark}.part/package")
        changed = time.time() - age_h * 3600
        for path in (*left.iterdir(), left, left.parent):
            os.utime(path, (changed, changed))
    assert "tiny" not in list_models()
    add_model(package)
    left = [path.name for path in folder.iterdir()]  # type: ignore[assignment]
    young = ".deepz-00000001-1-1-01234567.part"
    assert sorted(left) == sorted([f".deepz-{mine}.part", young, "earlier", "tiny"])  # type: ignore[call-overload]


def test_a_models_folder_that_is_a_file(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(package / "model.json"))
    with pytest.raises(OSError, match=r"The model cannot be written to .*model\.json"):
        add_model(package)


@pytest.mark.parametrize("called", ["m", "m/", "./m", "weights/", "m.zip"])
@pytest.mark.parametrize(("damage", "sentence"), OFTEN_DAMAGED, ids=name_of)
def test_sentences_are_whole_whatever_the_source_is_called(
    folder: Path,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Damage,
    sentence: str,
    called: str,
) -> None:
    damage(package)
    source = zipped(package) if called.endswith(".zip") else package
    source.rename(package.parent / Path(called).name)
    monkeypatch.chdir(package.parent)
    said = check_refused(folder, called, sentence)
    assert said.count(called) == 1 or called == "m"
    assert str(package.parent) not in said


@pytest.mark.parametrize(("damage", "sentence"), OFTEN_DAMAGED, ids=name_of)
def test_sentences_name_the_address_of_a_download(
    folder: Path, package: Path, server: Server, damage: Damage, sentence: str
) -> None:
    damage(package)
    server.content = zipped(package).read_bytes()
    said = check_refused(folder, server.url, sentence)
    assert said.count(server.url) == 1
    assert str(folder) not in said


def test_a_tensorflow_model_has_to_be_converted(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/saved_model.pb").write_bytes(b"")
    check_refused(folder, tmp_path / "saved", "run 'napari-deepz models convert' on it")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of bioimage.io, as far as the installation sees it; its import does the least."""
    path = tmp_path / "elsewhere"
    path.mkdir()

    def import_least(source: Path, target: Path, fields: CardFields, *_: object, **__: Any) -> None:
        assert source == path
        assert not target.exists()
        write_tiny_model(target, **({"name": "theirs"} | fields.given()))
        if (path / "broken").exists():
            nan_weights(target)

    module = "napari_deepz.models.bioimageio"
    monkeypatch.setattr(f"{module}.is_bioimageio", lambda files: files.path == path)
    monkeypatch.setattr(f"{module}.import_bioimageio", import_least)
    return path


def test_packages_from_elsewhere_are_imported(folder: Path, elsewhere: Path) -> None:
    assert add_model(elsewhere).name == "theirs"
    said = CardFields("mine", "40x/1.3 oil", 0.16, (-4.0, 5.0))
    assert add_model(elsewhere, fields=said) == tiny_spec(**said.given())
    assert load_model("mine").source == folder / "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["earlier", "mine", "theirs"]


def test_a_download_to_which_more_must_be_said_is_kept(
    folder: Path, package: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object, called: str) -> None:
        raise ModelError(f"{called} does not say its range.")

    module = "napari_deepz.models.bioimageio"
    package.joinpath("model.json").rename(package / "rdf.yaml")
    server.content = zipped(package).read_bytes()
    monkeypatch.setattr(f"{module}.is_bioimageio", lambda files: True)
    monkeypatch.setattr(f"{module}.import_bioimageio", ask)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"^http://.* does not say its range"):
            add_model(server.url)
    assert len(server.sent) == 1
    assert {path.name for path in folder.iterdir()} == {"earlier", ".downloads"}


def test_what_an_import_writes_is_checked(folder: Path, elsewhere: Path) -> None:
    (elsewhere / "broken").touch()
    assert str(elsewhere) in check_refused(folder, elsewhere, "values that are not finite")


def test_a_file_with_a_checksum(folder: Path, package: Path, server: Server) -> None:
    path = zipped(package)
    check_refused(folder, path, "does not have the SHA-256 checksum 0{64}", sha256="0" * 64)
    check_refused(folder, path, "is not a SHA-256 checksum", sha256="tiny")
    check_refused(folder, package, "is no file, and only files", sha256=server.sha256)
    assert add_model(path, sha256=server.sha256).name == "tiny"


def test_from_the_internet_and_again_without_it(folder: Path, server: Server) -> None:
    add_model(server.url, sha256=server.sha256)
    assert load_model("tiny").source == folder / "tiny"
    server.close()
    remove_model("tiny")
    assert add_model(server.url, sha256=server.sha256).name == "tiny"
    check_refused(folder, server.url, "is already there", sha256=server.sha256)


def test_a_wrong_checksum_leaves_nothing(folder: Path, server: Server) -> None:
    check_refused(folder, server.url, "does not have the SHA-256 checksum", sha256="0" * 64)
    assert not list(downloads_folder().iterdir())


def test_a_download_that_is_no_model_is_not_kept(folder: Path, server: Server) -> None:
    server.content = b"<html>Please log in</html>"
    said = check_refused(folder, server.url, "neither a folder nor a readable zip file")
    assert said.startswith(server.url)
    assert not list(downloads_folder().iterdir())


@pytest.mark.parametrize("kind", ["added", "other folder", "zip"])
def test_removing(folder: Path, package: Path, kind: str) -> None:
    if kind == "added":
        add_model(package)
        place = folder / "tiny"
    else:
        source = zipped(package) if kind == "zip" else package
        place = source.rename(folder / f"any{source.suffix}")
    assert "tiny" in list_models()
    assert remove_model("tiny") == place
    assert "tiny" not in list_models()
    assert [path.name for path in folder.iterdir()] == ["earlier"]


def test_removing_a_link_leaves_what_it_leads_to(folder: Path, package: Path) -> None:
    (folder / "tiny").symlink_to(package)
    remove_model("tiny")
    assert "tiny" not in list_models()
    assert load_package(package).spec == tiny_spec()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (DEFAULT_MODEL, "comes with napari-deepz and cannot be removed"),
        ("tinny", "no model called 'tinny' in your folder; yours are: earlier, tiny"),
        ("../tiny", "no model called"),
        ("", "no model called"),
    ],
)
def test_what_cannot_be_removed(folder: Path, package: Path, name: str, sentence: str) -> None:
    add_model(package)
    before = contents(folder)
    with pytest.raises(ModelError, match=sentence):
        remove_model(name)
    assert contents(folder) == before
    assert DEFAULT_MODEL in list_models()


def test_two_of_one_name_are_not_both_removed(folder: Path) -> None:
    for place in ("a", "b"):
        write_tiny_model(folder / place)
    before = contents(folder)
    with pytest.raises(ModelError, match=r"more than once; delete one of .*a and .*b by hand"):
        remove_model("tiny")
    assert contents(folder) == before


def test_a_package_that_cannot_be_moved_stays_whole(
    folder: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(package)
    before = contents(folder)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match=r"tiny cannot be deleted: Permission denied"):
        remove_model("tiny")
    assert contents(folder) == before
    assert "tiny" in list_models()

"""Which models are at hand, by which names."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.errors import ModelError
from napari_deepz.models.library import (
    bundled_models,
    list_models,
    load_model,
    unusable_models,
    user_models_folder,
    user_packages,
)
from tests.conftest import tiny_spec, write_tiny_model
from tests.models.packages import not_json


@pytest.fixture
def folder() -> Path:
    """The models folder, which the tests' own settings name."""
    return user_models_folder()


def test_models_are_found_by_name_in_the_users_folder(folder: Path) -> None:
    write_tiny_model(folder / "any-folder-name")
    (folder / "stray.zip").write_bytes(b"not a zip")
    assert "tiny" in list_models()
    assert load_model("tiny").source == folder / "any-folder-name"


def test_unknown_name_lists_what_is_there(folder: Path) -> None:
    write_tiny_model(folder / "tiny")
    with pytest.raises(ModelError, match=r"called 'tinny'; models at hand: .*tiny"):
        load_model("tinny")


def test_a_folder_in_the_way_does_not_hide_a_model(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_model(folder / "tiny")
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_model("tiny").source == folder / "tiny"


def test_unusable_models_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_model(folder / "a")
    write_tiny_model(folder / "b")
    not_json(write_tiny_model(folder / "c"))
    same, broken = unusable_models()
    assert "rename it" in same
    assert str(folder / "c") in broken
    spec = tiny_spec()
    assert user_packages() == [(folder / "a", spec), (folder / "b", spec)]
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(folder / "a/model.json"))
    assert "is not a folder" in unusable_models()[0]


def test_what_is_half_installed_is_not_listed(folder: Path) -> None:
    write_tiny_model(folder / ".partial-abc")
    write_tiny_model(folder / ".partial-def/tiny")
    assert "tiny" not in list_models()
    assert not unusable_models()


def test_bundled_models_are_told_from_the_users(folder: Path) -> None:
    write_tiny_model(folder / "tiny")
    assert DEFAULT_MODEL in bundled_models()
    assert "tiny" not in bundled_models()


def test_without_a_setting_the_folder_is_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAPARI_DEEPZ_MODELS")
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: Path("/somewhere", name))
    assert user_models_folder() == Path("/somewhere/napari-deepz/models")


def test_a_tilde_in_the_setting_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", "~/models")
    assert user_models_folder() == tmp_path / "models"
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", "~no-such-user/models")
    assert user_models_folder() == Path("~no-such-user/models")


def test_models_that_must_be_brought_in_first_say_how(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ModelError, match="TensorFlow model; run 'napari-deepz models convert'"):
        load_model(tmp_path)
    (tmp_path / "saved_model.pb").rename(tmp_path / "rdf.yaml")
    with pytest.raises(ModelError, match=r"bioimage\.io package; run 'napari-deepz models add'"):
        load_model(tmp_path)

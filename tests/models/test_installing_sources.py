"""What a model can be added from, and under which names, before anything of it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.card import CardFields
from napari_deepz.models.errors import ModelError
from napari_deepz.models.installing import add_model, check_new_name
from napari_deepz.models.library import kind_of, list_models, load_model, user_models_folder
from napari_deepz.models.spec import UNKNOWN_OBJECTIVE
from tests.conftest import write_tiny_model
from tests.models.packages import zipped


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_a_source_that_cannot_be_read_is_not_taken_for_a_full_disk(
    package: Path, monkeypatch: pytest.MonkeyPatch, sha256: str | None
) -> None:
    is_file = Path.is_file

    def refuse(path: Path) -> bool:
        if path.is_relative_to(package):
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(ModelError) as caught:
        add_model(package, sha256=sha256)
    assert str(caught.value) == f"{package} cannot be read: Permission denied."


def test_kinds_of_packages(package: Path, tmp_path: Path) -> None:
    assert kind_of(package) == "native"
    assert kind_of(zipped(package)) == "native"
    (package / "rdf.yaml").touch()
    assert kind_of(package) == "native"
    (package / "model.json").unlink()
    assert kind_of(package) == "bioimageio"
    (package / "saved_model.pb").touch()
    assert kind_of(package) == "saved-model"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"^the worm is not a .* package: it has no model\.json"):
        kind_of(tmp_path / "empty", called="the worm")
    with pytest.raises(ModelError, match="There is no model package at"):
        kind_of(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["other", "OTHER", "in-the-way", DEFAULT_MODEL.upper()])
def test_names_that_are_taken(name: str) -> None:
    write_tiny_model(user_models_folder() / "any", name="other")
    (user_models_folder() / "in-the-way").mkdir()
    with pytest.raises(ModelError, match=f"a model called '{name}' already; choose another"):
        check_new_name(name)


def test_names_that_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_new_name("another")
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(tmp_path / "not-made-yet"))
    check_new_name("another")
    with pytest.raises(ModelError, match="cannot be a model's name"):
        check_new_name("a b")


def test_what_a_native_card_leaves_unsaid_can_be_filled_in(tmp_path: Path) -> None:
    unknown = {"objective": UNKNOWN_OBJECTIVE, "na": None, "pixel_size_um": None}
    package = write_tiny_model(tmp_path / "tiny", **unknown)
    spec = add_model(package, fields=CardFields("lab", "63x/1.4 oil", 0.0645))
    assert (spec.name, spec.objective, spec.na, spec.pixel_size_um) == (
        "lab",
        "63x/1.4 oil",
        1.4,
        0.0645,
    )
    assert load_model("lab").spec == spec


@pytest.mark.parametrize(
    ("fields", "which"),
    [
        (CardFields(objective="63x/1.4 oil"), "objective"),
        (CardFields(pixel_size_um=1.0), "pixel size"),
        (CardFields(axial_range_um=(-1, 1)), "range"),
    ],
)
def test_what_a_native_card_says_is_not_overruled(
    tmp_path: Path, fields: CardFields, which: str
) -> None:
    with pytest.raises(ModelError, match=f"says its {which} itself"):
        add_model(write_tiny_model(tmp_path / "tiny"), fields=fields)
    assert "tiny" not in list_models()

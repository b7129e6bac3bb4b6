"""The commands about models as a person uses them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_deepz.cli import main
from napari_deepz.cli.models import card_fields
from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.card import model_card
from napari_deepz.models.library import load_model, user_models_folder
from tests.cli.conftest import Run, Said
from tests.conftest import tiny_spec, write_tiny_model
from tests.models.file_server import Server
from tests.models.packages import (
    OFTEN_DAMAGED,
    OFTEN_HOSTILE,
    Damage,
    Hostile,
    climbing,
    edit_card,
    name_of,
    zipped,
)


@pytest.fixture
def models(deepz: Run, tmp_path: Path) -> Run:
    """Run "napari-deepz models" with these arguments, in a narrow terminal."""

    def run(*arguments: object, **settings: Any) -> Said:
        return deepz("models", *arguments, **({"cwd": tmp_path, "columns": 60} | settings))

    return run


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


@pytest.fixture
def server(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(zipped(package).read_bytes())
    yield server
    server.close()


def check_refused(said: Said, sentence: str) -> None:
    """One line on standard error, an exit code for scripts, and an empty models folder."""
    assert said.code == 1
    assert said.stderr.startswith("Error: ")
    assert sentence in said.stderr
    assert said.stderr.count("\n") == 1
    assert not said.stdout
    assert not [*user_models_folder().rglob("*")]


def test_add_list_show_remove(models: Run, package: Path) -> None:
    said = models("add", package, "--name", "mine")
    assert said.stdout == f"Added mine: {user_models_folder() / 'mine'}\n"
    listed = models("list").stdout
    assert "mine" in listed
    assert DEFAULT_MODEL in listed
    assert "tiny" not in models("list").stdout
    assert f"Source: {user_models_folder() / 'mine'}\n" in models("show", "mine").stdout
    said = models("remove", "mine")
    assert said.stdout == f"Removed mine: {user_models_folder() / 'mine'}\n"
    assert "mine" not in models("list").stdout
    said = models("remove", "mine", check=False)
    check_refused(said, "There is no model called 'mine' in your folder; yours are: none.")


def test_a_card_is_shown_whole_in_a_narrow_terminal(models: Run) -> None:
    shown = models("show", DEFAULT_MODEL).stdout
    loaded = load_model(DEFAULT_MODEL)
    run_on = "".join(shown.split())
    for label, text in model_card(loaded.spec):
        assert "".join(label.split()) in run_on
        assert all(word in run_on for word in text.split())
    count = sum(p.numel() for p in loaded.network.parameters())
    assert f"{count:,}" in shown
    assert f"SHA-256 of the weights: {loaded.sha256}\n" in shown
    assert "…" not in shown


@pytest.mark.parametrize("command", ["show", "test", "list"])
def test_no_card_reaches_the_terminal_with_its_codes(models: Run, command: str) -> None:
    package = write_tiny_model(user_models_folder() / "tiny")
    edit_card(package, sample="\x1b]0;owned\x07")
    said = models(command, *([package] if command != "list" else []), check=False)
    assert "'sample' holds a control character" in " ".join((said.stdout + said.stderr).split())
    assert "owned" not in said.stdout + said.stderr


def test_what_looks_like_markup_is_text(models: Run, tmp_path: Path) -> None:
    write_tiny_model(user_models_folder() / "tiny", sample="[/nonsense] of [bold]beads")
    assert "[/nonsense] of [bold]beads" in models("show", "tiny").stdout
    assert "[/nonsense]" in models("list", columns=200).stdout


def test_the_checksum_of_a_download_is_shown_until_it_is_given(models: Run, server: Server) -> None:
    said = models("add", server.url)
    assert f"To be sure of the same file next time: --sha256 {server.sha256}\n" in said.stdout
    models("remove", "tiny")
    assert "next time" not in models("add", server.url, "--sha256", server.sha256).stdout
    assert load_model("tiny").spec == tiny_spec()


@pytest.mark.parametrize("damage", [damage for damage, _ in OFTEN_DAMAGED], ids=name_of)
def test_broken_packages(models: Run, package: Path, damage: Damage) -> None:
    damage(package)
    check_refused(models("add", package, check=False), str(package))


@pytest.mark.parametrize("make", [make for make, _ in OFTEN_HOSTILE], ids=name_of)
def test_hostile_archives(models: Run, package: Path, make: Hostile) -> None:
    path = make(package)
    check_refused(models("add", path, check=False), str(path))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--sha256", "0" * 64), "does not have the SHA-256 checksum"),
        (("--sha256", "00"), "'00' is not a SHA-256 checksum"),
        (("--name", "a b"), "'a b' cannot be a model's name"),
        (("--pixel-size", "-1"), "in µm, between 0.005 and 20, not -1."),
        (("--pixel-size", "nan"), "--pixel-size is the width of a pixel in the sample"),
        (("--z-range", "5:-5"), "--z-range must go from a smaller to a larger number of µm"),
        (("--z-range", "5"), "such as -10:10 or -2.7:2.7, not '5'."),
        (("--z-range", "-5:5:1"), "not '-5:5:1'."),
        (("--z-range", "-inf:5"), "not '-inf:5'."),
        (("--z-range", "low:high"), "not 'low:high'."),
    ],
    ids=lambda value: " ".join(value)[:20] if isinstance(value, tuple) else "",
)
def test_options_that_make_no_sense(
    models: Run, package: Path, options: tuple[str, ...], sentence: str
) -> None:
    check_refused(models("add", zipped(package), *options, check=False), sentence)


def test_nothing_there(models: Run, tmp_path: Path) -> None:
    path = tmp_path / "nothing"
    check_refused(models("add", path, check=False), f"There is no model package at {path}.")
    said = models("add", "ftp://127.0.0.1/tiny.zip", check=False)
    check_refused(said, "only http and https addresses can")


def test_with_debug_there_is_a_traceback(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["napari-deepz", "--debug", "models", "add", str(climbing(package))]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(ValueError, match="points out of it"):
        main()


def test_the_options_say_what_the_card_says() -> None:
    fields = card_fields("mine", "40x/1.3 oil", 0.16, "-4:5.5")
    assert fields.given() == {
        "name": "mine",
        "objective": "40x/1.3 oil",
        "na": 1.3,
        "pixel_size_um": 0.16,
        "axial_range_um": (-4.0, 5.5),
    }
    assert card_fields(None, None, None, None).given() == {}

"""A run writes to a folder of its own: new, empty, or that of a run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from napari_deepz.training.config import TrainConfig
from napari_deepz.training.focal import train
from tests.training.test_training import blurred_stacks, config

STACKS = blurred_stacks()


def run_in(folder: Path, output: str) -> TrainConfig:
    return config(folder).model_copy(update={"output": Path(folder / output)})


@pytest.mark.parametrize("output", ["/", "~", "stacks", "work", "."])
def test_a_folder_with_other_things_is_not_written_to(tmp_path: Path, output: str) -> None:
    for folder in ("stacks", "work"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a worm.ome.tif").write_text("measured")
    (tmp_path / "work/tiny").mkdir()
    settings = run_in(tmp_path, os.path.expanduser(output))
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"holds other things.*; name a new or an empty folder"):
        train(settings, STACKS, STACKS[:1])
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_nobodys_home_is_for_a_run_even_if_it_looks_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    with pytest.raises(ValueError, match="name a new or an empty folder"):
        train(run_in(tmp_path, "home"), STACKS, STACKS[:1])


def test_what_may_be_in_the_folder_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.DS_Store").touch()
    (tmp_path / "run/stacks/0123").mkdir(parents=True)
    settings = config(tmp_path, steps=1)
    with pytest.raises(ValueError, match="such as 'stacks'"):
        train(settings, STACKS, STACKS[:1])
    data = settings.data.model_copy(update={"kept_in": tmp_path / "run/stacks"})
    settings = settings.model_copy(update={"data": data})
    train(settings, STACKS, STACKS[:1])
    (tmp_path / "run/checkpoint.pt").unlink()
    (tmp_path / "run/notes.txt").write_text("mine")
    train(settings, STACKS, STACKS[:1])
    assert (tmp_path / "run/notes.txt").read_text() == "mine"


def test_a_folder_that_is_no_package_is_not_written_into(tmp_path: Path) -> None:
    settings = config(tmp_path, steps=1)
    (tmp_path / "run/tiny").mkdir(parents=True)
    (tmp_path / "run/tiny/thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"run/tiny is in the way of the model"):
        train(settings, STACKS, STACKS[:1])
    shutil.rmtree(tmp_path / "run/tiny")
    (tmp_path / "run/tiny").write_text("a file")
    with pytest.raises(ValueError, match=r"run/tiny is in the way of the model"):
        train(settings, STACKS, STACKS[:1])


def test_an_output_that_is_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    train(config(tmp_path, steps=1), STACKS, STACKS[:1])
    assert (tmp_path / "run").is_symlink()
    assert sorted(os.listdir(tmp_path / "disk")) == ["checkpoint.pt", "log.jsonl", "tiny"]

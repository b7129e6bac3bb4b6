"""A model that does not compute what it should is not added."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from napari_deepz.cli import app
from napari_deepz.models.card import CardFields
from napari_deepz.models.errors import ModelError
from napari_deepz.models.installing import add_model
from napari_deepz.models.library import user_models_folder
from napari_deepz.models.package import load_package
from napari_deepz.models.proof import SIMILAR
from napari_deepz.watch import UNWATCHED
from napari_deepz.widgets.refocusing.models.model_task import add_to_models
from tests.conftest import write_tiny_model
from tests.models.packages import edit_card, zipped

Damage = Callable[[Path], None]


def change(file: Path, name: str, by: Callable[[torch.Tensor], torch.Tensor]) -> None:
    tensors = load_file(file)
    tensors[name] = by(tensors[name]).contiguous()
    save_file(tensors, file)


def other_weights(folder: Path) -> None:
    change(folder / "weights.safetensors", "head.weight", lambda weight: -weight)


def one_weight_changed(folder: Path) -> None:
    def change_one(bias: torch.Tensor) -> torch.Tensor:
        bias[50] += 0.5
        return bias

    change(folder / "weights.safetensors", "head.bias", change_one)


def other_range_on_the_card(folder: Path) -> None:
    edit_card(folder, axial_range_um=(-5.0, 5.0))


def output_of_another_model(folder: Path) -> None:
    change(folder / "test.safetensors", "output", lambda output: output.flip(1))


def one_pixel_of_the_output(folder: Path) -> None:
    def move(output: torch.Tensor) -> torch.Tensor:
        output[3, 4] += 3 * SIMILAR * output.std()
        return output

    change(folder / "test.safetensors", "output", move)


FAILS = [
    other_weights,
    one_weight_changed,
    other_range_on_the_card,
    output_of_another_model,
    one_pixel_of_the_output,
]


def without_test(folder: Path) -> None:
    (folder / "test.safetensors").unlink()


def overflows(folder: Path) -> None:
    for name in ("down.0.0.weight", "head.weight"):
        change(folder / "weights.safetensors", name, lambda weight: weight * 0 + 3e38)


def overflows_without_test(folder: Path) -> None:
    overflows(folder)
    without_test(folder)


def name_of(function: Damage) -> str:
    return function.__name__


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


def added() -> list[str]:
    return [path.name for path in user_models_folder().iterdir()]


@pytest.mark.parametrize("damage", FAILS, ids=name_of)
@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_a_model_that_fails_its_own_test_is_not_added(
    package: Path, damage: Damage, as_zip: bool
) -> None:
    damage(package)
    load_package(package)
    source = zipped(package) if as_zip else package
    with pytest.raises(ModelError, match="fails its own test: its output is not the one") as caught:
        add_model(source, fields=CardFields("mine"))
    assert str(source) in str(caught.value)
    assert added() == []


@pytest.mark.parametrize("damage", [overflows, overflows_without_test], ids=name_of)
def test_a_model_that_gives_no_numbers_is_not_added(package: Path, damage: Damage) -> None:
    damage(package)
    with pytest.raises(ModelError, match="gives numbers that are NaN or infinite"):
        add_model(package)
    assert added() == []


def test_a_model_without_a_test_that_gives_numbers_is_added(package: Path) -> None:
    without_test(package)
    add_model(package)
    assert added() == ["tiny"]


def test_a_model_that_differs_as_other_processors_do_is_added(package: Path) -> None:
    change(package / "test.safetensors", "output", lambda output: output + 0.1 * SIMILAR)
    add_model(package)
    assert added() == ["tiny"]


def test_too_little_memory_is_said(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(type(load_package(package).network), "encode", fail)
    with pytest.raises(ModelError, match=r"The test of the model in .* cannot be run; free some"):
        add_model(package)
    assert added() == []


def test_the_command_and_the_dock_refuse_it_in_the_same_words(package: Path) -> None:
    other_weights(package)
    run = CliRunner().invoke(app, ["models", "add", str(package)])
    assert isinstance(run.exception, ModelError)
    assert "fails its own test" in str(run.exception)
    with pytest.raises(ModelError, match="fails its own test"):
        add_to_models(package, CardFields(), lambda _: None, UNWATCHED)
    assert added() == []


def test_a_test_larger_than_any_network_needs_is_not_read(package: Path) -> None:
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1024, 2048)).astype("f4"))
    save_file(
        {name: image.clone() for name in ("image", "dpm_um", "output")},
        package / "test.safetensors",
    )
    with pytest.raises(ModelError, match=r"test\.safetensors"):
        add_model(package)

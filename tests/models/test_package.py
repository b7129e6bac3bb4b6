"""Model packages: what goes in comes out, and every broken one ends in its sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_deepz.models.errors import ModelError
from napari_deepz.models.package import (
    check_weights,
    load_package,
    read_spec,
    read_test,
    save_model,
)
from tests.conftest import tiny_spec, write_tiny_model
from tests.models.packages import (
    DAMAGES,
    OFTEN_DAMAGED,
    Damage,
    edit_card,
    name_of,
    no_weights,
    zipped,
)


@pytest.mark.parametrize("inside", [None, "", "tiny/"], ids=["folder", "zip", "zip with folder"])
@pytest.mark.parametrize("architecture", ["encode-once", "deepz-unet"])
def test_round_trip(tmp_path: Path, inside: str | None, architecture: str) -> None:
    parameters = {"base": 4, "levels": 2}
    spec = tiny_spec(architecture=architecture, parameters=parameters)
    network = spec.build()
    save_model(tmp_path / "tiny", spec, network)
    package = tmp_path / "tiny" if inside is None else zipped(tmp_path / "tiny", inside)
    model = load_package(package)
    assert model.spec == spec
    assert not model.network.training
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(model.network.state_dict()[name], tensor, rtol=0, atol=0)


def test_half_precision_weights_are_half_as_large_and_load_as_float32(tmp_path: Path) -> None:
    spec = tiny_spec()
    network = spec.build()
    save_model(tmp_path / "full", spec, network)
    save_model(tmp_path / "half", spec, network, half=True)
    sizes = [
        sum(t.nbytes for t in load_file(tmp_path / kind / "weights.safetensors").values())
        for kind in ("full", "half")
    ]
    assert sizes[1] * 2 == sizes[0]
    loaded = load_package(tmp_path / "half").network.state_dict()
    for name, tensor in network.state_dict().items():
        assert loaded[name].dtype == torch.float32
        torch.testing.assert_close(loaded[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES, ids=name_of)
def test_broken_packages_say_so(tmp_path: Path, damage: Damage, sentence: str) -> None:
    package = write_tiny_model(tmp_path / "tiny")
    damage(package)
    check_sentence(package, sentence)


@pytest.mark.parametrize(("damage", "sentence"), OFTEN_DAMAGED, ids=name_of)
def test_broken_zip_files_say_so(tmp_path: Path, damage: Damage, sentence: str) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    damage(folder)
    check_sentence(zipped(folder), sentence)


def check_sentence(package: Path, sentence: str) -> None:
    worm: dict[str, Any] = {"called": "the worm", "size_multiple": 4}
    with pytest.raises(ModelError, match=sentence) as caught:
        read_test(package, size_multiple=load_package(package).network.size_multiple)
    assert str(caught.value).isprintable()
    with pytest.raises(ModelError, match=sentence) as caught:
        (load_package(package, called="the worm"), read_test(package, **worm))
    assert "the worm" in str(caught.value)
    assert str(package) not in str(caught.value)


def test_a_card_that_asks_for_a_huge_network_costs_no_memory(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    edit_card(folder, parameters={"base": 256, "levels": 8, "planes": 41})
    with pytest.raises(ModelError, match="do not belong to the architecture"):
        load_package(folder)


def test_reading_the_card_needs_no_weights(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    no_weights(folder)
    assert read_spec(folder) == tiny_spec()


def test_weights_in_bfloat16_come_exactly(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    weights = load_file(folder / "weights.safetensors")
    rough = {name: tensor.bfloat16() for name, tensor in weights.items()}
    save_file(rough, folder / "weights.safetensors")
    for name, tensor in load_package(folder).network.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, rough[name].float())


@pytest.mark.parametrize(
    "change",
    [
        Tensor.to_sparse,
        lambda tensor: tensor.to("meta"),
        lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
    ],
    ids=["sparse", "meta", "quantised"],
)
@pytest.mark.filterwarnings("ignore:.*quant:UserWarning", "ignore:.*quant:DeprecationWarning")
def test_weights_that_are_not_stored_plainly(change: Callable[[Tensor], Tensor]) -> None:
    network = tiny_spec().build()
    weights = network.state_dict()
    weights["head.bias"] = change(weights["head.bias"])
    with pytest.raises(ModelError, match=r"The weights in worm.zip .*'head.bias' is "):
        check_weights(network, weights, "worm.zip")


def test_a_description_may_have_several_lines(tmp_path: Path) -> None:
    text = "First line,\n\tthen µm and\u00a0a “quotation”."
    folder = write_tiny_model(tmp_path / "tiny", description=text, sample="\u00b5 of Zürich")
    assert read_spec(folder).description == text

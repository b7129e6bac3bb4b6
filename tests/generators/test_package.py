"""Model packages: what goes in comes out, and every broken one ends in its sentence."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_deepz.generators.errors import ModelError
from napari_deepz.generators.library import list_models, load_model, unusable_models
from napari_deepz.generators.package import read_spec, save_model
from tests.conftest import tiny_spec, write_tiny_model


def zipped(folder: Path, inside: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, inside + file.name)
    return path


def edit_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | changes))


@pytest.mark.parametrize("inside", [None, "", "tiny/"], ids=["folder", "zip", "zip with folder"])
@pytest.mark.parametrize("architecture", ["encode-once", "deepz-unet"])
def test_round_trip(tmp_path: Path, inside: str | None, architecture: str):
    parameters = {"base": 4, "levels": 2}
    spec = tiny_spec(architecture=architecture, parameters=parameters)
    network = spec.build()
    save_model(tmp_path / "tiny", spec, network)
    package = tmp_path / "tiny" if inside is None else zipped(tmp_path / "tiny", inside)
    model = load_model(package)
    assert model.spec == spec
    assert not model.network.training
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(model.network.state_dict()[name], tensor, rtol=0, atol=0)


def test_half_precision_weights_are_half_as_large_and_load_as_float32(tmp_path: Path):
    spec = tiny_spec()
    network = spec.build()
    save_model(tmp_path / "full", spec, network)
    save_model(tmp_path / "half", spec, network, half=True)
    sizes = [
        sum(t.nbytes for t in load_file(tmp_path / kind / "weights.safetensors").values())
        for kind in ("full", "half")
    ]
    assert sizes[1] * 2 == sizes[0]
    loaded = load_model(tmp_path / "half").network.state_dict()
    for name, tensor in network.state_dict().items():
        assert loaded[name].dtype == torch.float32
        torch.testing.assert_close(loaded[name], tensor, rtol=1e-3, atol=1e-4)


def test_models_are_found_by_name_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(tmp_path))
    write_tiny_model(tmp_path / "any-folder-name")
    (tmp_path / "stray.zip").write_bytes(b"not a zip")
    assert "tiny" in list_models()
    assert load_model("tiny").source == tmp_path / "any-folder-name"


def test_unknown_name_lists_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(tmp_path))
    write_tiny_model(tmp_path / "tiny")
    with pytest.raises(ModelError, match=r"called 'tinny'; models at hand: .*tiny"):
        load_model("tinny")


def no_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()


def no_card(folder: Path) -> None:
    (folder / "model.json").unlink()


def truncated(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def wrong_shape(folder: Path) -> None:
    edit_card(folder, parameters={"base": 8, "levels": 2, "planes": 41})


def other_architecture(folder: Path) -> None:
    edit_card(folder, architecture="deepz-unet", parameters={"base": 4, "levels": 2})


def nan_weights(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["head.bias"][3] = np.nan
    save_file(weights, folder / "weights.safetensors")


def future(folder: Path) -> None:
    edit_card(folder, format_version=2)


def not_json(folder: Path) -> None:
    (folder / "model.json").write_text("{")


def impossible_na(folder: Path) -> None:
    edit_card(folder, na=7)


def unknown_field(folder: Path) -> None:
    edit_card(folder, run="rm -rf")


def backward_range(folder: Path) -> None:
    edit_card(folder, axial_range_um=[5, -5])


def huge_network(folder: Path) -> None:
    edit_card(folder, parameters={"base": 100000})


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (no_weights, "has no weights.safetensors"),
        (no_card, "has no model.json"),
        (truncated, "cannot be read; the file is damaged"),
        (wrong_shape, r"wrong shape: 'down.0.0.bias' is \(4,\), but \(8,\) is needed"),
        (other_architecture, "do not belong to the architecture"),
        (nan_weights, "'head.bias' holds values that are not finite"),
        (future, "format version 2, but this napari-deepz reads version 1"),
        (not_json, "model.json of the model in .* is not valid"),
        (impossible_na, "not valid at 'na'"),
        (unknown_field, "not valid at 'run'"),
        (backward_range, "axial range must go from a smaller to a larger"),
        (huge_network, "less than or equal to 256"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_broken_packages_say_so(tmp_path: Path, damage, sentence: str, as_zip: bool):
    folder = write_tiny_model(tmp_path / "tiny")
    damage(folder)
    with pytest.raises(ModelError, match=sentence) as caught:
        load_model(zipped(folder) if as_zip else folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"II*\x00 a picture"])
def test_not_a_model_at_all(tmp_path: Path, content: bytes):
    path = tmp_path / "worm.tif"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="neither a folder nor a readable zip"):
        load_model(path)


def test_a_card_that_asks_for_a_huge_network_costs_no_memory(tmp_path: Path):
    folder = write_tiny_model(tmp_path / "tiny")
    edit_card(folder, parameters={"base": 256, "levels": 8, "planes": 41})
    with pytest.raises(ModelError, match="do not belong to the architecture"):
        load_model(folder)


def test_an_unknown_compression_is_no_crash(tmp_path: Path):
    path = zipped(write_tiny_model(tmp_path / "tiny"))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            data[start + offset] = 99
    path.write_bytes(data)
    with pytest.raises(ModelError, match="cannot be read; the file is damaged"):
        load_model(path)


def test_a_folder_in_the_way_does_not_hide_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(tmp_path / "models"))
    write_tiny_model(tmp_path / "models/tiny")
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_model("tiny").source == tmp_path / "models/tiny"


def test_unusable_models_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(tmp_path))
    write_tiny_model(tmp_path / "a")
    write_tiny_model(tmp_path / "b")
    not_json(write_tiny_model(tmp_path / "c"))
    same, broken = unusable_models()
    assert "rename it" in same
    assert str(tmp_path / "c") in broken
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(tmp_path / "a/model.json"))
    assert "is not a folder" in unusable_models()[0]


def test_reading_the_card_needs_no_weights(tmp_path: Path):
    folder = write_tiny_model(tmp_path / "tiny")
    no_weights(folder)
    assert read_spec(folder) == tiny_spec()

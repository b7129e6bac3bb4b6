"""TorchScript networks: only arithmetic is let in, and what is let in refocuses like any other."""

from __future__ import annotations

import copy
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.engine.devices import network_on
from napari_deepz.engine.refocus import refocus
from napari_deepz.generators.errors import ModelError
from napari_deepz.generators.network import DeepZUNet
from napari_deepz.generators.package import Model, load_package, save_script
from napari_deepz.generators.stored_test import make_test
from napari_deepz.generators.torchscript.archive import checked_archive
from napari_deepz.generators.torchscript.generator import (
    TorchScriptGenerator,
    load_torchscript,
)
from napari_deepz.surfaces import Flat, Tilted
from tests.conftest import tiny_spec
from tests.generators.torchscript_networks import (
    Joined,
    TwoInputs,
    inputs_of,
    seeded,
    to_script,
)


def write_script_model(folder: Path, network: nn.Module) -> Path:
    joined = isinstance(network, Joined)
    spec = tiny_spec(
        architecture="torchscript",
        parameters={"size_multiple": 2, "halo_px": TwoInputs.halo_px, "joined": int(joined)},
        normalisation="mean-std",
    )
    archive = checked_archive(to_script(network), "here")
    generator = spec.wrap(load_torchscript(archive, "here"))
    save_script(folder, spec, archive, make_test(generator, spec.axial_range_um))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_package(write_script_model(tmp_path / "model", seeded(TwoInputs)))


class Everything(nn.Module):
    """Control flow, containers, texts, and many of the layers that networks are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {"a": nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), "b": nn.GroupNorm(2, 4)}
        )
        self.more = nn.ModuleList([nn.Conv2d(4, 4, 1), nn.PReLU(), nn.Dropout(), nn.ELU()])
        self.wide = nn.Upsample(scale_factor=2, mode="bilinear")
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, image: Tensor, dpm: Tensor) -> Tensor:
        x = torch.cat([image, dpm], dim=1)
        for layer in self.layers.values():
            x = layer(x)
        for layer in self.more:
            x = F.silu(layer(x))
        if x.shape[1] != 4:
            raise ValueError(f"got {x.shape[1]} channels")
        for count in range(x.shape[1] - 2):
            x = x + 0.1 * count * self.wide(F.avg_pool2d(x, 2))
        return torch.sigmoid(self.last(x))


NETWORKS = {
    "traced": lambda: (seeded(TwoInputs), False),
    "scripted": lambda: (seeded(TwoInputs), True),
    "everything": lambda: (seeded(Everything), True),
    "published": lambda: (DeepZUNet(base=4, levels=3).eval(), False),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_checked_network_gives_the_same_numbers(name: str):
    network, scripted = NETWORKS[name]()
    archive = checked_archive(to_script(network, scripted=scripted), "here")
    loaded = load_torchscript(archive, "here")
    inputs = inputs_of(network)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(*inputs), network(*inputs), rtol=0, atol=1e-5)
    assert checked_archive(archive, "here") == archive


@pytest.mark.parametrize("kind", [TwoInputs, Joined])
def test_tiled_equals_untiled(tmp_path: Path, kind: type[nn.Module]):
    network = seeded(kind)
    model = load_package(write_script_model(tmp_path / "model", network))
    image = np.random.default_rng(2).random((213, 150), dtype=np.float32) * 900
    surfaces = [Flat(3.2), Tilted(0.2, -0.1)]
    settings = {"pixel_size_um": model.spec.pixel_size_um, "device": "cpu"}
    whole = refocus(image, surfaces, model, **settings).data
    tiled = refocus(image, surfaces, model, tile_px=96, **settings).data
    assert np.abs(tiled - whole).max() / np.ptp(whole) < 1e-5
    model.network.halo_px = 0
    seamed = refocus(image, surfaces, model, tile_px=96, **settings).data
    assert np.abs(seamed - whole).max() / np.ptp(whole) > 1e-3

    mean, std = image.mean(dtype=np.float64), image.std(dtype=np.float64)
    padded = np.pad((image - mean) / std, ((0, 1), (0, 0)), mode="reflect").astype(np.float32)
    inputs = torch.from_numpy(padded)[None, None], torch.full((1, 1, *padded.shape), 0.32)
    with torch.inference_mode():
        direct = network(torch.cat(inputs, 1)) if kind is Joined else network(*inputs)
    direct = direct[0, 0, :150, :].numpy() * std + mean
    assert np.abs(whole[0][:150] - direct).max() / np.ptp(whole) < 1e-5


def test_a_copy_runs_in_another_thread(model: Model):
    image, dpm = inputs_of(model.network)
    with torch.inference_mode():
        expected = model.network(image, 10 * dpm)
    copies = [network_on(model.network, torch.device("cpu")), copy.deepcopy(model.network)]
    results = []

    def work() -> None:
        for network in copies:
            with torch.inference_mode():
                results.append(network.decode(network.encode(image), 10 * dpm))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    for result in results:
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)
    assert len(results) == 2
    before = [parameter.clone() for parameter in model.network.parameters()]
    assert before
    with torch.no_grad():
        for parameter in copies[1].parameters():
            parameter.zero_()
    for parameter, kept in zip(model.network.parameters(), before, strict=True):
        assert torch.equal(parameter, kept)


def test_the_package_holds_the_network_and_its_digest(model: Model):
    import hashlib

    data = (model.source / "network.torchscript").read_bytes()
    assert model.sha256 == hashlib.sha256(data).hexdigest()
    assert isinstance(model.network, TorchScriptGenerator)
    assert not (model.source / "weights.safetensors").exists()


def test_a_program_cannot_be_built_anew(model: Model):
    with pytest.raises(ModelError, match=r"TorchScript program, which cannot be made anew"):
        model.spec.build()


class Saves(nn.Module):
    def forward(self, image: Tensor, dpm: Tensor) -> Tensor:
        torch.save(image, "stolen")
        return image


def test_weights_that_are_not_finite_are_refused():
    network = seeded(TwoInputs)
    script = to_script(network)
    with torch.no_grad():
        network.last.bias[0] = torch.inf
    broken = to_script(network, scripted=True)
    load_torchscript(script, "here")
    with pytest.raises(ModelError, match=r"'last.bias' holds values that are not finite"):
        load_torchscript(broken, "here")


def test_a_package_with_a_program_that_does_more_is_refused(tmp_path: Path):
    folder = write_script_model(tmp_path / "model", seeded(TwoInputs))
    (folder / "network.torchscript").write_bytes(to_script(Saves().eval(), scripted=True))
    with pytest.raises(ModelError, match=r"torch.save"):
        load_package(folder)
    (folder / "network.torchscript").unlink()
    with pytest.raises(ModelError, match=r"has no .*network.torchscript"):
        load_package(folder)

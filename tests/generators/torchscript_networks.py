"""Small networks as TorchScript files, and bioimage.io packages around them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.generators.torchscript.generator import without_deprecation_of_torchscript

PIXEL_SIZE_UM = 0.5


class TwoInputs(nn.Module):
    """Two convolutions on the fine level, one on the coarse; its halo is 2 + 1 + 2 * 1 + 1."""

    halo_px = 6

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 5, padding=2)
        self.coarse = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.widen = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, image: Tensor, dpm: Tensor) -> Tensor:
        fine = F.leaky_relu(self.first(torch.cat([image, dpm], dim=1)))
        coarse = F.relu(self.norm(self.coarse(F.max_pool2d(fine, 2))))
        return self.last(fine + self.widen(coarse)) + image


class Joined(TwoInputs):
    """The same on one tensor with two channels."""

    def forward(self, channels: Tensor) -> Tensor:
        return super().forward(channels[:, :1], channels[:, 1:])


def seeded(kind: type[nn.Module], seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return kind().eval()


def inputs_of(network: nn.Module, shape: tuple[int, int] = (48, 64)) -> tuple[Tensor, ...]:
    """An image and a tilted DPM on the scale of the network."""
    rng = np.random.default_rng(5)
    image = torch.from_numpy(rng.random((1, 1, *shape), dtype=np.float32))
    dpm = torch.linspace(-0.9, 0.8, shape[1]).expand(1, 1, *shape)
    return (torch.cat([image, dpm], dim=1),) if isinstance(network, Joined) else (image, dpm)


def to_script(network: nn.Module, *, scripted: bool = False) -> bytes:
    stream = io.BytesIO()
    with without_deprecation_of_torchscript():
        made = (
            torch.jit.script(network) if scripted else torch.jit.trace(network, inputs_of(network))
        )
        torch.jit.save(made, stream)
    return stream.getvalue()


def edited(script: bytes, change: Any) -> bytes:
    """A TorchScript file whose members went through a function (name, content) -> content."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(script)) as old, zipfile.ZipFile(stream, "w") as new:
        for entry in old.infolist():
            if (content := change(entry.filename, old.read(entry))) is not None:
                new.writestr(entry.filename, content)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def write_package(path: Path, network: nn.Module, **changes: Any) -> Path:
    """A bioimage.io package of somebody else's as a zip file.

    `changes` replace parts of the description, by their path: ``inputs__0__preprocessing``; a
    value of None takes the part out. `script` and `files` replace files in it.
    """
    script = changes.pop("script", None) or to_script(network)
    inputs = inputs_of(network)
    with torch.inference_mode():
        output = network(*inputs)
    files = {"network.pt": script, "out.npy": npy(output.numpy())}
    files |= {f"in{k}.npy": npy(tensor.numpy()) for k, tensor in enumerate(inputs)}
    files |= changes.pop("files", {})
    description = _description(network, files)
    for place, value in changes.items():
        *way, last = [int(key) if key.isdecimal() else key for key in place.split("__")]
        part: Any = description
        for key in way:
            part = part[key]
        if value is None:
            del part[last]
        else:
            part[last] = value
    files["bioimageio.yaml"] = yaml.safe_dump(description, allow_unicode=True).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _description(network: nn.Module, files: dict[str, bytes]) -> dict[str, Any]:
    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    def axes(names: list[str], sizes: list[Any]) -> list[dict[str, Any]]:
        space = {"type": "space", "unit": "micrometer", "scale": PIXEL_SIZE_UM}
        return [
            {"type": "batch"},
            {"type": "channel", "channel_names": names},
            *(space | {"id": axis, "size": size} for axis, size in zip("yx", sizes, strict=True)),
        ]

    stepped = [{"min": 8, "step": 4}] * 2
    stepped = [dict(size) for size in stepped]
    first = "both" if isinstance(network, Joined) else "image"
    same = [{"tensor_id": first, "axis_id": axis} for axis in "yx"]
    dpm = {"type": "float32", "unit": "µm", "scale": 10.0, "range": [-1.0, 1.0]}
    image = {"type": "float32", "unit": "arbitrary unit"}
    if isinstance(network, Joined):
        inputs = [
            {"id": "both", "axes": axes(["image", "dpm"], stepped), "data": [image, dpm]},
        ]
    else:
        inputs = [
            {"id": "image", "axes": axes(["image"], stepped), "data": image},
            {"id": "dpm", "axes": axes(["dpm"], same), "data": dpm},
        ]
    for k, tensor in enumerate(inputs):
        tensor |= {"test_tensor": file(f"in{k}.npy"), "preprocessing": []}
    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Refocusing (worms)",
        "description": "Somebody's network.",
        "version": "2.1",
        "license": "CC-BY-4.0",
        "authors": [{"name": "A. Somebody"}],
        "cite": [{"text": "Somebody 2024", "doi": "10.1234/abc.5"}],
        "tags": ["worm", "refocusing"],
        "documentation": "README.md",
        "inputs": inputs,
        "outputs": [
            {
                "id": "refocused",
                "axes": axes(["refocused"], same),
                "data": {"type": "float32"},
                "test_tensor": file("out.npy"),
                "postprocessing": [{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}],
            }
        ],
        "weights": {"torchscript": file("network.pt") | {"pytorch_version": "2.6.0"}},
    }

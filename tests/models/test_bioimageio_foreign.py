"""bioimage.io packages of other people: no program of theirs is run, and all else is doubted."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from napari_deepz.models.archives import PackageFiles
from napari_deepz.models.bioimageio import export_bioimageio, import_bioimageio
from napari_deepz.models.card import CardFields
from napari_deepz.models.errors import ModelError
from napari_deepz.models.installing import add_model
from napari_deepz.models.library import (
    list_models,
    load_model,
    unusable_models,
    user_models_folder,
)
from napari_deepz.watch import Cancelled, Watch
from tests.conftest import write_tiny_model
from tests.models.bioimageio_packages import (
    Exploit,
    contents,
    no_network,  # noqa: F401
    refused,
    rewritten,
)
from tests.models.packages import edit_card, zipped

# Readers of bioimageio.spec leave files to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.usefixtures("no_network"),
]

DEEP = "        return " + "(" * 900_000 + "x" + ",)" * 900_000
ENDLESS = "        for i in range(1000000000000):\n            x = x + 1\n        return x"

# --- programs -------------------------------------------------------------------------------------


def script_file(body: str) -> bytes:
    """A file such as torch.jit.save writes, with a program written by hand."""
    stream = io.BytesIO()
    code = f"class Net(Module):\n    def forward(self, x, z):\n{body}\n"
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/code/__torch__.py", code)
        archive.writestr("net/data.pkl", b"\x80\x02N.")
        archive.writestr("net/version", b"3\n")
    return stream.getvalue()


def foreign(path: Path, files: dict[str, bytes], **weights: Any) -> Path:
    """A package of somebody else, with an image and a DPM as its inputs."""
    description = {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Refocusing (worms)",
        "inputs": [{"id": "image", "axes": []}, {"id": "dpm", "axes": []}],
        "outputs": [{"id": "refocused", "axes": []}],
        "weights": weights,
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rdf.yaml", yaml.safe_dump(description))
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def _never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither reading a program nor running one goes unnoticed."""

    def run(*_: object, **__: Any) -> None:
        raise AssertionError("a program was read")

    monkeypatch.setattr(torch.jit, "load", run)
    read = PackageFiles.read

    def watched(self: PackageFiles, name: str, limit: int) -> bytes:
        assert not name.endswith((".pt", ".torchscript"))
        return read(self, name, limit)

    monkeypatch.setattr(PackageFiles, "read", watched)


@pytest.mark.usefixtures("_never_run")
@pytest.mark.parametrize("body", ["        return x + z", DEEP, ENDLESS])
def test_torchscript_is_refused_unread_whatever_it_would_do(tmp_path: Path, body: str) -> None:
    package = foreign(
        tmp_path / "theirs.zip",
        {"network.pt": script_file(body)},
        torchscript={"source": "network.pt"},
    )
    assert package.stat().st_size < 20_000
    with pytest.raises(ModelError, match="is a TorchScript program, and napari-deepz runs no") as e:
        add_model(package, fields=CardFields("mine", axial_range_um=(-1, 1)))
    assert str(package) in str(e.value)
    assert "weights as safetensors" in str(e.value)
    assert not [*user_models_folder().iterdir()]


@pytest.mark.usefixtures("_never_run")
def test_a_native_package_with_a_program_is_refused_unread(tmp_path: Path) -> None:
    package = write_tiny_model(tmp_path / "theirs")
    (package / "network.torchscript").write_bytes(script_file(ENDLESS))
    (package / "weights.safetensors").unlink()
    parameters = {"size_multiple": 4, "halo_px": 6, "joined": 0}
    edit_card(package, architecture="torchscript", parameters=parameters)
    for path in (package, zipped(package)):
        for use in (load_model, add_model):
            with pytest.raises(ModelError, match="is a TorchScript program, and"):
                use(path)
    assert not [*user_models_folder().iterdir()]


@pytest.mark.usefixtures("_never_run")
def test_one_that_was_added_before_is_listed_with_the_reason() -> None:
    package = write_tiny_model(user_models_folder() / "theirs")
    edit_card(package, architecture="torchscript", parameters={"size_multiple": 4, "halo_px": 6})
    assert "theirs" not in list_models()
    (reason,) = unusable_models()
    assert str(package) in reason
    assert "is a TorchScript program" in reason


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (
            {"pytorch_state_dict": {"source": "weights.pt", "architecture": {}}},
            "is Python code, and napari-deepz never runs code from a package",
        ),
        ({"onnx": {"source": "weights.onnx"}}, "has no weights of a network of napari-deepz"),
        ({}, "has no weights of a network of napari-deepz"),
    ],
)
def test_other_weights_are_refused_by_name(tmp_path: Path, weights: Any, sentence: str) -> None:
    refused(foreign(tmp_path / "theirs.zip", {}, **weights), sentence)


# --- descriptions and test images, of packages that say they are ours -----------------------------


@pytest.fixture(scope="module")
def exported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    export_bioimageio(load_model(write_tiny_model(folder / "native")), folder / "exported.zip")
    return folder / "exported.zip"


@pytest.fixture
def exported(exported_once: Any, tmp_path: Any) -> Path:
    """An export that a test may change."""
    return shutil.copy(exported_once, tmp_path / "exported.zip")


def name_of_description(package: Path) -> str:
    return next(name for name in contents(package) if name in ("bioimageio.yaml", "rdf.yaml"))


def edited(package: Any, changes: dict[str, Any], files: dict[str, bytes]) -> Any:
    """The package with other values, the names of which are joined by "__", and other files."""
    name = name_of_description(package)
    description = yaml.safe_load(contents(package)[name])
    for file in (*description["inputs"], *description["outputs"]):
        file["test_tensor"].pop("sha256", None)
    for path, value in changes.items():
        *parents, last = (int(part) if part.isdecimal() else part for part in path.split("__"))
        target = description
        for parent in parents:
            target = target[parent]
        target[last] = value
    files = {key.replace(".", "_"): content for key, content in files.items()}
    path = package.with_name("edited.zip")
    kept = contents(package) | {name: yaml.safe_dump(description).encode()}
    for key, content in files.items():
        kept[next(k for k in kept if k.replace(".", "_") == key)] = content
    with zipfile.ZipFile(path, "w") as archive:
        for key, content in kept.items():
            archive.writestr(key, content)
    return path


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


IMAGE = "inputs__0__test_tensor"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format_version": "0.4.10"}, r"format version '0.4.10', but napari-deepz reads 0.5"),
        ({"format_version": "0.4\x1b[2J"}, r"version '0.4\\x1b\[2J'"),
        ({"type": "dataset"}, "not valid at 'type'"),
        ({"inputs": None}, "not valid at 'inputs'"),
        ({f"{IMAGE}__source": "https://there.org/a.npy"}, "only names the address of 'https://th"),
        ({f"{IMAGE}__source": "https://there.org/\x1b[2J\n"}, r"'https://there.org/\\x1b\[2J\\n'"),
        ({f"{IMAGE}__source": "a\x1b[2J"}, r"has no file 'a\\x1b\[2J'\.$"),
        ({f"{IMAGE}__source": "../test.npy"}, "has no file '../test.npy'"),
        ({f"{IMAGE}__source": "/etc/passwd"}, "has no file '/etc/passwd'"),
        ({f"{IMAGE}__sha256": "0" * 64}, "test_image.npy .* another checksum"),
        ({IMAGE: None}, "has no test image for 'image'"),
        ({"outputs": []}, "are not those that napari-deepz wrote"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_descriptions_that_cannot_be_used_say_why(
    exported: Path, changes: dict[str, Any], sentence: str
) -> None:
    refused(edited(exported, changes, {}), sentence)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (b"\x93NUMPY broken", "not an array of numbers"),
        (npy(np.zeros((1, 1, 8, 8), "f4")), "are not those that napari-deepz wrote"),
        (npy(np.full((1, 1, 64, 64), np.nan)), "finite numbers"),
        (npy(np.zeros((64, 64))), r"its shape is \(64, 64\)"),
        (npy(np.zeros((1, 1, 64, 64), "f4")), "does not reproduce the package's own test"),
        (
            npy(np.zeros((1, 1, 64, 64), "f4")).replace(b"64, 64), }", b"1000000, 64), }"),
            "not an array of numbers",
        ),
    ],
)
def test_test_images_that_are_none(exported: Path, array: bytes, sentence: str) -> None:
    refused(edited(exported, {}, {"test_image.npy": array}), sentence)


def test_arrays_of_objects_are_not_unpickled(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported.parent)
    stream = io.BytesIO()
    np.save(stream, np.array([Exploit()], dtype=object), allow_pickle=True)
    refused(edited(exported, {}, {"test_image.npy": stream.getvalue()}), "not an array of numbers")
    assert not (exported.parent / "stolen").exists()


BILLION = "a0: &a0 [1]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"a: [1", "cannot be read"),
        (b"", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"a: " + b"[" * 5000, "cannot be read"),
        (BILLION.encode(), "cannot be read"),
        (b"a: &a [*a]", "cannot be read"),
        (b"a: !!python/object/apply:os.system ['touch stolen']", "cannot be read"),
        (b"- 1", "is not valid"),
        (b"a: " + b"x" * (1 << 20), "larger than"),
    ],
)
def test_descriptions_that_cannot_be_read(
    exported: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, sentence: str
) -> None:
    monkeypatch.chdir(exported.parent)
    name = name_of_description(exported).replace(".", "_")
    refused(rewritten(exported, **{name: text}), sentence)
    assert not (exported.parent / "stolen").exists()


def test_control_characters_on_the_card(exported: Path) -> None:
    name = name_of_description(exported)
    card = yaml.safe_load(contents(exported)[name])["config"]["napari_deepz"]["model"]
    changed = json.dumps(json.loads(card) | {"description": "clears\x1b[2J"})
    refused(
        edited(exported, {"config__napari_deepz__model": changed}, {}),
        "card of the model .* control character",
    )


@pytest.mark.parametrize("steps", [0, 1])
def test_an_import_is_stopped(exported: Path, steps: int) -> None:
    asked: list[bool] = []

    def should_stop() -> bool:
        asked.append(True)
        return len(asked) > steps

    before = sorted(exported.parent.iterdir())
    with pytest.raises(Cancelled):
        import_bioimageio(exported, exported.parent / "back", watch=Watch(should_stop))
    assert len(asked) == steps + 1
    assert sorted(exported.parent.iterdir()) == before

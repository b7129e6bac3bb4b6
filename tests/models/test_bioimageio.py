"""bioimage.io packages: other programs validate and run ours, and theirs refocus here."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save as serialise_weights

from napari_deepz import Flat, Sampling, load_model, refocus
from napari_deepz.models.archives import PackageFiles
from napari_deepz.models.bioimageio import (
    export_bioimageio,
    import_bioimageio,
    is_bioimageio,
)
from napari_deepz.models.card import CardFields
from napari_deepz.models.errors import ModelError
from napari_deepz.models.package import Model, load_package, read_test
from napari_deepz.models.proof import run_network
from tests.conftest import write_tiny_model
from tests.models.bioimageio_packages import (
    Exploit,
    contents,
    no_network,  # noqa: F401
    refused,
    rewritten,
)

# Readers of bioimageio.spec leave files to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.usefixtures("no_network"),
]

# It loads TorchScript too.
runs_core = pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:DeprecationWarning")

ARCHITECTURES = {
    "encode-once": {"base": 4, "levels": 2, "planes": 41},
    "z-basis": {"base": 4, "widest": 6, "levels": 2, "functions": 5, "planes": 41},
    "deepz-unet": {"base": 4, "levels": 3},
}


@pytest.fixture(params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    return load_package(
        write_tiny_model(
            tmp_path / "native",
            architecture=request.param,
            parameters=ARCHITECTURES[request.param],
            training={"steps": 1e-05, "note": "a: 'b' c"},
            citation="Somebody et al. (2024), doi:10.1234/abc.5.",
        )
    )


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was exported once, a file of each architecture."""
    return tmp_path_factory.mktemp("exports")


@pytest.fixture
def exported(model: Model, exports: Path, tmp_path: Any) -> Any:
    """An export of the model that a test may change."""
    once = exports / f"{model.spec.architecture}.zip"
    if not once.exists():
        export_bioimageio(model, once)
    return shutil.copy(once, tmp_path / "exported.zip")


def described(package: Path) -> dict[str, Any]:
    name = "rdf.yaml" if "rdf.yaml" in contents(package) else "bioimageio.yaml"
    return yaml.safe_load(contents(package)[name])


def test_round_trip(model: Model, exported: Path, tmp_path: Path) -> None:
    assert is_bioimageio(PackageFiles(exported))
    assert not is_bioimageio(PackageFiles(model.source))
    spec = import_bioimageio(exported, tmp_path / "back")
    back = load_package(tmp_path / "back")
    assert spec == back.spec == model.spec
    image = torch.rand(1, 1, 32, 48)
    dpm_um = torch.linspace(-11, 9, 48).expand_as(image)
    with torch.inference_mode():
        expected, output = (m.network(image, dpm_um) for m in (model, back))
    assert (output - expected).abs().max() < 1e-5 * expected.std()
    test = read_test(tmp_path / "back")
    assert test is not None
    assert test.deviation(run_network(back.network, test.image, test.dpm_um)) < 1e-5


def test_bioimageio_spec_finds_no_error(exported: Path) -> None:
    from bioimageio.spec import load_description_and_validate_format_only

    summary = load_description_and_validate_format_only(exported, perform_io_checks=True)
    assert summary.status in ("valid-format", "passed")
    assert not [error for detail in summary.details for error in detail.errors]


@pytest.mark.parametrize("pixel_size_um", [0.4, 0.1, 0.0645, 0.325, 0.32471, 6.5 / 63, None])
def test_every_pixel_size_is_valid_and_comes_back(
    tmp_path: Path, pixel_size_um: float | None
) -> None:
    from bioimageio.spec import load_description_and_validate_format_only

    model = load_package(write_tiny_model(tmp_path / "native", pixel_size_um=pixel_size_um))
    export_bioimageio(model, tmp_path / "exported.zip")
    summary = load_description_and_validate_format_only(tmp_path / "exported.zip")
    assert summary.status != "failed"
    axis = described(tmp_path / "exported.zip")["inputs"][0]["axes"][3]
    if pixel_size_um is None:
        assert "unit" not in axis
    else:
        in_um = {"micrometer": 1, "nanometer": 1e-3, "picometer": 1e-6}[axis["unit"]]
        assert axis["scale"] * in_um == pytest.approx(pixel_size_um, rel=1e-4)
        sizes = np.arange(1, 20_000)
        assert (sizes * axis["scale"] / axis["scale"] == sizes).all()


@runs_core
def test_bioimageio_core_runs_both_kinds_of_weights(exported: Path) -> None:
    from bioimageio.core import test_description as run_tests

    summary = run_tests(str(exported), devices=["cpu"])
    assert summary.status == "passed"
    names = [detail.name for detail in summary.details]
    for weights in ("pytorch_state_dict", "torchscript"):
        assert [name for name in names if name.startswith("Reproduce") and weights in name]


def test_the_torchscript_holds_for_all_sizes_and_flat_distances(
    model: Model, exported: Path
) -> None:
    stream = io.BytesIO(contents(exported)["network.pt"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of newer PyTorch.
        script = torch.jit.load(stream)  # type: ignore[no-untyped-call]
    image = torch.rand(2, 1, 24, 40)
    for dpm_um in (torch.full_like(image, 3.3), torch.linspace(-12, 12, 40).expand_as(image)):
        with torch.inference_mode():
            expected, output = model.network(image, dpm_um), script(image, dpm_um)
        assert (output - expected).abs().max() < 1e-5 * expected.std()


def test_the_torchscript_of_an_export_is_not_taken_where_its_card_is_lost(exported: Path) -> None:
    description = described(exported)
    del description["config"]["napari_deepz"], description["weights"]["pytorch_state_dict"]
    del description["weights"]["torchscript"]["parent"]
    stripped = rewritten(exported, rdf_yaml=yaml.safe_dump(description).encode())
    refused(stripped, "TorchScript program, and napari-deepz runs no programs of others")


def test_the_description(model: Model, exported: Path) -> None:
    description = described(exported)
    assert description["license"] == "BSD-3-Clause"
    assert [entry["doi"] for entry in description["cite"]] == [
        "10.1234/abc.5",
        "10.1038/s41592-019-0622-5",
    ]
    assert {"deep-z", "fluorescence"} <= set(description["tags"])
    dpm = description["inputs"][1]["data"]
    assert (dpm["unit"], dpm["range"], dpm["scale"]) == ("µm", [-10, 10], 1)
    axis = description["inputs"][0]["axes"][2]
    assert axis["size"] == dict.fromkeys(("min", "step"), model.network.size_multiple)
    assert (axis["unit"], axis["scale"]) == ("nanometer", 325)
    files = contents(exported)
    for name in ("image", "dpm", "refocused"):
        assert np.load(io.BytesIO(files[f"test_{name}.npy"]), allow_pickle=False).ndim == 4
    text = files["documentation.md"].decode()
    assert "inferred, not measured" in text
    assert model.spec.objective in text
    with Image.open(io.BytesIO(files["cover.png"])) as cover:
        assert cover.format == "PNG"
        assert cover.width == 2 * cover.height
        assert cover.getextrema() != (0, 0)


def test_a_licence_that_is_not_known_there(tmp_path: Path) -> None:
    model = load_package(write_tiny_model(tmp_path / "native", licence="as its authors say"))
    with pytest.raises(ModelError, match=r"SPDX list.*'as its authors say'"):
        export_bioimageio(model, tmp_path / "exported.zip")
    assert [entry.name for entry in tmp_path.iterdir()] == ["native"]


def test_without_bioimageio_spec(
    tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_deepz.models.bioimageio.exporting.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"pip install 'napari-deepz\[bioimageio\]'"):
        export_bioimageio(tiny_model, tmp_path / "exported.zip")


def test_an_invalid_export_leaves_the_old_file(
    tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "exported.zip", "w") as archive:
        archive.writestr("rdf.yaml", "the old one")
    old = (tmp_path / "exported.zip").read_bytes()
    monkeypatch.setattr("napari_deepz.models.bioimageio.exporting._TAGS", 3)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ModelError, match=r"cannot be exported: .* not be valid at 'tags'"):
        export_bioimageio(tiny_model, tmp_path / "exported.zip")
    assert (tmp_path / "exported.zip").read_bytes() == old
    assert sorted(tmp_path.iterdir()) == before


def test_an_export_replaces_an_export_and_nothing_else(exported: Path, model: Model) -> None:
    export_bioimageio(model, exported)
    folder = exported.parent
    (folder / "thesis.docx").write_bytes(b"ten years")
    (folder / "thesis.zip").write_bytes(b"ten years")
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.writestr("image.tif", "ten years")
    (folder / "folder.zip").mkdir()
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for name, sentence in (
        ("thesis.docx", "must end in .zip, which 'thesis.docx' does not"),
        ("thesis", "must end in .zip"),
        ("thesis.zip", "thesis.zip is already there and no bioimage.io package"),
        ("images.zip", "images.zip is already there and no bioimage.io package"),
        ("folder.zip", "folder.zip is a folder; name the zip file"),
    ):
        with pytest.raises(ModelError, match=sentence):
            export_bioimageio(model, folder / name)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_model_gets_another_name_but_no_other_card(exported: Path, tmp_path: Path) -> None:
    refused(exported, "only its name can be changed", CardFields(axial_range_um=(-1, 1)))
    refused(exported, "cannot be called 'my model'", CardFields(name="my model"))
    spec = import_bioimageio(exported, tmp_path / "named", CardFields(name="mine"))
    assert spec.name == "mine"


def test_a_target_that_is_there_is_kept(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ModelError, match="already there"):
        import_bioimageio(exported, tmp_path / "there")


def saved(state: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def without_checksums(package: Path) -> dict[str, Any]:
    description = described(package)
    tensors = [entry["test_tensor"] for entry in (*description["inputs"], *description["outputs"])]
    for file in (*tensors, *description["weights"].values(), *description["attachments"]):
        file.pop("sha256", None)
    return description


def with_weights(package: Path, weights: bytes | None, description: dict[str, Any]) -> Path:
    return rewritten(
        package,
        weights_safetensors=weights,
        weights_pt=None,
        rdf_yaml=yaml.safe_dump(description).encode(),
    )


@pytest.mark.parametrize("with_attachment", [True, False])
@pytest.mark.parametrize("weights", [lambda: saved({"w": Exploit()}), lambda: pickle.dumps(3)])
def test_pickled_weights_are_never_opened(
    exported: Path,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    weights: Any,
    with_attachment: bool,
) -> None:
    def opened(*_: object, **__: Any) -> None:
        raise AssertionError("a pickle was opened")

    monkeypatch.chdir(exported.parent)
    description = without_checksums(exported)
    if not with_attachment:
        description["attachments"] = []
    changed = rewritten(
        exported, weights_pt=weights(), rdf_yaml=yaml.safe_dump(description).encode()
    )
    monkeypatch.setattr(torch, "load", opened)
    monkeypatch.setattr(pickle, "loads", opened)
    read, names = PackageFiles.read, []

    def read_and_note(files: PackageFiles, name: str, limit: int) -> bytes:
        names.append(name)
        return read(files, name, limit)

    monkeypatch.setattr(PackageFiles, "read", read_and_note)
    if not with_attachment:
        refused(changed, "has lost its weights.safetensors; export the model again")
    else:
        import_bioimageio(changed, exported.parent / "back")
    assert not {"weights.pt", "network.pt"} & {*names}
    assert ("weights.safetensors" in names) is with_attachment
    assert not (exported.parent / "stolen").exists()
    if not with_attachment:
        return
    back = load_package(exported.parent / "back")
    image = torch.rand(1, 1, 32, 48)
    dpm_um = torch.linspace(-9, 9, 48).expand_as(image)
    with torch.inference_mode():
        expected, output = model.network(image, dpm_um), back.network(image, dpm_um)
    assert (output - expected).abs().max() < 1e-5 * expected.std()
    assert not (exported.parent / "stolen").exists()


def test_an_export_without_anything_to_read(exported: Path) -> None:
    description = without_checksums(exported)
    description["attachments"] = []
    del description["weights"]["torchscript"]
    refused(with_weights(exported, None, description), "has lost its weights.safetensors")


def test_broken_own_exports(model: Model, exported: Any) -> None:
    state = {name: t.contiguous() for name, t in model.network.state_dict().items()}
    name, tensor = next(iter(state.items()))
    description = without_checksums(exported)
    for broken, sentence in (
        ({}, "missing"),
        (state | {name: tensor[:1]}, "wrong shape"),
        (state | {name: tensor * torch.nan}, "not finite"),
        (state | {name: tensor + 1}, "does not reproduce the package's own test"),
    ):
        refused(with_weights(exported, serialise_weights(broken), description), sentence)
    for damaged in (b"", saved(state), serialise_weights(state)[:-3]):
        refused(with_weights(exported, damaged, description), "damaged or was not copied whole")
    refused(with_weights(exported, None, description), "has no .*weights.safetensors")
    (attached,) = description["attachments"]
    attached["sha256"] = "0" * 64
    changed = with_weights(exported, serialise_weights(state), description)
    refused(changed, "weights.safetensors .* another checksum")

    (file,) = described(exported)["attachments"]
    assert file["sha256"] == hashlib.sha256(contents(exported)[file["source"]]).hexdigest()

    changed = without_checksums(exported)  # type: ignore[assignment]
    card = json.loads(changed["config"]["napari_deepz"]["model"])  # type: ignore[index]
    changed["config"]["napari_deepz"]["model"] = json.dumps(card | {"na": 9})  # type: ignore[index]
    refused(
        rewritten(exported, rdf_yaml=yaml.safe_dump(changed).encode()), "card .* not valid at 'na'"
    )


@runs_core
def test_the_bundled_model_is_exported(tmp_path: Path) -> None:
    from bioimageio.core import test_description as run_tests

    export_bioimageio(load_model(), tmp_path / "exported.zip")
    assert run_tests(str(tmp_path / "exported.zip"), devices=["cpu"]).status == "passed"
    assert import_bioimageio(tmp_path / "exported.zip", tmp_path / "back") == load_model().spec


def test_the_model_of_any_objective_comes_back_for_every_objective(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    model = load_model("any-objective")
    export_bioimageio(model, tmp_path / "exported.zip")
    assert import_bioimageio(tmp_path / "exported.zip", tmp_path / "back") == model.spec
    back = load_package(tmp_path / "back")
    oil = Sampling(pixel_size_um=0.1, na=1.4, immersion_index=1.515, wavelength_um=0.52)
    image, surface = rng.poisson(200, (64, 80)), Flat(-2, 2, 1)
    told, unknown = (
        [refocus(image, surface, one, sampling=optics).data for one in (model, back)]
        for optics in (oil, Sampling(pixel_size_um=0.1))
    )
    for ours, theirs in (told, unknown):
        np.testing.assert_array_equal(ours, theirs)
    assert np.abs(told[0] - unknown[0]).max() > 0.1


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # bioimageio.spec's own.
def test_an_export_to_a_full_disk_keeps_the_earlier_one(
    tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bioimageio.spec", reason="needs the extra napari-deepz[bioimageio]")
    (tmp_path / "out").mkdir()
    export_bioimageio(tiny_model, tmp_path / "out/tiny.zip")
    before = (tmp_path / "out/tiny.zip").read_bytes()

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"'tiny\.zip' could not be written") as caught:
        export_bioimageio(tiny_model, tmp_path / "out/tiny.zip")
    assert "No space left on device; make room or choose another folder." in str(caught.value)
    assert (tmp_path / "out/tiny.zip").read_bytes() == before
    assert os.listdir(tmp_path / "out") == ["tiny.zip"]

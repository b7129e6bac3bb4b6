"""TorchScript networks from bioimage.io packages of other people."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_deepz import Flat, Tilted, refocus
from napari_deepz.generators.bioimageio import (
    export_bioimageio,
    import_bioimageio,
)
from napari_deepz.generators.card import CardFields
from napari_deepz.generators.package import load_package
from napari_deepz.intensity import fit_intensity
from napari_deepz.jobs import Cancelled
from tests.generators.bioimageio_packages import (
    Exploit,
    no_network,  # noqa: F401
    refused,
    rewritten,
)
from tests.generators.torchscript_networks import (
    PIXEL_SIZE_UM,
    Joined,
    TwoInputs,
    inputs_of,
    npy,
    seeded,
    to_script,
    write_package,
)

# Readers of bioimageio.spec leave files to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.usefixtures("no_network"),
]


@pytest.mark.parametrize("kind", [TwoInputs, Joined])
def test_a_network_of_somebody_else_refocuses(tmp_path: Path, kind: type[nn.Module]):
    network = seeded(kind)
    spec = import_bioimageio(write_package(tmp_path / "theirs.zip", network), tmp_path / "ours")
    model = load_package(tmp_path / "ours")
    assert model.spec == spec
    assert spec.name == "Refocusing-worms"
    assert spec.pixel_size_um == PIXEL_SIZE_UM
    assert spec.axial_range_um == (-10, 10)
    assert spec.dpm_scale_um == 10
    assert spec.licence == "CC-BY-4.0"
    assert spec.citation == "Somebody 2024, doi:10.1234/abc.5"
    assert spec.normalisation == "as-is"
    assert (model.network.size_multiple, model.network.halo_px) == (4, TwoInputs.halo_px)

    image = np.random.default_rng(3).random((201, 203), dtype=np.float32)
    surfaces, settings = [Flat(4), Tilted(0.1, 0.2)], {"pixel_size_um": PIXEL_SIZE_UM}
    whole = refocus(image, surfaces, model, **settings).data
    tiled = refocus(image, surfaces, model, tile_px=96, **settings).data
    assert np.abs(tiled - whole).max() < 1e-5 * np.ptp(whole)
    inputs = [torch.from_numpy(image[:200, :200])[None, None], torch.full((1, 1, 200, 200), 0.4)]
    with torch.inference_mode():
        direct = network(torch.cat(inputs, dim=1)) if kind is Joined else network(*inputs)
    inner = (slice(0, 190), slice(0, 190))
    assert np.abs(whole[0][inner] - direct[0, 0].numpy()[inner]).max() < 1e-5 * np.ptp(whole)


@pytest.mark.parametrize("kind", [TwoInputs, Joined])
def test_the_packages_of_these_tests_are_valid(tmp_path: Path, kind: type[nn.Module]):
    from bioimageio.spec import load_description_and_validate_format_only

    package = write_package(tmp_path / "theirs.zip", seeded(kind), documentation=None)
    summary = load_description_and_validate_format_only(package, perform_io_checks=True)
    assert not [error for detail in summary.details for error in detail.errors]


def test_an_imported_network_is_exported_again(tmp_path: Path):
    import_bioimageio(
        write_package(tmp_path / "theirs.zip", seeded(Joined)),
        tmp_path / "ours",
        CardFields(objective="40x/1.3 oil"),
    )
    model = load_package(tmp_path / "ours")
    export_bioimageio(model, tmp_path / "again.zip")
    spec = import_bioimageio(tmp_path / "again.zip", tmp_path / "back")
    assert spec.objective == "40x/1.3 oil"
    assert spec.axial_range_um == model.spec.axial_range_um
    image = torch.rand(1, 1, 32, 48)
    dpm_um = torch.linspace(-9, 9, 48).expand_as(image)
    with torch.inference_mode():
        expected, output = (
            m.network(image, dpm_um) for m in (model, load_package(tmp_path / "back"))
        )
    assert (output - expected).abs().max() < 1e-5 * expected.std()


def normalised_package(path: Path, method: str, steps: list[dict[str, Any]]) -> Path:
    """A package whose test image is not normalised yet."""
    network = seeded(TwoInputs)
    image, dpm = inputs_of(network)
    raw = (image * 500 + 90).numpy()
    fitted = torch.from_numpy(fit_intensity(method, raw[0, 0]).apply(raw))
    with torch.inference_mode():
        output = network(fitted, dpm).numpy()
    files = {"in0.npy": npy(raw), "out.npy": npy(output)}
    return write_package(path, network, inputs__0__preprocessing=steps, files=files)


CAST = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}


@pytest.mark.parametrize(
    ("method", "steps"),
    [
        ("as-is", [CAST]),
        ("mean-std", [{"id": "zero_mean_unit_variance"}]),
        (
            "mean-std",
            [
                CAST,
                {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "y", "x"]}},
                CAST,
            ],
        ),
        (
            "percentiles-1-99.8",
            [
                {
                    "id": "scale_range",
                    "kwargs": {
                        "axes": ["y", "x"],
                        "min_percentile": 1.0,
                        "max_percentile": 99.8,
                        "reference_tensor": "image",
                    },
                }
            ],
        ),
        ("percentiles-0-100", [{"id": "scale_range"}]),
    ],
)
def test_preprocessing_becomes_the_normalisation(tmp_path: Path, method: str, steps: Any):
    package = normalised_package(tmp_path / "theirs.zip", method, steps)
    assert import_bioimageio(package, tmp_path / "ours").normalisation == method


def test_another_normalisation_than_described_does_not_pass(tmp_path: Path):
    steps = [{"id": "zero_mean_unit_variance"}]
    refused(
        normalised_package(tmp_path / "theirs.zip", "percentiles-0-100", steps),
        "does not reproduce the package's own test output",
    )


def test_what_the_user_says_goes_first(tmp_path: Path):
    package = write_package(tmp_path / "theirs.zip", seeded(TwoInputs))
    fields = CardFields("mine", "63x/1.4 oil", 0.1, (-2.0, 3.0))
    spec = import_bioimageio(package, tmp_path / "ours", fields)
    assert (spec.name, spec.objective, spec.na) == ("mine", "63x/1.4 oil", 1.4)
    assert (spec.pixel_size_um, spec.axial_range_um) == (0.1, (-2, 3))


def test_units_and_scales(tmp_path: Path):
    data = {"type": "float32", "unit": "nm", "scale": 5000.0, "range": [-2, 2]}
    space = {"type": "space", "unit": "nanometer", "scale": 250.0}
    size = {"min": 8, "step": 4}
    changes = {
        f"inputs__0__axes__{k}": space | {"id": a, "size": size} for k, a in ((2, "y"), (3, "x"))
    }
    package = write_package(
        tmp_path / "theirs.zip", seeded(TwoInputs), inputs__1__data=data, **changes
    )
    spec = import_bioimageio(package, tmp_path / "ours")
    assert (spec.dpm_scale_um, spec.axial_range_um) == (5, (-10, 10))
    assert spec.pixel_size_um == pytest.approx(0.25)


def test_distances_without_a_unit_are_those_of_the_published_models(tmp_path: Path):
    package = write_package(
        tmp_path / "theirs.zip", seeded(TwoInputs), inputs__1__data={"type": "float32"}
    )
    refused(package, r"say for which distances it was trained\.$")
    spec = import_bioimageio(package, tmp_path / "ours", CardFields(axial_range_um=(-5.0, 5.0)))
    assert (spec.dpm_scale_um, spec.axial_range_um) == (10, (-5, 5))


def test_a_fixed_size_is_only_what_the_network_was_tested_with(tmp_path: Path):
    fixed = {"inputs__0__axes__2__size": 48, "inputs__0__axes__3__size": 64}
    package = write_package(tmp_path / "theirs.zip", seeded(TwoInputs), **fixed)
    spec = import_bioimageio(package, tmp_path / "ours")
    assert spec.parameters["size_multiple"] == 2


def test_a_smallest_size_beyond_all_reason_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tried = []

    def measured(run: Any, multiples: list[int], where: str) -> tuple[int, int]:
        tried.extend(multiples)
        return 4, TwoInputs.halo_px

    monkeypatch.setattr("napari_deepz.generators.bioimageio.scripts.measure_field", measured)
    sizes = {"inputs__0__axes__2__size": {"min": 1 << 20, "step": 4}}
    import_bioimageio(
        write_package(tmp_path / "theirs.zip", seeded(TwoInputs), **sizes), tmp_path / "ours"
    )
    assert tried == [4]


def test_texts_on_several_lines_become_one(tmp_path: Path):
    package = write_package(
        tmp_path / "theirs.zip", seeded(TwoInputs), description="Refocuses\n  worms.\n"
    )
    assert import_bioimageio(package, tmp_path / "ours").description == "Refocuses worms."


@pytest.mark.parametrize("steps", [0, 1, 3, 10])
def test_an_import_is_stopped_while_it_measures(tmp_path: Path, steps: int):
    package = write_package(tmp_path / "theirs.zip", seeded(TwoInputs))
    asked = []

    def should_stop() -> bool:
        asked.append(True)
        return len(asked) > steps

    with pytest.raises(Cancelled):
        import_bioimageio(package, tmp_path / "ours", should_stop=should_stop)
    assert len(asked) == steps + 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["theirs.zip"]


def test_a_larger_halo_is_believed(tmp_path: Path):
    package = write_package(
        tmp_path / "theirs.zip", seeded(TwoInputs), outputs__0__axes__2__halo=20
    )
    spec = import_bioimageio(package, tmp_path / "ours")
    assert spec.parameters["halo_px"] == 20


class OneSize(TwoInputs):
    def forward(self, image: Tensor, dpm: Tensor) -> Tensor:
        return super().forward(image.view(1, 1, 48, 64), dpm)


class InstanceNorm(TwoInputs):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(4)


class Saves(nn.Module):
    def forward(self, image: Tensor, dpm: Tensor) -> Tensor:
        torch.save(image, "stolen")
        return image + dpm


FILE = {"source": "in1.npy"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format_version": "0.4.10"}, r"format version '0.4.10', but napari-deepz reads 0.5"),
        ({"type": "dataset"}, "not valid at 'type'"),
        ({"format_version": "0.4\x1b[2J"}, r"version '0.4\\x1b\[2J'"),
        ({"description": "clears\x1b[2J"}, "card of the model .* control character"),
        ({"tags": ["clears\x9b2J"]}, "control character"),
        (
            {"inputs__0__preprocessing": [{"id": "a\nb\x1b[2J"}]},
            r"does not know: 'a\\nb\\x1b\[2J'",
        ),
        ({"inputs__0__data": {"type": "a\n" * 999}}, r"type (a\\n){40}…;"),
        (
            {"weights__torchscript__source": "https://there.org/\x1b[2J\n"},
            r"'https://there.org/\\x1b\[2J\\n'",
        ),
        (
            {"inputs__0__axes__2__size": {"min": 1, "step": 1 << 20}},
            "multiples of 1048576 pixels; napari-deepz uses .* up to 1024",
        ),
        ({"inputs": None}, "not valid at 'inputs'"),
        (
            {"weights": {"pytorch_state_dict": {"source": "weights.pt", "architecture": {}}}},
            "never runs code from a package",
        ),
        ({"weights": {"onnx": {"source": "weights.onnx"}}}, "neither TorchScript weights nor"),
        ({"weights__torchscript__source": "https://there.org/n.pt"}, "only names the address"),
        ({"weights__torchscript__sha256": "0" * 64}, "network.pt .* another checksum"),
        ({"weights__torchscript__source": "a\x1b[2J"}, r"has no file 'a\\x1b\[2J'\.$"),
        ({"weights__torchscript__source": "../network.pt"}, "has no .*network.pt"),
        ({"weights__torchscript__source": "/etc/passwd"}, "has no .*/etc/passwd"),
        ({"inputs__0__test_tensor": None}, "has no test image for 'image'"),
        ({"inputs__0__test_tensor__sha256": "0" * 64}, "in0.npy .* another checksum"),
        ({"inputs__0__preprocessing": [{"id": "sigmoid"}]}, "does not know: 'sigmoid'"),
        (
            {"inputs__0__preprocessing": [{"id": "clip"}, {"id": "scale_range"}]},
            "does not know: 'clip', 'scale_range'",
        ),
        (
            {"inputs__0__preprocessing": [{"id": "scale_range", "kwargs": {"axes": ["x"]}}]},
            "does not know: 'scale_range'",
        ),
        (
            {"inputs__1__preprocessing": [{"id": "zero_mean_unit_variance"}]},
            "does not know: 'zero_mean_unit_variance'",
        ),
        ({"outputs__0__postprocessing": [{"id": "sigmoid"}]}, "does not know: 'sigmoid'"),
        ({"inputs__0__data": {"type": "uint8"}}, "numbers of the type uint8"),
        ({"inputs__1__data": {"unit": "µm", "offset": 3.0}}, "distances have an offset"),
        ({"inputs__1__data": {"unit": "µm", "range": [2, 1]}}, "axial range must go from"),
        ({"inputs__1__axes__1__channel_names": ["a", "b"]}, "is none that refocuses"),
        ({"inputs__1": None}, "is none that refocuses"),
        ({"inputs__0__axes__2__id": "z"}, "is none that refocuses"),
        ({"inputs__0__axes__3__scale": 0.4}, "pixels that are not square"),
        ({"inputs__0__test_tensor": FILE}, "does not reproduce"),
        ({"script": to_script(seeded(TwoInputs, seed=4))}, "does not reproduce"),
        ({"script": to_script(seeded(Joined))}, "does not run on its own test image"),
        ({"script": b"PK no network"}, "network .* cannot be read; the file is damaged"),
        ({"script": to_script(Saves().eval(), scripted=True)}, r"uses 'torch.save'"),
        ({"files": {"in0.npy": b"\x93NUMPY broken"}}, "not an array of numbers"),
        ({"files": {"in0.npy": npy(np.zeros((1, 1, 8, 8), "f4"))}}, "not of the sizes"),
        ({"files": {"in0.npy": npy(np.full((1, 1, 48, 64), np.nan))}}, "finite numbers"),
        ({"files": {"in0.npy": npy(np.zeros((48, 64)))}}, r"its shape is \(48, 64\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_packages_that_cannot_be_used_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], sentence: str
):
    monkeypatch.chdir(tmp_path)
    refused(write_package(tmp_path / "theirs.zip", seeded(TwoInputs), **changes), sentence)


@pytest.mark.parametrize(
    ("network", "sentence"),
    [(OneSize, "does not run on images of other sizes"), (InstanceNorm, "cannot be used in tiles")],
)
def test_networks_that_cannot_be_tiled_are_refused(
    tmp_path: Path, network: type[nn.Module], sentence: str
):
    made = seeded(network)
    script = to_script(made, scripted=network is InstanceNorm)
    refused(write_package(tmp_path / "theirs.zip", made, script=script), sentence)


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO()
    np.save(stream, np.array([Exploit()], dtype=object), allow_pickle=True)
    files = {"in0.npy": stream.getvalue()}
    package = write_package(tmp_path / "theirs.zip", seeded(TwoInputs), files=files)
    refused(package, "not an array of numbers")


def test_an_array_that_promises_more_than_it_holds_costs_no_memory(tmp_path: Path):
    promised = npy(np.zeros((1, 1, 48, 64), "f4")).replace(b"48, 64", b"1000000, 1000000")
    files = {"in0.npy": promised}
    package = write_package(tmp_path / "theirs.zip", seeded(TwoInputs), files=files)
    refused(package, "not an array of numbers")


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, sentence: str
):
    monkeypatch.chdir(tmp_path)
    package = write_package(tmp_path / "theirs.zip", seeded(TwoInputs), files={})
    refused(rewritten(package, bioimageio_yaml=text), sentence)

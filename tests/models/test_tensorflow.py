"""Conversion of TensorFlow's SavedModels: the same numbers, and every broken one in a sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from napari_deepz.models.card import CardFields
from napari_deepz.models.errors import ModelError
from napari_deepz.models.package import load_package, read_test
from napari_deepz.models.proof import run_network
from napari_deepz.models.tensorflow import conversion, convert_saved_model, is_saved_model
from napari_deepz.networks.deepz_unet import DeepZUNet
from napari_deepz.watch import Cancelled, Progress, Watch
from tests.conftest import shared_file

needs_tensorflow = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="needs the extra napari-deepz[tensorflow]"
)
PROGRAM = Path(__file__).with_name("tensorflow_models.py")


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SavedModels of other sizes than the fixture's, each beside its input and output."""
    folder = tmp_path_factory.mktemp("saved-models")
    subprocess.run([sys.executable, str(PROGRAM), str(folder)], check=True, capture_output=True)
    return folder


def assert_same_as_tensorflow(package: Path, parity: Path) -> None:
    """Compare with TensorFlow's run of the folder's own graph."""
    stored = np.load(parity)
    image, dpm = np.moveaxis(stored["input"], -1, 0)
    output = run_network(load_package(package).network, image.copy(), dpm * np.float32(10))
    assert np.abs(output - stored["output"]).max() / stored["output"].std() < 1e-4


def assert_only(folder: Path, *names: str) -> None:
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(names)


@needs_tensorflow
@pytest.mark.slow
def test_the_fixture_converts_and_matches_tensorflow(tmp_path: Path) -> None:
    folder = shared_file("fixtures/tf_saved_model")
    told: list[tuple[int, int]] = []

    def on_progress(progress: Progress) -> None:
        told.append((progress.done, progress.total))

    fields = CardFields("lab", "20x/0.8 dry", 0.325, (-8.0, 8.0))
    result = convert_saved_model(
        folder, tmp_path / "lab", fields, watch=Watch(on_progress=on_progress)
    )
    assert result.deviation < 1e-4
    assert result.notes == ()
    assert told == [(done, 56) for done in range(56)]
    model = load_package(tmp_path / "lab")
    assert model.spec.parameters == {"base": 4, "levels": 6}
    assert (model.spec.name, model.spec.objective, model.spec.na) == ("lab", "20x/0.8 dry", 0.8)
    assert (model.spec.pixel_size_um, model.spec.axial_range_um) == (0.325, (-8, 8))
    assert (model.spec.normalisation, model.spec.dpm_scale_um) == ("median-p99", 10)
    assert_same_as_tensorflow(tmp_path / "lab", folder / "parity.npz")
    assert_only(tmp_path, "lab")


@needs_tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "base", "levels"), [("odd", 5, 2), ("deep", 6, 7)], ids=["odd", "deep"]
)
def test_other_widths_depths_and_sizes(
    saved_models: Path, tmp_path: Path, name: str, base: int, levels: int
) -> None:
    folder = shutil.copytree(saved_models / name, tmp_path / "model")
    (folder / "saved_model.pb").write_bytes(b"not a graph: it is never read")
    result = convert_saved_model(folder, tmp_path / "My Lab's model")
    assert result.spec.parameters == {"base": base, "levels": levels}
    assert result.spec.name == "My-Lab-s-model"
    assert len(result.notes) == 3
    package = tmp_path / "My Lab's model"
    assert_same_as_tensorflow(package, saved_models / f"{name}.npz")
    stored = read_test(package)
    assert stored is not None
    output = run_network(load_package(package).network, stored.image, stored.dpm_um)
    assert 0 < stored.deviation(output) < 1e-4  # Not zero: the stored output is TensorFlow's.


@needs_tensorflow
@pytest.mark.slow
def test_truncated_variables(saved_models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved_models / "odd", tmp_path / "odd")
    data = folder / "variables/variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:2000])
    with pytest.raises(ModelError, match="the model is damaged or was not copied whole"):
        convert_saved_model(folder, tmp_path / "out")
    assert_only(tmp_path, "odd")


@needs_tensorflow
def test_python_files_in_the_present_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "model"
    shutil.copytree(shared_file("fixtures/tf_saved_model"), trap)
    for module in ("tensorflow", "json", "queue", "napari_deepz"):
        (trap / f"{module}.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(trap)
    convert_saved_model(Path("."), tmp_path / "out")
    assert not (trap / "ran").exists()
    assert_only(tmp_path, "model", "out")


def reader_that_says(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Put another program in the place of the reader."""
    program = f"print({chr(10).join(lines)!r})"
    genuine = subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda _, **settings: genuine([sys.executable, "-c", program], **settings),
    )
    monkeypatch.setattr(conversion, "find_spec", lambda _: True)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (['napari-deepz: {"error": "TensorFlow cannot be started here."}'], "cannot be started"),
        (["Hello from a start-up script"], "cannot read the variables .*; the model is damaged"),
    ],
)
def test_what_the_reader_says_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], sentence: str
) -> None:
    reader_that_says(monkeypatch, *lines)
    with pytest.raises(ModelError, match=sentence):
        convert_saved_model(shared_file("fixtures/tf_saved_model"), tmp_path / "out")
    assert_only(tmp_path)


@needs_tensorflow
def test_cancelling_ends_tensorflow_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shared_file("fixtures/tf_saved_model")
    started = []
    genuine = subprocess.Popen

    def popen(*arguments: Any, **settings: Any) -> Any:
        started.append(genuine(*arguments, **settings))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        convert_saved_model(folder, tmp_path / "out", watch=Watch(lambda: next(asked)))
    assert [process.poll() is None for process in started] == [False]
    assert_only(tmp_path)


Edit = Callable[[dict[str, np.ndarray]], None]


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Edit], None]:
    """Convert a model whose variables have been edited, without TensorFlow."""
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    (folder / "variables/variables.index").touch()
    torch.manual_seed(1)
    network = DeepZUNet(base=2, levels=2)

    def convert_edited(edit: Edit) -> None:
        variables = {
            conversion._tensorflow_name(name): tensor.numpy().transpose(2, 3, 1, 0).copy()
            if tensor.ndim == 4
            else tensor.numpy()
            for name, tensor in network.state_dict().items()
        }

        def run_reader(_: Path, scratch: Path, *__: object) -> str:
            x = load_file(scratch / "input")["input"]
            output = run_network(network, x[0, ..., 0].copy(), x[0, ..., 1] * 10)
            variables["reference output"] = output[None, ..., None]
            edit(variables)
            save_file(variables, scratch / "output")
            return "2.0"

        monkeypatch.setattr(conversion, "run_reader", run_reader)
        monkeypatch.setattr(conversion, "find_spec", lambda _: True)
        convert_saved_model(folder, tmp_path / "out")

    return convert_edited


def test_unedited_variables_convert(tmp_path: Path, convert: Callable[[Edit], None]) -> None:
    convert(lambda _: None)
    assert_only(tmp_path, "model", "out")


def no_bias(variables: dict[str, np.ndarray]) -> None:
    del variables["Generator/up0/conv1/biases"]


def wrong_shape(variables: dict[str, np.ndarray]) -> None:
    variables["Generator/down1/conv1/filters"] = np.zeros((5, 5, 2, 3), np.float32)


def one_more(variables: dict[str, np.ndarray]) -> None:
    variables["Generator/attention/filters"] = np.zeros((1, 1, 2, 2), np.float32)


def nan(variables: dict[str, np.ndarray]) -> None:
    variables["Generator/down1/conv1/filters"][0, 0, 0, 0] = np.nan


def infinite(variables: dict[str, np.ndarray]) -> None:
    variables["Generator/last_layer/biases_1"] = np.array([np.inf], np.float32)


def no_generator(variables: dict[str, np.ndarray]) -> None:
    variables.clear()


def other_output(variables: dict[str, np.ndarray]) -> None:
    variables["reference output"] += 0.1


def nothing_computed(variables: dict[str, np.ndarray]) -> None:
    del variables["reference output"]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (no_bias, "is not a whole Deep-Z generator: it has no 'Generator/up0/conv1/biases'"),
        (
            wrong_shape,
            r"'Generator/down1/conv1/filters' has the shape \(5, 5, 2, 3\), but \(3, 3, 2, 3\)",
        ),
        (one_more, "not a published Deep-Z generator: it also has 'Generator/attention/filters'"),
        (nan, "'down.1.conv1.weight' holds values that are not finite"),
        (infinite, "'last_layer.bias' holds values that are not finite"),
        (no_generator, "its variables are not named 'Generator/down0/conv1/filters' and so on"),
        (other_output, "its output differs from TensorFlow's by"),
        (nothing_computed, "gives no image; it is damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_models_that_are_not_the_published_network(
    tmp_path: Path, convert: Callable[[Edit], None], edit: Edit, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        convert(edit)
    assert "\n" not in str(caught.value)
    assert ".partial" not in str(caught.value)
    assert_only(tmp_path, "model")


def test_what_is_no_saved_model(tmp_path: Path) -> None:
    assert not is_saved_model(tmp_path)
    with pytest.raises(ModelError, match="is not a TensorFlow SavedModel"):
        convert_saved_model(tmp_path, tmp_path / "out")
    (tmp_path / "saved_model.pb").touch()
    assert is_saved_model(tmp_path)
    with pytest.raises(ModelError, match="is not whole: its folder 'variables'"):
        convert_saved_model(tmp_path, tmp_path / "out")
    assert_only(tmp_path, "saved_model.pb")


def test_without_tensorflow_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"pip install 'napari-deepz\[tensorflow\]'"):
        convert_saved_model(shared_file("fixtures/tf_saved_model"), tmp_path / "out")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (CardFields(name="../escape"), "name"),
        (CardFields(name="my lab"), "name"),
        (CardFields(axial_range_um=(5, -5)), "must go from a smaller to a larger number"),
    ],
)
def test_what_cannot_be_said_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: CardFields, sentence: str
) -> None:
    folder = shared_file("fixtures/tf_saved_model")
    monkeypatch.setattr(conversion, "find_spec", lambda _: True)
    with pytest.raises(ModelError, match=sentence):
        convert_saved_model(folder, tmp_path / "out", fields)
    assert_only(tmp_path)


def test_an_objective_without_a_readable_aperture_is_noted() -> None:
    notes = conversion._assumed(CardFields("lab", "63x1.4", 0.1, (-1, 1)))
    assert "cannot be read off the objective '63x1.4'" in notes[0]
    assert not conversion._assumed(CardFields("lab", "63x/1.4", 0.1, (-1, 1)))


def test_a_target_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda _: True)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot be converted to .*out: "):
        convert_saved_model(shared_file("fixtures/tf_saved_model"), tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("target", "sentence"), [(".", "already there"), ("new.zip", "name one instead of")]
)
def test_targets_that_cannot_be(tmp_path: Path, target: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        convert_saved_model(shared_file("fixtures/tf_saved_model"), tmp_path / target)
    assert_only(tmp_path)


def test_the_graph_may_be_of_any_size_as_it_is_never_read(
    tmp_path: Path, convert: Callable[[Edit], None]
) -> None:
    with (tmp_path / "model/saved_model.pb").open("wb") as stream:
        stream.truncate(5 << 40)
    convert(lambda _: None)
    assert_only(tmp_path, "model", "out")


def test_a_full_disk_is_a_sentence(
    tmp_path: Path, convert: Callable[[Edit], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"cannot be converted to .*out: ") as caught:
        convert(lambda _: None)
    assert str(caught.value) == (
        f"The model cannot be converted to {tmp_path / 'out'}: No space left on device; make room "
        "or choose another folder."
    )
    assert_only(tmp_path, "model")

"""The test that a model carries: passed, passed with fewer digits, failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from napari_deepz.engine.model_check import SAME, check_model
from napari_deepz.models.errors import ModelError
from napari_deepz.models.library import load_model
from napari_deepz.models.package import TEST_FILE, save_model
from napari_deepz.models.proof import SIMILAR
from tests.conftest import write_tiny_model


def disturb(package: Path, deviations: float) -> None:
    """Move one pixel of the stored output by so many of its standard deviations."""
    test = load_file(package / TEST_FILE)
    output = test["output"].astype(float)
    spread = output.std()
    output[3, 4] += deviations * spread
    save_file({**test, "output": output.astype(np.float32)}, package / TEST_FILE)


@pytest.mark.parametrize("architecture", ["encode-once", "deepz-unet"])
@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_a_model_passes_its_own_test(tmp_path: Path, architecture: str, half: bool) -> None:
    parameters = {"base": 4, "levels": 2}
    package = write_tiny_model(tmp_path / "a", architecture=architecture, parameters=parameters)
    model = load_model(package)
    save_model(tmp_path / "b", model.spec, model.network, half=half)
    check = check_model(load_model(tmp_path / "b"), "cpu")
    assert check.deviation < 1e-5
    assert check.passed
    assert check.device.startswith("CPU, ")
    assert "to float32 rounding" in check.verdict


@pytest.mark.parametrize(
    ("deviations", "passed", "verdict"),
    [(0.003, True, "differs slightly"), (0.1, False, "is NOT the stored one")],
)
def test_a_deviation_is_measured_in_standard_deviations(
    tmp_path: Path, deviations: float, passed: bool, verdict: str
) -> None:
    package = write_tiny_model(tmp_path / "a")
    disturb(package, deviations)
    check = check_model(load_model(package), "cpu")
    assert check.deviation == pytest.approx(deviations, rel=0.02)
    assert check.passed is passed
    assert verdict in check.verdict
    assert check.deviation > SAME
    assert (check.deviation < SIMILAR) is passed


def test_an_output_that_is_not_finite_fails(tmp_path: Path) -> None:
    package = write_tiny_model(tmp_path / "a")
    model = load_model(package)
    network: Any = model.network
    with torch.no_grad():
        network.head.bias[:] = np.nan
    check = check_model(model, "cpu")
    assert check.deviation == np.inf
    assert not check.passed


def test_a_package_without_a_test(tmp_path: Path) -> None:
    package = write_tiny_model(tmp_path / "a")
    (package / TEST_FILE).unlink()
    with pytest.raises(ModelError, match="carries no test"):
        check_model(load_model(package))


def test_the_bundled_model_passes() -> None:
    assert check_model(load_model(), "cpu").deviation < SAME


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'tpu' is not known"):
        check_model(load_model(write_tiny_model(tmp_path / "a")), "tpu")


@pytest.mark.parametrize("size", [(5, 7), (0, 0)], ids=str)
def test_a_test_that_the_network_cannot_take(tmp_path: Path, size: tuple[int, int]) -> None:
    package = write_tiny_model(tmp_path / "a")
    image = np.arange(size[0] * size[1], dtype=np.float32).reshape(size)
    save_file({"image": image, "dpm_um": image, "output": image}, package / TEST_FILE)
    with pytest.raises(ModelError, match=f"has images of {size[1]} x {size[0]} pixels"):
        check_model(load_model(package), "cpu")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("The size of tensor a must match", "cannot take the stored images; the package is damag"),
        ("CUDA out of memory.", "there is too little memory; use another device"),
    ],
)
def test_a_network_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, sentence: str
) -> None:
    model = load_model(write_tiny_model(tmp_path / "a"))

    def fail(*_: object) -> None:
        raise RuntimeError(f"{said}\nand more lines")

    monkeypatch.setattr(type(model.network), "encode", fail)
    with pytest.raises(ModelError, match=rf"cannot be run \(CPU, .*\): .*{sentence}") as caught:
        check_model(model, "cpu")
    assert "\n" not in str(caught.value)


def test_a_network_that_gives_another_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(write_tiny_model(tmp_path / "a"))
    monkeypatch.setattr(type(model.network), "decode", lambda self, code, dpm: dpm[..., :1])
    with pytest.raises(ModelError, match="does not give an image of the size of its stored test"):
        check_model(model, "cpu")

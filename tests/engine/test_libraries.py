"""What work in napari's process loads besides: not triton, whose LLVM clashes with Mesa's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_deepz.models.bioimageio import export_bioimageio
from napari_deepz.models.package import load_package
from tests.conftest import write_tiny_model

PARAMETERS = {
    "deepz-unet": {"base": 2, "levels": 3},
    "encode-once": {"base": 2, "levels": 2, "planes": 5},
    "z-basis": {"base": 2, "levels": 2, "functions": 3, "planes": 5},
}

START = """
import warnings; warnings.simplefilter("ignore")
import sys, numpy as np, napari_deepz as dz
image = np.random.default_rng(0).normal(100, 5, (96, 80)).astype("f4")
model = dz.load_model(sys.argv[1])
"""
END = "print(sorted({'torch._dynamo', 'triton'} & sys.modules.keys()))"

WORK = {
    "load_model": "",
    "refocus": """
fewer = dz.Compute(precision="bfloat16")
for settings in ({}, {"compute": fewer}, {"pixel_size_um": 0.5}, {"tile_px": 48}):
    settings = {"pixel_size_um": 0.325} | settings
    dz.refocus(image, [dz.Flat(-2, 2, 2), dz.Tilted(1, 1)], model, **settings)
""",
    "stored test": """
from napari_deepz.engine.model_check import check_model
assert check_model(model, "cpu").passed
""",
    "adding": """
from napari_deepz.models.installing import add_model
add_model(sys.argv[1])
""",
}
OPENVINO = """
compute = dz.Compute(runtime="openvino", device="cpu")
dz.refocus(image, dz.Flat(1), model, compute=compute, pixel_size_um=0.325)
"""


def loaded(work: str, package: str) -> str:
    code = "\n".join((START, work, END))
    run = subprocess.run(
        [sys.executable, "-c", code, package], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize("architecture", PARAMETERS)
def test_neither_dynamo_nor_triton_is_loaded(tmp_path: Path, architecture: str) -> None:
    package = write_tiny_model(
        tmp_path / "tiny", architecture=architecture, parameters=PARAMETERS[architecture]
    )
    assert loaded("".join(WORK.values()), str(package)) == "[]"


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # bioimageio.spec's own.
def test_adding_an_export_loads_neither(tmp_path: Path) -> None:
    pytest.importorskip("bioimageio.spec", reason="needs the extra napari-deepz[bioimageio]")
    package = write_tiny_model(tmp_path / "tiny", parameters=PARAMETERS["encode-once"])
    exported = tmp_path / "exported.zip"
    export_bioimageio(load_package(package), exported)
    add = f"from napari_deepz.models.installing import add_model\nadd_model({str(exported)!r})"
    assert loaded(add, str(package)) == "[]"


def test_openvino_loads_neither(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra napari-deepz[openvino]")
    architecture = "deepz-unet"
    package = write_tiny_model(
        tmp_path / "tiny", architecture=architecture, parameters=PARAMETERS[architecture]
    )
    assert loaded(OPENVINO, str(package)) == "[]"


def test_the_bundled_model_loads_neither() -> None:
    assert loaded(WORK["refocus"], "widefield-20x") == "[]"


def test_what_is_loaded_is_seen(tmp_path: Path) -> None:
    assert "torch._dynamo" in loaded(
        "import torch._dynamo", str(write_tiny_model(tmp_path / "tiny"))
    )

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_deepz.models.library import load_model
from napari_deepz.models.package import Model, save_model
from napari_deepz.models.spec import ModelSpec

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_file(relative: str) -> Path:
    """A file of the real data or fixtures kept beside the repository; skips where it is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"needs {relative}, which is kept beside the repository and is not there")
    return path


def tiny_spec(**changes: Any) -> ModelSpec:
    """An encode-once model small enough to run in milliseconds."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "architecture": "encode-once",
        "parameters": {"base": 4, "levels": 2, "planes": 41},
        "objective": "20x/0.75 dry",
        "na": 0.75,
        "emission_wavelength_um": 0.52,
        "pixel_size_um": 0.325,
        "axial_range_um": (-10.0, 10.0),
        "normalisation": "signed-sqrt",
        "sample": "a test",
        "licence": "BSD-3-Clause",
        "citation": "none",
    }
    return ModelSpec.model_validate(fields | changes)


def write_tiny_model(folder: Path, **changes: Any) -> Path:
    """A model package with random weights whose planes differ from each other."""
    spec = tiny_spec(**changes)
    torch.manual_seed(0)
    network = spec.build()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    save_model(folder, spec, network)
    return folder


@pytest.fixture(autouse=True, scope="session")
def _modules_are_no_rubbish() -> None:
    """Collecting it, as many tests do at their end, need not look through all that is imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_user_models(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(tmp_path_factory.mktemp("models")))


@pytest.fixture
def tiny_model(tmp_path: Path) -> Model:
    return load_model(write_tiny_model(tmp_path / "tiny"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)

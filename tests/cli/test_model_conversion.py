"""Converting, testing and exporting models as a person does it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_deepz import Tilted, read_image, refocus
from napari_deepz.models.library import load_model
from napari_deepz.models.package import TEST_FILE
from tests.cli.conftest import Run
from tests.conftest import shared_file, write_tiny_model
from tests.engine.test_model_check import disturb

needs_tensorflow = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="needs the extra napari-deepz[tensorflow]"
)


@needs_tensorflow
@pytest.mark.slow
def test_a_converted_model_refocuses_a_real_image_onto_a_tilted_plane(
    deepz: Run, tmp_path: Path
) -> None:
    saved_model = shared_file("fixtures/tf_saved_model")
    picture = shared_file("data/celegans_embryo_cy3_plane20.png")
    options = ("--objective", "63x/1.4 oil", "--pixel-size", "0.0645", "--z-range", "-5:5")
    said = deepz("models", "convert", saved_model / "saved_model.pb", "lab", *options, cwd=tmp_path)
    assert "'lab': the published U-Net, base 4, levels 6" in said.stdout
    assert "Note" not in said.stdout
    deepz("models", "add", "lab", cwd=tmp_path)
    assert "63x/1.4 oil" in deepz("models", "show", "lab", cwd=tmp_path).stdout
    tested = deepz("models", "test", "lab", "--device", "cpu", cwd=tmp_path).stdout
    assert "The output is the stored one to float32 rounding." in tested

    settings = ("--model", "lab", "--pixel-size", "0.0645", "--tilt-x", "5")
    deepz("refocus", picture, "tilted.ome.tif", *settings, cwd=tmp_path)
    image = read_image(picture).plane()
    wanted = refocus(image, Tilted(5, 0), load_model("lab"), pixel_size_um=0.0645)
    assert wanted.data.shape == (1, 712, 672)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "tilted.ome.tif"), wanted.data[0])


@needs_tensorflow
def test_what_was_not_said_is_noted(deepz: Run, tmp_path: Path) -> None:
    saved_model = shared_file("fixtures/tf_saved_model")
    said = deepz("models", "convert", saved_model, "lab", cwd=tmp_path).stdout
    assert "The range was assumed to be -10 to 10 µm" in said
    assert "The pixel size is not known" in said
    assert "The objective is not known" in said


def test_a_folder_that_is_no_saved_model_is_one_sentence(deepz: Run, tmp_path: Path) -> None:
    said = deepz("models", "convert", tmp_path, "lab", cwd=tmp_path, check=False)
    assert said.code == 1
    assert said.stderr.startswith(f"Error: {tmp_path} is not a TensorFlow SavedModel")
    assert said.stderr.count("\n") == 1
    assert not (tmp_path / "lab").exists()


def test_a_model_that_computes_something_else_here_fails(deepz: Run, tmp_path: Path) -> None:
    disturb(write_tiny_model(tmp_path / "tiny"), 0.5)
    said = deepz("models", "test", "tiny", cwd=tmp_path, check=False)
    assert said.code == 1
    assert "largest difference 5.0e-01 standard deviations" in said.stdout
    assert said.stderr == (
        "Error: The output is NOT the stored one: do not use this model on this device.\n"
    )


def test_a_model_without_a_test(deepz: Run, tmp_path: Path) -> None:
    (write_tiny_model(tmp_path / "tiny") / TEST_FILE).unlink()
    said = deepz("models", "test", "tiny", cwd=tmp_path, check=False)
    assert (said.code, said.stderr.count("\n")) == (1, 1)
    assert "carries no test" in said.stderr


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # bioimageio.spec's own.
def test_an_export_comes_back_under_another_name(deepz: Run, tmp_path: Path) -> None:
    pytest.importorskip("bioimageio.spec", reason="needs the extra napari-deepz[bioimageio]")
    write_tiny_model(Path(os.environ["NAPARI_DEEPZ_MODELS"]) / "tiny")
    deepz("models", "export", "tiny", "shared.zip", cwd=tmp_path)
    deepz("models", "add", "shared.zip", "--name", "again", cwd=tmp_path)
    tested = deepz("models", "test", "again", cwd=tmp_path).stdout
    assert "to float32 rounding" in tested
    assert load_model("again").sha256 == load_model("tiny").sha256

"""The command line as a person uses it: real processes, real files, one-sentence errors."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_deepz import Curved, Flat, Tilted, __version__, load_model, read_image, refocus
from napari_deepz.engine.compute import Compute
from napari_deepz.io.reading import read_provenance
from napari_deepz.models.errors import ModelError
from napari_deepz.samples import TILTED_BEADS, WORM
from napari_deepz.surfaces import save_surface
from tests.cli.conftest import Run
from tests.conftest import shared_file, write_tiny_model


@pytest.fixture
def image(tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / "my worm µ.ome.tif"
    tifffile.imwrite(
        path,
        rng.poisson(rng.gamma(2, 40, (48, 64))).astype(np.uint16),
        metadata={"axes": "YX", "PhysicalSizeX": 0.325, "PhysicalSizeY": 0.325},
    )
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


def test_flat_range_gives_the_same_pixels_as_python(
    deepz: Run, image: Path, model: Path, tmp_path: Path
) -> None:
    said = deepz("refocus", image, "out.ome.tif", "--z", "-2:2:0.5", "--model", model, cwd=tmp_path)
    series = read_image(image)
    expected = refocus(series.plane(), Flat(-2, 2, 0.5), load_model(model), pixel_size_um=0.325)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tif:
        np.testing.assert_array_equal(tif.asarray(), expected.data)
    written = read_image(tmp_path / "out.ome.tif")
    assert (written.pixel_size_um, written.z_step_um) == (0.325, 0.5)
    assert "CPU" in said.stdout
    record = read_provenance(tmp_path / "out.ome.tif")
    assert record is not None
    assert record.kind == "inferred"
    assert record.model_name == "tiny"
    assert record.input_name == image.name


@pytest.mark.parametrize(
    ("architecture", "parameters", "options", "settings", "device"),
    [
        (
            "z-basis",
            {"base": 4, "levels": 2, "functions": 3},
            ["--precision", "bfloat16"],
            {"precision": "bfloat16"},
            "bfloat16",
        ),
        (
            "deepz-unet",
            {"base": 4, "levels": 2},
            ["--runtime", "openvino"],
            {"runtime": "openvino"},
            "OpenVINO",
        ),
    ],
)
def test_how_it_is_computed_can_be_chosen_and_is_recorded(
    deepz: Run,
    image: Path,
    tmp_path: Path,
    architecture: str,
    parameters: dict[str, Any],
    options: list[str],
    settings: dict[str, Any],
    device: str,
) -> None:
    if "--runtime" in options:
        pytest.importorskip("openvino", reason="needs the extra napari-deepz[openvino]")
    package = write_tiny_model(tmp_path / "other", architecture=architecture, parameters=parameters)
    where = ("--z", "2", "--model", package)
    deepz("refocus", image, "out.tif", *where, *options, cwd=tmp_path)
    expected = refocus(
        read_image(image).plane(),
        Flat(2),
        load_model(package),
        pixel_size_um=0.325,
        compute=Compute(**settings),
    )
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), expected.data[0])
    record = read_provenance(tmp_path / "out.tif")
    assert record is not None
    assert record.device == expected.device
    assert record.device.endswith(device)


def test_a_way_of_computing_that_is_not_known_is_refused(
    deepz: Run, image: Path, tmp_path: Path
) -> None:
    for options, sentence in (
        (
            ("--precision", "half"),
            "'precision' of the computation is 'half'; input should be",
        ),
        (("--runtime", "openvino"), "for models of the published U-Net only"),
    ):
        said = deepz("refocus", image, "x.tif", "--z", "1", *options, cwd=tmp_path, check=False)
        assert said.code == 1
        assert sentence in " ".join(said.stderr.split())
    assert not (tmp_path / "x.tif").exists()


def test_the_recorded_command_repeats_the_run(
    deepz: Run, image: Path, model: Path, tmp_path: Path
) -> None:
    deepz("refocus", image, "one.ome.tif", "--tilt-x", "-3", "--model", model, cwd=tmp_path)
    first = tifffile.imread(tmp_path / "one.ome.tif")
    record = read_provenance(tmp_path / "one.ome.tif")
    assert record is not None
    (tmp_path / "one.ome.tif").unlink()
    program = f"{sys.executable} -m napari_deepz"
    again = record.command.replace("napari-deepz", program, 1)
    subprocess.run(again, shell=True, cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "one.ome.tif"), first)


def test_tilt_surface_file_and_python_agree(
    deepz: Run, image: Path, model: Path, tmp_path: Path
) -> None:
    save_surface(Tilted(4, -2, 1), tmp_path / "tilt.json")
    depths = Tilted(4, -2, 1).dpm((48, 64), 0.325)
    tifffile.imwrite(tmp_path / "depths.tif", depths)
    options = {
        "a.ome.tif": ("--tilt-x", "4", "--tilt-y", "-2", "--offset", "1"),
        "b.ome.tif": ("--surface", "tilt.json"),
        "c.ome.tif": ("--surface", "depths.tif"),
    }
    for name, where in options.items():
        deepz("refocus", image, name, *where, "--model", model, cwd=tmp_path)
    series = read_image(image)
    expected = refocus(series.plane(), Tilted(4, -2, 1), load_model(model), pixel_size_um=0.325)
    for name in options:
        np.testing.assert_array_equal(
            np.squeeze(tifffile.imread(tmp_path / name)), expected.data[0]
        )


def test_a_downward_range_is_written_upward(
    deepz: Run, image: Path, model: Path, tmp_path: Path
) -> None:
    deepz("refocus", image, "down.tif", "--z", "1:-1:-0.5", "--model", model, cwd=tmp_path)
    deepz("refocus", image, "up.tif", "--z", "-1:1:0.5", "--model", model, cwd=tmp_path)
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "down.tif"), tifffile.imread(tmp_path / "up.tif")
    )


def test_leaving_the_models_range_is_said_and_recorded(
    deepz: Run, image: Path, model: Path, tmp_path: Path
) -> None:
    save_surface(Curved(form="paraboloid", radius_um=3, offset_um=0), tmp_path / "steep.json")
    said = deepz(
        "refocus", image, "out.tif", "--surface", "steep.json", "--model", model, cwd=tmp_path
    )
    assert "Note:" in said.stdout
    assert "-10" in said.stdout
    record = read_provenance(tmp_path / "out.tif")
    assert record is not None
    assert any("10" in note for note in record.notes)


def test_a_surface_that_is_not_quite_what_was_asked_for_is_said(
    deepz: Run, image: Path, model: Path, tmp_path: Path
) -> None:
    points = [[0, 0, 0], [2, 2, 1], [4, 4, 2]]
    (tmp_path / "line.json").write_text(json.dumps({"kind": "points", "points_um": points}))
    said = deepz(
        "refocus", image, "out.tif", "--surface", "line.json", "--model", model, cwd=tmp_path
    )
    assert "Note:" in said.stdout
    record = read_provenance(tmp_path / "out.tif")
    assert record is not None
    assert any("line" in note for note in record.notes)


def test_pixel_size_option_and_unknown_pixel_size(
    deepz: Run, model: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    pixels = rng.integers(0, 255, (40, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    said = deepz("refocus", "plain.png", "a.tif", "--z", "1", "--model", model, cwd=tmp_path)
    assert "pixel size" in said.stdout
    said = deepz(
        *("refocus", "plain.png", "b.tif", "--z", "1", "--model", model),
        *("--pixel-size", "0.65"),
        cwd=tmp_path,
    )
    assert "resampled" in said.stdout
    assert read_image(tmp_path / "b.tif").pixel_size_um == pytest.approx(0.65)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing.tif", "o.tif", "--z", "1"], "nothing.tif"),
        (["{image}", "o.tif"], "Say where to refocus in one way"),
        (["{image}", "o.tif", "--z", "1", "--tilt-x", "2"], "Say where to refocus in one way"),
        (["{image}", "o.tif", "--z", "1:2"], "the step is missing"),
        (["{image}", "o.tif", "--z", "0:10:-1"], "step"),
        (["{image}", "o.tif", "--z", "1", "--offset", "2"], "--offset belongs to"),
        (["{image}", "o.tif", "--z", "1", "--model", "tinny"], "no model or model package"),
        (["{image}", "o.tif", "--z", "1", "--plane", "3"], "3"),
        (["{image}", "o.xyz", "--z", "1"], "o.xyz"),
        (["{image}", "{image}", "--z", "1"], "exists and was not made by napari-deepz"),
        (["{image}", "no/folder/o.tif", "--z", "1"], "folder"),
        (["{image}", "o.tif", "--z", "1", "--device", "tpu"], "tpu"),
        (["{image}", "o.tif", "--z", "1", "--pixel-size", "-1"], "pixel size"),
        (["{image}", "o.tif", "--surface", "none.json"], "none.json"),
        (["{text}", "o.tif", "--z", "1"], "notes.tif"),
    ],
)
def test_mistakes_end_in_one_sentence(
    deepz: Run, image: Path, model: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    (tmp_path / "notes.tif").write_text("not a picture")
    filled = [a.format(image=image, text="notes.tif") for a in arguments]
    if "--model" not in filled:
        filled += ["--model", str(model)]
    before = sorted(tmp_path.iterdir())
    result = deepz("refocus", *filled, cwd=tmp_path, check=False)
    assert result.code == 1
    assert result.stderr.startswith("Error: ")
    assert sentence.lower() in result.stderr.lower()
    assert result.stderr.strip().count("\n") == 0
    assert "Traceback" not in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_only_our_own_results_are_replaced(
    deepz: Run, image: Path, model: Path, tmp_path: Path
) -> None:
    arguments = ("refocus", image, "out.tif", "--model", model)
    deepz(*arguments, "--z", "1", cwd=tmp_path)
    deepz(*arguments, "--z", "2", cwd=tmp_path)
    assert read_provenance(tmp_path / "out.tif").axial_range_um == (2, 2)
    tifffile.imwrite(tmp_path / "out.tif", Tilted(4, 0).dpm((48, 64), 0.325))
    before = (tmp_path / "out.tif").read_bytes()
    said = deepz(*arguments, "--surface", "out.tif", cwd=tmp_path, check=False)
    assert "exists and was not made by napari-deepz" in said.stderr
    assert (tmp_path / "out.tif").read_bytes() == before


@pytest.mark.parametrize("command", ["demo", "evaluate", "simulate"])
def test_a_file_is_no_folder(deepz: Run, model: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "taken").write_text("x")
    arguments = {
        "demo": ["demo", "--output", "taken", "--no-gui"],
        "evaluate": ["evaluate", TILTED_BEADS, "--input-plane", "10", "--output", "taken"],
        "simulate": ["simulate", "taken"],
    }
    said = deepz(*arguments[command], cwd=tmp_path, check=False)  # type: ignore[misc]
    assert "'taken' is a file; name a folder" in said.stderr


def test_what_nobody_expected_is_still_a_sentence(
    deepz: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("napari_deepz.models.library.load_model", broken)
    said = deepz("models", "show", "tiny", cwd=tmp_path, check=False)
    assert said.code == 1
    assert "something unexpected happened (ZeroDivisionError: by zero)" in said.stderr


def test_uneven_planes_are_said(deepz: Run, image: Path, model: Path, tmp_path: Path) -> None:
    said = deepz("refocus", image, "o.tif", "--z", "0:1:0.3", "--model", model, cwd=tmp_path)
    assert "not evenly spaced" in said.stdout
    assert read_image(tmp_path / "o.tif").z_step_um is None


def test_version(deepz: Run, tmp_path: Path) -> None:
    assert deepz("--version", cwd=tmp_path).stdout.strip() == f"napari-deepz {__version__}"


def test_debug_lets_the_error_through(deepz: Run, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        deepz("--debug", "models", "show", "tinny", cwd=tmp_path)


def test_a_stack_asks_which_plane(deepz: Run, model: Path, tmp_path: Path) -> None:
    result = deepz(
        "refocus", TILTED_BEADS, "o.tif", "--z", "1", "--model", model, cwd=tmp_path, check=False
    )
    assert "has 21 planes; say which one to refocus with --plane, from 0 to 20" in result.stderr


def test_interrupt_leaves_no_file(model: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    tifffile.imwrite(tmp_path / "big.tif", rng.integers(0, 999, (900, 900), dtype=np.uint16))
    arguments = ["refocus", "big.tif", "o.tif", "--z", "-10:10:0.02", "--model", str(model)]
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_deepz", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped." in said
    assert {path.name for path in tmp_path.iterdir()} == {"big.tif", "tiny"}


def test_evaluate_writes_table_and_plot(deepz: Run, model: Path, tmp_path: Path) -> None:
    said = deepz(
        *("evaluate", TILTED_BEADS, "--input-plane", "10", "--model", model, "--output", "here"),
        cwd=tmp_path,
    )
    assert "raw" in said.stdout
    assert "…" not in said.stdout
    lines = (tmp_path / "here/evaluation.csv").read_text().splitlines()
    assert len(lines) == 21
    with Image.open(tmp_path / "here/evaluation.png") as picture:
        assert picture.width > 500


def test_evaluate_needs_a_z_step(
    deepz: Run, model: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    tifffile.imwrite(tmp_path / "s.tif", rng.integers(0, 99, (5, 40, 40), dtype=np.uint16))
    arguments = ["evaluate", "s.tif", "--input-plane", "2", "--model", model]
    result = deepz(*arguments, cwd=tmp_path, check=False)
    assert "give it in µm with --z-step" in result.stderr
    deepz(*arguments, "--z-step", "0.5", cwd=tmp_path)
    assert (tmp_path / "s-evaluation/evaluation.csv").exists()


def test_models_list_and_show(
    deepz: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(tmp_path))
    listed = deepz("models", "list", cwd=tmp_path).stdout
    assert "tiny" in listed
    assert "20x/0.75 dry" in listed
    shown = deepz("models", "show", "tiny", cwd=tmp_path).stdout
    assert load_model(model).sha256 in shown
    assert "encode-once" in shown


@pytest.mark.slow
def test_simulate_writes_stacks_with_their_truth(deepz: Run, tmp_path: Path) -> None:
    pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")
    options = ("--size", "48", "--half-range", "3", "--count", "2", "--seed", "4")
    deepz("simulate", "a", *options, "--kind", "beads", cwd=tmp_path)
    deepz("simulate", "b", *options, "--kind", "beads", cwd=tmp_path)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [
        "0000_beads.json",
        "0000_beads.ome.tif",
        "0001_beads.json",
        "0001_beads.ome.tif",
    ]
    series = read_image(tmp_path / "a/0000_beads.ome.tif")
    assert series.data.shape == (13, 48, 48)
    assert (series.pixel_size_um, series.z_step_um) == (0.325, 0.5)
    assert read_provenance(tmp_path / "a/0000_beads.ome.tif").kind == "simulated"
    truth = json.loads((tmp_path / "a/0000_beads.json").read_text())
    assert all(len(centre) == 3 for centre in truth["centres_z_um_y_px_x_px"])
    for name in names:
        if name.endswith(".tif"):
            first, again = (tifffile.imread(tmp_path / folder / name) for folder in "ab")
            np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--z-step", "0.001"], "more than 400 planes"),
        (["--z-step", "-1"], "cannot be simulated"),
        (["--tilt", "4"], "--kind tilted-beads"),
        (["--tilt", "400", "--kind", "tilted-beads"], "within the range"),
    ],
)
def test_impossible_simulations(
    deepz: Run, tmp_path: Path, options: list[str], sentence: str
) -> None:
    said = deepz("simulate", "out", *options, cwd=tmp_path, check=False)
    assert said.code == 1
    assert sentence in said.stderr


def test_simulate_knows_its_phantoms(deepz: Run, tmp_path: Path) -> None:
    result = deepz("simulate", "out", "--kind", "cats", cwd=tmp_path, check=False)
    assert "no phantom 'cats'; choose from beads" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_real_image_from_another_objective_is_flagged(
    deepz: Run, model: Path, tmp_path: Path
) -> None:
    plane = shared_file("data/celegans_embryo_cy3_plane20.png")
    said = deepz(
        *("refocus", plane, "o.ome.tif", "--z", "-2:2:2", "--model", model),
        *("--pixel-size", "0.0645"),
        cwd=tmp_path,
    )
    assert "0.0645 µm pixels" in said.stdout
    written = read_image(tmp_path / "o.ome.tif")
    assert written.data.shape == (3, 712, 672)
    assert written.pixel_size_um == pytest.approx(0.0645)
    assert written.z_step_um == pytest.approx(2)


def test_simulated_stacks_are_measured_beside_real_ones(
    deepz: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("volumes", "specimens"):
        monkeypatch.setattr(f"napari_deepz.training.any_objective.{module}.SHAPE", (48, 32, 32))
    said = deepz(
        *("simulate", "--statistics", "--count", 4, "--compare", WORM), cwd=tmp_path
    ).stdout
    assert "4 simulated stacks" in said
    rows = [line.split("│")[1:-1] for line in said.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in rows] == [
        "lowest tenth",
        "middle",
        "highest tenth",
        "worm.ome.tif",
    ]
    numbers = [[float(cell) for cell in row[1:]] for row in rows]
    assert all(low <= high for low, high in zip(numbers[0], numbers[2], strict=True))
    assert numbers[3][4] == pytest.approx(1, abs=0.05)
    assert not list(tmp_path.iterdir())


def test_simulate_wants_a_folder_or_statistics(deepz: Run, tmp_path: Path) -> None:
    said = deepz("simulate", cwd=tmp_path, check=False)
    assert said.code == 1
    assert "Name a folder for the stacks" in said.stderr


def test_a_result_that_is_made_again_is_not_replaced(
    deepz: Run, model: Path, tmp_path: Path
) -> None:
    options = ("--plane", 3, "--z", 1, "--model", model)
    deepz("refocus", TILTED_BEADS, "a.ome.tif", *options, cwd=tmp_path)
    before = (tmp_path / "a.ome.tif").read_bytes()
    said = deepz("refocus", "--again", "a.ome.tif", "a.ome.tif", cwd=tmp_path, check=False)
    assert said.code == 1
    assert "is the input" in said.stderr
    assert (tmp_path / "a.ome.tif").read_bytes() == before


def test_nothing_of_the_list_of_models_is_cut_off(deepz: Run, tmp_path: Path) -> None:
    said = deepz("models", "list", cwd=tmp_path, columns=80).stdout.split()
    spec = load_model().spec
    assert [word for word in spec.sample.split() if word not in said] == []

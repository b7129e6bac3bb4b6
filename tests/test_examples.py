"""Every example runs as it stands, and what it prints and writes is true."""

from __future__ import annotations

import csv
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_deepz.samples import TILTED_BEADS_RISE_UM, TILTED_BEADS_TILT_X_DEG

EXAMPLES = Path(__file__).parents[1] / "examples"
FIELD_UM = 256 * 0.325
NUMBER = r"([+-]?\d+(?:\.\d+)?)"


Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example and give what it prints; warnings are errors here."""

    def run_it(name: str, *folder: Path) -> str:
        monkeypatch.setattr(sys, "argv", [str(EXAMPLES / name), *map(str, folder)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        printed, complained = capsys.readouterr()
        assert complained == ""
        return printed

    return run_it


def run_elsewhere(name: str, *folder: Path) -> str:
    """Run an example in an interpreter of its own."""
    result = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *folder],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def numbers(pattern: str, said: str) -> list[list[float]]:
    """Numbers in every line that a pattern fits; N stands for a number."""
    found = re.findall(pattern.replace("N", NUMBER), said, re.MULTILINE)
    assert found, f"nothing like '{pattern}' in:\n{said}"
    return [[float(n) for n in (one if isinstance(one, tuple) else (one,))] for one in found]


def read(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Pixels and OME description of an image, read by tifffile alone."""
    with tifffile.TiffFile(path) as tif:
        about = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]
        return tif.asarray(), about


def test_every_example_is_short_listed_and_run_here() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    tested = Path(__file__).read_text(encoding="utf-8")
    names = [path.name for path in EXAMPLES.glob("*.py")]
    assert len(names) >= 5
    for name in names:
        assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 50, name
        assert f"`{name}`" in listed
        assert re.search(rf'run(_elsewhere)?\("{name}"', tested)


def test_virtual_stack(tmp_path: Path) -> None:
    said = run_elsewhere("01_virtual_stack.py", tmp_path)
    rows = numbers("^N µm: N refocused, N unrefocused$", said)
    assert [row[0] for row in rows] == [-8, -4, 4, 8]
    for _, refocused, unrefocused in rows:
        assert unrefocused < refocused < 1
    pixels, about = read(tmp_path / "worm_virtual.ome.tif")
    assert pixels.shape == (41, 256, 256)
    sizes = about["Pixels"]
    assert [sizes[f"PhysicalSize{axis}"] for axis in "XYZ"] == [0.325, 0.325, 0.5]
    assert sizes["PhysicalSizeXUnit"] == sizes["PhysicalSizeZUnit"] == "µm"
    assert [plane["PositionZ"] for plane in sizes["Plane"]] == list(np.arange(-10, 10.5, 0.5))
    assert about["Description"].startswith("INFERRED")


def test_tilted_plane(tmp_path: Path, run: Run) -> None:
    said = run("02_tilted_plane.py", tmp_path)
    ((low_um, high_um),) = numbers("from N to N µm$", said)
    # From the first pixel's centre to the last one's: one pixel less than the whole field.
    assert high_um - low_um == pytest.approx(TILTED_BEADS_RISE_UM * 255 / 256, abs=0.02)
    ((refocused, unrefocused),) = numbers("truth: N refocused, N unrefocused$", said)
    assert refocused > unrefocused + 0.03
    pixels, about = read(tmp_path / "beads_in_focus.ome.tif")
    assert pixels.squeeze().shape == (256, 256)
    assert about["Pixels"]["PhysicalSizeX"] == 0.325
    assert "PhysicalSizeZ" not in about["Pixels"]
    assert "tilt_x_deg" in about["Description"]


def test_surface_from_points(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = run("03_surface_from_points.py")
    ((error_um,),) = numbers("true plane: N µm rms$", said)
    assert error_um < 0.5
    (path,) = tmp_path.glob("*/beads.surface.json")
    assert read(path.with_name("beads_in_focus.ome.tif"))[0].squeeze().shape == (256, 256)
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert saved["kind"] == "points"
    y_um, x_um, z_um = np.array(saved["points_um"]).T
    assert 0 <= min(y_um.min(), x_um.min()) <= max(y_um.max(), x_um.max()) < FIELD_UM
    slope, _ = np.polyfit(x_um, z_um, 1)
    assert slope * FIELD_UM == pytest.approx(TILTED_BEADS_RISE_UM, rel=0.2)


def test_evaluation(tmp_path: Path, run: Run) -> None:
    said = run("04_evaluate_a_stack.py", tmp_path)
    with (tmp_path / "evaluation.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["z_um"]) for row in rows] == [z for z in range(-10, 11) if z]
    printed = numbers(r"^ *N +N +N +N +N$", said)
    for row, (z_um, correlation, baseline, rmse, _) in zip(rows, printed, strict=True):
        assert float(row["z_um"]) == z_um
        assert float(row["correlation_refocused"]) == pytest.approx(correlation, abs=6e-4)
        assert float(row["rmse_refocused"]) == pytest.approx(rmse, abs=0.06)
        if abs(z_um) >= 2:
            assert correlation > baseline
    lower = sum(float(row["rmse_refocused"]) < float(row["rmse_unrefocused"]) for row in rows)
    assert f"error of {lower} of 20 planes" in said
    with Image.open(tmp_path / "evaluation.png") as picture:
        assert picture.width > 500


def test_your_own_sink(tmp_path: Path, run: Run) -> None:
    said = run("05_your_own_sink.py", tmp_path)
    assert said.splitlines()[1:] == [
        "5 of 41 planes came; is there a file? False",
        "41 of 41 planes are the same when the file's own recipe is cooked",
    ]
    ((left_um, right_um),) = numbers("left edge lie at N µm, at the right edge at N µm$", said)
    # The quarters at the edges have their middle at three eighths of the rise.
    assert left_um == pytest.approx(-3 / 8 * TILTED_BEADS_RISE_UM, abs=1.5)
    assert right_um == pytest.approx(3 / 8 * TILTED_BEADS_RISE_UM, abs=1.5)
    assert [path.name for path in tmp_path.iterdir()] == ["streamed.ome.tif"]
    pixels, about = read(tmp_path / "streamed.ome.tif")
    assert pixels.shape == (41, 256, 256)
    assert about["Pixels"]["PhysicalSizeZ"] == 0.5


def test_finding_the_surface(tmp_path: Path, run: Run) -> None:
    said = run("06_find_the_surface.py", tmp_path)
    ((tilt_x, tilt_y, true_tilt_x),) = numbers(
        "tilted by N° along x and N° along y.*the true tilt along x is N°$", said
    )
    assert true_tilt_x == pytest.approx(TILTED_BEADS_TILT_X_DEG, abs=0.005)
    assert (tilt_x, tilt_y) == pytest.approx((true_tilt_x, 0), abs=0.7)
    ((error_um,),) = numbers("true plane: N µm rms$", said)
    assert error_um < 0.4
    ((refocused, unrefocused),) = numbers("truth: N refocused, N unrefocused$", said)
    assert refocused > unrefocused + 0.03
    saved = json.loads((tmp_path / "found.surface.json").read_text(encoding="utf-8"))
    assert saved["kind"] == "tilted"
    assert saved["tilt_x_deg"] == pytest.approx(tilt_x, abs=0.006)


def test_following_a_worm(tmp_path: Path, run: Run) -> None:
    said = run("07_follow_a_worm.py", tmp_path)
    inferred_um, true_um = (
        np.array([float(depth) for depth in re.findall(NUMBER, line)])
        for line in said.splitlines()[:2]
    )
    assert np.ptp(true_um) > 3
    assert np.corrcoef(inferred_um, true_um)[0, 1] > 0.9
    assert np.sqrt(np.mean((inferred_um - true_um) ** 2)) < 1.2
    stands_out = dict(re.findall(rf"^(.*): {NUMBER}$", said, re.MULTILINE))
    along, truth = (float(stands_out.pop(f"{name}along the cord")) for name in ("", "truth "))
    assert len(stands_out) == 6
    assert max(float(other) for other in stands_out.values()) < along < truth
    saved = json.loads((tmp_path / "cord.surface.json").read_text(encoding="utf-8"))
    assert saved["kind"] == "path"
    depths_um = [z_um for _, _, z_um in saved["points_um"]]
    assert depths_um == pytest.approx(inferred_um, abs=0.06)


def test_neurons_of_a_movie(tmp_path: Path, run: Run) -> None:
    pytest.importorskip("psf_generator", reason="needs napari-deepz[train]")
    said = run("08_neurons_of_a_movie.py", tmp_path)
    ((found, true, right),) = numbers("^N neurons found, N in the movie, N of them right$", said)
    assert right >= 0.9 * true
    assert found <= true + 1
    ((median, slope),) = numbers("^dF/F: correlation with the truth N, slope N$", said)
    assert median > 0.99
    assert slope == pytest.approx(1, abs=0.1)
    ((before, after),) = numbers("^one more by hand: N neurons, then N$", said)
    assert after == before + 1
    with (tmp_path / "traces.csv").open(encoding="utf-8", newline="") as file:
        ids = {row["id"] for row in csv.DictReader(file)}
    assert len(ids) == after

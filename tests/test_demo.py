"""The demonstration: its files are what they say, its numbers those of an independent look."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_deepz.demo import DemoResult, can_show, run_demo, show_in_napari
from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.samples import TILTED_BEADS, WORM


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("demo"))


def test_files_are_readable_and_honest(result: DemoResult) -> None:
    stack, tilted, picture = result.files
    assert [path.name for path in result.files] == [
        "stack.ome.tif",
        "tilted.ome.tif",
        "overview.png",
    ]
    virtual = read_image(stack)
    assert virtual.data.shape == (21, 256, 256)
    assert (virtual.pixel_size_um, virtual.z_step_um) == (0.325, 1.0)
    assert read_image(tilted).data.shape == (256, 256)
    for path in (stack, tilted):
        record = read_provenance(path)
        assert record is not None
        assert record.kind == "inferred"
        assert "simulated" in str(record.input_name)
    with Image.open(picture) as image:
        assert np.asarray(image.convert("L")).std() > 10


def test_the_table_is_the_error_of_the_written_stack(result: DemoResult) -> None:
    written = tifffile.imread(result.files[0]).astype(float)
    measured = tifffile.imread(TILTED_BEADS).astype(float)
    for depth in result.evaluation.depths:
        error = np.sqrt(np.mean((written[depth.plane] - measured[depth.plane]) ** 2))
        baseline = np.sqrt(np.mean((measured[10] - measured[depth.plane]) ** 2))
        assert depth.refocused.rmse == pytest.approx(error, rel=1e-4)
        assert depth.unrefocused.rmse == pytest.approx(baseline, rel=1e-4)


def test_refocusing_beats_the_input_at_every_depth_and_on_the_plane(result: DemoResult) -> None:
    for depth in result.evaluation.depths:
        if abs(depth.z_um) >= 2:
            assert depth.refocused.correlation > depth.unrefocused.correlation
    refocused, unrefocused = result.tilted_correlation
    assert refocused > unrefocused


def test_samples_are_simulated_and_say_so() -> None:
    for sample in (TILTED_BEADS, WORM):
        record = read_provenance(sample)
        assert record is not None
        assert record.kind == "simulated"
        assert read_image(sample).z_step_um == 1.0


def test_package_data_stays_below_twenty_megabytes() -> None:
    package = TILTED_BEADS.parents[1]
    data = [
        path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    assert sum(path.stat().st_size for path in data) < 20e6


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
def test_no_display_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not can_show()
    monkeypatch.setenv("DISPLAY", ":7")
    assert can_show()


def test_napari_is_opened_with_our_reader() -> None:
    asked = []
    show_in_napari((Path("a.ome.tif"),), run=lambda command, **_: asked.append(command))
    assert asked == [[sys.executable, "-m", "napari", "--plugin", "napari-deepz", "a.ome.tif"]]

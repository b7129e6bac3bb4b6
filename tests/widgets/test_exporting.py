"""Exports from the dock in a real viewer, read back with other people's readers."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.surfaces import load_surface
from napari_deepz.widgets import work
from napari_deepz.widgets.results import record_of
from napari_deepz.widgets.surface_form import CURVED, TILTED
from tests.widgets.conftest import PIXEL_UM, run, set_range, wait_idle


@pytest.fixture
def save_as(monkeypatch, dock, qtbot):
    """Press Export and choose a file."""

    def save(path, kind="OME-TIFF (*.ome.tif)"):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), kind))
        dock.panel.export.click()
        wait_idle(dock, qtbot)

    return save


def ome_pixels(path):
    with tifffile.TiffFile(path) as tif:
        return tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]


def test_a_stack_as_ome_tiff(dock, qtbot, tmp_path, save_as):
    layer = run(dock, qtbot)
    save_as(tmp_path / "out.ome.tif")

    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.ome.tif"), layer.data)
    pixels = ome_pixels(tmp_path / "out.ome.tif")
    sizes = [pixels[f"PhysicalSize{axis}"] for axis in "XYZ"]
    np.testing.assert_allclose(sizes, (PIXEL_UM, PIXEL_UM, 1))
    assert [plane["PositionZ"] for plane in pixels["Plane"]] == list(range(-4, 5))
    record = read_provenance(tmp_path / "out.ome.tif")
    assert record == record_of(layer).provenance
    assert record.command is None
    assert "Exporting took" in dock.panel.message.text()
    assert [file.name for file in tmp_path.iterdir()] == ["out.ome.tif"]


def test_a_tilted_plane_as_ome_tiff_with_its_command(dock, qtbot, tmp_path, pixels, save_as):
    source = tmp_path / "measured image.tif"
    tifffile.imwrite(
        source, pixels, resolution=(1 / PIXEL_UM,) * 2, metadata={"unit": "um"}, imagej=True
    )
    dock.viewer.open(source, plugin="napari-deepz")
    dock.image.choice.value = dock.viewer.layers["measured image"]
    dock.surface.kind.value = TILTED
    dock.surface.tilt_x.value = 4
    run(dock, qtbot)
    save_as(tmp_path / "flattened")

    record = read_provenance(tmp_path / "flattened.ome.tif")
    assert shlex.split(record.command) == [
        *("napari-deepz", "refocus", str(source), str(tmp_path / "flattened.ome.tif")),
        *("--tilt-x=4", "--tilt-y=0", "--offset=0", "--model=tiny", "--pixel-size=0.325"),
    ]
    assert "PhysicalSizeZ" not in ome_pixels(tmp_path / "flattened.ome.tif")


def test_the_command_makes_the_same_planes_again(dock, qtbot, tmp_path, rng, save_as):
    typer_testing = pytest.importorskip("typer.testing")
    from napari_deepz.cli import app

    stack = rng.integers(0, 999, (3, 64, 80), dtype=np.uint16)
    source = tmp_path / "stack.ome.tif"
    sizes = {f"PhysicalSize{axis}": PIXEL_UM for axis in "XYZ"}
    tifffile.imwrite(source, stack, metadata={"axes": "ZYX", **sizes})
    dock.viewer.open(source, plugin="napari-deepz")
    dock.image.choice.value = dock.viewer.layers["stack"]
    dock.viewer.dims.set_current_step(0, 2)
    layer = run(dock, qtbot)
    save_as(tmp_path / "out.ome.tif")

    words = shlex.split(read_provenance(tmp_path / "out.ome.tif").command)
    assert "--plane=2" in words
    words[3] = str(tmp_path / "again.ome.tif")
    result = typer_testing.CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "again.ome.tif"), layer.data)


def test_a_curved_surface_is_saved_beside_its_planes(dock, qtbot, tmp_path, save_as):
    dock.surface.kind.value = CURVED
    layer = run(dock, qtbot)
    save_as(tmp_path / "out.ome.tif")
    saved = load_surface(tmp_path / "out.surface.json")
    assert saved == record_of(layer).request.surface


def test_a_stack_as_ome_zarr(dock, qtbot, tmp_path, save_as):
    pytest.importorskip("zarr")
    set_range(dock, -2, 1, 0.5)
    layer = run(dock, qtbot)
    save_as(tmp_path / "out", "OME-Zarr (*.ome.zarr)")

    series = read_image(tmp_path / "out.ome.zarr")
    np.testing.assert_array_equal(series.stack(), layer.data)
    assert (series.pixel_size_um, series.z_step_um) == (PIXEL_UM, 0.5)


def test_a_cancelled_run_is_exported_as_what_is_there(dock, qtbot, tmp_path, slowly, save_as):
    dock.panel.refocus.click()
    qtbot.waitUntil(lambda: slowly.given > 3, timeout=10_000)
    dock.panel.cancel.click()
    wait_idle(dock, qtbot)
    layer = dock.viewer.layers[-1]
    save_as(tmp_path / "out.ome.tif")

    assert tifffile.imread(tmp_path / "out.ome.tif").shape == layer.data.shape
    record = read_provenance(tmp_path / "out.ome.tif")
    assert any("Ended early" in note for note in record.notes)


def test_the_selected_result_is_exported(dock, qtbot, tmp_path, save_as):
    first = run(dock, qtbot)
    set_range(dock, 0, 1, 1)
    run(dock, qtbot)
    dock.viewer.layers.selection.active = first
    save_as(tmp_path / "out.ome.tif")
    assert len(tifffile.imread(tmp_path / "out.ome.tif")) == 9


def test_a_cancelled_export_leaves_nothing(dock, qtbot, tmp_path, monkeypatch, save_as):
    run(dock, qtbot)
    genuine = work.write_stack

    def cancelled_in_the_middle(path, planes, **settings):
        def some():
            for index, plane in enumerate(planes):
                if index == 3:
                    dock._job.cancel()
                yield plane

        genuine(path, some(), **settings)

    monkeypatch.setattr(work, "write_stack", cancelled_in_the_middle)
    save_as(tmp_path / "out.ome.tif")
    assert "cancelled" in dock.panel.message.text()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error(dock, qtbot, tmp_path, save_as, notified):
    run(dock, qtbot)
    save_as(tmp_path / "nowhere" / "out.ome.tif")
    assert any(severity == "error" and "nowhere" in text for severity, text in notified())


def test_changing_ones_mind(dock, qtbot, save_as):
    run(dock, qtbot)
    message = dock.panel.message.text()
    save_as("")
    assert dock.panel.message.text() == message

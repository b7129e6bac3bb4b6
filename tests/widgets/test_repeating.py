"""What is copied from a result runs, and gives the same pixels."""

from __future__ import annotations

import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox
from typer.testing import CliRunner

from napari_deepz.cli import app
from napari_deepz.recipes.command import MOST_INLINE_POINTS, command_of, script_of
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.exporting.copying import CopyButton, copy_command, copy_script
from napari_deepz.widgets.refocusing.exporting.repeating import output_beside, shown_recipe
from napari_deepz.widgets.refocusing.surfaces.surface_form import CURVED, LAYER, TILTED
from napari_deepz.widgets.shared.results import record_of
from tests.widgets.conftest import PIXEL_UM, Slowly, add_image, run, set_range, wait_idle

ODD_NAME = 'it\'s a "50 %" $HOME (µm).tif'


@pytest.fixture
def opened(dock: VirtualRefocusing, tmp_path: Path, pixels: np.ndarray) -> Path:
    """The image of the dock, opened from a file with an odd name."""
    path = tmp_path / (ODD_NAME if sys.platform != "win32" else "it's (µm) 50 %.tif")
    resolution = (1 / PIXEL_UM,) * 2
    tifffile.imwrite(path, pixels, resolution=resolution, metadata={"unit": "um"}, imagej=True)
    (layer,) = dock.viewer.open(path, plugin="napari-deepz")
    dock.image.choice.value = layer
    return path


@pytest.fixture
def surface_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the user saves a surface when asked."""
    path = tmp_path / "my surface.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    return path


def copied(copy: Any, layer: Any) -> Any:
    QApplication.clipboard().clear()
    copy(layer)
    return QApplication.clipboard().text()


def same_by_command(text: str, pixels: Any) -> None:
    """Run a command and check what it writes."""
    words = shlex.split(text)
    assert words[:2] == ["napari-deepz", "refocus"]
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(tifffile.imread(words[3]), pixels)
    Path(words[3]).unlink()


def same_by_script(text: str, output: Any, pixels: Any, folder: Path, *, elsewhere: Any) -> None:
    """Run a script, here or in another interpreter, and check what it writes."""
    (folder / "script.py").write_text(text, encoding="utf-8")
    if elsewhere:
        command = [sys.executable, "-W", "error", str(folder / "script.py")]
        told = subprocess.run(command, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
    else:
        runpy.run_path(str(folder / "script.py"), run_name="__main__")
    np.testing.assert_array_equal(tifffile.imread(output), pixels)


def check_both(layer: Any, folder: Path, *, elsewhere: bool = False) -> None:
    pixels = np.squeeze(np.asarray(layer.data))
    output = output_beside(record_of(layer))  # type: ignore[arg-type]
    same_by_command(copied(copy_command, layer), pixels)
    same_by_script(copied(copy_script, layer), output, pixels, folder, elsewhere=elsewhere)


@pytest.mark.parametrize(("start", "stop", "step"), [(-4, 4, 1), (2.25, 2.25, 1), (3, -1.5, 0.3)])
def test_flat(
    dock: VirtualRefocusing,
    qtbot: Any,
    tmp_path: Path,
    opened: Path,
    start: float,
    stop: float,
    step: float,
) -> None:
    set_range(dock, start, stop, step)
    check_both(run(dock, qtbot), tmp_path, elsewhere=step == 0.3)


def test_tilted(dock: VirtualRefocusing, qtbot: Any, tmp_path: Path, opened: Path) -> None:
    dock.surface.kind.value = TILTED
    dock.surface.tilt_x.value, dock.surface.tilt_offset.value = -8.3, 1.1
    check_both(run(dock, qtbot), tmp_path)


def test_curved(
    dock: VirtualRefocusing, qtbot: Any, tmp_path: Path, opened: Path, surface_file: Path
) -> None:
    dock.surface.kind.value = CURVED
    dock.surface.radius.value, dock.surface.axis.value = 33.3, 30
    dock.surface.centred.value = False
    dock.surface.centre_x.value = 7.7
    check_both(run(dock, qtbot), tmp_path)
    assert surface_file.exists()


@pytest.mark.parametrize("count", [5, MOST_INLINE_POINTS + 1])
def test_points(
    dock: VirtualRefocusing,
    qtbot: Any,
    tmp_path: Path,
    opened: Path,
    surface_file: Path,
    rng: np.random.Generator,
    count: Any,
) -> None:
    points = rng.uniform((-0.3, 0, 0), (0.3, 20, 25), (count, 3))
    dock.viewer.add_points(
        points, name="marks", units=("um",) * 3, axis_labels=("z", "y", "x"), scale=(1, 1, 1)
    )
    dock.surface.kind.value = LAYER
    dock.surface.layer.value = dock.viewer.layers["marks"]
    layer = run(dock, qtbot)
    assert len(record_of(layer).request.surface.points_um) == count
    check_both(layer, tmp_path)


def test_an_image_of_depths(
    dock: VirtualRefocusing,
    qtbot: Any,
    tmp_path: Path,
    opened: Path,
    surface_file: Path,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = dock.image.choice.value
    add_image(dock, rng.uniform(-3, 3, (64, 80)).astype(np.float32), name="depths")
    dock.surface.kind.value = LAYER
    dock.surface.layer.value = dock.viewer.layers["depths"]
    dock.image.choice.value = source
    layer = run(dock, qtbot)
    check_both(layer, tmp_path)

    surface_file.with_suffix(".json").write_text("another surface")
    questions: list[str] = []

    def no(*given: object) -> QMessageBox.StandardButton:
        questions.append(str(given[2]))
        return QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", no)
    QApplication.clipboard().clear()
    copy_command(layer)
    assert questions == [f"'{surface_file.stem}.dpm.tif' exists already. Replace it?"]
    assert surface_file.with_suffix(".json").read_text() == "another surface"
    assert not QApplication.clipboard().text()


def test_a_plane_of_a_movie_of_stacks_in_channels(
    dock: VirtualRefocusing, qtbot: Any, tmp_path: Path, rng: np.random.Generator
) -> None:
    movie = rng.integers(0, 999, (3, 2, 4, 64, 80), dtype=np.uint16)
    sizes = {f"PhysicalSize{axis}": PIXEL_UM for axis in "XYZ"}
    tifffile.imwrite(tmp_path / "movie.ome.tif", movie, metadata={"axes": "TCZYX", **sizes})
    layers = dock.viewer.open(tmp_path / "movie.ome.tif", plugin="napari-deepz")
    dock.image.choice.value = layers[1]
    dock.viewer.dims.set_current_step((0, 1), (2, 3))
    layer = run(dock, qtbot)
    words = shlex.split(copied(copy_command, layer))
    assert {"--time=2", "--channel=1", "--plane=3"} <= set(words)
    check_both(layer, tmp_path)


@pytest.mark.parametrize(("start", "stop"), [(-4, 4), (4, -4)])
def test_a_cancelled_run(
    dock: VirtualRefocusing,
    qtbot: Any,
    tmp_path: Path,
    opened: Path,
    slowly: Slowly,
    start: int,
    stop: int,
) -> None:
    set_range(dock, start, stop, 1)
    dock.panel.refocus.click()
    qtbot.waitUntil(lambda: slowly.given > 3, timeout=10_000)
    dock.panel.cancel.click()
    wait_idle(dock, qtbot)
    layer = dock.viewer.layers[-1]
    assert 3 <= len(layer.data) < 9
    check_both(layer, tmp_path)


def test_the_menu(
    dock: VirtualRefocusing, qtbot: Any, opened: Path, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    layer = run(dock, qtbot)
    button = CopyButton(lambda: layer)
    dock.panel.layout().addWidget(button)
    record, found = record_of(layer), []
    for entry, expected in ((button.command, command_of), (button.script, script_of)):
        menu = button.menu()
        menu.popup(button.mapToGlobal(button.rect().bottomLeft()))
        qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(entry).center())
        text = QApplication.clipboard().text()
        assert text == expected(shown_recipe(record), output_beside(record))  # type: ignore[arg-type]
        found.append(text)
    assert found[0] != found[1]
    told = [text for severity, text in notified() if severity == "info"]
    assert ["command" in told[-2], "Python script" in told[-1]] == [True, True]


@pytest.mark.parametrize("copy", [copy_command, copy_script])
def test_an_image_in_no_file(
    dock: VirtualRefocusing, qtbot: Any, copy: Any, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    layer = run(dock, qtbot)
    assert copied(copy, layer) == ""
    errors = [text for severity, text in notified() if severity == "error"]
    assert len(errors) == 1
    assert "The layer 'cells' is in no file" in errors[0]


def test_nothing_is_copied_where_the_surface_is_not_saved(
    dock: VirtualRefocusing, qtbot: Any, opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.surface.kind.value = CURVED
    layer = run(dock, qtbot)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    assert copied(copy_command, layer) == ""
    assert "dz.Curved(form='cylinder', radius_um=500.0)" in copied(copy_script, layer)


def test_a_surface_that_cannot_be_saved_is_one_sentence(
    dock: VirtualRefocusing,
    qtbot: Any,
    tmp_path: Path,
    opened: Path,
    monkeypatch: pytest.MonkeyPatch,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    dock.surface.kind.value = CURVED
    layer = run(dock, qtbot)
    chosen = str(tmp_path / "nowhere" / "a.json")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (chosen, ""))
    assert copied(copy_command, layer) == ""
    assert any("There is no folder" in text for severity, text in notified() if severity == "error")


def test_the_output_is_a_name_that_is_free(
    dock: VirtualRefocusing, qtbot: Any, tmp_path: Path, pixels: np.ndarray
) -> None:
    image = tmp_path / "cells.ome.tif"
    tifffile.imwrite(image, pixels, metadata={"axes": "YX", "PhysicalSizeX": 0.325})
    (dock.image.choice.value,) = dock.viewer.open(image, plugin="napari-deepz")
    record = record_of(run(dock, qtbot))
    assert output_beside(record) == tmp_path / "cells_virtual.ome.tif"  # type: ignore[arg-type]
    (tmp_path / "cells_virtual.ome.tif").touch()
    assert output_beside(record) == tmp_path / "cells_virtual_2.ome.tif"  # type: ignore[arg-type]

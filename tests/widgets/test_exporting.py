"""Exports from the dock in a real viewer, read back with other people's readers."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from qtpy.QtWidgets import QFileDialog, QMessageBox
from typer.testing import CliRunner

from napari_deepz.cli import app
from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.io.writing import write_stack
from napari_deepz.pictures import saving as pictures
from napari_deepz.pictures.depth_colours import depth_coded_projection
from napari_deepz.pictures.focus_sweep import sweep_frames
from napari_deepz.provenance import Provenance
from napari_deepz.recipes import saving
from napari_deepz.recipes.again import recipe_of
from napari_deepz.surfaces import load_surface
from napari_deepz.watch import UNWATCHED
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.exporting import export_dialog
from napari_deepz.widgets.refocusing.exporting.export_dialog import export_request
from napari_deepz.widgets.refocusing.exporting.export_task import ExportKind, export_planes
from napari_deepz.widgets.refocusing.surfaces.surface_form import CURVED, LAYER, TILTED
from napari_deepz.widgets.shared.results import record_of
from tests.widgets.conftest import PIXEL_UM, Slowly, add_image, run, set_range, wait_idle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for what is exported."""
    (tmp_path / "exports").mkdir()
    return tmp_path / "exports"


@pytest.fixture
def save_as(monkeypatch: pytest.MonkeyPatch, dock: VirtualRefocusing, qtbot: Any) -> Any:
    """Press Export and choose a file."""

    def save(path: Path, kind: str = "OME-TIFF (*.ome.tif)") -> None:
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), kind))
        dock.panel.export.click()
        wait_idle(dock, qtbot)

    return save


def ome_pixels(path: Path) -> Any:
    with tifffile.TiffFile(path) as tif:
        return tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]


def test_a_stack_as_ome_tiff(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any
) -> None:
    layer = run(dock, qtbot)
    save_as(folder / "out.ome.tif")

    np.testing.assert_array_equal(tifffile.imread(folder / "out.ome.tif"), layer.data)
    pixels = ome_pixels(folder / "out.ome.tif")
    sizes = [pixels[f"PhysicalSize{axis}"] for axis in "XYZ"]
    np.testing.assert_allclose(sizes, (PIXEL_UM, PIXEL_UM, 1))
    assert [plane["PositionZ"] for plane in pixels["Plane"]] == list(range(-4, 5))
    record = read_provenance(folder / "out.ome.tif")
    assert record == record_of(layer).provenance
    assert record.command is None
    assert "Exporting took" in dock.panel.message.text()
    assert [file.name for file in folder.iterdir()] == ["out.ome.tif"]


def test_a_tilted_plane_as_ome_tiff_with_its_command(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, pixels: np.ndarray, save_as: Any
) -> None:
    source = folder / "measured image.tif"
    tifffile.imwrite(
        source, pixels, resolution=(1 / PIXEL_UM,) * 2, metadata={"unit": "um"}, imagej=True
    )
    dock.viewer.open(source, plugin="napari-deepz")
    dock.image.choice.value = dock.viewer.layers["measured image"]
    dock.surface.kind.value = TILTED
    dock.surface.tilt_x.value = 4
    run(dock, qtbot)
    save_as(folder / "flattened")

    record = read_provenance(folder / "flattened.ome.tif")
    assert shlex.split(record.command) == [
        *("napari-deepz", "refocus", str(source), str(folder / "flattened.ome.tif")),
        *("--tilt-x=4", "--tilt-y=0", "--offset=0", "--model=tiny", "--pixel-size=0.325"),
    ]
    assert "PhysicalSizeZ" not in ome_pixels(folder / "flattened.ome.tif")


def test_the_command_makes_the_same_planes_again(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, rng: np.random.Generator, save_as: Any
) -> None:
    stack = rng.integers(0, 999, (3, 64, 80), dtype=np.uint16)
    source = folder / "stack.ome.tif"
    sizes = {f"PhysicalSize{axis}": PIXEL_UM for axis in "XYZ"}
    tifffile.imwrite(source, stack, metadata={"axes": "ZYX", **sizes})
    dock.viewer.open(source, plugin="napari-deepz")
    dock.image.choice.value = dock.viewer.layers["stack"]
    dock.viewer.dims.set_current_step(0, 2)
    layer = run(dock, qtbot)
    save_as(folder / "out.ome.tif")

    words = shlex.split(read_provenance(folder / "out.ome.tif").command)
    assert "--plane=2" in words
    words[3] = str(folder / "again.ome.tif")
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(tifffile.imread(folder / "again.ome.tif"), layer.data)


def test_a_curved_surface_is_saved_beside_its_planes(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any
) -> None:
    dock.surface.kind.value = CURVED
    layer = run(dock, qtbot)
    save_as(folder / "out.ome.tif")
    saved = load_surface(folder / "out.surface.json")
    assert saved == record_of(layer).request.surface


def test_a_stack_as_ome_zarr(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any
) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    set_range(dock, -2, 1, 0.5)
    layer = run(dock, qtbot)
    save_as(folder / "out", "OME-Zarr (*.ome.zarr)")

    series = read_image(folder / "out.ome.zarr")
    np.testing.assert_array_equal(series.stack(), layer.data)
    assert (series.pixel_size_um, series.z_step_um) == (PIXEL_UM, 0.5)


def test_a_cancelled_run_is_exported_as_what_is_there(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, slowly: Slowly, save_as: Any
) -> None:
    dock.panel.refocus.click()
    qtbot.waitUntil(lambda: slowly.given > 3, timeout=10_000)
    dock.panel.cancel.click()
    wait_idle(dock, qtbot)
    layer = dock.viewer.layers[-1]
    save_as(folder / "out.ome.tif")

    assert tifffile.imread(folder / "out.ome.tif").shape == layer.data.shape
    record = read_provenance(folder / "out.ome.tif")
    assert any("Ended early" in note for note in record.notes)


def test_the_selected_result_is_exported(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any
) -> None:
    first = run(dock, qtbot)
    set_range(dock, 0, 1, 1)
    run(dock, qtbot)
    dock.viewer.layers.selection.active = first
    save_as(folder / "out.ome.tif")
    assert len(tifffile.imread(folder / "out.ome.tif")) == 9


def test_a_cancelled_export_leaves_nothing(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, save_as: Any
) -> None:
    run(dock, qtbot)
    genuine = write_stack

    def cancelled_in_the_middle(path: Path, planes: Any, **settings: Any) -> None:
        def some() -> Iterator[Any]:
            for index, plane in enumerate(planes):
                if index == 3:
                    dock.runs.cancel()
                yield plane

        genuine(path, some(), **settings)

    monkeypatch.setattr(saving, "write_stack", cancelled_in_the_middle)
    save_as(folder / "out.ome.tif")
    assert "cancelled" in dock.panel.message.text()
    assert list(folder.iterdir()) == []


def test_a_cancelled_sweep_leaves_nothing(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, save_as: Any
) -> None:
    run(dock, qtbot)
    genuine = sweep_frames

    def cancelled_in_the_middle(*given: Any, **settings: Any) -> Iterator[Any]:
        for index, frame in enumerate(genuine(*given, **settings)):
            if index == 3:
                dock.runs.cancel()
            yield frame

    monkeypatch.setattr(pictures, "sweep_frames", cancelled_in_the_middle)
    save_as(folder / "out.gif")
    assert "cancelled" in dock.panel.message.text()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ExportKind)
def test_a_full_disk_is_one_sentence_and_nothing_is_left(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, kind: Any
) -> None:
    resource = pytest.importorskip("resource", reason="Unix alone limits a process")
    set_range(dock, 0, 0 if kind is ExportKind.PICTURE else 1, 1)
    layer = run(dock, qtbot)
    path = folder / {"STACK": "a.ome.tif", "SWEEP": "a.gif", "DPM": "a.tif"}.get(
        kind.name, "a.png" if kind in (ExportKind.PROJECTION, ExportKind.PICTURE) else "a.json"
    )
    request = export_request(layer, record_of(layer), path, kind)  # type: ignore[arg-type]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, limits[1]))
        with pytest.raises(
            OSError, match=r"^'a\.\w+(\.\w+)?' could not be written, nothing"
        ) as caught:
            export_planes(request, lambda _: None, UNWATCHED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value).count("could not be written") == 1
    assert list(folder.iterdir()) == []


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, dock: VirtualRefocusing, qtbot: Any) -> Any:
    """Press Export, choose nothing, and tell what could have been chosen."""

    def look() -> list[Any]:
        seen: list[Any] = []

        def choose_nothing(*given: Any) -> tuple[str, str]:
            seen.extend(given)
            return "", ""

        monkeypatch.setattr(QFileDialog, "getSaveFileName", choose_nothing)
        dock.panel.export.click()
        return [re.search(r"\*([^)]+)\)", choice)[1] for choice in seen[3].split(";;")]  # type: ignore[index]

    return look


def test_what_is_offered_of_a_stack_and_of_one_plane(
    dock: VirtualRefocusing, qtbot: Any, offered: Any
) -> None:
    run(dock, qtbot)
    moving = [".png", ".mp4", ".gif"]
    assert offered() == [".ome.tif", ".ome.zarr", *moving, ".recipe.json", ".json"]
    set_range(dock, 2, 2, 1)
    run(dock, qtbot)
    assert offered() == [".ome.tif", ".ome.zarr", ".png", ".recipe.json", ".json", ".dpm.tif"]
    dock.surface.kind.value = TILTED
    run(dock, qtbot)
    assert offered() == [".ome.tif", ".ome.zarr", ".png", ".recipe.json", ".json", ".dpm.tif"]


@pytest.mark.parametrize(
    ("typed", "choice", "written"),
    [
        ("out", "DPM (*.dpm.tif)", "out.dpm.tif"),
        ("out.tif", "DPM (*.dpm.tif)", "out.tif"),
        ("out.json", "OME-TIFF (*.ome.tif)", "out.json"),
        ("cells 0.5", "Surface (*.json)", "cells 0.5.json"),
        ("out.TIF", "Surface (*.json)", "out.TIF"),
        ("out.ome.tif", "DPM (*.dpm.tif)", "out.ome.tif"),
        ("a.dpm.tif", "OME-TIFF (*.ome.tif)", "a.dpm.tif"),
    ],
)
def test_an_ending_that_was_typed_decides(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    save_as: Any,
    typed: str,
    choice: str,
    written: str,
) -> None:
    dock.surface.kind.value = TILTED
    dock.surface.tilt_x.value = 4
    layer = run(dock, qtbot)
    save_as(folder / typed, choice)
    assert (folder / written).exists()
    depths = record_of(layer).request.surface.dpm(layer.data.shape, PIXEL_UM)
    if written.endswith(".json"):
        assert load_surface(folder / written) == record_of(layer).request.surface
    else:
        expected = depths if "DPM" in choice or "dpm" in typed else layer.data
        expected = layer.data if ".ome." in typed else expected
        np.testing.assert_array_equal(tifffile.imread(folder / written), expected)


def test_one_plane_is_a_picture_as_it_is_seen_with_its_record(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any
) -> None:
    dock.surface.kind.value = TILTED
    layer = run(dock, qtbot)
    layer.contrast_limits = (500, 3000)
    save_as(folder / "out.png")
    found = np.asarray(Image.open(folder / "out.png").convert("L"), float)
    expected = np.clip((layer.data - 500) / 2500, 0, 1) * 255
    np.testing.assert_allclose(found, expected, atol=2)
    assert read_provenance(folder / "out.png").model_name == "tiny"
    assert f"Saved: {folder / 'out.png'}" in dock.panel.message.text()
    assert recipe_of(folder / "out.png").surfaces == (record_of(layer).request.surface,)


def test_the_folder_of_the_image_is_proposed_and_then_the_last_one(
    dock: VirtualRefocusing,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    save_as: Any,
) -> None:
    monkeypatch.setattr(export_dialog._LAST, "folder", None)
    source = tmp_path / "data" / "stack.ome.tif"
    source.parent.mkdir()
    tifffile.imwrite(source, np.random.default_rng(0).integers(0, 99, (64, 80), dtype=np.uint16))
    dock.viewer.open(source, plugin="napari-deepz")
    dock.image.choice.value = dock.viewer.layers["stack"]
    run(dock, qtbot)
    asked: list[str] = []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def choose(_: Any, __: Any, proposed: str, *___: Any) -> tuple[str, str]:
        asked.append(proposed)
        return str(elsewhere / "out.ome.tif"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    for _ in range(2):
        dock.panel.export.click()
        wait_idle(dock, qtbot)
        (elsewhere / "out.ome.tif").unlink()
    assert [Path(path).parent for path in asked] == [source.parent, elsewhere]
    assert Path(asked[0]).name == "stack (virtual)"


@pytest.mark.parametrize("name", ["out.mp4", "out.gif"])
def test_an_ending_that_makes_no_sense_is_one_sentence(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    save_as: Any,
    notified: Callable[[], list[tuple[str, str]]],
    name: str,
) -> None:
    dock.surface.kind.value = TILTED
    run(dock, qtbot)
    save_as(folder / name)
    assert [severity for severity, text in notified() if "only one plane" in text] == ["error"]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_a_file_whose_ending_was_added_is_not_replaced_unasked(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    save_as: Any,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
) -> None:
    run(dock, qtbot)
    (folder / "out.json").write_text("old")
    button = QMessageBox.StandardButton[answer]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: button)
    save_as(folder / "out", "Surface (*.json)")
    assert ((folder / "out.json").read_text() == "old") == (answer == "No")


def test_a_depth_coded_projection(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any
) -> None:
    layer = run(dock, qtbot)
    layer.contrast_limits = (100, 900)
    save_as(folder / "out.png")

    with Image.open(folder / "out.png") as picture:
        text = picture.text  # type: ignore[attr-defined]
        shown = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert Provenance.from_json(text["napari-deepz/provenance"]) == record_of(layer).provenance
    assert text["Description"].startswith("INFERRED")
    expected = depth_coded_projection(layer.data, range(-4, 5), limits=(100, 900))
    colours = np.rint(255 * expected.reshape(-1, 3)).astype(int)
    there = {tuple(colour) for colour in shown.tolist()}
    assert np.mean([tuple(colour) in there for colour in colours.tolist()]) > 0.9


def test_a_focus_sweep_in_the_colours_of_the_layer(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any
) -> None:
    layer = run(dock, qtbot)
    layer.colormap, layer.contrast_limits, layer.gamma = "magma", (0, 3000), 0.5
    save_as(folder / "out", "Focus sweep (*.gif)")

    with Image.open(folder / "out.gif") as movie:
        record = Provenance.from_json(movie.info["comment"].decode())
        assert movie.n_frames == 16  # type: ignore[attr-defined]
        assert movie.size == (480, 384)
        movie.seek(11)
        shown = np.asarray(movie.convert("RGB")).astype(int)
    assert record == record_of(layer).provenance
    plane = np.asarray(layer.data[5])
    part = (plane / 3000).clip(0, 1) ** 0.5
    expected = 255 * layer.colormap.map(part.ravel())[:, :3].reshape(64, 80, 3)
    away = (slice(20, 50), slice(5, 75))
    middles = shown[3::6, 3::6]
    assert np.abs(middles[away] - expected[away]).max() < 20
    assert np.abs(middles[away] - expected[away]).mean() < 2


def test_a_focus_sweep_as_mp4(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any
) -> None:
    imageio_ffmpeg = pytest.importorskip(
        "imageio_ffmpeg", reason="needs the extra napari-deepz[movie]"
    )
    layer = run(dock, qtbot)
    save_as(folder / "out.mp4")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(folder / "out.mp4")]
    told = subprocess.run([*command, "-f", "ffmetadata", "-"], capture_output=True, check=True)
    tags = dict(line.split("=", 1) for line in told.stdout.decode().splitlines() if "=" in line)
    assert Provenance.from_json(tags["comment"]) == record_of(layer).provenance
    assert "INFERRED by tiny 1 from one image, not measured" in tags["title"]
    assert b"480x384" in told.stderr


def test_mp4_without_its_package_is_one_sentence(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    save_as: Any,
    notified: Callable[[], list[tuple[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    run(dock, qtbot)
    save_as(folder / "out.mp4")
    assert any("napari-deepz[movie]" in text for severity, text in notified())
    assert list(folder.iterdir()) == []


def test_a_surface_and_its_record(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any
) -> None:
    layer = run(dock, qtbot)
    save_as(folder / "out.json")
    assert load_surface(folder / "out.json") == record_of(layer).request.surface
    record = Provenance.from_json((folder / "out.provenance.json").read_text())
    assert record == record_of(layer).provenance
    assert len(list(folder.iterdir())) == 2


def test_a_dpm_refocuses_to_the_same_pixels(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, pixels: np.ndarray, save_as: Any
) -> None:
    tifffile.imwrite(folder / "cells.tif", pixels)
    dock.surface.kind.value = CURVED
    dock.surface.radius.value = 40
    layer = run(dock, qtbot)
    save_as(folder / "out", "DPM (*.dpm.tif)")

    path = folder / "out.dpm.tif"
    sizes = ome_pixels(path)
    assert (sizes["PhysicalSizeX"], sizes["PhysicalSizeXUnit"]) == (PIXEL_UM, "µm")
    assert "depths in µm" in read_provenance(path).notes[-1]
    words = ["refocus", str(folder / "cells.tif"), str(folder / "again.ome.tif")]
    words += ["--surface", str(path), "--model", "tiny", "--pixel-size", str(PIXEL_UM)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(tifffile.imread(folder / "again.ome.tif"), layer.data)


def test_depths_that_are_in_no_file_are_saved_beside_the_surface(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any, rng: np.random.Generator
) -> None:
    depths = rng.uniform(-3, 3, (64, 80)).astype(np.float32)
    add_image(dock, depths, name="depths")
    dock.surface.kind.value = LAYER
    dock.surface.layer.value = dock.viewer.layers["depths"]
    dock.image.choice.value = dock.viewer.layers["cells"]
    run(dock, qtbot)
    save_as(folder / "out.json")
    np.testing.assert_array_equal(tifffile.imread(folder / "out.dpm.tif"), depths)
    assert load_surface(folder / "out.json").source == folder / "out.dpm.tif"  # type: ignore[attr-defined]


def test_a_place_that_cannot_be_written_is_an_error(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    save_as: Any,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    run(dock, qtbot)
    save_as(folder / "nowhere" / "out.ome.tif")
    assert any(severity == "error" and "nowhere" in text for severity, text in notified())


def test_changing_ones_mind(dock: VirtualRefocusing, qtbot: Any, save_as: Any) -> None:
    run(dock, qtbot)
    message = dock.panel.message.text()
    save_as("")
    assert dock.panel.message.text() == message


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked; every question is answered with No."""
    asked = []

    def answer(*given: Any) -> Any:
        asked.append(given[2])
        return QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", answer)
    return asked


def old_files(folder: Path, *names: Any) -> Any:
    for name in names:
        (folder / name).write_text("old")
    return lambda: all((folder / name).read_text() == "old" for name in names)


def depths_as_surface(dock: VirtualRefocusing, rng: np.random.Generator) -> None:
    dock.viewer.add_image(rng.uniform(-3, 3, (64, 80)).astype(np.float32), name="depths")
    dock.surface.kind.value = LAYER
    dock.surface.layer.value = dock.viewer.layers["depths"]


def test_files_beside_an_export_are_asked_about_in_one_question(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    save_as: Any,
    questions: list[Any],
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    depths_as_surface(dock, rng)
    run(dock, qtbot)
    save_as(folder / "out.ome.tif")
    assert questions == []
    former = {file: file.read_bytes() for file in folder.iterdir()}
    assert len(former) == 3
    save_as(folder / "out.ome.tif")
    text = "'out.surface.json' and 'out.surface.dpm.tif' exist already. Replace them?"
    assert questions == [text]
    assert {file: file.read_bytes() for file in folder.iterdir()} == former

    (folder / "out.surface.json").write_text("old")
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    save_as(folder / "out.ome.tif")
    assert load_surface(folder / "out.surface.json") is not None
    assert {file.name for file in folder.iterdir()} == {file.name for file in former}


@pytest.mark.parametrize("name", ["out.ome.tif", "out.surface.dpm.tif"])
def test_what_others_have_made_is_never_replaced(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    save_as: Any,
    questions: list[Any],
    rng: np.random.Generator,
    notified: Callable[[], list[tuple[str, str]]],
    name: str,
) -> None:
    depths_as_surface(dock, rng)
    run(dock, qtbot)
    are_old = old_files(folder, name, "out.surface.json")
    save_as(folder / "out.ome.tif")
    assert questions == []
    assert are_old()
    assert [text for severity, text in notified() if severity == "error"] == [
        f"'{folder / name}' exists and was not made by napari-deepz; choose another output name."
    ]


@pytest.mark.parametrize("beside", [(), ("out.provenance.json",)])
def test_files_beside_a_surface_are_asked_about(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    save_as: Any,
    questions: list[Any],
    rng: np.random.Generator,
    beside: Any,
) -> None:
    depths_as_surface(dock, rng)
    run(dock, qtbot)
    are_old = old_files(folder, *beside)
    save_as(folder / "out.json", "Surface (*.json)")
    assert questions == [f"'{name}' exists already. Replace it?" for name in beside]
    assert are_old()
    assert (folder / "out.json").exists() == (not beside)


def test_what_is_not_written_is_not_asked_about(
    dock: VirtualRefocusing, qtbot: Any, folder: Path, save_as: Any, questions: list[Any]
) -> None:
    run(dock, qtbot)
    are_old = old_files(folder, "out.surface.json", "out.provenance.json", "out.dpm.tif")
    save_as(folder / "out.ome.tif")
    assert questions == []
    assert are_old()
    assert len(tifffile.imread(folder / "out.ome.tif")) == 9


@pytest.mark.parametrize("name", ["cells.tif", "another name.tif", "link.tif"])
def test_the_input_is_never_replaced(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    pixels: np.ndarray,
    save_as: Any,
    notified: Callable[[], list[tuple[str, str]]],
    name: str,
) -> None:
    source = folder / "cells.tif"
    tifffile.imwrite(
        source, pixels, resolution=(1 / PIXEL_UM,) * 2, metadata={"unit": "um"}, imagej=True
    )
    (folder / "another name.tif").hardlink_to(source)
    (folder / "link.tif").symlink_to(source)
    before = source.read_bytes()
    dock.viewer.open(source, plugin="napari-deepz")
    dock.image.choice.value = dock.viewer.layers["cells [1]"]
    run(dock, qtbot)
    save_as(folder / name)
    assert source.read_bytes() == before
    assert [text for severity, text in notified() if severity == "error"] == [
        f"'{name}' is the image that was refocused, which is never replaced: choose another name."
    ]
    save_as(folder / "virtual.ome.tif")
    assert "Exporting took" in dock.panel.message.text()


def test_a_full_disk_is_said_once_and_the_dock_goes_on(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    save_as: Any,
    notified: Callable[[], list[tuple[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resource = pytest.importorskip("resource", reason="Unix alone limits a process")
    genuine, limits = write_stack, resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_a_full_disk(*given: Any, **settings: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, limits[1]))
        try:
            genuine(*given, **settings)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    run(dock, qtbot)
    monkeypatch.setattr(saving, "write_stack", on_a_full_disk)
    save_as(folder / "out.ome.tif")
    errors = [text for severity, text in notified() if severity == "error"]
    assert len(errors) == 1
    assert errors[0].startswith("'out.ome.tif' could not be written, nothing is left of it")
    assert dock.panel.message.text() == "Exporting failed."
    assert list(folder.iterdir()) == []
    monkeypatch.setattr(saving, "write_stack", genuine)
    save_as(folder / "out.ome.tif")
    assert len(tifffile.imread(folder / "out.ome.tif")) == 9


@pytest.mark.parametrize("where", ["gone/out.ome.tif", "a file/out.json", "out.png"])
def test_a_place_that_cannot_be_written_is_said_once(
    dock: VirtualRefocusing,
    qtbot: Any,
    folder: Path,
    save_as: Any,
    notified: Callable[[], list[tuple[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    run(dock, qtbot)
    (folder / "a file").write_text("no folder")
    if where == "out.png":

        def read_only(*_: Any, **__: Any) -> None:
            raise PermissionError(13, "Permission denied", str(folder / where))

        monkeypatch.setattr(pictures, "write_depth_coded_projection", read_only)
    save_as(folder / where)
    assert [severity for severity, _ in notified()] == ["error"]
    assert dock.panel.message.text() == "Exporting failed."
    assert dock.panel.refocus.isEnabled()
    assert [file.name for file in folder.iterdir()] == ["a file"]


def test_a_suggested_file_name_leads_nowhere(
    dock: VirtualRefocusing, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = run(dock, qtbot)
    layer.name = "../../a\x1b[31m/<b>"
    suggested = []

    def choose_nothing(*given: Any) -> tuple[str, str]:
        suggested.append(given[2])
        return "", ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose_nothing)
    dock.panel.export.click()
    assert Path(suggested[0]).name == "_.._a␛[31m_b_"

"""The dock `Movie`: a 3D movie that fills, its preview, and what stands in the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageSequence
import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QFileDialog

from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.io.writing import write_stack
from napari_deepz.models.package import Model
from napari_deepz.provenance import Provenance
from napari_deepz.recipes.again import movie_recipe_of
from napari_deepz.recipes.movies.saving import film
from napari_deepz.sampling import Sampling
from napari_deepz.widgets.movies.dock import MovieDock
from napari_deepz.widgets.movies.export_task import Played
from napari_deepz.widgets.shared.results import is_inferred
from napari_deepz.widgets.shared.run_state import Phase

PIXEL_UM = 0.325
FRAMES = 6


@pytest.fixture
def frames(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(100, 4000, (FRAMES, 48, 64), dtype=np.uint16)


@pytest.fixture
def dock(
    make_viewer: Callable[[], Any],
    add_dock: Callable[[Any, str], Any],
    model: Model,
    qtbot: Any,
    tmp_path: Path,
) -> Any:
    dock = add_dock(make_viewer(), "Movie")
    dock.settings.model.value = "tiny"
    for box, value in zip(
        (dock.settings.start, dock.settings.stop, dock.settings.step), (-2, 2, 1), strict=True
    ):
        box.value = value
    dock.settings.output.value = str(tmp_path / "out.ome.zarr")
    yield dock
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=5000)


def add_movie(dock: MovieDock, frames: np.ndarray, **changes: Any) -> Any:
    settings = {
        "name": "worm",
        "axis_labels": ("t", "z", "y", "x")[-frames.ndim :] if frames.ndim == 4 else tuple("tyx"),
        "scale": (0.25, *(1.0,) * (frames.ndim - 3), PIXEL_UM, PIXEL_UM),
        "units": ("s", *("um",) * (frames.ndim - 1)),
    }
    return dock.viewer.add_image(frames, **(settings | changes))


def wait(dock: MovieDock, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=30000)


def made(dock: MovieDock, qtbot: Any) -> Any:
    dock.make()
    wait(dock, qtbot)
    assert dock.filled is not None
    return dock.filled.layer


def test_the_layer_has_the_pixels_that_python_makes(
    dock: MovieDock, frames: np.ndarray, qtbot: Any, tmp_path: Path
) -> None:
    movie = add_movie(dock, frames)
    layer = made(dock, qtbot)
    assert layer.axis_labels == ("z", "t", "y", "x")
    assert layer.data.shape == (5, FRAMES, 48, 64)
    np.testing.assert_allclose(layer.scale, (1, 0.25, PIXEL_UM, PIXEL_UM))
    assert layer.translate[0] == -2
    assert is_inferred(layer)
    stored = read_image(tmp_path / "out.ome.zarr")
    np.testing.assert_array_equal(
        np.asarray(layer.data), np.moveaxis(np.asarray(stored.data), 1, 0)
    )
    record = read_provenance(tmp_path / "out.ome.zarr")
    assert record is not None
    assert record.command is None  # The movie is in no file.
    assert (record.model_name, stored.t_step_s) == ("tiny", 0.25)
    assert "Written: " in dock.state.message
    assert dock.viewer.dims.ndim == 4
    assert movie.visible


def test_a_movie_in_a_file_is_named_in_the_recipe(
    dock: MovieDock, frames: np.ndarray, qtbot: Any, tmp_path: Path
) -> None:
    write_stack(
        tmp_path / "worm.ome.tif",
        iter(frames),
        count=1,
        t_count=FRAMES,
        t_step_s=0.25,
        shape=(48, 64),
        dtype="uint16",
        sampling=Sampling(pixel_size_um=PIXEL_UM),
        z_step_um=None,
        z_start_um=None,
        name="worm",
        provenance=Provenance(kind="measured"),
    )
    dock.viewer.open(tmp_path / "worm.ome.tif", plugin="napari-deepz")
    assert dock.form.rate.value == 4
    assert dock.form.layer is not None
    layer = made(dock, qtbot)
    recipe = movie_recipe_of(tmp_path / "out.ome.zarr")
    again = film(recipe, tmp_path / "again.ome.zarr")
    np.testing.assert_array_equal(
        np.asarray(layer.data), np.moveaxis(np.asarray(read_image(again).data), 1, 0)
    )


def test_input_planes_of_a_layer_are_refocused_together(
    dock: MovieDock, rng: np.random.Generator, qtbot: Any, tmp_path: Path
) -> None:
    two = rng.integers(100, 4000, (FRAMES, 2, 48, 64), dtype=np.uint16)
    add_movie(dock, two, scale=(0.25, 3.0, PIXEL_UM, PIXEL_UM), translate=(0, -1.5, 0, 0))
    layer = made(dock, qtbot)
    assert layer.axis_labels == ("t", "z", "y", "x")
    assert layer.data.shape == (FRAMES, 5, 48, 64)
    assert layer.translate[1] == pytest.approx(-1.5 - 2)  # Depths count from the first plane.
    assert movie_record(tmp_path)["at_um"] == [0.0, 3.0]


def movie_record(folder: Path) -> dict[str, Any]:
    record = read_provenance(folder / "out.ome.zarr")
    assert record is not None
    assert record.recipe is not None
    return record.recipe


def test_two_layers_are_two_input_planes(
    dock: MovieDock, frames: np.ndarray, qtbot: Any, tmp_path: Path
) -> None:
    low = add_movie(dock, frames[::-1].copy(), name="low")
    dock.form.choice.value = add_movie(dock, frames, name="worm")
    dock.form.further.value = low
    dock.make()
    assert dock.state.phase is Phase.IDLE  # Nobody has said where they were taken.
    dock.form.at.value = "0, 2"
    made(dock, qtbot)
    assert movie_record(tmp_path)["at_um"] == [0.0, 2.0]


def test_a_movie_of_another_reader_gets_its_axes_and_size(
    dock: MovieDock, frames: np.ndarray, qtbot: Any
) -> None:
    movie = dock.viewer.add_image(frames, name="plain")
    assert dock.form.layer is movie
    dock.make()
    assert dock.state.phase is Phase.IDLE  # The pixel size is not known.
    dock.form.pixel_size.value = PIXEL_UM
    dock.form.rate.value = 10
    layer = made(dock, qtbot)
    assert movie.axis_labels == ("t", "y", "x")
    np.testing.assert_allclose(movie.scale[-2:], PIXEL_UM)
    assert layer.axis_labels == ("z", "t", "y", "x")
    dock.form.pixel_size.value = 2 * PIXEL_UM
    dock.form.movie()
    np.testing.assert_allclose(movie.scale[-2:], 2 * PIXEL_UM)


def test_the_preview_is_the_frame_of_the_movie(
    dock: MovieDock, frames: np.ndarray, qtbot: Any
) -> None:
    add_movie(dock, frames)
    dock.viewer.dims.set_point(0, 0.5)  # Frame 2.
    dock.settings.pixels.value = "float32"
    dock.preview.value = True
    qtbot.waitUntil(lambda: dock._frame is not None, timeout=10000)
    wait(dock, qtbot)
    previewed = dock._frame.layer
    assert previewed.data.shape == (5, 1, 48, 64)
    assert previewed.translate[1] == 0.5
    second = previewed.data.copy()
    dock.viewer.dims.set_point(1, 0.75)
    qtbot.waitUntil(lambda: dock._frame.t == 3, timeout=10000)
    assert previewed.translate[1] == 0.75
    third = previewed.data.copy()
    dock.settings.stop.value = 1.0
    qtbot.waitUntil(lambda: dock._frame is not None and dock._frame.t == 3, timeout=10000)
    assert dock._frame.layer.data.shape == (4, 1, 48, 64)
    np.testing.assert_array_equal(dock._frame.layer.data, third[:4])
    dock.settings.stop.value = 2.0
    wait(dock, qtbot)
    layer = made(dock, qtbot)
    assert not any(one.name.endswith("(preview)") for one in dock.viewer.layers)
    for t, expected in ((2, second), (3, third)):
        np.testing.assert_allclose(np.asarray(layer.data[:, t]), expected[:, 0], rtol=1e-5)


def test_a_cancelled_movie_is_gone_on_with(
    dock: MovieDock, rng: np.random.Generator, qtbot: Any, tmp_path: Path
) -> None:
    movie = rng.integers(100, 4000, (60, 48, 64), dtype=np.uint16)
    add_movie(dock, movie)
    dock.make()
    qtbot.waitUntil(lambda: dock.filled is not None, timeout=20000)
    dock.cancel()
    wait(dock, qtbot)
    assert "Stopped with " in dock.state.message or "Written" in dock.state.message
    layer = made(dock, qtbot)
    assert dock.filled.times == frozenset(range(60))
    assert np.asarray(layer.data).std(axis=(0, 2, 3)).min() > 0
    film_again = read_image(tmp_path / "out.ome.zarr")
    assert not any("are there" in note for note in film_again.notes)


def test_times_that_are_not_there_yet_are_said(
    dock: MovieDock, frames: np.ndarray, qtbot: Any
) -> None:
    add_movie(dock, frames)
    made(dock, qtbot)
    assert dock.filled.says() == ""
    dock.filled.times = frozenset({0, 1})
    dock.viewer.dims.set_point(1, 1.0)
    assert dock.filled.says() == "Frame 4 of the 3D movie is not made yet."
    dock._follow()
    assert dock.viewer.canvas.overlays.text.text == dock.filled.says()
    dock.filled.layer.visible = False
    dock._follow()
    assert not dock.viewer.canvas.overlays.text.visible


def test_what_stands_in_the_way_is_said(
    dock: MovieDock, frames: np.ndarray, qtbot: Any, tmp_path: Path
) -> None:
    assert not dock.panel.start.isEnabled()
    assert "Open a movie" in dock.form.says.text()
    dock.viewer.add_image(frames[0], name="still")
    assert dock.form.layer is None
    movie = add_movie(dock, frames)
    assert dock.panel.start.isEnabled()
    (tmp_path / "mine.zarr").mkdir()
    for output, step in ((tmp_path / "a.tif", 1), (tmp_path / "mine.zarr", 1)):
        dock.settings.output.value, dock.settings.step.value = str(output), step
        dock.make()
        wait(dock, qtbot)
        assert dock.filled is None
    assert not any((tmp_path / "mine.zarr").iterdir())
    dock.settings.output.value = str(tmp_path / "out.ome.zarr")
    dock.settings.kind.value = "Surface from a file"
    dock.make()
    assert dock.state.phase is Phase.IDLE
    dock.settings.kind.value = "Flat range"
    dock.make()
    dock.viewer.layers.remove(movie)  # While it runs.
    wait(dock, qtbot)
    assert dock.form.layer is None


def test_a_surface_of_a_file_gives_one_plane_a_frame(
    dock: MovieDock, frames: np.ndarray, qtbot: Any, tmp_path: Path
) -> None:
    (tmp_path / "tilt.json").write_text('{"kind": "tilted", "tilt_x_deg": 5, "tilt_y_deg": 1}')
    add_movie(dock, frames)
    dock.settings.kind.value = "Surface from a file"
    dock.settings.surface.value = str(tmp_path / "tilt.json")
    layer = made(dock, qtbot)
    assert layer.axis_labels == ("t", "y", "x")
    assert layer.data.shape == frames.shape


@pytest.mark.parametrize("played", [*Played])
def test_what_was_made_is_exported_as_a_movie(
    dock: MovieDock,
    frames: np.ndarray,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    played: Played,
) -> None:
    add_movie(dock, frames)
    assert not dock.export_button.isEnabled()
    made(dock, qtbot)
    answer = str(tmp_path / "movie"), f"{played} (*.gif)"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: answer)
    dock.export_button.click()
    wait(dock, qtbot)
    assert dock.state.message == "The movie is written."
    with PIL.Image.open(tmp_path / "movie.gif") as movie:
        expected = 2 * 5 - 2 if played is Played.SWEEP else FRAMES
        assert len([*PIL.ImageSequence.Iterator(movie)]) == expected
        comment = movie.info["comment"]
    assert b"inferred" in comment


@pytest.mark.window
def test_in_the_window_a_movie_is_scrubbed_while_it_fills(
    dock: MovieDock, rng: np.random.Generator, qtbot: Any
) -> None:
    add_movie(dock, rng.integers(100, 4000, (40, 48, 64), dtype=np.uint16))
    dock.make()
    qtbot.waitUntil(lambda: dock.filled is not None, timeout=20000)
    for t in (9.75, 0.0, 5.0):
        dock.viewer.dims.set_point(1, t)
        qtbot.wait(50)
    wait(dock, qtbot)
    dock.viewer.dims.set_point(1, 9.75)
    seen = dock.filled.layer.get_value((0, 9.75, 20 * PIXEL_UM, 30 * PIXEL_UM), world=True)
    assert seen == np.asarray(dock.filled.layer.data[2, 39, 20, 30]) > 0
    dock.viewer.layers.remove(dock.filled.layer)
    qtbot.wait(100)
    assert dock.filled.says() == ""

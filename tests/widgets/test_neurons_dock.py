"""The dock `Neurons`: found, selected, put right by hand, exported."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool

from napari_deepz import load_model
from napari_deepz.images import ImageSeries
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.measuring import measure_neurons
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.training.movies.scene import MovieSettings
from napari_deepz.training.movies.simulation import SimulatedMovie, simulate_movie
from napari_deepz.widgets.neurons.dock import NeuronsDock
from napari_deepz.widgets.neurons.export_dialog import TRACKS, write_export
from napari_deepz.widgets.shared.layers import OPTICS
from napari_deepz.widgets.shared.run_state import Phase
from tests.neurons.test_footprints import DRY_20X

PIXEL_UM = 0.325
FRAMES = 16
STATED = {
    "na": DRY_20X.na,
    "immersion_index": DRY_20X.immersion_index,
    "wavelength_um": DRY_20X.wavelength_um,
}


@pytest.fixture(scope="module")
def simulated() -> SimulatedMovie:
    pytest.importorskip("psf_generator", reason="needs napari-deepz[train]")
    return simulate_movie("sparse", MovieSettings(size_px=128, frames=FRAMES), 5)


@pytest.fixture
def dock(
    make_viewer: Callable[[], Any], add_dock: Callable[[Any, str], Any], qtbot: Any
) -> Iterator[NeuronsDock]:
    yield add_dock(make_viewer(), "Neurons")
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20000)


def add_movie(dock: NeuronsDock, frames: np.ndarray, **changes: Any) -> Any:
    settings = {
        "name": "worm",
        "axis_labels": ("t", "y", "x"),
        "scale": (0.25, PIXEL_UM, PIXEL_UM),
        "units": ("s", "um", "um"),
        "metadata": {OPTICS: STATED},
    }
    return dock.viewer.add_image(frames, **(settings | changes))


def wait(dock: NeuronsDock, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=60000)


def traces(dock: NeuronsDock) -> NeuronTraces:
    assert dock.found is not None
    return dock.found


@pytest.fixture
def filled(dock: NeuronsDock, simulated: SimulatedMovie, qtbot: Any) -> NeuronsDock:
    """With what is found in a movie."""
    add_movie(dock, simulated.measured[:, 0])
    dock.find()
    wait(dock, qtbot)
    assert dock.found is not None
    return dock


def test_the_numbers_are_those_of_python(filled: NeuronsDock, simulated: SimulatedMovie) -> None:
    series = ImageSeries(simulated.measured[:, 0], "TYX", PIXEL_UM, None, t_step_s=0.25)
    expected = measure_neurons(Movie.of(series, DRY_20X), load_model("widefield-20x"))
    np.testing.assert_allclose(filled.found.activity.light, expected.activity.light, rtol=1e-6)
    np.testing.assert_allclose(filled.found.places_um, expected.places_um)
    assert filled.table.rowCount() == len(expected)
    assert filled.table.item(0, 1).text() == f"{expected.places_um[0, 0]:.2f}"
    assert filled.table.item(0, 5).text() == "yes"
    assert "the light is measured on the frames" in filled.notes.text()


def test_rings_lie_where_the_neurons_are(filled: NeuronsDock) -> None:
    layer = filled.points.layer
    world = np.array([layer.data_to_world(row) for row in layer.data])
    assert layer.axis_labels == ("z", "t", "y", "x")
    np.testing.assert_allclose(world[:, [0, 2, 3]], filled.found.places_um, atol=1e-5)
    filled.viewer.dims.set_point(1, 2.0)
    filled._follow_time()
    np.testing.assert_allclose(layer.data[:, 1], 8)
    assert filled.trace.cursor_line.value() == 2.0


def test_selection_goes_both_ways(filled: NeuronsDock) -> None:
    filled.table.selectRow(1)
    assert filled.points.selected_ids() == (2,)
    assert len(filled.trace.curves) == 2  # The curve, and the marks of rises.
    filled.points.layer.selected_data = {0, 2}
    assert filled.table.selected_ids() == (1, 3)
    assert "● 1" in filled.trace.plot._title.text
    filled.map.went.emit(2, 3.0)
    assert filled.table.selected_ids() == filled.points.selected_ids() == (2,)
    assert filled.viewer.dims.point[1] == 3.0
    filled.kind.value = "F and F0"
    np.testing.assert_allclose(filled.trace.curves[0].getData()[1], filled.found.activity.light[1])


def test_edits_are_measured_at_once_and_taken_back(filled: NeuronsDock, qtbot: Any) -> None:
    before = traces(filled)
    count = len(before)
    filled.table.selectRow(0)
    filled.buttons.clicked.emit("delete")
    wait(filled, qtbot)
    assert filled.found.neurons.ids.tolist() == [*range(2, count + 1)]
    assert filled.points.layer.data.shape[0] == count - 1
    filled.buttons.clicked.emit("undo")
    wait(filled, qtbot)
    np.testing.assert_allclose(filled.found.activity.light, before.activity.light)
    filled.points.layer.add(filled.points.layer.data[0] + [0, 0, 20, 0])
    wait(filled, qtbot)
    assert filled.found.neurons.ids[-1] == count + 1
    assert filled.found.neurons.by_hand[-1]
    np.testing.assert_allclose(
        filled.found.places_um[-1], before.places_um[0] + [0, 20 * PIXEL_UM, 0], atol=1e-4
    )
    filled.select([1, count + 1])
    filled.buttons.clicked.emit("merge")
    wait(filled, qtbot)
    assert len(traces(filled)) == count
    np.testing.assert_allclose(
        filled.found.places_um[0], before.places_um[0] + [0, 10 * PIXEL_UM, 0], atol=1e-4
    )
    filled.table.item(1, 1).setText("2.5")
    wait(filled, qtbot)
    assert filled.found.places_um[1, 0] == 2.5
    filled.table.item(1, 1).setText("deep")
    assert filled.table.item(1, 1).text() == "2.50"


def test_what_napari_removes_from_the_layer_is_left_out(filled: NeuronsDock, qtbot: Any) -> None:
    count = len(traces(filled))
    filled.points.layer.selected_data = {1}
    filled.points.layer.remove_selected()
    wait(filled, qtbot)
    assert filled.found.neurons.ids.tolist() == [1, *range(3, count + 1)]


def test_all_neurons_can_be_deleted(filled: NeuronsDock, qtbot: Any) -> None:
    filled.table.selectAll()
    filled.buttons.clicked.emit("delete")
    wait(filled, qtbot)
    assert filled.found is None
    assert not filled.export_button.isEnabled()
    filled.buttons.clicked.emit("undo")
    wait(filled, qtbot)
    assert filled.found is not None


def test_what_is_not_separable_is_said_and_not_drawn(filled: NeuronsDock, qtbot: Any) -> None:
    count = len(traces(filled))
    filled.points.layer.add(filled.points.layer.data[0] + [0, 0, 0.1, 0])
    wait(filled, qtbot)
    filled.select([count + 1])
    assert filled.table.item(count, 5).text() == "no"
    assert filled.trace.curves == []
    assert "not separable, no trace" in filled.trace.plot._title.text
    assert filled.map.image.image.shape[0] == count - 1


@pytest.mark.parametrize("follow", ["Sideways, as a whole", "Bending, turning and along z too"])
def test_a_moving_sample_is_followed_and_its_track_shown(
    dock: NeuronsDock, simulated: SimulatedMovie, qtbot: Any, follow: str
) -> None:
    moving = np.stack(
        [np.roll(frame, 2 * t, axis=0) for t, frame in enumerate(simulated.measured[:, 0])]
    )
    add_movie(dock, moving)
    dock.search.follow.value = follow
    dock.find()
    wait(dock, qtbot)
    assert dock.found is not None
    assert np.ptp(dock.found.tracks_um[:, 0, 1]) == pytest.approx(30 * PIXEL_UM, abs=1)
    dock.table.selectRow(0)
    (track,) = [layer for layer in dock.viewer.layers if layer.name.startswith("Track")]
    np.testing.assert_allclose(
        track.data[:, 2] * PIXEL_UM, dock.found.tracks_um[:, 0, 1], atol=1e-3
    )
    np.testing.assert_allclose(track.scale[0], 0.25)
    dock.viewer.dims.set_point(1, 3.75)
    dock._follow_time()
    row = np.array(dock.points.layer.data[0])
    np.testing.assert_allclose(row[2] * PIXEL_UM, dock.found.tracks_um[15, 0, 1], atol=1e-4)
    there = traces(dock).places_um[0] + np.array([0, 0, 12 * PIXEL_UM])
    dock.points.layer.add(row + np.array([0, 0, 0, 12]))
    wait(dock, qtbot)
    np.testing.assert_allclose(dock.found.places_um[-1], there, atol=0.2)


def test_exports_are_what_was_measured(filled: NeuronsDock, tmp_path: Path) -> None:
    path = write_export(traces(filled), str(tmp_path / "worm"), "Traces (*.csv)")
    assert path.name == "worm.csv"
    with path.open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    assert float(first["f"]) == pytest.approx(filled.found.activity.light[0, 0], rel=1e-4)
    tracks = write_export(traces(filled), str(tmp_path / "tracks"), TRACKS)
    assert tracks.read_text().startswith("track_id,t,z,y,x")
    with pytest.raises(ValueError, match="no table of neurons"):
        write_export(traces(filled), str(tracks), "Traces (*.csv)")


def test_what_stands_in_the_way_is_said(
    dock: NeuronsDock, simulated: SimulatedMovie, qtbot: Any
) -> None:
    assert not dock.panel.start.isEnabled()
    movie = add_movie(dock, simulated.measured[:, 0], metadata={})
    dock.find()
    wait(dock, qtbot)
    assert dock.found is None  # The optics are not known.
    assert dock.state.message.startswith("Finding neurons failed: Traces are measured")
    dock.form.optics.na.value = 0.75
    dock.form.optics.immersion_index.value = 1.0
    dock.form.optics.wavelength_nm.value = 525
    dock.find()
    dock.cancel()
    wait(dock, qtbot)
    assert dock.state.message == "Finding neurons was cancelled."
    dock.find()
    wait(dock, qtbot)
    assert dock.found is not None
    count = len(traces(dock))
    dock.find()
    dock.cancel()
    wait(dock, qtbot)
    assert dock.table.rowCount() == count  # What was there stays.
    assert dock._neurons_card.title == "Neurons of worm"
    dock.viewer.layers.remove(dock.points.layer)
    assert dock.table.rowCount() == 0
    dock.find()
    dock.viewer.layers.remove(movie)
    wait(dock, qtbot)
    assert dock.points is None


@pytest.mark.window
def test_in_the_window_neurons_are_seen_at_all_depths(
    dock: NeuronsDock, simulated: SimulatedMovie, qtbot: Any
) -> None:
    add_movie(dock, simulated.measured[:, 0])
    dock.find()
    wait(dock, qtbot)
    layer = dock.points.layer
    place = np.array(layer.data_to_world(layer.data[0]))
    deeper = (place[0] + 6.0, *place[1:])
    dock.viewer.dims.set_point(0, deeper[0])
    assert layer.get_value(deeper, world=True) == 0
    dock.all_depths.value = False
    assert layer.get_value(deeper, world=True) is None
    dock.viewer.dims.set_point(0, place[0])
    assert layer.get_value(tuple(place), world=True) == 0
    dock.points.remove()
    assert set(dock.viewer.dims.margin_left) == {0.0}

"""From a movie to traces: against a movie of which all is known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from napari_deepz import load_model
from napari_deepz.analysis.neuron_scores import score_identities, score_places, score_traces
from napari_deepz.images import ImageSeries
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.measuring import measure_neurons
from napari_deepz.neurons.tables import COLUMNS, save_traces
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.sampling import Sampling
from napari_deepz.training.movies.scene import MovieSettings
from napari_deepz.training.movies.simulation import SimulatedMovie, simulate_movie
from napari_deepz.watch import Cancelled, Watch
from tests.neurons.test_footprints import DRY_20X

SETTINGS = MovieSettings(size_px=160, frames=60, bleached_to=0.6, flicker=0.03)


@pytest.fixture(scope="module")
def simulated() -> SimulatedMovie:
    pytest.importorskip("psf_generator", reason="needs napari-deepz[train]")
    return simulate_movie("sparse", SETTINGS, 5)


def movie_of(simulated: SimulatedMovie, sampling: Sampling = DRY_20X) -> Movie:
    series = ImageSeries(simulated.measured, "TZYX", 0.325, None, t_step_s=0.25)
    return Movie.of(series, sampling)


@pytest.fixture(scope="module")
def found(simulated: SimulatedMovie) -> NeuronTraces:
    return measure_neurons(movie_of(simulated), load_model("widefield-20x"))


def test_neurons_are_found_where_they_are(found: NeuronTraces, simulated: SimulatedMovie) -> None:
    scores = score_places(found.places_um, simulated.places_um[0])
    assert scores.recall >= 0.9
    assert scores.precision >= 0.85
    assert scores.z_rms_um < 1.0


def test_their_traces_are_the_true_ones(found: NeuronTraces, simulated: SimulatedMovie) -> None:
    pairs = score_places(found.places_um, simulated.places_um[0]).pairs
    scores = score_traces(found.activity.dff, simulated.dff, pairs)
    assert scores.correlation_median > 0.99
    assert scores.slopes[1] == pytest.approx(1, abs=0.15)
    assert scores.silent_sd < 0.03


def test_two_input_planes_are_solved_together(simulated: SimulatedMovie) -> None:
    settings = MovieSettings(size_px=96, frames=10, planes_um=(-3.0, 3.0))
    two = simulate_movie("sparse", settings, 5)
    series = ImageSeries(two.measured, "TZYX", 0.325, None, t_step_s=0.25)
    movie = Movie.of(series, DRY_20X, at_um=settings.planes_um)
    model = load_model("widefield-20x")
    both = measure_neurons(movie, model, places_um=two.places_um[0])
    first = ImageSeries(two.measured[:, 0], "TYX", 0.325, None, t_step_s=0.25)
    alone = measure_neurons(
        Movie.of(first, DRY_20X, at_um=(-3.0,)), model, places_um=two.places_um[0]
    )
    assert (both.error < alone.error).all()


def test_the_table_has_a_row_for_each_neuron_and_frame(
    found: NeuronTraces, simulated: SimulatedMovie, tmp_path: Path
) -> None:
    path = tmp_path / "traces.csv"
    save_traces(found, path)
    save_traces(found, path)  # A former table is replaced.
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(found) * SETTINGS.frames
    row = rows[SETTINGS.frames + 3]
    assert (row["id"], row["t_s"], row["inferred"]) == ("2", "0.75", "position")
    assert float(row["z_um"]) == pytest.approx(found.places_um[1, 0], abs=1e-3)
    assert float(row["f"]) == pytest.approx(found.activity.light[1, 3], rel=1e-5)
    assert float(row["dff"]) == pytest.approx(found.activity.dff[1, 3], rel=1e-4)


def test_what_is_not_separable_has_no_trace(simulated: SimulatedMovie, tmp_path: Path) -> None:
    places = simulated.places_um[0][:3]
    twins = np.concatenate([places, places[:1] + np.array([0.0, 0.05, 0.0])])
    found = measure_neurons(movie_of(simulated), load_model("widefield-20x"), places_um=twins)
    assert not found.separable[[0, 3]].any()
    assert any("2 neurons are not separable" in note for note in found.notes)
    save_traces(found, tmp_path / "traces.csv")
    with (tmp_path / "traces.csv").open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["separable"], first["f"], first["dff"]) == ("0", "", "")
    assert first["z_um"]


def test_what_stands_in_the_way_is_said(simulated: SimulatedMovie, tmp_path: Path) -> None:
    model = load_model("widefield-20x")
    with pytest.raises(ValueError, match="needs the numerical aperture and the immersion"):
        measure_neurons(movie_of(simulated, Sampling(pixel_size_um=0.325)), model)
    empty = np.random.default_rng(1).poisson(90, (6, 96, 96)).astype(np.uint16)
    dark = Movie.of(ImageSeries(empty, "TYX", 0.325, None), DRY_20X)
    with pytest.raises(ValueError, match="No neuron was found"):
        measure_neurons(dark, model)
    with pytest.raises(Cancelled):
        measure_neurons(movie_of(simulated), model, watch=Watch(lambda: True))
    notes = tmp_path / "notes.csv"
    notes.write_text("mine")
    found = measure_neurons(movie_of(simulated), model, places_um=simulated.places_um[0][:1])
    for path, words in (
        (notes, "is no table of neurons"),
        (tmp_path / "a.txt", "end with .csv or .parquet"),
    ):
        with pytest.raises(ValueError, match=words):
            save_traces(found, path)
    assert notes.read_text() == "mine"


def test_a_sample_that_moves_is_not_to_be_trusted(
    found: NeuronTraces, simulated: SimulatedMovie
) -> None:
    assert not any("moves" in note for note in found.notes)
    moving = simulated.measured.copy()
    moving[40:] = np.roll(moving[40:], (6, -4), axis=(2, 3))
    series = ImageSeries(moving, "TZYX", 0.325, None, t_step_s=0.25)
    places = simulated.places_um[0][:2]
    notes = measure_neurons(
        Movie.of(series, DRY_20X), load_model("widefield-20x"), places_um=places
    ).notes
    assert any("The sample moves, by up to 2.3 µm in a few frames" in note for note in notes)


def test_a_sample_that_moves_as_a_whole_is_followed() -> None:
    settings = MovieSettings(size_px=192, frames=100, motion_um=1.0)
    moving = simulate_movie("sparse", settings, 5)
    movie, model = movie_of(moving), load_model("widefield-20x")
    found = measure_neurons(movie, model, follow="shift")
    assert any("followed sideways as a whole, by up to" in note for note in found.notes)
    pairs = score_places(found.tracks_um[0], moving.places_um[0]).pairs
    assert len(pairs) >= 0.8 * moving.places_um.shape[1]
    tracks, truth = (
        found.tracks_um[:, [one for one, _ in pairs]],
        moving.places_um[:, [other for _, other in pairs]],
    )
    assert score_identities(tracks, truth) > 0.99
    assert np.sqrt(((tracks - truth)[..., 1:] ** 2).mean()) < 0.35
    scores = score_traces(found.activity.dff, moving.dff, pairs)
    assert scores.correlation_median > 0.98
    assert scores.slopes[1] == pytest.approx(1, abs=0.15)
    away = ~np.isfinite(found.activity.dff)
    assert any("leave the field for some frames" in note for note in found.notes) == away.any()
    still = measure_neurons(movie, model, places_um=found.places_um)
    assert any("The sample moves, by up to" in note for note in still.notes)
    blind = score_traces(still.activity.dff, moving.dff, pairs)
    assert blind.correlation_median < 0.8


def test_a_sample_that_bends_and_drifts_is_followed() -> None:
    settings = MovieSettings(frames=40, motion_um=1.0, bend_um=2.0, drift_um=2.0)
    bending = simulate_movie("sparse", settings, 5)
    movie = movie_of(bending)
    model = load_model("widefield-20x")
    usual = np.median(bending.places_um, axis=0)
    found = measure_neurons(movie, model, follow="bend", places_um=usual)
    assert score_identities(found.tracks_um, bending.places_um) > 0.99
    stiff = measure_neurons(movie, model, follow="shift", places_um=usual)
    assert score_identities(stiff.tracks_um, bending.places_um) < 0.95
    off = found.tracks_um - bending.places_um
    off -= np.median(off, axis=0)
    assert np.sqrt((off[..., 0] ** 2).mean()) < 0.3
    pairs = tuple((one, one) for one in range(len(usual)))
    followed, blind = (
        score_traces(np.where(one.separable[:, None], one.activity.dff, np.nan), bending.dff, pairs)
        for one in (found, stiff)
    )
    assert followed.correlation_median > blind.correlation_median + 0.1
    assert any("and as it bends and turns" in note for note in found.notes)
    assert any("Along z the sample drifts by" in note for note in found.notes)
    assert found.record.frames is not None
    assert len(found.record.frames["drift_z_um"]) == 40

"""Simulated movies: light is where the truth says, as bright as it says, of the same microscope."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_deepz.pupil import Aberrations
from napari_deepz.training.movies.files import write_movies
from napari_deepz.training.movies.projector import Projector
from napari_deepz.training.movies.scene import (
    Balls,
    MovieSettings,
    draw_activity,
    draw_neurons,
    draw_path,
)
from napari_deepz.training.movies.simulation import SimulatedMovie, simulate_movie
from napari_deepz.training.phantoms import Phantom
from napari_deepz.training.simulation import Microscope, StackSettings

SMALL = MovieSettings(size_px=96, frames=12, photons=2000.0)


@pytest.fixture(scope="module")
def movie() -> SimulatedMovie:
    return simulate_movie("sparse", replace(SMALL, frames=60, silent=0.0), 3)


def test_a_ball_is_imaged_as_by_the_microscope_of_the_stacks(rng: np.random.Generator) -> None:
    stack = StackSettings(size_px=96, half_range_um=4.0, z_step_um=0.5)
    primary, secondary = stack.optics.depth_aberration_waves(SMALL.depth_um)
    aberrations = Aberrations(primary, secondary, coma_x=SMALL.coma_waves)
    centre, radius_um = np.array([1.5, 2.0, -3.3]), 1.4
    direction = rng.normal(size=(40_000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = centre + direction * radius_um * np.cbrt(rng.uniform(size=(len(direction), 1)))
    cloud = Phantom(points, np.full(len(points), 1 / len(points)), centre[None])
    expected = Microscope(stack, aberrations).expose(cloud)
    ball = Balls(centre[None], np.array([radius_um]), np.ones(1))
    projector = Projector(SMALL, 8.0)
    for z_um in (-3.0, 0.0, 1.5, 4.0):
        found = projector.image(projector.spectra(ball, z_um), centre[None], ball.light)
        truth = expected[int(np.flatnonzero(stack.z_um == z_um)[0])]
        assert np.abs(found - truth).max() < 0.05 * truth.max()
        assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.999


def test_light_lies_where_the_truth_says_and_is_as_bright(movie: SimulatedMovie) -> None:
    frames = movie.measured[:, 0].astype(float)
    pixel_um = movie.settings.optics.pixel_size_um
    near = np.abs(movie.places_um[0, :, 0]) < 3
    assert near.any()
    y, x = np.rint(movie.places_um[0, near, 1:] / pixel_um).astype(int).T
    at_neurons = frames.mean(axis=0)[y, x]
    assert (at_neurons > np.median(frames) + 100).all()
    for neuron, row, column in zip(np.flatnonzero(near), y, x, strict=True):
        trace = frames[:, row - 1 : row + 2, column - 1 : column + 2].mean(axis=(1, 2))
        assert np.corrcoef(trace, movie.dff[neuron])[0, 1] > 0.95


def test_neurons_keep_their_distance_and_half_of_them_are_silent(rng: np.random.Generator) -> None:
    settings = MovieSettings()
    for scene, least_um, count in (("sparse", 5.0, 30), ("head", 3.0, 120)):
        places = draw_neurons(scene, settings, rng).centres_um  # type: ignore[arg-type]
        away = np.linalg.norm(places[:, None] - places, axis=2) + 99 * np.eye(len(places))
        assert len(places) == count
        assert away.min() >= least_um
    dff = draw_activity(2000, replace(settings, frames=400), rng)
    assert (dff.max(axis=1) == 0).mean() == pytest.approx(0.5, abs=0.03)
    # Events a second times the mean area of one, its mean height times the area of the kernel.
    times = np.arange(0, 10, 0.001)
    kernel = (1 - np.exp(-times / 0.2)) * np.exp(-times / 1.2)
    mean = 0.12 * 1.5 * kernel.sum() * 0.001 / kernel.max()
    assert dff[dff.max(axis=1) > 0].mean() == pytest.approx(mean, rel=0.05)


def test_the_light_falls_as_it_is_said_and_is_shared_by_the_planes() -> None:
    one = simulate_movie("sparse", replace(SMALL, bleached_to=0.5, silent=1.0), 3)
    means = one.measured.mean(axis=(1, 2, 3)) - 100
    assert means[-1] / means[0] == pytest.approx(0.5, rel=0.02)
    np.testing.assert_allclose(one.brightness[[0, -1]], (1, 0.5))
    two = simulate_movie("sparse", replace(SMALL, planes_um=(-3.0, 3.0), silent=1.0), 3)
    assert two.measured.shape == (12, 2, 96, 96)
    still = simulate_movie("sparse", replace(SMALL, silent=1.0), 3)
    assert two.measured.mean() - 100 == pytest.approx((still.measured.mean() - 100) / 2, rel=0.05)


def test_the_sample_moves_as_far_as_it_is_said(rng: np.random.Generator) -> None:
    settings = replace(SMALL, frames=400, motion_um=0.5)
    path = draw_path(settings, rng)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert np.sqrt((steps**2).mean()) == pytest.approx(0.5, rel=0.05)
    assert np.abs(path).max() <= 0.5 * settings.field_um
    moving = simulate_movie("head", replace(SMALL, motion_um=0.5, drift_um=2.0, frames=4), 1)
    moved = moving.places_um - moving.places_um[0]
    assert np.ptp(moved[-1, :, 1]) < 1e-9
    np.testing.assert_allclose(moved[-1, :, 0], -2.0, atol=1e-9)
    drifting = replace(SMALL, drift_um=2.0, frames=4, granule=True)
    granule_um = simulate_movie("sparse", drifting, 1).granule_um
    assert granule_um is not None
    np.testing.assert_allclose(np.diff(granule_um[:, 0]), -2 / 3)


def test_the_same_seed_gives_the_same_movie(movie: SimulatedMovie) -> None:
    again = simulate_movie("sparse", movie.settings, 3)
    np.testing.assert_array_equal(again.measured, movie.measured)
    other = simulate_movie("sparse", movie.settings, 4)
    assert not np.array_equal(other.measured, movie.measured)


def test_foreign_files_are_not_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "0000_sparse_movie.json"
    mine.write_text("my notes")
    with pytest.raises(ValueError, match=r"0000_sparse_movie\.json"):
        list(write_movies(tmp_path, count=1, seed=0, settings=SMALL))
    assert mine.read_text() == "my notes"
    with pytest.raises(ValueError, match="evenly spaced"):
        list(write_movies(tmp_path, count=1, seed=0, settings=replace(SMALL, planes_um=(3, -3))))

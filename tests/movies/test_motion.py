"""How far a sample moves, as the truth says, whatever passes through the field."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from napari_deepz.movies.brightness import measure_brightness
from napari_deepz.movies.motion import largest_shift_um, measure_motion
from napari_deepz.training.movies.scene import MovieSettings
from napari_deepz.training.movies.simulation import simulate_movie
from tests.movies.test_brightness import movie_of

SETTINGS = MovieSettings(size_px=160, frames=40, granule=True)


def test_a_granule_that_passes_is_no_motion() -> None:
    movie = movie_of(simulate_movie("sparse", SETTINGS, 3).measured)
    assert largest_shift_um(movie, measure_brightness(movie, 100.0)) < 0.2


def test_motion_is_found() -> None:
    simulated = simulate_movie("sparse", replace(SETTINGS, motion_um=0.5), 3)
    movie = movie_of(simulated.measured)
    found = largest_shift_um(movie, measure_brightness(movie, 100.0))
    away = simulated.places_um - np.median(simulated.places_um, axis=0)
    truth = np.linalg.norm(away[..., 1:], axis=2).max()
    assert found == pytest.approx(truth, abs=1.5)


def test_motion_is_measured_to_a_fraction_of_a_pixel() -> None:
    settings = replace(SETTINGS, motion_um=1.0, granule=False, bleached_to=0.6)
    simulated = simulate_movie("sparse", settings, 3)
    movie = movie_of(simulated.measured)
    motion = measure_motion(movie, measure_brightness(movie, 100.0))
    truth = simulated.places_um[:, 0, 1:] / movie.pixel_um
    off = -motion.shift_px - truth
    assert np.sqrt(((off - off.mean(axis=0)) ** 2).mean()) < 0.15
    first = motion.straightened(movie.frame(0), 0)[0, 30:-30, 30:-30]
    template = motion.template[0, 30:-30, 30:-30]
    assert np.corrcoef(first.ravel(), template.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("dark", [0, 6, 11])
def test_a_dark_frame_lies_where_the_one_before_it_does(dark: int) -> None:
    settings = replace(SETTINGS, motion_um=1.0, granule=False, frames=12)
    frames = simulate_movie("sparse", settings, 3).measured.copy()
    frames[dark] = 0
    movie = movie_of(frames)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        motion = measure_motion(movie, measure_brightness(movie))
    if dark:
        np.testing.assert_array_equal(motion.shift_px[dark], motion.shift_px[dark - 1])
    assert np.isfinite(motion.template).all()
    assert motion.template.std() > 10

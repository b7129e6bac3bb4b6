"""The light that all of a movie has in common is found; what single cells do does not change it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_deepz.images import ImageSeries
from napari_deepz.movies.brightness import measure_brightness
from napari_deepz.movies.movie import Movie
from napari_deepz.sampling import Sampling
from napari_deepz.training.movies.scene import MovieSettings
from napari_deepz.training.movies.simulation import simulate_movie

SAMPLING = Sampling(pixel_size_um=0.325)


def movie_of(frames: np.ndarray, **more: object) -> Movie:
    axes = "TZYX" if frames.ndim == 4 else "TYX"
    series = ImageSeries(frames, axes, 0.325, 6.0, **more)  # type: ignore[arg-type]
    return Movie.of(series, SAMPLING)


@pytest.fixture
def place(rng: np.random.Generator) -> np.ndarray:
    return 60 + 4000 * gaussian_filter(rng.gamma(0.1, 1, (80, 90)), 4)


def test_bleaching_and_flicker_are_found_with_the_offset(
    place: np.ndarray, rng: np.random.Generator
) -> None:
    truth = np.linspace(1, 0.55, 100) * (1 + 0.03 * rng.standard_normal(100))
    frames = 100 + 2 * rng.poisson(place * truth[:, None, None])
    found = measure_brightness(movie_of(frames.astype(np.uint16)))
    ratio = found.relative / truth
    np.testing.assert_allclose(ratio / np.median(ratio), 1, atol=0.02)
    assert found.offset == pytest.approx(100, abs=15)
    assert np.median(found.relative) == pytest.approx(1, abs=0.02)


def test_active_cells_and_a_granule_change_nothing(
    place: np.ndarray, rng: np.random.Generator
) -> None:
    frames = np.repeat(place[None], 60, axis=0)
    frames[20:40, 10:25, 10:25] *= 3
    frames[30:, 50:60, 50:60] += 30_000
    frames = 100 + 2 * rng.poisson(frames)
    found = measure_brightness(movie_of(frames.astype(np.uint16)))
    np.testing.assert_allclose(found.relative, 1, atol=0.02)
    assert found.offset <= np.percentile(found.typical, 1)


def test_each_frame_is_brought_to_the_typical_one() -> None:
    settings = MovieSettings(size_px=96, frames=40, bleached_to=0.5, silent=1.0, photons=4000)
    simulated = simulate_movie("sparse", replace(settings, planes_um=(-3.0, 3.0)), 2)
    movie = movie_of(simulated.measured)
    assert movie.at_um == (0, 6)
    found = measure_brightness(movie, offset=100.0)
    first, last = (found.of_frame(movie.frame(t), t) for t in (0, 39))
    assert first.shape == (2, 96, 96)
    assert first.mean() == pytest.approx(last.mean(), rel=0.02)
    np.testing.assert_allclose(found.relative / found.relative[0], simulated.brightness, rtol=0.02)


def test_a_dark_movie_has_a_brightness_too() -> None:
    found = measure_brightness(movie_of(np.full((5, 64, 64), 7, np.uint16)))
    np.testing.assert_array_equal(found.relative, 1)
    assert found.offset == 7


def test_a_frame_that_is_no_number_is_named() -> None:
    frames = np.ones((4, 64, 64), np.float32)
    frames[2, 3, 3] = np.nan
    with pytest.raises(ValueError, match="Frame 2 of 'image' has pixels that are no numbers"):
        measure_brightness(movie_of(frames))

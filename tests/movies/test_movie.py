"""Frames of movies: of one file or one for each plane, with axes that files name or do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_deepz.images import ImageSeries
from napari_deepz.movies.movie import Movie
from napari_deepz.sampling import Sampling

SAMPLING = Sampling(pixel_size_um=0.325)


@pytest.fixture
def pages(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 1000, (5, 2, 8, 9)).astype(np.uint16)


def series_of(pages: np.ndarray, axes: str, **more: object) -> ImageSeries:
    return ImageSeries(pages, axes, 0.325, **{"z_step_um": None} | more)  # type: ignore[arg-type]


def test_planes_of_one_file_and_of_one_for_each_plane_are_the_same(pages: np.ndarray) -> None:
    together = Movie.of(series_of(pages, "TZYX", z_step_um=6.0, t_step_s=0.5), SAMPLING)
    assert (together.at_um, together.rate_hz, together.shape) == ((0, 6), 2, (8, 9))
    np.testing.assert_array_equal(together.frame(3), pages[3])
    each = [series_of(pages[:, z], "TYX", t_step_s=0.5) for z in (0, 1)]
    apart = Movie.of(each, SAMPLING, at_um=(-3, 3), rate_hz=8)
    np.testing.assert_array_equal(apart.frame(3), pages[3])
    assert apart.t_s[:3] == pytest.approx([0, 0.125, 0.25])
    channels = Movie.of(series_of(pages, "TCYX"), SAMPLING, c=1)
    np.testing.assert_array_equal(channels.frame(4), pages[4, 1:])


def test_pages_that_nobody_named_are_frames(pages: np.ndarray) -> None:
    movie = Movie.of(series_of(pages[:, 0], "ZYX"), SAMPLING)
    assert len(movie) == 5
    assert movie.notes == ("'image' does not say what its 5 pages are: taken as frames.",)
    of_channel = series_of(pages.transpose(1, 0, 2, 3), "CZYX")
    np.testing.assert_array_equal(Movie.of(of_channel, SAMPLING, c=1).frame(2)[0], pages[2, 1])


def test_what_is_no_movie_is_said(pages: np.ndarray) -> None:
    movie = series_of(pages, "TZYX")
    shorter = replace(series_of(pages[:4, 0], "TYX"), name="short")
    for wrong, more, words in (
        (series_of(pages[0, 0], "YX"), {}, "one time point only"),
        (series_of(pages[:, 0], "ZYX", z_step_um=1.5), {}, "a focal stack of 5 planes, 1.5 µm"),
        (movie, {}, "2 input planes at each time, and nothing says how far apart"),
        (movie, {"at_um": (0,)}, "it has 2 planes, and there are 1 depths"),
        (movie, {"at_um": (2, 2)}, "each at a depth of its own"),
        (movie, {"at_um": (0, 2), "rate_hz": 0.0}, "0 frames per second"),
        ([series_of(pages[:, 0], "TYX"), shorter], {"at_um": (0, 2)}, "'short' has 4 frames"),
    ):
        with pytest.raises(ValueError, match=words):
            Movie.of(wrong, SAMPLING, **more)
    unknown = Movie.of(series_of(pages[:, 0], "TYX"), None)
    with pytest.raises(ValueError, match="does not say its pixel size"):
        _ = unknown.pixel_um

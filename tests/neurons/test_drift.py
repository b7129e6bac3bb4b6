"""Drift along z: of movies that are sums of footprints at known places."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_deepz.images import ImageSeries
from napari_deepz.movies.bending import measure_bending
from napari_deepz.movies.brightness import measure_brightness
from napari_deepz.movies.motion import measure_motion
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.drift import measure_drift
from napari_deepz.neurons.footprints import FootprintOptics, Footprints
from napari_deepz.watch import Cancelled, Watch
from tests.neurons.test_footprints import DRY_20X

SIDE, FRAMES, COUNT = 128, 24, 30
PIXEL_UM = DRY_20X.pixel_size_um
Array = NDArray[np.float64]


@cache
def footprints_of(at_um: tuple[float, ...]) -> Footprints:
    return Footprints(FootprintOptics(DRY_20X, 0.083), at_um, 12.0)


def moving(drift_um: float) -> Array:
    """(T, N, 3) neurons that shift, bend by 1 µm, and drift along z."""
    rng = np.random.default_rng(5)
    high = SIDE * PIXEL_UM - 8
    start = rng.uniform([-6, 8, 8], [6, high, high], (COUNT, 3))
    frames = []
    for t in range(FRAMES):
        angle = 2 * np.pi * t / 20
        moved = start + np.array(
            [drift_um * (t / (FRAMES - 1) - 0.5), np.sin(angle), np.cos(angle)]
        )
        moved[:, 1] += np.sin(2 * np.pi * start[:, 2] / 60 - angle)
        frames.append(moved)
    return np.array(frames)


def movie_with(places_um: Array, at_um: tuple[float, ...]) -> Movie:
    """A fifth of the neurons is three times as bright for two frames, the others are at rest."""
    rng = np.random.default_rng(2)
    light = 3e4 * np.exp(rng.normal(0, 0.3, COUNT))
    active = np.repeat(rng.uniform(size=(FRAMES // 2, COUNT)) < 0.2, 2, axis=0)
    footprints = footprints_of(at_um)
    frames = []
    for places, lit in zip(places_um, active, strict=True):
        matrix = footprints.matrix(places, (SIDE, SIDE))
        clean = (matrix @ (light * np.where(lit, 3.0, 1.0))).clip(0) + 50
        frames.append(rng.poisson(clean).reshape(len(at_um), SIDE, SIDE) + 100)
    data = np.array(frames, np.uint16)
    return Movie.of(ImageSeries(data, "TZYX", PIXEL_UM, None, t_step_s=1.0), DRY_20X, at_um=at_um)


def followed(places_um: Array, at_um: tuple[float, ...]) -> Array:
    movie = movie_with(places_um, at_um)
    brightness = measure_brightness(movie, 100.0)
    bending = measure_bending(movie, brightness, measure_motion(movie, brightness))
    known, footprints = np.median(places_um, axis=0), footprints_of(at_um)
    with pytest.raises(Cancelled):
        measure_drift(known, bending, movie, brightness, footprints, Watch(lambda: True))
    tracks = np.repeat(known[None], FRAMES, axis=0)
    tracks[..., 0] += measure_drift(known, bending, movie, brightness, footprints)[:, None]
    for t in range(FRAMES):
        tracks[t, :, 1:] += bending.moved_at(known[:, 1:], t)
    return tracks


@pytest.mark.parametrize(
    ("at_um", "most_um", "across_um"), [((0.0,), 0.9, 0.6), ((-3.0, 3.0), 0.5, 0.4)]
)
def test_a_drift_along_z_is_followed_while_the_sample_bends(
    at_um: tuple[float, ...], most_um: float, across_um: float
) -> None:
    truth = moving(3.0)
    off = followed(truth, at_um) - truth
    off -= np.median(off, axis=0)
    assert np.abs(off[..., 0]).max() < most_um  # 1.5 where it is not followed.
    assert np.percentile(np.linalg.norm(off[..., 1:], axis=2), 90) < across_um


def test_activity_is_little_motion_along_z() -> None:
    truth = moving(0.0)
    deeper = followed(truth, (0.0,))[..., 0] - truth[..., 0]
    assert np.abs(deeper).max() < 0.4
    np.testing.assert_allclose(deeper - deeper[:, :1], 0, atol=1e-9)

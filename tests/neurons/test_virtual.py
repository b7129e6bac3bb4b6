"""Light read off virtual planes: of a movie of balls whose light is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.images import ImageSeries
from napari_deepz.neurons.virtual import measure_virtual_planes
from napari_deepz.provenance import Provenance

RECORD = Provenance(kind="inferred", input_name="worm.tif")
STEP_UM = (0.5, 0.325, 0.325)
PLACES = np.array([[-2.0, 8.0, 9.0], [3.0, 12.0, 16.0]])


def movie(rng: np.random.Generator) -> tuple[ImageSeries, np.ndarray]:
    z, y, x = (np.arange(count) * step for count, step in zip((25, 64, 80), STEP_UM, strict=True))
    grid = np.stack(np.meshgrid(z - 6, y, x, indexing="ij"), axis=-1)
    balls = [np.exp(-(((grid - place) / [1.2, 0.8, 0.8]) ** 2).sum(axis=-1)) for place in PLACES]
    light = np.ones((20, 2))
    light[8:11, 1] = 3.0
    frames = 1000 * np.einsum("tn,nzyx->tzyx", light, balls) + 50
    frames += rng.normal(0, 1, frames.shape)
    series = ImageSeries(
        frames.astype(np.float32), "TZYX", 0.325, 0.5, t_step_s=0.25, z_start_um=-6.0
    )
    return series, light


def test_places_and_light_are_those_of_the_balls(rng: np.random.Generator) -> None:
    series, light = movie(rng)
    found = measure_virtual_planes(series, RECORD)
    order = np.argsort(found.places_um[:, 0])
    np.testing.assert_allclose(found.places_um[order], PLACES, atol=0.2)
    dff = found.activity.dff[order]
    np.testing.assert_allclose(dff, (light - 1).T, atol=0.03)
    assert found.light_from == "virtual planes"
    assert found.inferred(0) == "position and light"
    assert "both inferred" in found.notes[0]


def test_what_is_no_3d_movie_is_refused(rng: np.random.Generator) -> None:
    series, _ = movie(rng)
    flat = ImageSeries(np.asarray(series.data[:, :1]), "TZYX", 0.325, 0.5)
    with pytest.raises(ValueError, match="is no 3D movie"):
        measure_virtual_planes(flat, RECORD)
    dark = ImageSeries(rng.normal(50, 1, (4, 25, 64, 80)).astype(np.float32), "TZYX", 0.325, 0.5)
    with pytest.raises(ValueError, match="No neuron was found"):
        measure_virtual_planes(dark, RECORD)

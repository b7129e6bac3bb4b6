"""Demixing: exact without noise, as uncertain as it says with it, and never negative."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.neurons.activity import activity_of
from napari_deepz.neurons.demixing import Demixer
from napari_deepz.neurons.footprints import FootprintOptics, Footprints
from tests.neurons.test_footprints import DRY_20X

SHAPE = (96, 96)
PLACES_UM = np.array([[1.0, 12.0, 12.0], [-3.0, 15.0, 13.0], [4.0, 20.0, 20.0]])
AT_UM = (-2.0, 2.0)


@pytest.fixture(scope="module")
def footprints() -> Footprints:
    return Footprints(FootprintOptics(DRY_20X, 0.15), AT_UM, 8.0)


def frames_of(footprints: Footprints, light: np.ndarray, background: float) -> np.ndarray:
    matrix = footprints.matrix(PLACES_UM, SHAPE)
    return np.stack([(matrix @ row).reshape(2, *SHAPE) + background for row in light])


def test_light_is_found_again_without_noise(
    footprints: Footprints, rng: np.random.Generator
) -> None:
    light = rng.uniform(1000, 9000, (5, 3))
    frames = frames_of(footprints, light, 30.0)
    demixer = Demixer(footprints.matrix(PLACES_UM, SHAPE), frames.mean(axis=0))
    found = demixer.demix(frames)
    np.testing.assert_allclose(found.light, light, rtol=1e-5)
    np.testing.assert_allclose(found.background, 30, rtol=1e-5)


def test_it_errs_as_much_as_it_says(footprints: Footprints, rng: np.random.Generator) -> None:
    light = np.tile([3000.0, 2000.0, 4000.0], (400, 1))
    clean = frames_of(footprints, light, 50.0)
    frames = 2.0 * rng.poisson(clean / 2)  # Two counts a photon.
    demixer = Demixer(footprints.matrix(PLACES_UM, SHAPE), frames.mean(axis=0))
    found = demixer.demix(frames)
    np.testing.assert_allclose(found.light.mean(axis=0), light[0], rtol=0.02)
    np.testing.assert_allclose(found.light.std(axis=0), found.error, rtol=0.15)


def test_nothing_is_negative_where_nothing_glows(
    footprints: Footprints, rng: np.random.Generator
) -> None:
    frames = rng.poisson(20.0, (6, 2, *SHAPE)).astype(float)
    found = Demixer(footprints.matrix(PLACES_UM, SHAPE), frames.mean(axis=0)).demix(frames)
    assert (found.light >= 0).all()
    assert (found.light <= 5 * found.error).all()


def test_what_passes_is_not_taken_for_light_of_neurons(
    footprints: Footprints, rng: np.random.Generator
) -> None:
    light = np.tile([30_000.0, 20_000.0, 40_000.0], (4, 1))
    frames = rng.poisson(frames_of(footprints, light, 50.0)).astype(float)
    demixer = Demixer(footprints.matrix(PLACES_UM, SHAPE), frames.mean(axis=0))
    usual = demixer.demix(frames)
    frames[2, :, 62:66, 24:28] += 20_000
    found = demixer.demix(frames)
    np.testing.assert_array_equal(found.light[:2], usual.light[:2])
    assert (np.abs(found.light[2] - usual.light[2]) < 4 * usual.error).all()


def test_two_in_one_place_are_known_to_be_inseparable(footprints: Footprints) -> None:
    near = np.concatenate([PLACES_UM, PLACES_UM[:1] + np.array([0.0, 0.1, 0.0])])
    alone = Demixer(footprints.matrix(PLACES_UM, SHAPE), np.ones((2, *SHAPE), np.float32))
    both = Demixer(footprints.matrix(near, SHAPE), np.ones((2, *SHAPE), np.float32))
    frame = frames_of(footprints, np.full((1, 3), 1000.0), 5.0)
    assert both.demix(frame).error[0] > 5 * alone.demix(frame).error[0]


def test_activity_is_told_from_rest(rng: np.random.Generator) -> None:
    times = np.arange(400)
    event = np.exp(-((times % 80) - 10).clip(min=0) / 6) * ((times % 80) >= 10)
    light = np.stack([(1 + 1.5 * event) * 1000, np.full(400, 500.0), np.full(400, 2.0)], axis=1)
    light = light + rng.normal(0, 5, light.shape)
    found = activity_of(light, np.array([5.0, 5.0, 5.0]), 4.0)
    assert np.corrcoef(found.dff[0], event)[0, 1] > 0.99
    assert np.polyfit(event, found.dff[0], 1)[0] == pytest.approx(1.5, rel=0.05)
    assert np.abs(found.dff[1]).max() < 0.1
    np.testing.assert_allclose(found.rest[1], 500, rtol=0.03)
    assert np.isnan(found.dff[2]).all()  # Nothing can be divided by noise.

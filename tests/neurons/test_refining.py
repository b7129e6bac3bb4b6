"""Places and radius of neurons, from frames of which both are known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.neurons.components import Components
from napari_deepz.neurons.footprints import FootprintOptics, Footprints
from napari_deepz.neurons.refining import refine
from tests.neurons.test_footprints import DRY_20X

SHAPE = (96, 104)
RADIUS_UM = 1.5
PLACES_UM = np.array(
    [[1.0, 8.0, 9.0], [-3.0, 20.0, 12.0], [4.0, 18.0, 24.0], [-2.0, 9.0, 25.0], [3.0, 13.5, 18.0]]
)
FOUND_UM = PLACES_UM + np.array(
    [
        [0.9, 0.2, -0.1],
        [-0.8, 0.1, 0.2],
        [0.7, -0.2, 0.2],
        [-0.9, -0.1, -0.2],
        [-0.6, 0.2, 0.1],
    ]
)


@pytest.fixture(scope="module")
def footprints() -> Footprints:
    return Footprints(FootprintOptics(DRY_20X, 0.1), (-2.0, 2.0), 9.0)


@pytest.fixture
def frames(footprints: Footprints, rng: np.random.Generator) -> np.ndarray:
    matrix = footprints.of_radius(RADIUS_UM).matrix(PLACES_UM, SHAPE)
    light = 40_000 * (1 + 1.5 * (rng.uniform(size=(30, len(PLACES_UM))) < 0.1))
    clean = np.stack([(matrix @ row).reshape(2, *SHAPE) for row in light]) + 40
    return rng.poisson(clean).astype(np.float32)


def components_of(frames: np.ndarray) -> Components:
    typical = np.median(frames, axis=0).astype(np.float32)
    components = Components.of(iter(frames), typical, DRY_20X.pixel_size_um)
    assert components is not None
    return components


def test_neurons_are_moved_to_where_they_are(footprints: Footprints, frames: np.ndarray) -> None:
    found = refine(FOUND_UM, footprints, components_of(frames))
    off_um = np.abs(found.places_um - PLACES_UM)
    assert (off_um[:, 0] < 0.3).all()
    assert (off_um[:, 1:] < 0.1).all()
    assert found.radius_um == pytest.approx(RADIUS_UM, abs=0.1)


def test_the_radius_alone_is_found_for_places_that_are_known(
    footprints: Footprints, frames: np.ndarray
) -> None:
    found = refine(PLACES_UM, footprints, components_of(frames), moves=False)
    np.testing.assert_array_equal(found.places_um, PLACES_UM)
    assert found.radius_um == pytest.approx(RADIUS_UM, abs=0.05)


def test_parts_of_a_large_field_find_the_same(
    footprints: Footprints, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = refine(FOUND_UM, footprints, components_of(frames))
    monkeypatch.setattr("napari_deepz.neurons.components._FIELD_PX", 30)
    parts = refine(FOUND_UM, footprints, components_of(frames))
    np.testing.assert_allclose(parts.places_um, whole.places_um, atol=0.3)
    assert parts.radius_um == pytest.approx(whole.radius_um, abs=0.1)


def test_no_neuron_goes_far_from_where_it_was_found(
    footprints: Footprints, frames: np.ndarray
) -> None:
    wrong = PLACES_UM + np.array([0.0, 0.0, 2.5])
    found = refine(wrong, footprints, components_of(frames))
    moved_um = np.abs(found.places_um - wrong).max(axis=0)
    assert (moved_um <= [2.0 + 1e-9, 0.7 + 1e-9, 0.7 + 1e-9]).all()
    assert moved_um[2] > 0.4

"""Hidden neurons: found where the light of unknown ones is, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from napari_deepz.neurons.components import Components
from napari_deepz.neurons.footprints import FootprintOptics, Footprints
from napari_deepz.neurons.hidden import find_hidden
from tests.neurons.test_footprints import DRY_20X

SHAPE = (112, 120)
COUNT = 40
RANGE_UM = (-8.0, 8.0)
PLACES_UM = np.array(
    [
        [1.0, 12.0, 10.0],
        [-3.0, 24.0, 14.0],
        [4.0, 20.0, 26.0],
        [-2.0, 10.0, 27.0],
        [3.0, 15.0, 20.5],
        [-6.0, 27.0, 30.0],
    ]
)
LIGHT = 40_000.0


@pytest.fixture(scope="module")
def footprints() -> Footprints:
    return Footprints(FootprintOptics(DRY_20X, 0.1), (-2.0, 2.0), 11.0)


@pytest.fixture(scope="module")
def wrong() -> Footprints:
    return Footprints(FootprintOptics(DRY_20X, 0.2), (-2.0, 2.0), 11.0)


def movie_of(
    footprints: Footprints, active: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """(T, K, Y, X) light of all places, of which some change, and shot noise."""
    matrix = footprints.matrix(PLACES_UM, SHAPE)
    light = np.full((COUNT, len(PLACES_UM)), LIGHT)
    light[:, active] *= 1 + 1.5 * (rng.uniform(size=(COUNT, len(active))) < 0.1)
    clean = np.stack([(matrix @ row).reshape(2, *SHAPE) for row in light]) + 40
    return rng.poisson(clean).astype(np.float32)


def found_in(frames: np.ndarray, known_um: np.ndarray, footprints: Footprints) -> np.ndarray:
    return find_hidden(known_um, footprints, components_of(frames), RANGE_UM)


def components_of(frames: Iterable[np.ndarray]) -> Components:
    every = [*frames]
    typical = np.median(every, axis=0).astype(np.float32)
    components = Components.of(iter(every), typical, DRY_20X.pixel_size_um)
    assert components is not None
    return components


def away(found_um: np.ndarray, true_um: np.ndarray) -> float:
    """How far the worst of true places is from any found one, one where it counts as missed."""
    apart = (found_um[:, None] - true_um) / [3.0, 2.0, 2.0]
    return float(np.linalg.norm(apart, axis=2).min(axis=0).max())


@pytest.mark.parametrize("active", [(4,), (0, 2, 4), ()])
def test_what_is_not_known_is_found(
    footprints: Footprints, wrong: Footprints, active: tuple[int, ...], rng: np.random.Generator
) -> None:
    frames = movie_of(footprints, active, rng)
    found = found_in(frames, np.delete(PLACES_UM, 4, axis=0), wrong)
    assert len(found) == 1
    assert away(found, PLACES_UM[4:5]) < 0.6


def test_several_are_found_one_after_the_other(
    footprints: Footprints, wrong: Footprints, rng: np.random.Generator
) -> None:
    frames = movie_of(footprints, (1, 3, 4), rng)
    found = found_in(frames, PLACES_UM[[0, 1, 2]], wrong)
    assert len(found) == 3
    assert away(found, PLACES_UM[3:]) < 0.9


def test_nothing_is_found_where_all_are_known(
    footprints: Footprints, wrong: Footprints, rng: np.random.Generator
) -> None:
    frames = movie_of(footprints, (0, 1, 2, 3), rng)
    assert not len(found_in(frames, PLACES_UM, wrong))
    nudged = PLACES_UM + rng.normal(0, 1, PLACES_UM.shape) * [0.5, 0.1, 0.1]
    assert not len(found_in(frames, nudged, wrong))


def test_what_passes_is_no_neuron(
    footprints: Footprints, wrong: Footprints, rng: np.random.Generator
) -> None:
    frames = movie_of(footprints, (0, 1), rng)
    for t in range(COUNT):
        place = np.array([[0.0, 18.0, t]])
        frames[t] += (8 * LIGHT * footprints.matrix(place, SHAPE).toarray()).reshape(2, *SHAPE)
    assert not len(found_in(frames, PLACES_UM, wrong))


def test_parts_of_a_large_field_find_the_same(
    footprints: Footprints,
    wrong: Footprints,
    monkeypatch: pytest.MonkeyPatch,
    rng: np.random.Generator,
) -> None:
    frames, known = movie_of(footprints, (3, 4), rng), PLACES_UM[[0, 1, 2, 5]]
    whole = found_in(frames, known, wrong)
    monkeypatch.setattr("napari_deepz.neurons.components._FIELD_PX", 30)
    parts = found_in(frames, known, wrong)
    assert len(whole) == len(parts) == 2
    assert away(parts, whole) < 0.3


def test_components_of_a_long_movie_are_as_many(
    footprints: Footprints, wrong: Footprints, rng: np.random.Generator
) -> None:
    frames = movie_of(footprints, (4,), rng)
    known = np.delete(PLACES_UM, 4, axis=0)

    def again() -> Iterator[np.ndarray]:
        for _ in range(5):
            yield from frames

    components = components_of(again())
    assert len(components.pictures) <= 2 + 64
    found = find_hidden(known, wrong, components, RANGE_UM)
    assert len(found) == 1
    assert away(found, PLACES_UM[4:5]) < 0.6


def test_nothing_is_found_without_light_or_neurons(footprints: Footprints) -> None:
    dark = np.zeros((5, 2, *SHAPE), np.float32)
    assert Components.of(iter(dark), dark[0], DRY_20X.pixel_size_um) is None
    assert found_in(dark + 1, np.empty((0, 3)), footprints).shape == (0, 3)

"""The dock's memory: the same pixels through the same model are encoded once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_deepz.engine.last_encoding import FurtherPlanes, LastEncoding
from napari_deepz.engine.planes.encoded_planes import EncodedPlanes
from napari_deepz.engine.refocus import refocus
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.surfaces.base import Surface
from tests.engine.fake_generators import PIXEL_SIZE_UM, AddDistance, model_of


def planes(
    last: LastEncoding,
    image: Any,
    surface: Surface,
    model: Any,
    pixel_size_um: Any = PIXEL_SIZE_UM,
) -> np.ndarray:
    sampling = Sampling(pixel_size_um=pixel_size_um)
    found = last.iter_refocus(image, surface, model, sampling=sampling)
    return np.stack([plane.data for plane in found])


@pytest.fixture
def network() -> AddDistance:
    return AddDistance()


def test_another_surface_is_not_encoded_again_and_is_right(
    rng: np.random.Generator, network: AddDistance
) -> None:
    last, image, model = LastEncoding(), rng.uniform(0, 1, (48, 64)), model_of(network)
    planes(last, image, Flat(0), model)
    found = planes(last, image.copy(), Tilted(2, 1), model_of(network))
    assert network.log.count("encode") == 1
    expected = refocus(image, Tilted(2, 1), model, pixel_size_um=PIXEL_SIZE_UM).data
    np.testing.assert_array_equal(found, expected)


def test_an_image_changed_in_place_is_encoded_again(
    rng: np.random.Generator, network: AddDistance
) -> None:
    last, image, model = LastEncoding(), rng.uniform(0, 1, (48, 64)), model_of(network)
    planes(last, image, Flat(0), model)
    image[3, 4] += 0.1
    found = planes(last, image, Flat(1), model)
    assert network.log.count("encode") == 2
    expected = refocus(image, Flat(1), model, pixel_size_um=PIXEL_SIZE_UM).data
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("change", ["pixel size", "weights", "card", "type"])
def test_whatever_else_changes_is_noticed(
    rng: np.random.Generator, network: AddDistance, change: str
) -> None:
    last, image, model = LastEncoding(), rng.integers(0, 9, (48, 64)), model_of(network)
    planes(last, image, Flat(0), model)
    if change == "weights":
        model = replace(model, sha256="1" * 64)
    elif change == "card":
        model = replace(model, spec=model.spec.model_copy(update={"normalisation": "mean-std"}))
    elif change == "type":
        image = image.view(np.uint64)
    planes(last, image, Flat(0), model, PIXEL_SIZE_UM * (2 if change == "pixel size" else 1))
    assert network.log.count("encode") == 2


def test_a_plane_that_is_added_costs_one_encoding_and_one_that_is_moved_none(
    rng: np.random.Generator, network: AddDistance
) -> None:
    last, model, sampling = LastEncoding(), model_of(network), Sampling(pixel_size_um=PIXEL_SIZE_UM)
    images = list(rng.uniform(0, 1, (3, 48, 64)))

    def run(count: int, *at_um: float) -> np.ndarray:
        further = FurtherPlanes(images[1:count], at_um, "distance") if count > 1 else None
        _, encoded = last.encode(images[0], model, sampling, further=further)
        return encoded.refocus(Flat(1)).data[0]

    run(1)
    assert network.log.count("encode") == 1
    run(2, 0, 3)
    assert network.log.count("encode") == 2
    run(3, 0, 3, -4)
    assert network.log.count("encode") == 3
    moved = run(3, 0, 2, -5)
    run(2, 0, 2)
    assert network.log.count("encode") == 3
    anew = EncodedPlanes(
        images, (0, 2, -5), model_of(AddDistance()), merge="distance", sampling=sampling
    )
    np.testing.assert_array_equal(moved, anew.refocus(Flat(1)).data[0])


def test_planes_do_not_share_codes_through_other_optics(
    rng: np.random.Generator, network: AddDistance
) -> None:
    last, model = LastEncoding(), model_of(network)
    one, other = rng.uniform(0, 1, (2, 48, 64))
    for pixel_size_um in (PIXEL_SIZE_UM, 2 * PIXEL_SIZE_UM):
        further = FurtherPlanes([other], (0, 3), "distance")
        _, encoded = last.encode(one, model, Sampling(pixel_size_um=pixel_size_um), further=further)
        encoded.refocus(Flat(1))
    assert network.log.count("encode") == 4

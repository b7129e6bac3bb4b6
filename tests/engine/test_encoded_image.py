"""One encoding serves every surface, and gives the pixels of a run of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.refocus import EncodedImage, refocus
from napari_deepz.io.reading import read_image
from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.library import load_model
from napari_deepz.models.package import Model
from napari_deepz.samples import WORM
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.watch import Cancelled, Watch
from tests.engine.fake_generators import PIXEL_SIZE_UM, AddDistance, Hungry, model_of
from tests.engine.test_architectures import random_model, spots


def encoded(image: np.ndarray, network: AddDistance, **settings: Any) -> EncodedImage:
    return EncodedImage(image, model_of(network), pixel_size_um=PIXEL_SIZE_UM, **settings)


def test_a_further_surface_does_not_encode_again(rng: np.random.Generator) -> None:
    network = AddDistance()
    image = encoded(rng.uniform(0, 1, (48, 64)), network, tile_px=32)
    image.refocus(Flat(-1, 1, 1))
    before = network.log.count("encode")
    image.refocus([Tilted(1, 1), Flat(3)])
    assert before == network.log.count("encode") == 4


@pytest.mark.parametrize("name", ["encode once", "z basis"])
@pytest.mark.parametrize(
    "settings", [{}, {"tile_px": 128}, {"compute": Compute(precision="bfloat16")}]
)
def test_pixels_are_those_of_a_run_of_its_own(name: str, settings: dict[str, Any]) -> None:
    model, image = random_model(name), spots((200, 150))
    kept = EncodedImage(image, model, pixel_size_um=PIXEL_SIZE_UM, **settings)
    for surfaces in (Flat(-2, 2, 1.3), Tilted(3, -2), Flat(4)):
        alone = refocus(image, surfaces, model, pixel_size_um=PIXEL_SIZE_UM, **settings)
        np.testing.assert_array_equal(kept.refocus(surfaces).data, alone.data)


def difference_of_fewer_digits(model: Model, image: np.ndarray, pixel_size_um: float) -> float:
    """Largest difference between the precisions, as a share of the range."""
    exact, fewer = (
        refocus(
            image,
            [Flat(-10, 10, 2.5), Tilted(2, 1)],
            model,
            pixel_size_um=pixel_size_um,
            compute=Compute(precision=precision),
        )
        for precision in ("float32", "bfloat16")
    )
    assert fewer.device == f"{exact.device}, bfloat16"
    return np.abs(exact.data - fewer.data).max() / np.ptp(exact.data)


@pytest.mark.parametrize("name", ["paper", "encode once", "z basis"])
def test_fewer_digits_change_little(name: str) -> None:
    assert 0 < difference_of_fewer_digits(random_model(name), spots((160, 192)), 0.5) < 2e-2


@pytest.mark.parametrize("z", [8, 10])
@pytest.mark.parametrize(("name", "most"), [(DEFAULT_MODEL, 1e-2), ("widefield-20x-0.75", 1.2e-2)])
def test_fewer_digits_change_a_bundled_models_result_by_about_a_hundredth_at_most(
    name: Any, most: float, z: int
) -> None:
    image = read_image(WORM).plane(z=z)
    assert difference_of_fewer_digits(load_model(name), image, 0.325) < most


def test_after_a_shortage_later_surfaces_use_the_smaller_tiles(rng: np.random.Generator) -> None:
    network = Hungry(most_pixels=150 * 150)
    image = encoded(rng.uniform(0, 1, (256, 256)), network, tile_px=256)
    assert "ran out of memory" in image.refocus(Flat(1)).notes[-1]
    before = network.log.count("encode")
    image.refocus(Tilted(1, 0))
    assert before == 4
    assert network.log.count("encode") == before


def test_a_cancelled_surface_leaves_the_next_one_alone(rng: np.random.Generator) -> None:
    image = encoded(rng.uniform(0, 1, (48, 64)), AddDistance())
    with pytest.raises(Cancelled):
        image.refocus(Flat(1), watch=Watch(lambda: True))
    assert np.isfinite(image.refocus(Flat(1)).data).all()


def test_a_precision_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="is 'float16'; input should be 'float32' or 'bfloat16'"):
        Compute(precision="float16")


def test_nothing_runs_before_a_surface_is_asked_for(rng: np.random.Generator) -> None:
    network = AddDistance()
    encoded(rng.uniform(0, 1, (48, 64)), network)
    assert not network.log
    assert not torch.is_inference_mode_enabled()

"""Tiled equals untiled for the real generators."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from napari_deepz.engine.refocus import refocus
from napari_deepz.networks.deepz_unet import DeepZUNet
from napari_deepz.networks.encode_once import EncodeOnce
from napari_deepz.networks.several_planes import SeveralPlanes
from napari_deepz.networks.told_z_basis import ToldZBasis
from napari_deepz.networks.z_basis import ZBasis
from napari_deepz.surfaces import Flat, Tilted
from tests.engine.fake_generators import PIXEL_SIZE_UM, model_of

MAKERS: dict[str, Callable[[], Any]] = {
    "paper": lambda: DeepZUNet(base=4, levels=6),
    "encode once": lambda: EncodeOnce(base=4, levels=4),
    "z basis": lambda: ZBasis(base=4, widest=16, levels=4),
    "told z basis": lambda: ToldZBasis(base=4, widest=16, levels=4),
    "several planes": lambda: SeveralPlanes(base=4, widest=16, levels=4),
}


def random_model(name: str) -> Any:
    torch.manual_seed(1)
    network = MAKERS[name]()
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1e4
            parameter.normal_(0, (2 / fan_in) ** 0.5)
    return model_of(network, normalisation="signed-sqrt")


def spots(shape: Any) -> np.ndarray:
    rng = np.random.default_rng(2)
    image = rng.normal(200, 10, shape)
    rows, columns = rng.integers(0, shape[0], 400), rng.integers(0, shape[1], 400)
    image[rows, columns] += rng.uniform(500, 5000, 400)
    return image.astype(np.float32)


def error_of_tiling(model: Any, image: Any, tile_px: Any) -> Any:
    surfaces = [Flat(3.2), Tilted(0.8, -0.4)]
    settings: dict[str, Any] = {"pixel_size_um": PIXEL_SIZE_UM}
    whole = refocus(image, surfaces, model, **settings).data
    tiled = refocus(image, surfaces, model, tile_px=tile_px, **settings).data
    return np.abs(tiled - whole).max() / np.ptp(whole)


@pytest.mark.parametrize("name", MAKERS)
def test_tiled_equals_untiled(name: Any) -> None:
    assert error_of_tiling(random_model(name), spots((1024, 1024)), 512) < 1e-5


@pytest.mark.parametrize("name", MAKERS)
def test_tiled_equals_untiled_at_odd_sizes(name: Any) -> None:
    assert error_of_tiling(random_model(name), spots((301, 777)), 400) < 1e-5


@pytest.mark.parametrize("name", MAKERS)
def test_without_its_halo_a_generator_would_show_seams(name: Any) -> None:
    model = random_model(name)
    model.network.halo_px = 0
    assert error_of_tiling(model, spots((512, 256)), 256) > 1e-3


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("shape", [(32, 32), (33, 100)])
def test_the_smallest_images_are_refocused(name: Any, shape: tuple[int, ...]) -> None:
    stack = refocus(spots(shape), Flat(-2, 2, 2), random_model(name), pixel_size_um=PIXEL_SIZE_UM)
    assert stack.data.shape == (3, *shape)
    assert np.isfinite(stack.data).all()

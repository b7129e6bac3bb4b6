"""Halos measured on networks whose halo is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.generators.encode_once import EncodeOnce
from napari_deepz.generators.errors import ModelError
from napari_deepz.generators.network import DeepZUNet
from napari_deepz.generators.torchscript.receptive_field import measure_field
from tests.generators.torchscript_networks import (
    TwoInputs,
    seeded,
)


def analytic(network: nn.Module):
    return lambda image, dpm: network(image, dpm)


@pytest.mark.parametrize(
    ("network", "multiple", "halo_px"),
    [
        (DeepZUNet(base=4, levels=3), 4, None),
        (seeded(TwoInputs), 2, TwoInputs.halo_px),
        (nn.Module(), 1, 0),
    ],
    ids=["published", "two convolutions and a coarse one", "identity"],
)
def test_the_measured_halo_is_the_true_one(network: nn.Module, multiple: int, halo_px: int | None):
    run = analytic(network.eval()) if list(network.parameters()) else lambda image, dpm: image + dpm
    with torch.inference_mode():
        measured = measure_field(run, [1, 2, 4, 8, 16], "here")
    expected = network.halo_px if halo_px is None else halo_px
    assert measured[0] == multiple
    assert measured[1] <= expected
    assert measured[1] >= expected - multiple + 1


class Shifting(nn.Module):
    """Looks far to one side, and hides it behind a vanishing weight."""

    def forward(self, image: Tensor, dpm: Tensor) -> Tensor:
        return image + 1e-30 * F.pad(dpm, (0, 37))[..., 37:]


def test_a_reach_with_a_vanishing_weight_counts():
    assert measure_field(Shifting(), [1], "here") == (1, 37)


def ignores_nan(image: Tensor, dpm: Tensor) -> Tensor:
    return image * (dpm > dpm.nan_to_num(0).mean())


def instance_norm(image: Tensor, dpm: Tensor) -> Tensor:
    return torch.instance_norm(image, None, None, None, None, True, 0.1, 1e-5, False) + dpm


def depends_on_place(image: Tensor, dpm: Tensor) -> Tensor:
    return image + dpm * torch.arange(image.shape[-1])


@pytest.mark.parametrize("run", [instance_norm, ignores_nan, depends_on_place])
def test_networks_that_cannot_be_tiled_are_refused(run):
    with pytest.raises(ModelError, match=r"cannot be used in tiles"):
        measure_field(run, [1, 2], "in worm.zip")


def test_networks_of_one_size_are_refused():
    def one_size(image: Tensor, dpm: Tensor) -> Tensor:
        return image.reshape(1, 1, 48, 64) + dpm

    with pytest.raises(ModelError, match=r"does not run on images of other sizes"):
        measure_field(one_size, [1, 2, 4], "in worm.zip")


def test_encode_once_has_the_same_halo_by_measure():
    network = EncodeOnce(base=4, levels=2, planes=5).eval()
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.01, 0.05)
    with torch.inference_mode():
        multiple, halo_px = measure_field(network, [2, 4], "here")
    assert network.halo_px - multiple < halo_px <= network.halo_px

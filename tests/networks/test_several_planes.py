"""One plane or several: the same network, whatever their order, and what it may be off by."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from napari_deepz.networks.several_planes import SeveralPlanes

Z = torch.tensor([-5.0, 2.0, 7.0])
TARGETS = torch.tensor([-5.0, 0.0, 1.5])


def network(*, trained: bool) -> SeveralPlanes:
    """One that has learned something, or one that has not."""
    torch.manual_seed(0)
    made = SeveralPlanes(base=8, widest=16, levels=3, functions=6, doubts=4)
    if trained:
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return made.eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def told(aperture: float = math.nan) -> Tensor:
    return torch.tensor([[aperture, math.nan, math.nan]] * 2)


@torch.no_grad()
def test_one_plane_is_refocused_as_by_the_generator_of_one_plane(images: Tensor) -> None:
    trained, one = network(trained=True), images[:, :1]
    merged = trained.merge(one, torch.tensor([3.0]), told(0.6), 3 + torch.arange(-20.0, 21))
    torch.testing.assert_close(merged.picture, trained.encode_told(one, told(0.6)))


@torch.no_grad()
def test_planes_come_in_any_order(images: Tensor) -> None:
    trained, order = network(trained=True), [2, 0, 1]
    one = trained.merge(images, Z, told(), TARGETS)
    other = trained.merge(images[:, order], Z[order], told(), TARGETS)
    torch.testing.assert_close(one.picture, other.picture)
    torch.testing.assert_close(one.log_spread, other.log_spread)


@torch.no_grad()
def test_all_that_counts_is_how_far_planes_lie_apart(images: Tensor) -> None:
    trained = network(trained=True)
    here, there = (trained.merge(images, Z + by, told(), TARGETS + by) for by in (0, 4))
    torch.testing.assert_close(here.picture, there.picture)


@torch.no_grad()
def test_untrained_it_weighs_planes_by_their_distance(images: Tensor) -> None:
    untrained = network(trained=False)
    merged = untrained.merge(images, Z, told(), TARGETS).picture
    for index, target in enumerate(TARGETS):
        weights = (1 / ((target - Z).abs() + 1) ** 2)[:, None]
        alone = [
            untrained.merge(images[:, k : k + 1], Z[k : k + 1], told(), target[None]).picture
            for k in range(3)
        ]
        as_taken = math.exp(-1) / (1 + math.exp(-1))
        offered = torch.cat(alone, dim=1) * (1 - as_taken) + images * as_taken
        expected = (offered * (weights / weights.sum())[..., None]).sum(dim=1)
        torch.testing.assert_close(merged[:, index], expected)


@torch.no_grad()
def test_the_spread_is_wider_by_what_planes_do_not_agree_on(images: Tensor) -> None:
    """Untrained each plane says 1, and the rest is the variance of what is offered."""
    untrained, target = network(trained=False), torch.zeros(1)
    z = torch.tensor([-4.0, 4.0])
    apart = untrained.merge(images[:, :2], z, told(), target)
    offered = [images[:, :2]]
    for k in range(2):
        offered.append(untrained.merge(images[:, k, None], z[k, None], told(), target).picture)
    as_taken = math.exp(-1) / (1 + math.exp(-1))
    shares = torch.tensor([as_taken, as_taken, 1 - as_taken, 1 - as_taken])[:, None, None] / 2
    away = (torch.cat(offered, dim=1) - apart.picture).square()
    variance = 1 + (away * shares).sum(dim=1, keepdim=True)
    torch.testing.assert_close(apart.log_spread, variance.log() / 2)
    alike = untrained.merge(images[:, :1].expand(-1, 2, -1, -1), z, told(), target)
    assert (alike.log_spread < apart.log_spread).float().mean() > 0.9


@pytest.mark.parametrize("z_um", [(0.0,), (-3.1, 1.0), (2.0, -1.4, 0.3)])
@torch.no_grad()
def test_a_generator_of_given_planes_says_the_same(images: Tensor, z_um: tuple[float, ...]) -> None:
    trained, reach_um, optics = network(trained=True), 6.0, (0.6, None, None)
    count = len(z_um)
    together = trained.for_planes(optics, reach_um, z_um)
    code = together.encode(images[:, :count])
    assert code.shape == (2, len(together.plane_z_um), 32, 32)
    assert together.plane_z_um[0] == pytest.approx(min(z_um) - reach_um)
    assert together.plane_z_um[-1] >= max(z_um) + reach_um - 1e-9
    step_um = reach_um / 20
    targets = torch.tensor(together.plane_z_um) / step_um
    merged = trained.merge(images[:, :count], torch.tensor(z_um) / step_um, told(0.6), targets)
    torch.testing.assert_close(code, merged.picture, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_each_plane_hears_of_the_others(images: Tensor) -> None:
    """Beyond what weighing them gives: another plane changes what this one says."""
    trained, other = network(trained=True), images.clone()
    other[:, 2] = 0
    features = torch.randn(1, 3, 8, 8, 8)
    exchange = trained.merging.exchange
    heard = exchange(features, Z)
    features[:, 2] += 1
    assert (exchange(features, Z)[:, 0] - heard[:, 0]).abs().max() > 1e-4
    alone = features[:, :1]
    assert torch.equal(exchange(alone, Z[:1]), alone)


@torch.no_grad()
def test_targets_between_planes_are_interpolated(images: Tensor) -> None:
    trained, one, z = network(trained=True), images[:, :1], torch.zeros(1)
    below, between, above, beyond, last = (
        trained.merge(one, z, told(), torch.tensor([target])).picture
        for target in (4.0, 4.25, 5.0, 31.0, 20.0)
    )
    torch.testing.assert_close(between, 0.75 * below + 0.25 * above)
    torch.testing.assert_close(beyond, last)

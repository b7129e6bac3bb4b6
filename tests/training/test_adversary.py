"""The adversarial term is the published one, and what it cannot judge it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_deepz.training.adversary import Adversary, Discriminator
from napari_deepz.training.config import AdversarialConfig

CPU = torch.device("cpu")


def adversary(**settings: float) -> Adversary:
    torch.manual_seed(0)
    return Adversary(AdversarialConfig.model_validate({"base": 2, **settings}), CPU)


def test_six_blocks_each_halves_the_size_and_doubles_the_channels() -> None:
    shapes: list[tuple[int, ...]] = []
    network = Discriminator(3)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.kernel_size == (3, 3)
            layer.register_forward_hook(lambda *given: shapes.append(tuple(given[2].shape[1:])))
    scores = network(torch.zeros(5, 64, 64))
    assert scores.shape == (5,)
    assert shapes[0::2] == [(3 * 2**k, 64 >> k, 64 >> k) for k in range(6)]
    assert shapes[1::2] == [(6 * 2**k, 32 >> k, 32 >> k) for k in range(6)]


@pytest.mark.parametrize("base", [2, 16])
def test_number_of_parameters(base: int) -> None:
    def convolution(channels_in: int, channels_out: int) -> int:
        return 9 * channels_in * channels_out + channels_out

    widths = [base * 2**block for block in range(6)]
    expected = sum(
        convolution(channels_in, width) + convolution(width, 2 * width)
        for channels_in, width in zip([1, *widths[1:]], widths, strict=True)
    )
    last = 64 * base
    expected += last * last + last + last + 1
    with torch.device("meta"):
        network = Discriminator(base)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_the_generators_loss_is_the_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = adversary(mae_weight=50)
    monkeypatch.setattr(judge, "_discriminator", lambda planes: planes.mean(dim=(1, 2)))
    planes = torch.tensor([0.2, 1.4])[:, None, None].expand(2, 8, 8)
    loss = judge.generator_loss(planes, torch.tensor(0.03))
    assert loss.item() == pytest.approx(0.5 * (0.8**2 + 0.4**2) / 2 + 50 * 0.03)


def test_the_discriminator_learns_to_tell_two_batches_apart(rng: np.random.Generator) -> None:
    judge = adversary(learning_rate=1e-3)
    noise = torch.from_numpy(rng.normal(0, 0.3, (2, 8, 32, 32)).astype(np.float32))
    generated, true = noise[0], noise[1] + 1

    def loss() -> float:
        with torch.inference_mode():
            fake, real = (judge._discriminator(planes) for planes in (generated, true))
        return float(0.5 * (fake.square().mean() + (real - 1).square().mean()))

    before = loss()
    judge.learn(generated, true)
    after_one = loss()
    for _ in range(60):
        judge.learn(generated, true)
    assert after_one < before
    # Half is what a discriminator has that says the same of all.
    assert loss() < 0.05 < 0.25 < before


def test_a_generator_can_follow_the_loss_downhill() -> None:
    judge = adversary()
    generated = torch.rand(3, 32, 32, requires_grad=True)
    judge.generator_loss(generated, torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    assert generated.grad is not None
    assert generated.grad.abs().max() > 0


def known(rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.integers(0, 2, (4, 9, 1, 1)).astype(np.float32))


def test_only_known_planes_are_chosen_and_none_twice(rng: np.random.Generator) -> None:
    judge = adversary(planes=6)
    for step in range(50):
        mask = known(rng)
        samples, planes = judge.choose(mask, 3, step)
        assert len(samples) == len(planes) == min(6, int(mask.sum()))
        assert (mask[samples, planes] == 1).all()
        assert len(set(zip(samples.tolist(), planes.tolist(), strict=True))) == len(samples)


def test_every_known_plane_is_chosen_sooner_or_later(rng: np.random.Generator) -> None:
    judge, mask, seen = adversary(planes=6), known(rng), torch.zeros(4, 9)
    for step in range(100):
        seen[judge.choose(mask, 3, step)] = 1
    torch.testing.assert_close(seen, mask[:, :, 0, 0])


def test_the_choice_depends_on_seed_and_step_alone(rng: np.random.Generator) -> None:
    mask = known(rng)

    def chosen(seed: int, step: int) -> list[list[int]]:
        return [part.tolist() for part in adversary(planes=6).choose(mask, seed, step)]

    assert chosen(3, 7) == chosen(3, 7)
    assert chosen(3, 7) != chosen(3, 8)
    assert chosen(3, 7) != chosen(4, 7)


def test_a_batch_without_known_planes_is_judged_by_its_error_alone() -> None:
    judge = adversary(mae_weight=50)
    chosen = judge.choose(torch.zeros(2, 3, 1, 1), 0, 0)
    planes = torch.rand(2, 3, 32, 32)[chosen]
    assert len(planes) == 0
    assert judge.generator_loss(planes, torch.tensor(0.25)).item() == 12.5
    before = {name: value.clone() for name, value in judge.state()["discriminator"].items()}
    judge.learn(planes, planes)
    for name, value in judge.state()["discriminator"].items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)

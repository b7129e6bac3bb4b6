"""Samples of several planes, and what is learned from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_deepz.models.library import load_model
from napari_deepz.networks.several_planes import SeveralPlanes
from napari_deepz.training.any_objective.planes_batches import PlanesBatch, PlanesSampler, shifted
from napari_deepz.training.any_objective.planes_lesson import PlanesLesson
from napari_deepz.training.any_objective.volumes import LightVolume
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.run import run_training
from tests.training.any_objective.test_lesson import config, small_volumes
from tests.training.any_objective.test_volumes import flat_exposure

__all__ = ["small_volumes"]
pytestmark = pytest.mark.usefixtures("small_volumes")


def of_several(run: TrainConfig) -> TrainConfig:
    model = run.model.model_copy(
        update={
            "architecture": "several-planes",
            "parameters": run.model.parameters | {"doubts": 2},
        }
    )
    return run.model_copy(update={"model": model})


def test_a_run_makes_a_model_that_is_judged_between_planes_too(tmp_path: Path) -> None:
    one = run_training(config(tmp_path / "one"), tmp_path)
    several = of_several(config(tmp_path / "run"))
    package = run_training(several.model_copy(update={"start_from": str(one)}), tmp_path)
    assert isinstance(load_model(package).network, SeveralPlanes)
    (line,) = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    scores = json.loads(line)["correlation"]
    assert {"refocused", "self"} < set(scores["+0"])
    assert {"merged", "linear", "linear, detail"} < set(scores["gap 0.65"])


def test_what_one_plane_gives_stays_as_it_was(tmp_path: Path) -> None:
    one = run_training(config(tmp_path / "one"), tmp_path)
    several = of_several(config(tmp_path / "several"))
    several = several.model_copy(update={"start_from": str(one)})
    started, learned = (
        load_model(package).network for package in (one, run_training(several, tmp_path))
    )
    image = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(learned.encode(image), started.encode(image))
    assert isinstance(learned, SeveralPlanes)
    assert learned.merging.spread.bias.abs().max() > 0


def test_merging_alone_is_learned(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name the one of one plane as start_from"):
        run_training(of_several(config(tmp_path / "run")), tmp_path)


def test_planes_lie_where_they_are_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Light that counts its own planes tells where inputs and targets were taken."""
    exposure = flat_exposure(background=np.zeros((48, 48)), vignette=np.ones((48, 48)))
    module = "napari_deepz.training.any_objective.planes_batches"
    monkeypatch.setattr(f"{module}.draw_exposure", lambda *_: exposure)
    monkeypatch.setattr(f"{module}._BLEACHED", 0.0)
    light = np.arange(128, dtype=np.float16)[:, None, None] * np.ones((1, 48, 48), np.float16)
    volume = LightVolume(light, np.array([0.7, 0.4, 0.2], np.float32), "counting")
    sampler = PlanesSampler([volume], normalisation="as-is", patch_px=32, reach=20, planes=9)
    counts, off = set(), []
    for step in range(60):
        batch = sampler.batch(0, step, 1)
        taken = (batch.images[0].mean(dim=(1, 2)) - 100) / 2000
        targets = (batch.target[0, :, 0, 0] - 100) / 2000
        if taken.min() < 40 or taken.max() > 88:
            continue  # It goes on at the other end.
        if len(taken) > 1:
            side = torch.sign((taken[1] - taken[0]) * (batch.z[1] - batch.z[0]))
            off += (side * (taken - taken[0]) - (batch.z - batch.z[0])).tolist()
        else:
            away = targets - taken[0]
            assert min((away - s * batch.targets).abs().max() for s in (-1, 1)) < 0.2
        counts.add(len(taken))
    assert counts >= {1, 2}
    assert np.median(np.abs(off)) < 0.6
    assert np.abs(off).max() < 2.3


def test_batches_are_the_same_each_time() -> None:
    light = np.random.default_rng(0).gamma(1, 1, (64, 48, 48)).astype(np.float16)
    volume = LightVolume(light, np.array([0.7, 0.4, 0.2], np.float32), "noise")
    sampler = PlanesSampler([volume], normalisation="as-is", patch_px=32, reach=20, planes=9)
    one, two = (sampler.batch(3, 5, 2) for _ in range(2))
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.target, two.target)
    assert torch.equal(one.z, two.z)


def test_images_are_shifted_by_parts_of_a_pixel() -> None:
    y, x = np.mgrid[:32, :32]
    wave = np.cos(2 * np.pi * (3 * y + 2 * x) / 32).astype(np.float32)
    moved = shifted(wave, np.array([0.25, -0.5]))
    expected = np.cos(2 * np.pi * (3 * (y - 0.25) + 2 * (x + 0.5)) / 32)
    np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_the_spread_that_is_most_likely_is_the_mean_error(tmp_path: Path) -> None:
    """Of a Laplace distribution; pictures gain nothing from announcing errors."""
    lesson = PlanesLesson.__new__(PlanesLesson)
    nothing = torch.zeros(1)
    batch = PlanesBatch(nothing, nothing, torch.zeros(1, 1, 8, 8), nothing, nothing)
    picture = torch.full((1, 1, 8, 8), 0.3, requires_grad=True)

    def loss(spread: float) -> torch.Tensor:
        said = torch.full((1, 1, 8, 8), float(np.log(spread)))
        return lesson.error(torch.cat([picture, said], dim=1), batch)

    losses = {spread: loss(spread).item() for spread in (0.1, 0.2, 0.3, 0.4, 0.9)}
    assert min(losses, key=losses.__getitem__) == 0.3
    gradients = [torch.autograd.grad(loss(spread), picture)[0] for spread in (0.1, 0.9)]
    assert torch.equal(*gradients)

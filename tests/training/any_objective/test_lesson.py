"""A run on volumes of any objective, from a configuration to a model that refocuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_deepz import Sampling, refocus
from napari_deepz.models.library import load_model
from napari_deepz.models.package import save_model
from napari_deepz.surfaces import Flat
from napari_deepz.training.any_objective.batches import VolumeSampler
from napari_deepz.training.any_objective.lesson import _finest_bands
from napari_deepz.training.any_objective.volumes import LightVolume, simulate_volumes
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.run import run_training
from napari_deepz.watch import Cancelled, Watch
from tests.conftest import tiny_spec
from tests.models.test_optical_range import RANGE, any_objective
from tests.training.any_objective.test_volumes import SMALL, flat_exposure

pytestmark = pytest.mark.usefixtures("small_volumes")


@pytest.fixture
def small_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("volumes", "specimens"):
        monkeypatch.setattr(f"napari_deepz.training.any_objective.{module}.SHAPE", (16, *SMALL[1:]))


def config(folder: Path, **schedule: Any) -> TrainConfig:
    spec = any_objective(optical=RANGE | {"reach_waves": 4 * 0.325}).model_copy(
        update={"parameters": {"base": 4, "widest": 8, "levels": 2, "functions": 3, "planes": 9}}
    )
    settings = {"steps": 4, "batch": 2, "patch_px": 32, "validate_every": 4} | schedule
    return TrainConfig.model_validate(
        {
            "model": spec.model_dump(),
            "data": {"count": 2, "seed": 1, "validation_count": 1, "validation_seed": 2},
            "schedule": settings,
            "output": folder,
        }
    )


def sampler(volume: LightVolume, planes: int = 5) -> VolumeSampler:
    return VolumeSampler([volume], normalisation="as-is", patch_px=32, reach=4, planes=planes)


def test_a_run_makes_a_model_of_any_objective(tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = []
    package = run_training(
        config(tmp_path / "run"), tmp_path, report=lambda entry, _: entries.append(entry)
    )
    model = load_model(package)
    assert model.spec.optical is not None
    image = np.random.default_rng(0).gamma(1, 300, (40, 40)).astype(np.float32)
    oil = Sampling(pixel_size_um=0.1, na=1.4, immersion_index=1.515, wavelength_um=0.52)
    assert refocus(image, Flat(2), model, sampling=oil).data.shape == (1, 40, 40)
    (entry,) = entries
    assert entry["unit"] == "waves"
    assert set(entry["correlation"]["+1.3"]) >= {"refocused", "untold", "self", "unrefocused"}
    scores = entry["correlation"]["+0"]
    assert scores["refocused"] == scores["self"]


def test_a_run_that_was_stopped_ends_as_if_it_were_not(tmp_path: Path) -> None:
    whole = load_model(run_training(config(tmp_path / "whole"), tmp_path))
    stops = iter([False] * 4 + [True] * 100)
    with pytest.raises(Cancelled):
        run_training(config(tmp_path / "part"), tmp_path, watch=Watch(lambda: next(stops)))
    part = load_model(run_training(config(tmp_path / "part"), tmp_path, resume=True))
    assert part.sha256 == whole.sha256


def test_it_starts_from_a_generator_of_one_objective(tmp_path: Path) -> None:
    """With the same numbers, whatever it is told, before it has learned anything."""
    run = config(tmp_path / "run", steps=1, learning_rate=1e-12)
    spec = tiny_spec(architecture="z-basis", parameters=run.model.parameters)
    torch.manual_seed(4)
    save_model(tmp_path / "start", spec, spec.build())
    run = run.model_copy(update={"start_from": str(tmp_path / "start")})
    learned = load_model(run_training(run, tmp_path)).network
    started = load_model(tmp_path / "start").network
    image = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(learned.encode(image), started.encode(image))


def test_targets_are_the_planes_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Light that counts its own planes tells which are targets, seen from either side."""
    exposure = flat_exposure(background=np.zeros((48, 48)), vignette=np.ones((48, 48)))
    monkeypatch.setattr(
        "napari_deepz.training.any_objective.batches.draw_exposure", lambda *_: exposure
    )
    light = np.arange(16, dtype=np.float16)[:, None, None] * np.ones((1, 48, 48), np.float16)
    volume = LightVolume(light, np.array([0.7, 0.4, 0.2], np.float32), "counting")
    sides = set()
    for step in range(8):
        batch = sampler(volume, planes=9).batch(0, step, 1)
        planes = (batch.target[0, torch.argsort(batch.planes), 0, 0] - 100) / 2000
        middle = float((batch.image.mean() - 100) / 2000)
        side = 1 if (planes[5] - planes[4]) % 16 == 1 else -1
        expected = (round(middle) + side * torch.arange(-4, 5)) % 16
        torch.testing.assert_close(planes, expected.float(), atol=1e-2, rtol=0)
        if not batch.told[0, 2].isnan():
            assert batch.told[0, 2].item() == pytest.approx(0.2 * side)
        sides.add(side)
    assert sides == {1, -1}


def test_batches_are_the_same_each_time_and_hide_what_is_told() -> None:
    (volume,) = simulate_volumes(1, 3)
    one, two = (sampler(volume).batch(7, 11, 4) for _ in range(2))
    assert torch.equal(one.image, two.image)
    assert torch.equal(one.target, two.target)
    told = torch.cat([sampler(volume).batch(7, step, 4).told for step in range(40)])
    hidden = told.isnan().float().mean(dim=0)
    assert 0.1 < hidden[0] < 0.5
    assert hidden[2] > hidden[0]


def test_the_finest_bands_see_what_differs_from_pixel_to_pixel() -> None:
    smooth = torch.ones(1, 1, 8, 8)
    assert all(band.abs().max() == 0 for band in _finest_bands(smooth))
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)[None, None]
    finest, second = _finest_bands(board)
    assert torch.equal(finest, board)
    assert second.abs().max() == 0


def test_planes_that_are_not_simulated_are_refused(tmp_path: Path) -> None:
    run = config(tmp_path / "run")
    assert run.model.optical is not None
    wider = run.model.optical.model_copy(update={"reach_waves": 6.5})
    run = run.model_copy(update={"model": run.model.model_copy(update={"optical": wider})})
    with pytest.raises(ValueError, match=r"'reach_waves' must be 1\.3"):
        run_training(run, tmp_path)


def test_the_log_is_json(tmp_path: Path) -> None:
    run_training(config(tmp_path / "run"), tmp_path)
    (line,) = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 4

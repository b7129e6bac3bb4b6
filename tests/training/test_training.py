"""Training: samples are what they say, a killed run goes on exactly, the result is a model."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from napari_deepz.engine.resampling import resample
from napari_deepz.intensity import fit_intensity
from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.library import bundled_models, load_model
from napari_deepz.models.package import read_spec
from napari_deepz.training import run
from napari_deepz.training.config import TrainConfig, read_config
from napari_deepz.training.dataset import FocalStack, PatchSampler
from napari_deepz.training.focal import masked_error, plane_weights, train
from napari_deepz.training.loop import learning_rate
from napari_deepz.training.run import run_training
from napari_deepz.watch import Cancelled, Watch
from tests.conftest import tiny_spec

TUTORIAL = Path(__file__).parents[2] / "docs/tutorials/train_your_own.md"
CONFIG = """
output = "run"
[model]
name = "tiny"
version = "1"
architecture = "{architecture}"
parameters = {parameters}
objective = "20x/0.75 dry"
na = 0.75
pixel_size_um = 0.325
axial_range_um = [-2.0, 2.0]
normalisation = "signed-sqrt"
licence = "BSD-3-Clause"
citation = "none"
[schedule]
steps = {steps}
batch = 2
patch_px = 32
warmup_steps = 2
validate_every = 2
checkpoint_every = 2
{adversarial}
"""
ENCODE_ONCE = {
    "architecture": "encode-once",
    "parameters": "{ base = 4, levels = 2, planes = 9 }",
    "adversarial": "",
}
Z_BASIS = {
    "architecture": "z-basis",
    "parameters": "{ base = 4, levels = 2, functions = 3, planes = 9 }",
    "adversarial": "",
}
DEEPZ = {
    "architecture": "deepz-unet",
    "parameters": "{ base = 4, levels = 2 }",
    "adversarial": "",
}


def config(folder: Path, steps: Any = 6, **changes: str) -> TrainConfig:
    path = folder / "config.toml"
    path.write_text(CONFIG.format(steps=steps, **(ENCODE_ONCE | changes)))
    return read_config(path)


def blurred_stacks(count: int = 2) -> list[FocalStack]:
    """Spots that grow away from the middle plane, 0.5 µm apart."""
    rng = np.random.default_rng(0)
    z_um = np.arange(-4, 5) * 0.5
    y, x = np.mgrid[:48, :48]
    stacks = []
    for _ in range(count):
        stack = np.zeros((9, 48, 48))
        for cy, cx in rng.uniform(4, 44, (6, 2)):
            for plane, z in enumerate(z_um):
                width = 1.2 + abs(z)
                spot = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 2 / width**2)
                stack[plane] += 1000 / width**2 * spot
        measured = rng.poisson(stack + 20).astype(np.uint16)
        stacks.append(FocalStack(measured, (stack + 20).astype(np.float32), 0.5))
    return stacks


def weights(package: Path) -> dict[str, torch.Tensor]:
    return load_model(package).network.state_dict()


def sampler(stacks: list[FocalStack], **changes: Any) -> PatchSampler:
    options: dict[str, Any] = {
        "normalisation": "signed-sqrt",
        "middle_um": 0.5,
        "patch_px": 32,
        "plane_z_um": (-2.0, -1.0, 0.0, 1.0, 2.0),
        "planes_per_sample": None,
    }
    return PatchSampler(stacks, **(options | changes))


def test_batches_repeat_with_their_seed_and_step() -> None:
    data = sampler(blurred_stacks())
    first, again = data.batch(3, 7, 4), data.batch(3, 7, 4)
    torch.testing.assert_close(first.image, again.image, rtol=0, atol=0)
    torch.testing.assert_close(first.target, again.target, rtol=0, atol=0)
    assert not torch.equal(first.image, data.batch(3, 8, 4).image)


def test_the_target_at_distance_zero_is_the_input_and_missing_planes_are_masked() -> None:
    stack = blurred_stacks(1)[0]
    clean = FocalStack(stack.target, stack.target, 0.5)
    batch = sampler([clean]).batch(0, 0, 16)
    torch.testing.assert_close(batch.target[:, 2], batch.image[:, 0])
    assert batch.known.shape == (16, 5, 1, 1)
    assert set(batch.known[:, 1:4].unique().tolist()) == {1.0}  # type: ignore[no-untyped-call]
    # Inputs half a µm off the middle lack the plane 2 µm further that way.
    assert 0 < batch.known[:, [0, 4]].mean() < 1


def test_targets_lie_in_the_direction_of_increasing_plane_index() -> None:
    planes = np.arange(9)[:, None, None] * np.ones((9, 40, 40))
    planes += np.random.default_rng(0).normal(0, 0.01, planes.shape)
    batch = sampler([FocalStack(planes, planes, 0.5)], middle_um=0).batch(0, 0, 2)
    fitted = fit_intensity("signed-sqrt", planes[4])
    for row in batch.target:
        restored = fitted.invert(row.numpy()).mean((1, 2))
        np.testing.assert_allclose(restored, [0, 2, 4, 6, 8], atol=0.1)


def test_distances_between_the_planes_of_a_stack_are_masked() -> None:
    stack = blurred_stacks(1)[0]
    coarse = FocalStack(stack.measured[::2], stack.target[::2], 1.0)
    z_um = (-1.0, -0.5, 0.0, 0.5, 1.0)
    batch = sampler([coarse, stack], middle_um=0, plane_z_um=z_um).batch(0, 0, 12)
    known = {tuple(row) for row in batch.known[:, :, 0, 0].tolist()}
    assert known == {(1, 0, 1, 0, 1), (1, 1, 1, 1, 1)}


def test_distances_that_no_stack_can_teach_are_refused() -> None:
    stack = blurred_stacks(1)[0]
    coarse = FocalStack(stack.measured[::2], stack.target[::2], 1.0)
    with pytest.raises(
        ValueError, match=r"planes -0\.5 µm away .* \(their planes are 1 µm apart\)"
    ):
        sampler([coarse], plane_z_um=(-1.0, -0.5, 0.0))
    with pytest.raises(ValueError, match=r"planes 5 µm away .* choose an axial_range_um that"):
        sampler([stack], middle_um=0.5, plane_z_um=(0.0, 5.0))
    sampler([coarse], plane_z_um=(-1.0, -0.5, 0.0), planes_per_sample=1)


def test_loss_counts_known_planes_only() -> None:
    predicted = torch.zeros(1, 2, 4, 4)
    target = torch.stack([torch.full((4, 4), 3.0), torch.full((4, 4), 100.0)])[None]
    known = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
    assert masked_error(predicted, target, known).item() == 3.0
    assert masked_error(predicted, target, known, focus_weight=2).item() == 3.0 * 7


def test_planes_count_alike_however_few_stacks_have_them_and_the_outermost_more() -> None:
    errors = torch.tensor([[1.0, 0, 0, 0, 0], [0, 0, 8, 0, 0], [0, 0, 0, 0, 1]])
    known = torch.ones(3, 5, 1, 1)
    known[:2, 4] = 0
    predicted = errors[:, :, None, None].expand(-1, -1, 4, 4)
    weights = torch.tensor([3.0, 2, 1, 2, 3])
    assert torch.equal(plane_weights(5), weights)
    expected = (3 * 1 / 3 + 1 * 8 / 3 + 3 * 1 / 1) / weights.sum()
    error = masked_error(predicted, torch.zeros_like(predicted), known)
    torch.testing.assert_close(error, expected)
    known[:, 4] = 0
    error = masked_error(predicted, torch.zeros_like(predicted), known)
    torch.testing.assert_close(error, (3 * 1 / 3 + 1 * 8 / 3) / weights[:4].sum())
    assert torch.equal(plane_weights(1), torch.ones(1))


def test_learning_rate_warms_up_and_ends_at_zero(tmp_path: Path) -> None:
    settings = config(tmp_path, steps=100)
    rates = [learning_rate(settings, step) for step in range(101)]
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == pytest.approx(2e-3, rel=0.02)
    assert rates[-1] == 0


ADVERSARIAL = DEEPZ | {"adversarial": "adversarial = { base = 2, planes = 1 }"}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """On a busy machine several threads add up gradients in an order that is never the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "network",
    [ENCODE_ONCE, Z_BASIS, DEEPZ, ADVERSARIAL],
    ids=["encode-once", "z-basis", "deepz-unet", "adversarial"],
)
def test_a_killed_run_resumes_exactly(tmp_path: Path, network: dict[str, str]) -> None:
    stacks = blurred_stacks()
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = train(config(tmp_path / "whole", **network), stacks, stacks[:1])
    killed = config(tmp_path / "killed", **network)
    steps = iter(range(100))
    with pytest.raises(Cancelled):
        train(killed, stacks, stacks[:1], watch=Watch(lambda: next(steps) == 2))
    package = train(killed, stacks, stacks[:1], resume=True)
    expected = weights(whole)
    for name, tensor in weights(package).items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
    logs = [
        [
            (json.loads(line)["correlation"], json.loads(line)["loss"])
            for line in (run / "run/log.jsonl").read_text().splitlines()
        ]
        for run in (tmp_path / "whole", tmp_path / "killed")
    ]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 3


def write_measured(path: Path, stack: FocalStack, pixel_size_um: float = 0.325) -> None:
    sizes = {"PhysicalSizeX": pixel_size_um, "PhysicalSizeY": pixel_size_um, "PhysicalSizeZ": 0.5}
    tifffile.imwrite(path, stack.measured, metadata={"axes": "ZYX", **sizes})


MEASURED = """
[data]
stacks = ["learn_*.ome.tif"]
validation_stacks = ["look.ome.tif"]
"""


def measured_config(folder: Path) -> TrainConfig:
    path = folder / "config.toml"
    path.write_text(CONFIG.format(steps=2, **ENCODE_ONCE) + MEASURED)
    return read_config(path)


def test_measured_stacks_are_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psf_generator", None)
    for name, stack in zip(("learn_1", "learn_2", "look"), blurred_stacks(3), strict=True):
        write_measured(tmp_path / f"{name}.ome.tif", stack)
    package = run_training(measured_config(tmp_path), tmp_path)
    assert load_model(package).spec.training["data"] == "measured focal stacks"


def test_measured_stacks_must_be_there_and_say_their_pixel_size(tmp_path: Path) -> None:
    for name in ("learn_1", "look"):
        tifffile.imwrite(
            tmp_path / f"{name}.ome.tif",
            blurred_stacks(1)[0].measured,
            metadata={"axes": "ZYX", "PhysicalSizeZ": 0.5},
        )
    with pytest.raises(ValueError, match=r"The pixel size of .*learn_1.* is unknown; save it"):
        run_training(measured_config(tmp_path), tmp_path)
    (tmp_path / "learn_1.ome.tif").unlink()
    with pytest.raises(ValueError, match=r"No focal stack in .* matches learn"):
        run_training(measured_config(tmp_path), tmp_path)


def test_measured_stacks_are_brought_to_the_models_pixel_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = np.kron(blurred_stacks(1)[0].measured, np.ones((1, 2, 2), np.uint16))
    other = replace(blurred_stacks(1)[0], measured=fine)
    write_measured(tmp_path / "learn_1.ome.tif", other, pixel_size_um=0.1625)
    write_measured(tmp_path / "look.ome.tif", blurred_stacks(1)[0])
    given: list[list[FocalStack]] = []
    monkeypatch.setattr(run, "train", lambda _, *stacks, **__: given.extend(stacks))
    run_training(measured_config(tmp_path), tmp_path)
    (learned,), (looked_at,) = given
    assert learned.measured is learned.target
    assert learned.measured.shape == (9, 48, 48)
    expected = [resample(plane.astype(np.float32), (48, 48)) for plane in fine]
    np.testing.assert_array_equal(learned.measured, expected)
    np.testing.assert_array_equal(looked_at.measured, blurred_stacks(1)[0].measured)


def test_the_configuration_of_the_tutorial_trains(tmp_path: Path, rng: np.random.Generator) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "my-microscope.toml"
    path.write_text(text.replace("steps = 500", "steps = 1"), encoding="utf-8")
    planes = rng.poisson(100, (45, 160, 160)).astype(np.uint16)
    for name in ("learn", "look"):
        (tmp_path / name).mkdir()
        sizes = {"PhysicalSizeX": 0.13, "PhysicalSizeY": 0.13, "PhysicalSizeZ": 0.3}
        tifffile.imwrite(tmp_path / f"{name}/1.ome.tif", planes, metadata={"axes": "ZYX", **sizes})
    package = run_training(read_config(path), tmp_path)
    assert package == tmp_path / "training/my-microscope"
    spec = load_model(package).spec
    assert spec.training["started_from"]["name"] == DEFAULT_MODEL
    assert spec.training["data"] == "measured focal stacks"


@pytest.mark.slow
def test_training_learns_and_the_card_tells_how(tmp_path: Path) -> None:
    stacks = blurred_stacks(6)
    larger = "{ base = 8, levels = 2, planes = 9 }"
    package = train(config(tmp_path, steps=300, parameters=larger), stacks[:5], stacks[5:])
    scores = load_model(package).spec.training["validation_correlation"]
    assert scores["2"]["refocused"] > scores["2"]["unrefocused"] + 0.05
    training = load_model(package).spec.training
    assert training["schedule"]["steps"] == 300
    assert training["data"] == "simulated focal stacks"


def test_fine_tuning_starts_from_another_models_weights(tmp_path: Path) -> None:
    stacks = blurred_stacks()
    (tmp_path / "first").mkdir()
    first = train(config(tmp_path / "first"), stacks, stacks[:1])
    settings = config(tmp_path, steps=1).model_copy(update={"start_from": str(first)})
    schedule = settings.schedule.model_copy(update={"learning_rate": 1e-9})
    package = train(settings.model_copy(update={"schedule": schedule}), stacks, stacks[:1])
    for name, tensor in weights(first).items():
        torch.testing.assert_close(weights(package)[name], tensor, rtol=0, atol=1e-6)
    assert load_model(package).spec.training["started_from"] == {
        "name": "tiny",
        "version": "1",
        "sha256": load_model(first).sha256,
    }
    other = config(tmp_path, **DEEPZ).model_copy(
        update={"start_from": str(first), "output": tmp_path / "other"}
    )
    with pytest.raises(ValueError, match="'tiny' cannot be started from"):
        train(other, stacks, stacks[:1])


def test_a_run_is_not_overwritten_and_not_mixed(tmp_path: Path) -> None:
    stacks = blurred_stacks()
    train(config(tmp_path, steps=2), stacks, stacks[:1])
    with pytest.raises(ValueError, match="already holds a training run; add --resume"):
        train(config(tmp_path, steps=2), stacks, stacks[:1])
    with pytest.raises(ValueError, match="made with another configuration"):
        train(config(tmp_path, steps=4), stacks, stacks[:1], resume=True)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no checkpoint in"):
        train(config(tmp_path), blurred_stacks(), [], resume=True)


def test_patches_must_suit_the_network(tmp_path: Path) -> None:
    settings = config(tmp_path)
    schedule = settings.schedule.model_copy(update={"patch_px": 34})
    with pytest.raises(ValueError, match="multiple of 4"):
        run_training(settings.model_copy(update={"schedule": schedule}), tmp_path)


def test_nothing_is_simulated_for_a_run_that_cannot_start(tmp_path: Path) -> None:
    settings = config(tmp_path)
    with pytest.raises(ValueError, match="no checkpoint in"):
        run_training(settings, tmp_path, resume=True, on_stack=pytest.fail)  # type: ignore[arg-type]


def test_simulating_can_be_stopped(tmp_path: Path) -> None:
    pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")
    with pytest.raises(Cancelled):
        run_training(config(tmp_path), tmp_path, watch=Watch(lambda: True))
    assert not (tmp_path / "run").exists()


def test_stacks_smaller_than_a_patch() -> None:
    with pytest.raises(ValueError, match="48 x 48 pixels is smaller than the patches of 64"):
        sampler(blurred_stacks(1), patch_px=64)


def breadth(setting: str) -> str:
    return CONFIG.format(steps=3, **ENCODE_ONCE) + f"[data.breadth]\n{setting}\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("output = [", "is not valid TOML"),
        ("output = 'x'", "setting 'model' in .* is not valid: Field required"),
        (CONFIG.format(steps=0, **ENCODE_ONCE), "setting 'schedule.steps'"),
        (CONFIG.format(steps=3, **ENCODE_ONCE) + "[data]\nstacks = ['a.tif']", "validation_stacks"),
        (CONFIG.format(steps=3, **ENCODE_ONCE) + "stepps = 3", "setting 'schedule.stepps'"),
        (breadth("na = [0.8, 0.7]"), "'na' must go from a smaller to a larger positive number"),
        (breadth("depth_um = [-1, 5]"), "'depth_um' must go from a smaller to a larger"),
        (breadth("photons = [0, 100]"), "'photons' must not go down to zero"),
        (breadth("photons = [1, inf]"), "'photons' must go from"),
        (breadth("offset_adu = [0, 70000]"), "'offset_adu' must stay below 65535"),
        (breadth("saturated_share = 1.5"), r"setting 'data\.breadth\.saturated_share' in .* valid"),
        (
            breadth("magnification = [10, 20]"),
            r"setting 'data\.breadth\.magnification' in .* valid",
        ),
    ],
)
def test_broken_configurations_say_so(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_config(path)


def test_the_folder_of_kept_stacks_is_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    path = tmp_path / "here/config.toml"
    text = CONFIG.format(steps=3, **ENCODE_ONCE)
    path.write_text(text + '[data]\nkept_in = "../stacks"\n')
    kept_in = read_config(path).data.kept_in
    assert kept_in is not None
    assert kept_in.resolve() == (tmp_path / "stacks").resolve()
    path.write_text(text)
    assert read_config(path).data.kept_in is None


def test_where_stacks_are_kept_is_no_part_of_a_run(tmp_path: Path) -> None:
    """It may change between stop and resume, and the card does not tell it."""
    stacks = blurred_stacks()

    def kept_in(folder: str) -> TrainConfig:
        settings = config(tmp_path, steps=4)
        data = settings.data.model_copy(update={"kept_in": tmp_path / folder})
        return settings.model_copy(update={"data": data})

    with pytest.raises(Cancelled):
        train(kept_in("one"), stacks, stacks[:1], watch=Watch(lambda: True))
    checkpoint = tmp_path / "run/checkpoint.pt"
    saved = torch.load(checkpoint, weights_only=True)
    # As checkpoints were written once.
    settings = kept_in("one").model_dump_json(exclude={"output"})
    torch.save(saved | {"config": settings}, checkpoint)
    with pytest.raises(Cancelled):
        train(kept_in("two"), stacks, stacks[:1], resume=True, watch=Watch(lambda: True))
    package = train(kept_in("three"), stacks, stacks[:1], resume=True)
    assert "kept_in" not in (package / "model.json").read_text()


def test_missing_configuration(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing\.toml cannot be read"):
        read_config(tmp_path / "nothing.toml")


def test_the_bundled_models_configuration_is_valid() -> None:
    path = Path(__file__).parents[2] / f"training/{DEFAULT_MODEL}.toml"
    settings = read_config(path)
    bundled = read_spec(bundled_models()[DEFAULT_MODEL])
    assert settings.model.build().halo_px == bundled.build().halo_px
    assert settings.model == bundled.model_copy(update={"training": {}})


def test_specs_survive_the_way_through_toml(tmp_path: Path) -> None:
    spec = config(tmp_path).model
    assert spec.parameters == {"base": 4, "levels": 2, "planes": 9}
    assert spec.architecture == tiny_spec().architecture

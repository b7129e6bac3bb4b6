"""Simulated stacks for training: on the model's grid, and the same from files as from memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil
import pytest

from napari_deepz.optics import Optics
from napari_deepz.pupil import Aberrations
from napari_deepz.training import simulated
from napari_deepz.training.config import BreadthConfig, DataConfig
from napari_deepz.training.dataset import FocalStack
from napari_deepz.training.phantoms import Kind
from napari_deepz.training.simulated import simulated_stacks, stack_settings
from napari_deepz.training.simulation import SimulatedStack, StackSettings
from tests.conftest import tiny_spec

SIGMA_UM = 1.1
CENTRE_UM = np.array([4.3, -7.9])


def bead_stack(pixel_um: float, size_px: int) -> SimulatedStack:
    """A Gaussian spot on a background, without noise."""
    y, x = (np.mgrid[:size_px, :size_px] - (size_px - 1) / 2) * pixel_um
    spot = np.exp(-((y - CENTRE_UM[0]) ** 2 + (x - CENTRE_UM[1]) ** 2) / 2 / SIGMA_UM**2)
    expected = np.stack([100 + 5000 * spot, 100 + 2500 * spot, np.full_like(spot, 100)])
    return SimulatedStack(
        measured=np.rint(expected).astype(np.uint16),
        expected=expected.astype(np.float32),
        z_um=np.array([-0.5, 0, 0.5]),
        centres=np.empty((0, 3)),
        kind="beads",
        aberrations=Aberrations(),
        optics=Optics(na=0.75, wavelength_um=0.52, pixel_size_um=pixel_um),
    )


@pytest.mark.parametrize(("pixel_um", "size_px"), [(0.25, 333), (0.41, 203), (0.5, 166)])
def test_a_bead_keeps_its_place_and_its_light_on_the_models_grid(
    pixel_um: float, size_px: int
) -> None:
    stack = FocalStack.from_simulation(bead_stack(pixel_um, size_px), 0.325)
    side = round(size_px * pixel_um / 0.325)
    assert stack.measured.shape == stack.target.shape == (3, side, side)
    assert stack.measured.dtype == np.uint16
    assert stack.z_step_um == 0.5
    for part in (stack.measured, stack.target):
        for plane, height in enumerate((5000, 2500)):
            spot = part[plane].astype(float) - 100
            spot[np.abs(spot) < 1] = 0  # Counts are whole numbers.
            grid = (np.mgrid[:side, :side] - (side - 1) / 2) * 0.325
            centroid = (grid * spot).sum((1, 2)) / spot.sum()
            np.testing.assert_allclose(centroid, CENTRE_UM, atol=0.05)
            light = spot.sum() * 0.325**2
            assert light == pytest.approx(2 * np.pi * SIGMA_UM**2 * height, rel=0.02)
        np.testing.assert_allclose(part[2], 100, atol=1e-3)


def test_a_stack_on_the_models_grid_is_taken_as_it_is() -> None:
    source = bead_stack(0.325, 256)
    stack = FocalStack.from_simulation(source, 0.325)
    np.testing.assert_array_equal(stack.measured, source.measured)
    np.testing.assert_array_equal(stack.target, source.expected)


def random_stacks(
    count: int, seed: int, settings: StackSettings, *, kinds: tuple[Kind, ...], pupils: int
) -> Iterator[SimulatedStack]:
    """In place of `simulate`: noise instead of objects, of the right kind and in no time."""
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        size_px = 40 + index % 2
        yield SimulatedStack(
            measured=rng.integers(0, 65536, (5, size_px, size_px), np.uint16),
            expected=rng.uniform(0, 65535, (5, size_px, size_px)).astype(np.float32),
            z_um=(np.arange(5) - 2) * settings.z_step_um,  # type: ignore[arg-type]
            centres=np.empty((0, 3)),
            kind=kinds[0],
            aberrations=Aberrations(),
            optics=settings.optics,
        )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "simulate", random_stacks)


def data(folder: Path | None, **changes: Any) -> DataConfig:
    return DataConfig.model_validate(
        {"count": 4, "validation_count": 2, "kept_in": folder, **changes}
    )


def assert_equal(stacks: list[FocalStack], others: list[FocalStack]) -> None:
    for stack, other in zip(stacks, others, strict=True):
        for part in ("measured", "target"):
            mine, theirs = getattr(stack, part), getattr(other, part)
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)
        assert stack.z_step_um == other.z_step_um


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


COMPLETE = sorted(
    f"{index:04d}-{part}.npy"
    for count in (2, 4)
    for index in range(count)
    for part in ("measured", "target")
)


def forbidden(*_: object, **__: Any) -> Iterator[SimulatedStack]:
    raise AssertionError("Nothing needs to be simulated.")


def test_kept_stacks_are_read_instead_of_simulated(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = list(simulated_stacks(tiny_spec(), data(None)))
    assert len(in_memory) == 6
    assert_equal(list(simulated_stacks(tiny_spec(), data(tmp_path))), in_memory)
    assert files(tmp_path) == COMPLETE
    monkeypatch.setattr(simulated, "simulate", forbidden)
    assert_equal(list(simulated_stacks(tiny_spec(), data(tmp_path))), in_memory)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 5, "validation_seed": 6},
        {"pupils": 3},
        {"kinds": ("worm",)},
        {"breadth": {"na": (0.7, 0.8)}},
        {"breadth": {"saturated_share": 0.1}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_settings_go_to_other_folders(
    tmp_path: Path, quick: None, changes: dict[str, Any]
) -> None:
    list(simulated_stacks(tiny_spec(), data(tmp_path)))
    first = set(tmp_path.iterdir())
    list(simulated_stacks(tiny_spec(), data(tmp_path, **changes)))
    assert len(first) == 2
    assert len(set(tmp_path.iterdir()) - first) == 2


def test_other_models_have_other_stacks(tmp_path: Path, quick: None) -> None:
    list(simulated_stacks(tiny_spec(), data(tmp_path)))
    list(simulated_stacks(tiny_spec(pixel_size_um=0.2), data(tmp_path)))
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("taken", [1, 3, 5])
def test_keeping_that_was_interrupted_ends_complete(
    tmp_path: Path, quick: None, taken: int
) -> None:
    interrupted = simulated_stacks(tiny_spec(), data(tmp_path))
    for _ in range(taken):
        next(interrupted)
    interrupted.close()  # type: ignore[attr-defined]
    assert len(files(tmp_path)) == 2 * taken
    in_memory = list(simulated_stacks(tiny_spec(), data(None)))
    assert_equal(list(simulated_stacks(tiny_spec(), data(tmp_path))), in_memory)
    assert files(tmp_path) == COMPLETE


@pytest.mark.parametrize("name", ["0000-target.npy", "0001-measured.npy"])
def test_a_file_that_is_gone_is_made_again(tmp_path: Path, quick: None, name: str) -> None:
    in_memory = list(simulated_stacks(tiny_spec(), data(None)))
    list(simulated_stacks(tiny_spec(), data(tmp_path)))
    for path in tmp_path.rglob(name):
        path.unlink()
    assert_equal(list(simulated_stacks(tiny_spec(), data(tmp_path))), in_memory)
    assert files(tmp_path) == COMPLETE


def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: IO[bytes], _: object) -> None:
        file.write(b"some of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space"):
        list(simulated_stacks(tiny_spec(), data(tmp_path)))
    assert files(tmp_path) == []


def test_two_runs_may_keep_the_same_stacks_at_once(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = list(simulated_stacks(tiny_spec(), data(None)))
    save = np.save

    def save_and_be_overtaken(file: IO[bytes], pixels: np.ndarray) -> None:
        save(file, pixels)
        monkeypatch.setattr(np, "save", save)
        with monkeypatch.context() as other_process:
            other_process.setattr(os, "getpid", lambda: 1)
            assert_equal(list(simulated_stacks(tiny_spec(), data(tmp_path))), in_memory)

    monkeypatch.setattr(np, "save", save_and_be_overtaken)
    assert_equal(list(simulated_stacks(tiny_spec(), data(tmp_path))), in_memory)
    assert files(tmp_path) == COMPLETE


def test_kept_stacks_hold_no_file_open_and_cannot_be_changed(tmp_path: Path, quick: None) -> None:
    stacks = list(simulated_stacks(tiny_spec(), data(tmp_path)))
    opened = [Path(file.path) for file in psutil.Process().open_files()]
    assert not [path for path in opened if path.is_relative_to(tmp_path.resolve())]
    with pytest.raises(ValueError, match="read-only"):
        stacks[0].target[0] = 0


def test_breadth_reaches_the_simulation() -> None:
    breadth = BreadthConfig(
        na=(0.7, 0.8), photons=(30, 1000), offset_adu=(0, 500), saturated_share=0.1
    )
    settings = stack_settings(tiny_spec(), breadth)
    assert settings.na == (0.7, 0.8)
    assert settings.photons == (30, 1000)
    assert settings.camera.offset_adu == (0, 500)
    assert settings.camera.saturated_share == 0.1
    untouched = stack_settings(tiny_spec())
    assert settings.depth_um == untouched.depth_um
    assert settings.camera.gain_adu_per_photon == untouched.camera.gain_adu_per_photon
    assert settings.optics == untouched.optics


def test_stacks_reach_a_little_beyond_the_models_range() -> None:
    assert stack_settings(tiny_spec(axial_range_um=(-3.5, 6.2))).half_range_um == 8


def test_apertures_that_no_dry_objective_has_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"numerical aperture of 1\.1 does not go with"):
        stack_settings(tiny_spec(), BreadthConfig(na=(0.7, 1.1)))
    with pytest.raises(ValueError, match="need the 'na'"):
        stack_settings(tiny_spec(na=None))

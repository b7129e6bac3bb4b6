"""Runs that were cut short anywhere go on exactly, and what cannot go on says so in a sentence."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_deepz.atomic_files import written_beside
from napari_deepz.models.library import load_model
from napari_deepz.training import focal, state
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.focal import train
from napari_deepz.watch import Cancelled, Watch
from tests.training.test_training import DEEPZ, blurred_stacks, config, weights

STACKS = blurred_stacks()


def logged(run: Path) -> list[dict[str, Any]]:
    """Entries of a log without the times, which differ from run to run."""
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    return [{name: entry[name] for name in ("step", "loss", "correlation")} for entry in entries]


def stop_after(settings: TrainConfig, steps: int) -> None:
    asked = iter(range(1, 100))
    with pytest.raises(Cancelled):
        train(settings, STACKS, STACKS[:1], watch=Watch(lambda: next(asked) == steps))


def assert_same_run(run: Path, whole: Path) -> None:
    expected = weights(whole / "tiny")
    for name, tensor in weights(run / "tiny").items():
        assert torch.equal(tensor, expected[name])
    assert logged(run) == logged(whole)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train(config(folder), STACKS, STACKS[:1])
    return folder / "run"


@pytest.fixture
def stopped(tmp_path: Path) -> TrainConfig:
    """The same run, stopped after the fourth step, with two entries in its log."""
    settings = config(tmp_path)
    stop_after(settings, 4)
    assert [entry["step"] for entry in logged(settings.output)] == [2, 4]
    return settings


def test_a_log_cut_anywhere_in_its_last_line_is_whole_again(
    whole: Path, stopped: TrainConfig
) -> None:
    log = stopped.output / "log.jsonl"
    text = log.read_bytes()
    last = text.rstrip().rindex(b"\n") + 1
    other = torch.load(stopped.output / "checkpoint.pt", weights_only=True)
    for cut in range(last, len(text) + 1):
        log.write_bytes(text[:cut])
        entries = state._logged(log, 4)
        complete = cut >= len(text) - 1
        assert [entry["step"] for entry in entries] == ([2, 4] if complete else [2])
    log.write_bytes(text[: last + 7])
    train(stopped, STACKS, STACKS[:1], resume=True)
    assert_same_run(stopped.output, whole)
    assert other["log"] == [json.loads(line) for line in text.splitlines()]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "zeros": lambda text: text[:40] + bytes(4096),
    "not UTF-8": lambda text: b"\xff\xfe\n" + text,
    "not JSON": lambda text: b"{oops\n" + text,
    "no step": lambda text: b'{"loss": 1}\n' + text,
    "no object": lambda text: b"[1, 2]\n7\nnull\n" + text,
    "deep": lambda text: b"[" * 100_000 + b"\n" + text,
    "text for a step": lambda text: b'{"step": "2", "correlation": {}}\n' + text,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_log_does_not_matter(
    whole: Path, stopped: TrainConfig, damage: Callable[[bytes], bytes]
) -> None:
    log = stopped.output / "log.jsonl"
    text = log.read_bytes()
    log.write_bytes(damage(text))
    steps = [entry["step"] for entry in state._logged(log, 4)]
    assert steps == ([2, 4] if damage(text).endswith(text) else [])
    train(stopped, STACKS, STACKS[:1], resume=True)
    assert_same_run(stopped.output, whole)


def test_a_checkpoint_from_before_it_held_the_log_takes_the_file(
    whole: Path, stopped: TrainConfig
) -> None:
    path = stopped.output / "checkpoint.pt"
    saved = torch.load(path, weights_only=True)
    del saved["log"]
    torch.save(saved, path)
    with (stopped.output / "log.jsonl").open("a") as log:
        log.write('{"step": 6, "corr')
    train(stopped, STACKS, STACKS[:1], resume=True)
    assert_same_run(stopped.output, whole)


def full_when(monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> None:
    """Let the disk be full when a file of the run is written for the nth time, and after."""
    write_bytes = Path.write_bytes
    written: list[str] = []
    current: list[str] = []

    def beside(path: Any) -> Any:
        current.append(path.name)
        return written_beside(path)

    def full(path: Path, data: bytes) -> int:
        written.append(current[-1])
        if written.count(name) >= times:
            write_bytes(path, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(state, "written_beside", beside)
    monkeypatch.setattr(Path, "write_bytes", full)


@pytest.mark.parametrize("name", ["log.jsonl", "checkpoint.pt"])
def test_a_full_disk_keeps_what_was_there_and_the_run_goes_on_later(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings = config(tmp_path)
    with monkeypatch.context() as patch:
        full_when(patch, name, 3 if name == "log.jsonl" else 2)
        with pytest.raises(OSError, match="stopped because") as caught:
            train(settings, STACKS, STACKS[:1])
    assert str(caught.value) == (
        f"The training stopped because {name} cannot be written to {settings.output} (No space "
        "left on device; make room or choose another folder); go on from the last checkpoint with "
        "--resume when that is mended."
    )
    assert sorted(os.listdir(settings.output)) == ["checkpoint.pt", "log.jsonl"]
    train(settings, STACKS, STACKS[:1], resume=True)
    assert_same_run(settings.output, whole)


def test_a_disk_that_is_full_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tmp_path)
    with monkeypatch.context() as patch:
        full_when(patch, "log.jsonl", 1)
        with pytest.raises(OSError, match=r"; start again when that"):
            train(settings, STACKS, STACKS[:1])
    assert os.listdir(settings.output) == []
    train(settings, STACKS, STACKS[:1])


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(path: Path) -> None:
    path.write_text("not a checkpoint")


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Bomb()))


def bomb_inside(path: Path) -> None:
    _with_program(path, pickle.dumps(_Bomb(), 2))


def _with_program(path: Path, program: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, program if name.endswith("data.pkl") else data)


def deflated(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        _with_program(path, archive.read(name), zipfile.ZIP_DEFLATED)


def tensor(path: Path) -> None:
    torch.save(torch.zeros(3), path)


def changed(path: Path, **parts: Any) -> None:
    torch.save(torch.load(path, weights_only=True) | parts, path)


def other_shapes(path: Path) -> None:
    network = torch.load(path, weights_only=True)["network"]
    changed(path, network={name: torch.zeros(2, 2) for name in network})


def other_names(path: Path) -> None:
    changed(path, network={"weight": torch.zeros(2)})


def no_network(path: Path) -> None:
    changed(path, network=None)


def other_optimiser(path: Path) -> None:
    optimiser = torch.load(path, weights_only=True)["optimiser"]
    optimiser["state"][0]["exp_avg"] = torch.zeros(7)
    changed(path, optimiser=optimiser)


def step_of_text(path: Path) -> None:
    changed(path, step="4")


def other_configuration_of(path: Path) -> None:
    changed(path, config="{")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


UNUSABLE = (
    *(empty, half, text, pickled, bomb_inside, deflated, tensor, other_shapes, other_names),
    *(no_network, other_optimiser, step_of_text, other_configuration_of, folder),
)


@pytest.mark.parametrize("damage", UNUSABLE, ids=lambda damage: damage.__name__)
def test_a_checkpoint_that_cannot_be_used_says_what_to_do(
    stopped: TrainConfig, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(stopped.output.parent)
    path = stopped.output / "checkpoint.pt"
    damage(path)
    with pytest.raises(ValueError, match=r"^The checkpoint .* cannot be used") as caught:
        train(stopped, STACKS, STACKS[:1], resume=True)
    assert str(caught.value) == (
        f"The checkpoint {path} cannot be used, it is damaged or not of this run: put a copy of "
        "it in its place, or delete it and start anew without --resume."
    )
    assert not Path("ran").exists()


def test_a_checkpoint_cut_anywhere_is_damaged(stopped: TrainConfig) -> None:
    path = stopped.output / "checkpoint.pt"
    data = path.read_bytes()
    for cut in range(0, len(data), len(data) // 97):
        path.write_bytes(data[:cut])
        with pytest.raises(ValueError, match="cannot be used, it is damaged"):
            train(stopped, STACKS, STACKS[:1], resume=True)


ADVERSARIAL = DEEPZ | {"adversarial": "adversarial = { base = 2, planes = 1 }"}


def test_the_adversary_of_a_checkpoint_must_fit_too(tmp_path: Path) -> None:
    settings = config(tmp_path, **ADVERSARIAL)
    stop_after(settings, 2)
    path = settings.output / "checkpoint.pt"
    saved = torch.load(path, weights_only=True)
    moments = saved["adversary"]["optimiser"]["state"][0]
    torch.save(saved | {"adversary": None}, path)
    with pytest.raises(ValueError, match="cannot be used"):
        train(settings, STACKS, STACKS[:1], resume=True)
    moments["exp_avg_sq"] = torch.zeros(9)
    torch.save(saved, path)
    with pytest.raises(ValueError, match="cannot be used"):
        train(settings, STACKS, STACKS[:1], resume=True)


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"learning_rate": 1e30}, 2),
        ({"learning_rate": 1e15, "warmup_steps": 1}, 2),
        ({"focus_weight": 3e38}, 1),
    ],
)
def test_a_diverged_run_says_so_and_writes_no_model(
    tmp_path: Path, changes: dict[str, float], step: int
) -> None:
    settings = config(tmp_path)
    schedule = settings.schedule.model_copy(update=changes)
    settings = settings.model_copy(update={"schedule": schedule})
    with pytest.raises(ValueError, match=r"^The training diverged at step \d+: ") as caught:
        train(settings, STACKS, STACKS[:1])
    assert f"with a lower learning_rate, which is {schedule.learning_rate:g} now." in str(
        caught.value
    )
    assert int(str(caught.value).partition("step ")[2].partition(":")[0]) >= step
    assert not (settings.output / "tiny").exists()
    if (path := settings.output / "checkpoint.pt").exists():
        saved = torch.load(path, weights_only=True)
        assert all(tensor.isfinite().all() for tensor in saved["network"].values())


@pytest.mark.parametrize("half", [False, True])
def test_weights_that_the_package_could_not_hold_are_a_divergence(
    tmp_path: Path, half: bool
) -> None:
    settings = config(tmp_path).model_copy(update={"half_precision_weights": half})
    schedule = settings.schedule.model_copy(update={"learning_rate": 1e6, "steps": 1})
    settings = settings.model_copy(update={"schedule": schedule})
    if half:
        with pytest.raises(ValueError, match="diverged at step 1"):
            train(settings, STACKS, STACKS[:1])
        assert not (settings.output / "tiny").exists()
    else:
        load_model(train(settings, STACKS, STACKS[:1]))


def test_what_is_undefined_is_not_a_number_in_the_log_nor_in_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a network gives the same everywhere."""
    monkeypatch.setattr(focal, "correlation", lambda *_: float("nan"))
    package = train(config(tmp_path, steps=1), STACKS, STACKS[:1])
    (entry,) = logged(tmp_path / "run")
    assert entry["correlation"]["2"] == {"refocused": None, "unrefocused": None}
    assert load_model(package).spec.training["validation_correlation"] == entry["correlation"]


def test_a_killed_write_leaves_nothing_behind(stopped: TrainConfig, whole: Path) -> None:
    left = stopped.output / f".deepz-{_own_host(stopped)}-{2**22 + 1}-1-01234567.part"
    left.write_bytes(b"half a checkpoint")
    train(stopped, STACKS, STACKS[:1], resume=True)
    assert_same_run(stopped.output, whole)
    assert sorted(os.listdir(stopped.output)) == ["checkpoint.pt", "log.jsonl", "tiny"]


def _own_host(settings: TrainConfig) -> str:
    from napari_deepz.atomic_files import own_mark

    return own_mark().partition("-")[0]

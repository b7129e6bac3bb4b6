"""What a training run is made of while it lasts, its checkpoint and its log."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from napari_deepz.atomic_files import reason_of, written_beside
from napari_deepz.networks.base import Generator
from napari_deepz.training.adversary import Adversary
from napari_deepz.training.config import TrainConfig
from napari_deepz.watch import Progress

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"

Report = Callable[[dict[str, Any], Progress], None]


class TrainingError(ValueError):
    """A run that cannot go on; the message is one sentence for the user."""


@dataclass
class TrainingState:
    """All that a run needs to go on exactly where it stood."""

    network: Generator
    optimiser: torch.optim.Optimizer
    adversary: Adversary | None = None
    started_from: dict[str, str] | None = None
    step: int = 0
    seconds: float = 0.0
    processor_s: float = 0.0
    losses: list[float] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)


class _Checkpoint(BaseModel):
    model_config = ConfigDict(strict=True)

    config: str
    network: dict[str, Any]
    optimiser: dict[str, Any]
    step: int = Field(ge=0)
    seconds: float
    processor_s: float
    adversary: dict[str, Any] | None
    losses: list[float]
    log: list[dict[str, Any]] | None = None  # Older checkpoints do not have it.


def _fingerprint(config: TrainConfig) -> str:
    return config.model_dump_json(exclude={"output": True, "data": {"kept_in"}})


def _is_same_run(saved: str, config: TrainConfig) -> bool:
    """Whether a checkpoint's fingerprint is that of a configuration, wherever its stacks lie."""
    settings = json.loads(saved)
    settings["data"].pop("kept_in", None)  # Older checkpoints have it.
    return bool(settings == json.loads(_fingerprint(config)))


def save_state(config: TrainConfig, state: TrainingState) -> None:
    """Write a checkpoint, all of it or nothing.

    Raises
    ------
    OSError
        If it cannot be written; one sentence.
    """
    saved = {
        "config": _fingerprint(config),
        "network": state.network.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "step": state.step,
        "seconds": state.seconds,
        "processor_s": state.processor_s,
        "adversary": None if state.adversary is None else state.adversary.state(),
        "losses": state.losses,
        "log": state.log,
    }
    stream = io.BytesIO()  # PyTorch writes to a full disk without saying so in time.
    torch.save(saved, stream)
    _write(config, CHECKPOINT, stream.getvalue())


def restore_state(config: TrainConfig, state: TrainingState) -> None:
    """Go back to where the checkpoint was written.

    Raises
    ------
    ValueError
        If it is of another configuration, damaged, or not of this network.
    """
    path = config.output / CHECKPOINT
    unusable = (
        f"The checkpoint {path} cannot be used, it is damaged or not of this run: put a copy of it "
        "in its place, or delete it and start anew without --resume."
    )
    try:
        saved = _Checkpoint(**_parsed(path))
        same = _is_same_run(saved.config, config)
    except Exception as error:  # What damaged files make PyTorch raise is of any kind.
        raise TrainingError(unusable) from error
    if not same:
        raise TrainingError(
            f"The checkpoint in {config.output} was made with another configuration; go on with "
            "that one, or choose another output folder."
        )
    try:
        state.network.load_state_dict(saved.network)
        state.optimiser.load_state_dict(saved.optimiser)
        _check_shapes(state.optimiser)
        if state.adversary is not None:
            state.adversary.restore(saved.adversary or {})
            _check_shapes(state.adversary.optimiser)
    except Exception as error:
        raise TrainingError(unusable) from error
    state.step, state.seconds = saved.step, saved.seconds
    state.processor_s = saved.processor_s
    state.losses = saved.losses
    state.log = _logged(config.output / LOG, saved.step) if saved.log is None else saved.log


def _parsed(path: Path) -> dict[str, Any]:
    # All that torch.save writes is stored as it is, so that nothing gets larger than the file.
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("compressed")
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


def _check_shapes(optimiser: torch.optim.Optimizer) -> None:
    """Check what PyTorch looks at only when the next step is made."""
    for parameter, values in optimiser.state.items():
        if any(value.ndim and value.shape != parameter.shape for value in values.values()):
            raise ValueError("of another network")


def _logged(path: Path, step: int) -> list[dict[str, Any]]:
    """Entries of a log up to a step; what is damaged is left out."""
    entries = []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
            if entry["step"] <= step and isinstance(entry["correlation"], dict):
                entries.append(entry)
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return entries


def write_log(config: TrainConfig, state: TrainingState) -> None:
    """Write the run's log: one JSON object a line, whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written; one sentence.
    """
    lines = "".join(json.dumps(entry) + "\n" for entry in state.log)
    _write(config, LOG, lines.encode())


def _write(config: TrainConfig, name: str, data: bytes) -> None:
    try:
        with written_beside(config.output / name) as beside:
            beside.write_bytes(data)
    except OSError as error:
        how = (
            "go on from the last checkpoint with --resume"
            if (config.output / CHECKPOINT).exists()
            else "start again"
        )
        raise OSError(
            f"The training stopped because {name} cannot be written to {config.output} "
            f"({reason_of(error)}); {how} when that is mended."
        ) from error

"""What a training run is made of while it lasts, its checkpoint and its log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from napari_deepz.atomic_files import written_beside
from napari_deepz.generators.base import Generator
from napari_deepz.jobs import Progress
from napari_deepz.training.adversary import Adversary
from napari_deepz.training.config import TrainConfig

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"

Report = Callable[[dict[str, Any], Progress], None]


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


def _fingerprint(config: TrainConfig) -> str:
    return config.model_dump_json(exclude={"output": True, "data": {"kept_in"}})


def _is_same_run(saved: str, config: TrainConfig) -> bool:
    """Whether a checkpoint's fingerprint is that of a configuration, wherever its stacks lie."""
    settings = json.loads(saved)
    settings["data"].pop("kept_in", None)  # Older checkpoints have it.
    return bool(settings == json.loads(_fingerprint(config)))


def save_state(config: TrainConfig, state: TrainingState) -> None:
    """Write a checkpoint, all of it or nothing."""
    saved = {
        "config": _fingerprint(config),
        "network": state.network.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "step": state.step,
        "seconds": state.seconds,
        "processor_s": state.processor_s,
        "adversary": None if state.adversary is None else state.adversary.state(),
        "losses": state.losses,
    }
    with written_beside(config.output / CHECKPOINT) as beside:
        torch.save(saved, beside)


def restore_state(config: TrainConfig, state: TrainingState) -> None:
    """Go back to where the checkpoint was written.

    Raises
    ------
    ValueError
        If it is of another configuration.
    """
    path = config.output / CHECKPOINT
    saved = torch.load(path, map_location="cpu", weights_only=True)
    if not _is_same_run(saved["config"], config):
        raise ValueError(
            f"The checkpoint in {config.output} was made with another configuration; go on with "
            "that one, or choose another output folder."
        )
    state.network.load_state_dict(saved["network"])
    state.optimiser.load_state_dict(saved["optimiser"])
    state.step, state.seconds = saved["step"], saved["seconds"]
    state.processor_s = saved["processor_s"]
    state.losses = saved["losses"]
    if state.adversary is not None:
        state.adversary.restore(saved["adversary"])


class TrainingLog:
    """The run's log: one JSON object a line, cut back to the checkpoint on resume."""

    def __init__(self, path: Path, step: int, report: Report | None, progress: Progress) -> None:
        self._path, self._report, self._progress = path, report, progress
        lines = path.read_text().splitlines() if step and path.exists() else []
        self.entries = [e for e in map(json.loads, lines) if e["step"] <= step]
        path.write_text("".join(json.dumps(entry) + "\n" for entry in self.entries))

    def write(self, entry: dict[str, Any]) -> None:
        """Add a line, and report it."""
        self.entries.append(entry)
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        if self._report is not None:
            self._report(entry, self._progress)

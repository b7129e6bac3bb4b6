"""Supervised training with checkpoints, exact resume and a validation table."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_deepz import __version__
from napari_deepz.atomic_files import made_folder
from napari_deepz.engine.devices import choose_device, is_out_of_memory
from napari_deepz.models.library import load_model
from napari_deepz.models.package import Model, save_model
from napari_deepz.networks.base import Generator
from napari_deepz.networks.told_z_basis import ToldZBasis
from napari_deepz.training.adversary import Adversary
from napari_deepz.training.checks import check_run
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.lesson import Lesson
from napari_deepz.training.state import (
    Report,
    TrainingError,
    TrainingState,
    restore_state,
    save_state,
    write_log,
)
from napari_deepz.watch import UNWATCHED, Cancelled, Progress, Watch


def train_on(
    config: TrainConfig,
    make_lesson: Callable[[Any], Lesson[Any]],
    *,
    resume: bool = False,
    device: str | None = None,
    report: Report | None = None,
    watch: Watch = UNWATCHED,
) -> Path:
    """Train a generator and write it as a model package.

    Parameters
    ----------
    config : TrainConfig
        The run; checkpoint, log and package go to its output folder.
    make_lesson : callable
        Gives what is learned from, for the network that is to learn.
    resume : bool
        Go on from the checkpoint. The result equals that of a run that was never interrupted.
    device : str, optional
        As in `engine.devices.choose_device`.
    report : callable, optional
        Told each log entry and the progress.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Returns
    -------
    Path
        The model package.

    Raises
    ------
    ValueError
        As `check_run`, or if the checkpoint is of another configuration.
    Cancelled
        If stopped.
    """
    schedule = config.schedule
    check_run(config, resume=resume)
    chosen = choose_device(device)
    made_folder(config.output)
    state = _start(config, chosen)
    if resume:
        restore_state(config, state)
    lesson = make_lesson(state.network)
    progress = Progress(schedule.steps, done=state.step)
    write_log(config, state)
    began_s = time.monotonic() - state.seconds
    processor_began_s = time.process_time() - state.processor_s
    while state.step < schedule.steps:
        batch = lesson.draw(schedule.seed, state.step, schedule.batch)
        state.losses.append(_tried_step(config, state, lesson, batch, chosen))
        progress.advance()
        watch.on_progress(progress)
        state.seconds = time.monotonic() - began_s
        state.processor_s = time.process_time() - processor_began_s
        last = state.step == schedule.steps
        stopped = watch.should_stop()
        checked = last or state.step % schedule.validate_every == 0
        kept = last or stopped or state.step % schedule.checkpoint_every == 0
        if checked or kept:
            _check_weights(config, state)
        if checked:
            state.log.append(_entry(config, state, lesson, chosen))
            state.losses.clear()
            write_log(config, state)
            if report is not None:
                report(state.log[-1], progress)
        if kept:
            save_state(config, state)
        if stopped:
            raise Cancelled
    return _finish(config, state)


def _entry(
    config: TrainConfig, state: TrainingState, lesson: Lesson[Any], device: torch.device
) -> dict[str, Any]:
    try:
        state.network.eval()
        scores = lesson.validate(state.network, device)
        state.network.train()
    except FloatingPointError as error:
        raise _diverged(config, state.step) from error
    return {
        "step": state.step,
        "seconds": round(state.seconds, 1),
        "processor_s": round(state.processor_s, 1),
        "loss": round(float(np.mean(state.losses)), 5),
        "correlation": scores,
        "unit": lesson.unit,
    }


def _start(config: TrainConfig, device: torch.device) -> TrainingState:
    torch.manual_seed(config.schedule.seed)
    network = config.model.build()
    source = None if config.start_from is None else load_model(config.start_from)
    if source is not None:
        _copy_weights(source, network)
    network = network.to(device).train()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), config.schedule.learning_rate)
    adversarial = config.schedule.adversarial
    adversary = None if adversarial is None else Adversary(adversarial, device)
    return TrainingState(network, optimiser, adversary, _identity(source) if source else None)


def _identity(model: Model) -> dict[str, str]:
    return {"name": model.spec.name, "version": model.spec.version, "sha256": model.sha256}


def _copy_weights(source: Model, network: Generator) -> None:
    """Take the weights of a model; one that is told its optics can start from one that is not.

    So can one of several planes from one of one plane: what is not there yet stays as it is drawn.
    """
    weights = source.network.state_dict()
    if isinstance(network, ToldZBasis):
        weights = {**network.state_dict(), **weights}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"The model '{source.spec.name}' cannot be started from: its architecture or size is "
            "not that of the model to be trained."
        ) from error


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate of a step counted from zero: linear warm-up, then linear decay."""
    schedule = config.schedule
    warm_up = min(1.0, (step + 1) / schedule.warmup_steps)
    return schedule.learning_rate * warm_up * (1 - step / schedule.steps)


def _tried_step(
    config: TrainConfig,
    state: TrainingState,
    lesson: Lesson[Any],
    batch: Any,
    device: torch.device,
) -> float:
    try:
        return _step(config, state, lesson, batch, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        schedule = config.schedule
        raise TrainingError(
            f"There is too little free memory to train with a batch of {schedule.batch} patches of "
            f"{schedule.patch_px} pixels; close other programs, or choose a smaller batch or "
            "patch_px."
        ) from error


def _step(
    config: TrainConfig,
    state: TrainingState,
    lesson: Lesson[Any],
    batch: Any,
    device: torch.device,
) -> float:
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(config, state.step)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.schedule.bfloat16):
        predicted = lesson.predict(state.network, batch, device)
    predicted = predicted.float()
    loss = error = lesson.error(predicted, batch)
    chosen = None
    if state.adversary is not None:
        known, target = batch.known.to(device), batch.target.to(device)
        chosen = state.adversary.choose(known, config.schedule.seed, state.step)
        loss = state.adversary.generator_loss(predicted[chosen], error)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), config.schedule.clip_norm)
    if not (loss.isfinite() and norm.isfinite()):
        raise _diverged(config, state.step + 1)
    state.optimiser.step()
    if state.adversary is not None:
        state.adversary.learn(predicted[chosen].detach(), target[chosen])
    state.step += 1
    return error.item()


def _diverged(config: TrainConfig, step: int) -> TrainingError:
    rate = config.schedule.learning_rate
    return TrainingError(
        f"The training diverged at step {step}: its numbers have grown beyond all bounds; start it "
        f"anew in another output folder with a lower learning_rate, which is {rate:g} now."
    )


def _check_weights(config: TrainConfig, state: TrainingState) -> None:
    """Nothing is looked at or kept of a run that has diverged."""
    kind = torch.float16 if config.half_precision_weights else torch.float32
    if not all(weights.to(kind).isfinite().all() for weights in state.network.parameters()):
        raise _diverged(config, state.step)


def _finish(config: TrainConfig, state: TrainingState) -> Path:
    data = config.data.model_dump(mode="json", exclude={"kept_in"})  # A place on one machine.
    training = {
        "software": f"napari-deepz {__version__}, PyTorch {torch.__version__}",
        "machine": platform.machine(),
        "started_from": state.started_from,
        "data": "measured focal stacks" if config.data.stacks else "simulated focal stacks",
        "data_settings": data,
        "schedule": config.schedule.model_dump(mode="json"),
        "seconds": round(state.seconds),
        "processor_s": round(state.processor_s),
        "validation_correlation": state.log[-1]["correlation"] if state.log else {},
    }
    spec = config.model.model_copy(update={"training": training})
    package = config.output / config.model.name
    save_model(package, spec, state.network, half=config.half_precision_weights)
    return package

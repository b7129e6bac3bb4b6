"""Supervised training with checkpoints, exact resume and a validation table."""

from __future__ import annotations

import math
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_deepz import __version__
from napari_deepz.analysis.metrics import correlation
from napari_deepz.atomic_files import made_folder
from napari_deepz.engine.devices import choose_device, is_out_of_memory
from napari_deepz.intensity import fit_intensity
from napari_deepz.models.library import load_model
from napari_deepz.models.package import Model, save_model
from napari_deepz.models.spec import ModelSpec
from napari_deepz.networks.base import Generator
from napari_deepz.training.adversary import Adversary
from napari_deepz.training.checks import check_run
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.dataset import Batch, FocalStack, PatchSampler
from napari_deepz.training.state import (
    Report,
    TrainingError,
    TrainingState,
    restore_state,
    save_state,
    write_log,
)
from napari_deepz.watch import UNWATCHED, Cancelled, Progress, Watch

VALIDATION_DEPTHS = (-1.0, -0.6, -0.2, 0.2, 0.6, 1.0)
"""Shares of the axial range at which a run is validated."""

END_WEIGHTS = (3.0, 2.0)
"""Weights in the loss of the outermost planes, from the end inwards."""


def train(
    config: TrainConfig,
    stacks: list[FocalStack],
    validation: list[FocalStack],
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
    stacks, validation : list of FocalStack
        To learn from, and to look at.
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
    sampler = _sampler(config, stacks, state.network)
    progress = Progress(schedule.steps, done=state.step)
    write_log(config, state)
    began_s = time.monotonic() - state.seconds
    processor_began_s = time.process_time() - state.processor_s
    while state.step < schedule.steps:
        batch = sampler.batch(schedule.seed, state.step, schedule.batch)
        state.losses.append(_tried_step(config, state, batch, chosen))
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
            state.log.append(_entry(config, state, validation, chosen))
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
    config: TrainConfig, state: TrainingState, stacks: list[FocalStack], device: torch.device
) -> dict[str, Any]:
    try:
        scores = validate(state.network, stacks, config.model, device)
    except FloatingPointError as error:
        raise _diverged(config, state.step) from error
    return {
        "step": state.step,
        "seconds": round(state.seconds, 1),
        "processor_s": round(state.processor_s, 1),
        "loss": round(float(np.mean(state.losses)), 5),
        "correlation": scores,
    }


def validate(
    network: Generator, stacks: list[FocalStack], spec: ModelSpec, device: torch.device
) -> dict[str, dict[str, float | None]]:
    """Correlation with the truth, per distance, from the middle plane of each stack.

    Measured on normalised intensities, beside the unrefocused image's, averaged over the stacks.
    Distances that no stack has are left out; None where it is undefined, as for a constant image.

    Raises
    ------
    FloatingPointError
        If the network gives values that are not finite numbers.
    """
    network.eval()
    low, high = spec.axial_range_um
    depths_um = [round(share * (high if share > 0 else -low), 3) for share in VALIDATION_DEPTHS]
    scores: dict[str, list[tuple[float, float]]] = {}
    for stack in stacks:
        middle = len(stack.measured) // 2
        intensity = fit_intensity(spec.normalisation, stack.measured[middle])
        height, width = (size - size % network.size_multiple for size in stack.measured.shape[1:])
        image = intensity.apply(stack.measured[middle, :height, :width])
        with torch.inference_mode():
            code = network.encode(torch.from_numpy(image)[None, None].to(device))
        for z_um in depths_um:
            plane = middle + round(z_um / stack.z_step_um)
            if not 0 <= plane < len(stack.target):
                continue
            truth = intensity.apply(stack.target[plane, :height, :width])
            with torch.inference_mode():
                dpm = torch.full((1, 1, height, width), z_um, device=device)
                refocused = network.decode(code, dpm)[0, 0].cpu().numpy()
            if not np.isfinite(refocused).all():
                raise FloatingPointError
            scores.setdefault(f"{z_um:g}", []).append(
                (correlation(refocused, truth), correlation(image, truth))
            )
    network.train()
    return {
        z_um: {
            "refocused": _mean([pair[0] for pair in pairs]),
            "unrefocused": _mean([pair[1] for pair in pairs]),
        }
        for z_um, pairs in scores.items()
    }


def _mean(correlations: list[float]) -> float | None:
    defined = [value for value in correlations if not math.isnan(value)]
    return round(float(np.mean(defined)), 4) if defined else None


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
    try:
        network.load_state_dict(source.network.state_dict())
    except RuntimeError as error:
        raise ValueError(
            f"The model '{source.spec.name}' cannot be started from: its architecture or size is "
            "not that of the model to be trained."
        ) from error


def _sampler(config: TrainConfig, stacks: list[FocalStack], network: Generator) -> PatchSampler:
    low, high = config.model.axial_range_um
    step = stacks[0].z_step_um if stacks else 1.0
    anywhere = tuple(np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step)
    return PatchSampler(
        stacks,
        normalisation=config.model.normalisation,
        middle_um=config.data.middle_um,
        patch_px=config.schedule.patch_px,
        plane_z_um=network.plane_z_um or anywhere,
        planes_per_sample=None if network.plane_z_um else 1,
    )


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate of a step counted from zero: linear warm-up, then linear decay."""
    schedule = config.schedule
    warm_up = min(1.0, (step + 1) / schedule.warmup_steps)
    return schedule.learning_rate * warm_up * (1 - step / schedule.steps)


def _tried_step(
    config: TrainConfig, state: TrainingState, batch: Batch, device: torch.device
) -> float:
    try:
        return _step(config, state, batch, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        schedule = config.schedule
        raise TrainingError(
            f"There is too little free memory to train with a batch of {schedule.batch} patches of "
            f"{schedule.patch_px} pixels; close other programs, or choose a smaller batch or "
            "patch_px."
        ) from error


def _step(config: TrainConfig, state: TrainingState, batch: Batch, device: torch.device) -> float:
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(config, state.step)
    image, target, known = (part.to(device) for part in (batch.image, batch.target, batch.known))
    with torch.autocast(device.type, torch.bfloat16, enabled=config.schedule.bfloat16):
        predicted = predict(state.network, image, batch.z_um.to(device))
    predicted = predicted.float()
    loss = error = masked_error(predicted, target, known, config.schedule.focus_weight)
    chosen = None
    if state.adversary is not None:
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


def predict(network: Generator, image: Tensor, z_um: Tensor) -> Tensor:
    """Refocus (N, 1, Y, X) images to (N, P) distances in µm, giving (N, P, Y, X).

    A generator whose code holds the planes themselves gives these, whatever the distances.
    """
    code = network.encode(image)
    if network.plane_z_um is not None:
        return code
    uniform = z_um[:, :, None, None].expand(-1, -1, *image.shape[2:])
    return torch.cat(
        [network.decode(code, uniform[:, k : k + 1]) for k in range(z_um.shape[1])], dim=1
    )


def masked_error(
    predicted: Tensor, target: Tensor, known: Tensor, focus_weight: float = 0.0
) -> Tensor:
    """Mean absolute error over the planes that the stacks have, heavier where they are bright.

    Every plane counts alike, however few of the stacks have it, but those at both ends of the
    range more: they have neighbours on one side only, and are the hardest.

    Parameters
    ----------
    predicted, target : Tensor
        (N, P, Y, X), the planes in the order of their distance.
    known : Tensor
        (N, P, 1, 1), one or zero.
    focus_weight : float
        Errors count ``1 + focus_weight * abs(target)`` fold: what is in focus is bright, but
        covers few of a stack's pixels.
    """
    error = (predicted - target).abs() * (1 + focus_weight * target.abs())
    per_plane = (error.mean(dim=(2, 3), keepdim=True) * known).sum(dim=0).flatten()
    samples = known.sum(dim=0).flatten()
    weights = plane_weights(len(samples)).to(error) * (samples > 0)
    return (weights * per_plane / samples.clamp(min=1)).sum() / weights.sum().clamp(min=1)


def plane_weights(planes: int) -> Tensor:
    """Weights (P,) of planes in the loss: one, but for `END_WEIGHTS` at both ends."""
    weights = torch.ones(planes)
    if planes > 2 * len(END_WEIGHTS):
        ends = torch.tensor(END_WEIGHTS)
        weights[: len(ends)], weights[-len(ends) :] = ends, ends.flip(0)
    return weights


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

"""From a configuration to a model package: data in, training, package out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from napari_deepz.io.reading import read_image
from napari_deepz.models.spec import ModelSpec
from napari_deepz.training.any_objective.lesson import AnyObjectiveLesson
from napari_deepz.training.any_objective.planes_lesson import PlanesLesson
from napari_deepz.training.any_objective.volumes import volumes_of
from napari_deepz.training.checks import check_run
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.dataset import FocalStack
from napari_deepz.training.focal import train
from napari_deepz.training.loop import train_on
from napari_deepz.training.simulated import simulated_stacks
from napari_deepz.training.state import Report
from napari_deepz.watch import UNWATCHED, Watch

Counted = Callable[[int, int], None]


def run_training(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    device: str | None = None,
    on_stack: Counted | None = None,
    report: Report | None = None,
    watch: Watch = UNWATCHED,
) -> Path:
    """Collect the stacks of a configuration, train on them, and write the model package.

    Parameters
    ----------
    config : TrainConfig
        The run.
    folder : Path
        What the patterns of measured stacks are relative to.
    resume, device, report, watch
        As in `loop.train`.
    on_stack : callable, optional
        Told how many stacks are ready, and of how many.

    Returns
    -------
    Path
        The model package.
    """
    check_run(config, resume=resume)
    data = config.data
    total = data.validation_count + data.count
    settings: dict[str, Any] = {
        "resume": resume,
        "device": device,
        "report": report,
        "watch": watch,
    }
    if config.model.optical is not None:
        volumes = _collected(volumes_of(data), total, on_stack, watch)
        seen, learned = volumes[: data.validation_count], volumes[data.validation_count :]
        takes_several = config.model.architecture == "several-planes"
        kind = PlanesLesson if takes_several else AnyObjectiveLesson
        return train_on(config, lambda network: kind(config, learned, seen, network), **settings)
    if data.stacks:
        spec = config.model
        stacks = [_measured(path, spec) for path in _files(folder, data.stacks)]
        validation = [_measured(path, spec) for path in _files(folder, data.validation_stacks)]
    else:
        both = _collected(simulated_stacks(config.model, data), total, on_stack, watch)
        validation, stacks = both[: data.validation_count], both[data.validation_count :]
    return train(config, stacks, validation, **settings)


T = TypeVar("T")


def _collected(made: Iterable[T], total: int, on_stack: Counted | None, watch: Watch) -> list[T]:
    """Collect what is simulated one after the other, and say how far it is."""
    collected = []
    for one in made:
        watch.check()
        collected.append(one)
        if on_stack is not None:
            on_stack(len(collected), total)
    return collected


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Files of all patterns, in a stable order."""
    if any(Path(pattern).is_absolute() for pattern in patterns):
        raise ValueError("Name focal stacks relative to the training configuration.")
    called = ", ".join(patterns)
    try:
        files = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    except (ValueError, OSError) as error:
        raise ValueError(f"'{called}' is no pattern for the names of focal stacks.") from error
    if not files:
        raise ValueError(f"No focal stack in {folder} matches {called}.")
    return files


def _measured(path: Path, spec: ModelSpec) -> FocalStack:
    series = read_image(path)
    if series.size("Z") < 2 or series.z_step_um is None:
        raise ValueError(f"{path} is not a focal stack with a z step; training needs both.")
    if series.size("T") > 1 or series.size("C") > 1:
        raise ValueError(f"{path} has several channels or time points; save the wanted one alone.")
    pixel_um, model_um = series.pixel_size_um, spec.pixel_size_um
    if pixel_um is None:
        problem = series.pixel_size_problem or f"The pixel size of {path} is unknown"
        raise ValueError(
            f"{problem}; save it in µm, so that the stack can be brought to the model's."
        )
    stack = series.stack()
    if not np.isfinite(stack).all():
        raise ValueError(f"{path} has pixels that are not finite numbers.")
    ratio = pixel_um / model_um if model_um is not None and spec.resamples(pixel_um) else 1.0
    return FocalStack.from_measured(stack, series.z_step_um, ratio)

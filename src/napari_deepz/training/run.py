"""From a configuration to a model package: data in, training, package out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_deepz.io.reading import read_image
from napari_deepz.jobs import StopCondition
from napari_deepz.optics import Optics
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.dataset import FocalStack
from napari_deepz.training.loop import Report, train
from napari_deepz.training.simulation import StackSettings, simulate

Counted = Callable[[int, int], None]


def run_training(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    device: str | None = None,
    on_stack: Counted | None = None,
    report: Report | None = None,
    should_stop: StopCondition | None = None,
) -> Path:
    """Collect the stacks of a configuration, train on them, and write the model package.

    Parameters
    ----------
    config : TrainConfig
        The run.
    folder : Path
        What the patterns of measured stacks are relative to.
    resume, device, report, should_stop
        As in `loop.train`.
    on_stack : callable, optional
        Told how many stacks are ready, and of how many.

    Returns
    -------
    Path
        The model package.
    """
    optics = Optics(
        na=config.model.na,
        wavelength_um=config.model.emission_wavelength_um or 0.52,
        pixel_size_um=config.model.pixel_size_um,
    )
    settings = StackSettings(optics=optics)
    data = config.data
    validation = [
        FocalStack.from_simulation(stack)
        for stack in simulate(data.validation_count, data.validation_seed, settings)
    ]
    if data.stacks:
        stacks = [_measured(path) for path in _files(folder, data.stacks)]
    else:
        stacks = []
        for stack in simulate(
            data.count, data.seed, settings, kinds=data.kinds, pupils=data.pupils
        ):
            stacks.append(FocalStack.from_simulation(stack))
            if on_stack is not None:
                on_stack(len(stacks), data.count)
    return train(
        config,
        stacks,
        validation,
        resume=resume,
        device=device,
        report=report,
        should_stop=should_stop,
    )


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Files of all patterns, in a stable order."""
    files = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    if not files:
        raise ValueError(f"No focal stack in {folder} matches {', '.join(patterns)}.")
    return files


def _measured(path: Path) -> FocalStack:
    series = read_image(path)
    if series.size("Z") < 2 or series.z_step_um is None:
        raise ValueError(f"{path} is not a focal stack with a z step; training needs both.")
    stack = series.stack()
    return FocalStack(stack, stack, series.z_step_um)

"""What would stop a training run, found out before its data are collected."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from napari_deepz.atomic_files import clear_leftovers
from napari_deepz.models.package import SPEC_FILE
from napari_deepz.networks.base import without_weights
from napari_deepz.training.config import TrainConfig
from napari_deepz.training.state import CHECKPOINT, LOG, TrainingError

# What file managers leave in every folder.
_OF_NOBODY = {".DS_Store", "Thumbs.db", "desktop.ini"}
_BYTES_PER_PARAMETER = 16  # The weight, its gradient, and Adam's two moments.


def check_run(config: TrainConfig, *, resume: bool) -> None:
    """Find out what would stop a run, before its data are collected.

    Raises
    ------
    ValueError
        As `check_output`, or if the network is too large or the patches do not suit it.
    """
    check_output(config, resume=resume)
    with without_weights():
        network = config.model.build()
    multiple = network.size_multiple
    count = sum(parameter.numel() for parameter in network.parameters())
    if _BYTES_PER_PARAMETER * count > psutil.virtual_memory().total:
        raise TrainingError(
            f"A network of {count / 1e6:,.0f} million parameters takes "
            f"{_BYTES_PER_PARAMETER * count / 1e9:,.0f} GB of memory to train, more than this "
            "machine has; choose smaller parameters of the model."
        )
    if config.schedule.patch_px % multiple:
        raise ValueError(
            f"Patches of {config.schedule.patch_px} pixels do not suit this network; choose a "
            f"patch_px that is a multiple of {multiple}."
        )


def check_output(config: TrainConfig, *, resume: bool) -> None:
    """Check that a run may write to its output folder: a new or empty one, or that of a run.

    Raises
    ------
    ValueError
        If the folder holds a run that is not to be resumed, or none that could be, or other
        things, or cannot be read.
    """
    output = config.output
    clear_leftovers(output)
    try:
        found = {entry.name for entry in output.iterdir()} if output.is_dir() else set()
        package_in_the_way = not _is_free(output / config.model.name)
    except OSError as error:
        raise TrainingError(
            f"The output folder {output} cannot be read ({error.strerror or error}); choose "
            "another one."
        ) from error
    if CHECKPOINT in found and not resume:
        raise TrainingError(
            f"{output} already holds a training run; add --resume to go on with it, or "
            "choose another output folder."
        )
    if resume and CHECKPOINT not in found:
        raise TrainingError(f"There is no checkpoint in {output} to go on from.")
    foreign = found - _OF_NOBODY - {config.model.name, *_kept_inside(config)}
    if _is_for_all(output) or (foreign and not found & {CHECKPOINT, LOG}):
        such = f" such as '{min(foreign)}'" if foreign else ""
        raise TrainingError(
            f"The output folder {output} holds other things{such}; name a new or an empty folder "
            "for the run."
        )
    if package_in_the_way:
        raise TrainingError(
            f"{output / config.model.name} is in the way of the model, as it is no model package; "
            "move it elsewhere, or choose another output folder."
        )


def _is_for_all(folder: Path) -> bool:
    """Whether a folder can be nobody's results, even if it looks empty."""
    real = _real(folder)
    return real in (Path(real.anchor), _real(Path(os.path.expanduser("~"))))


def _kept_inside(config: TrainConfig) -> set[str]:
    """What the stacks that are kept are called in the output folder, if they lie there."""
    if config.data.kept_in is None:
        return set()
    kept_in, output = _real(config.data.kept_in), _real(config.output)
    return set(kept_in.relative_to(output).parts[:1]) if output in kept_in.parents else set()


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_free(package: Path) -> bool:
    if not package.is_dir():
        return not package.exists()
    return (package / SPEC_FILE).is_file() or not any(package.iterdir())

"""The TOML file of a training run."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_deepz.generators.spec import ModelSpec
from napari_deepz.training.phantoms import KINDS, Kind


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Section):
    """Where focal stacks come from: measured files if there are any, else the simulation.

    Parameters
    ----------
    stacks, validation_stacks : tuple of str
        Measured focal stacks to learn from and to look at only, relative to the configuration
        file; patterns such as ``data/*.ome.tif`` are allowed. Keep fields of view apart: planes
        of one stack are nearly equal.
    count, seed, pupils, kinds
        Of the simulated stacks: see `simulation.simulate`.
    middle_um : float
        The input plane lies within this distance of the middle of the stack.
    validation_count, validation_seed
        Of the simulated stacks that are only looked at.
    """

    stacks: tuple[str, ...] = ()
    validation_stacks: tuple[str, ...] = ()
    count: int = Field(240, ge=1)
    seed: int = Field(1, ge=0)
    pupils: int = Field(40, ge=1)
    kinds: tuple[Kind, ...] = Field(KINDS, min_length=1)
    middle_um: float = Field(3.0, ge=0)
    validation_count: int = Field(10, ge=1)
    validation_seed: int = Field(2, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.stacks) != bool(self.validation_stacks):
            raise ValueError("give both stacks and validation_stacks, or neither")
        if self.seed == self.validation_seed:
            raise ValueError("seed and validation_seed must differ")
        return self


class ScheduleConfig(_Section):
    """How the generator learns.

    The learning rate rises over `warmup_steps` and then falls linearly to zero at `steps`.
    `focus_weight` is explained at `loop.masked_error`.
    """

    steps: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    batch: int = Field(12, ge=1)
    patch_px: int = Field(96, ge=32)
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(200, ge=1)
    clip_norm: float = Field(1.0, gt=0)
    focus_weight: float = Field(0.0, ge=0)
    bfloat16: bool = False
    validate_every: int = Field(1000, ge=1)
    checkpoint_every: int = Field(500, ge=1)


class TrainConfig(_Section):
    """A training run: the model to make, the data to learn from, and how.

    Parameters
    ----------
    model : ModelSpec
        The model to make.
    start_from : str or None
        Name or package (relative to the configuration file) of a model of the same architecture
        to start from, instead of from random weights.
    data, schedule
        What to learn from, and how.
    output : Path
        Folder for checkpoint, log and model package.
    half_precision_weights : bool
        Store the weights as float16.
    """

    model: ModelSpec
    start_from: str | None = None
    data: DataConfig = DataConfig()
    schedule: ScheduleConfig
    output: Path
    half_precision_weights: bool = False


def read_config(path: Path) -> TrainConfig:
    """Read and check a configuration; its paths are taken relative to the file.

    Raises
    ------
    ValueError
        If the file is missing, is not TOML or holds a setting that is not valid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The training configuration {path} cannot be read.") from error
    try:
        config = TrainConfig.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not valid TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"The setting '{where}' in {path} is not valid: {said}.") from error
    start_from = config.start_from
    if start_from is not None and (path.parent / start_from).exists():
        start_from = str(path.parent / start_from)
    return config.model_copy(
        update={"output": path.parent / config.output, "start_from": start_from}
    )

"""The TOML file of a training run."""

from __future__ import annotations

import math
import os
import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_deepz.models.errors import quoted
from napari_deepz.models.spec import ModelSpec
from napari_deepz.training.phantoms import KINDS, Kind

_MOST_BYTES = 1 << 20
_HIGHEST_SEED = 2**63 - 1


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Range = tuple[float, float]
_NEVER_ZERO = ("na", "pixel_size_um", "photons", "gain_adu_per_photon")
_HIGHEST_ADU = 65535.0
_HIGHEST = {
    "depth_um": 1000.0,
    "photons": 1e7,
    "background_photons": 1e6,
    "gain_adu_per_photon": 1e4,
    "read_noise_photons": 1e4,
}


class BreadthConfig(_Section):
    """Ranges that simulated microscopes, cameras and stacks are drawn from.

    What is left out is as in `simulation.StackSettings` and `simulation.CameraSettings`, which
    explain the names.
    """

    model_config = ConfigDict(allow_inf_nan=True)  # Refused below, by the name of the range.

    na: Range | None = None
    pixel_size_um: Range | None = None
    depth_um: Range | None = None
    photons: Range | None = None
    background_photons: Range | None = None
    gain_adu_per_photon: Range | None = None
    offset_adu: Range | None = None
    read_noise_photons: Range | None = None
    saturated_share: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, value in self:
            if not isinstance(value, tuple):
                continue
            if not 0 <= value[0] <= value[1] < math.inf:
                raise ValueError(f"'{name}' must go from a smaller to a larger positive number")
            if value[0] == 0 and name in _NEVER_ZERO:
                raise ValueError(f"'{name}' must not go down to zero")
            if value[1] > _HIGHEST.get(name, math.inf):
                raise ValueError(f"'{name}' must not go beyond {_HIGHEST[name]:g}")
        if self.offset_adu is not None and self.offset_adu[1] >= _HIGHEST_ADU:
            raise ValueError("'offset_adu' must stay below 65535, the highest count of 16 bits")
        return self


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
    breadth : BreadthConfig
        How much the simulated stacks differ.
    kept_in : Path or None
        Folder in which simulated stacks are kept as files, for this run when it goes on, and for
        others with the same settings; they are held in memory where None. Empty it when the
        simulation itself has changed: the files do not know of that.
    """

    stacks: tuple[str, ...] = ()
    validation_stacks: tuple[str, ...] = ()
    count: int = Field(240, ge=1, le=1_000_000)
    seed: int = Field(1, ge=0, le=_HIGHEST_SEED)
    pupils: int = Field(40, ge=1, le=1_000_000)
    kinds: tuple[Kind, ...] = Field(KINDS, min_length=1)
    middle_um: float = Field(3.0, ge=0)
    validation_count: int = Field(10, ge=1, le=1_000_000)
    validation_seed: int = Field(2, ge=0, le=_HIGHEST_SEED)
    breadth: BreadthConfig = BreadthConfig()
    kept_in: Path | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.stacks) != bool(self.validation_stacks):
            raise ValueError("give both stacks and validation_stacks, or neither")
        if self.seed == self.validation_seed:
            raise ValueError("seed and validation_seed must differ")
        return self


class AdversarialConfig(_Section):
    """The published adversarial term; see `adversary`.

    Parameters
    ----------
    mae_weight : float
        Weight of the mean absolute error beside the adversarial term.
    learning_rate : float
        Of the discriminator.
    base : int
        Channels of the discriminator's first block.
    planes : int
        Planes of a batch that the discriminator sees.
    """

    mae_weight: float = Field(50.0, ge=0)
    learning_rate: float = Field(3e-5, gt=0)
    base: int = Field(16, ge=1, le=1024)
    planes: int = Field(12, ge=1, le=1_000_000)


class ScheduleConfig(_Section):
    """How the generator learns.

    The learning rate rises over `warmup_steps` and then falls linearly to zero at `steps`.
    `focus_weight` is explained at `focal.masked_error`. There is an adversary only if it is given.
    """

    steps: int = Field(ge=1, le=1_000_000_000)
    seed: int = Field(0, ge=0, le=_HIGHEST_SEED)
    batch: int = Field(12, ge=1, le=10_000)
    patch_px: int = Field(96, ge=32, le=4096)
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(200, ge=1)
    clip_norm: float = Field(1.0, gt=0)
    focus_weight: float = Field(0.0, ge=0)
    bfloat16: bool = False
    validate_every: int = Field(1000, ge=1)
    checkpoint_every: int = Field(500, ge=1)
    adversarial: AdversarialConfig | None = None


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

    @model_validator(mode="after")
    def _check(self) -> Self:
        places = (self.start_from, self.output, self.data.kept_in)
        patterns = (*self.data.stacks, *self.data.validation_stacks)
        if not all(str(place).isprintable() for place in (*places, *patterns)):
            raise ValueError("no path can have control characters in it")
        return self


def read_config(path: Path) -> TrainConfig:
    """Read and check a configuration; its paths are taken relative to the file.

    Raises
    ------
    ValueError
        If the file is missing, is not TOML or holds a setting that is not valid.
    """
    text = _text(path)
    try:
        config = TrainConfig.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not valid TOML: {quoted(error, 300)}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = quoted(".".join(str(part) for part in first["loc"]))
        said = quoted(first["msg"].removeprefix("Value error, "), 300)
        raise ValueError(f"The setting '{where}' in {path} is not valid: {said}.") from error
    except (ValueError, RecursionError) as error:  # Numbers of thousands of digits, deep nesting.
        raise ValueError(f"{path} is not a training configuration: nobody writes such.") from error
    start_from = config.start_from
    if start_from is not None and os.path.exists(path.parent / start_from):
        start_from = str(path.parent / start_from)
    data = config.data
    if data.kept_in is not None:
        data = data.model_copy(update={"kept_in": path.parent / data.kept_in})
    return config.model_copy(
        update={"output": path.parent / config.output, "start_from": start_from, "data": data}
    )


def _text(path: Path) -> str:
    unreadable = f"The training configuration {path} cannot be read"
    try:
        if not path.is_file():
            what = "it is no file" if path.exists() else "it is not there"
            raise ValueError(f"{unreadable}: {what}.")
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{unreadable}: {error.strerror or error}.") from error
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{unreadable}: it is larger than any configuration.")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{unreadable}: it is not text in UTF-8.") from error

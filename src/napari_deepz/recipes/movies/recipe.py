"""What a 3D movie depends on, as one value."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.planes.shares import Merge
from napari_deepz.recipes.recipe import ModelChoice
from napari_deepz.sampling import Sampling
from napari_deepz.settings import Settings
from napari_deepz.surfaces import MovieSurface, OverTime, Surface

BrightnessChoice = Literal["common", "each frame"]
MotionChoice = Literal["none", "shift"]
PixelChoice = Literal["uint16", "float32"]

_Depth = Annotated[float, Field(ge=-1e6, le=1e6)]


def _as_tuple(given: Any) -> Any:
    return (given,) if isinstance(given, str | Path | Surface | OverTime) else given


def _as_text(given: Any) -> Any:
    several = isinstance(given, list | tuple)
    return tuple(str(one) if isinstance(one, Path) else one for one in given) if several else given


def _as_choice(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


class MovieRecipe(Settings):
    """A run: this movie, with this model, onto these surfaces at every frame.

    Parameters
    ----------
    paths : str or tuple of str
        The movie, or one of each input plane.
    surfaces : Surface, OverTime or tuple of them
        Onto what each frame is refocused.
    c : int, optional
        Which channel, counted from 0.
    at_um : tuple of float or None, optional
        Where the input planes were taken; by the z step of the file, the first at 0, where None.
    merge : str or None, optional
        How several input planes are put together, see `EncodedPlanes`.
    sampling : Sampling or None, optional
        Pixels and optics; as the file says where None.
    rate_hz : float or None, optional
        Frames per second; as the file says where None.
    model : ModelChoice or str, optional
        The model, or its name; the bundled one unless given.
    compute : Compute, optional
        With what it is computed.
    brightness : {"common", "each frame"}, optional
        "common": intensities are fitted once for the movie, and follow the light that all of a
        frame has in common, so that a cell which lights up changes no other one. "each frame":
        fitted to each frame by itself, which is not for activity.
    motion : {"none", "shift"}, optional
        "shift": frames are moved sideways to where most of them are.
    pixels : {"uint16", "float32"}, optional
        How they are stored; uint16 with a scale and an offset, which is about eight times smaller.

    Raises
    ------
    ValueError
        If a setting is wrong; one sentence.
    """

    called = "a recipe of a movie"

    kind: Literal["movie"] = "movie"
    format_version: Literal[1] = 1
    paths: Annotated[
        tuple[str, ...],
        BeforeValidator(_as_text),
        BeforeValidator(_as_tuple),
        Field(min_length=1),
    ]
    surfaces: Annotated[
        tuple[SerializeAsAny[MovieSurface], ...],
        BeforeValidator(_as_tuple),
        Field(min_length=1),
    ]
    c: int = Field(0, ge=0)
    at_um: tuple[_Depth, ...] | None = None
    merge: Merge | None = None
    sampling: Sampling | None = None
    rate_hz: float | None = None
    model: Annotated[ModelChoice, BeforeValidator(_as_choice)] = ModelChoice()
    compute: Compute = Compute()
    brightness: BrightnessChoice = "common"
    motion: MotionChoice = "none"
    pixels: PixelChoice = "uint16"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.paths) > 1 and (self.at_um is None or len(self.at_um) != len(self.paths)):
            raise ValueError(
                f"Say where each of the {len(self.paths)} movies was taken, such as 0,6 in µm."
            )
        return self

    @property
    def count(self) -> int:
        """Planes of each frame."""
        return sum(len(surface) for surface in self.surfaces)

"""A surface that changes in the course of a movie, such as one that follows a worm."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from napari_deepz.settings import Settings
from napari_deepz.surfaces.base import Surface
from napari_deepz.surfaces.files import load_surface, parse_surface, read_settings
from napari_deepz.surfaces.image import IMAGE_SUFFIXES, FromImage

KIND = "over-time"


def _as_surface(given: Any) -> Any:
    return parse_surface(given, Path(), "A surface of it") if isinstance(given, dict) else given


class OverTime(Settings):
    """A surface as it is at a few frames, and between them what lies between.

    Every number of the two surfaces around a frame is interpolated: tilts, depths, and the places
    of points one by one, so that they move with what they lie on. Before the first and after the
    last of the frames it stays as it is there.

    Parameters
    ----------
    frames : tuple of int
        Which frames, counted from 0, rising.
    surfaces : tuple of Surface
        One for each, of one kind, with as many planes and points.

    Raises
    ------
    ValueError
        If they do not go together; one sentence.
    """

    called = "a surface over time"

    kind: Literal["over-time"] = "over-time"
    frames: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    surfaces: tuple[SerializeAsAny[Annotated[Surface, BeforeValidator(_as_surface)]], ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.frames) != len(self.surfaces):
            raise ValueError(
                f"There are {len(self.frames)} frames and {len(self.surfaces)} surfaces: give one "
                "for each."
            )
        if any(after <= before for before, after in itertools.pairwise(self.frames)):
            raise ValueError("The frames of a surface over time must rise, each named once.")
        for before, after in itertools.pairwise(self.surfaces):
            if len(_between(before, after, 0.5)) != len(before) or len(before) != len(after):
                raise ValueError("A surface over time must have as many planes at every frame.")
        return self

    def __len__(self) -> int:
        """Count the planes of one frame."""
        return len(self.surfaces[0])

    def at(self, t: int) -> Surface:
        """The surface at a frame."""
        for number, frame in enumerate(self.frames):
            if t <= frame:
                if t == frame or not number:
                    return self.surfaces[number]
                first = self.frames[number - 1]
                share = (t - first) / (frame - first)
                return _between(self.surfaces[number - 1], self.surfaces[number], share)
        return self.surfaces[-1]

    def describe(self) -> str:
        """Say in a few words what it is."""
        if len(self.frames) == 1:
            return self.surfaces[0].describe()
        return f"{self.surfaces[0].describe()} at first, set at {len(self.frames)} frames"


MovieSurface = Surface | OverTime


def surface_at(surface: MovieSurface, t: int) -> Surface:
    """What a surface is at a frame; one that does not change is always the same."""
    return surface.at(t) if isinstance(surface, OverTime) else surface


def load_movie_surface(path: Path) -> MovieSurface:
    """Read a surface that may change over time from a file; see `load_surface`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_surface`.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return load_surface(path)
    called = f"The surface file {path.name}"
    return parse_movie_surface(read_settings(path), path.parent, called)


def parse_movie_surface(settings: dict[str, Any], folder: Path, called: str) -> MovieSurface:
    """Make a surface, or one over time, of what JSON says of it; see `parse_surface`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `parse_surface`.
    """
    if settings.get("kind") != KIND:
        return parse_surface(settings, folder, called)
    given = settings.get("surfaces")
    if not (isinstance(given, list) and all(isinstance(one, dict) for one in given)):
        raise ValueError(f"{called} must have a list of 'surfaces', one for each of its 'frames'.")
    surfaces = tuple(parse_surface(one, folder, f"A surface in {called}") for one in given)
    try:
        return OverTime(**settings | {"surfaces": surfaces})
    except ValueError as error:
        raise ValueError(f"{called} cannot be used: {error}") from error


def _between(before: Surface, after: Surface, share: float) -> Surface:
    if before == after:
        return before
    if isinstance(before, FromImage) and isinstance(after, FromImage):
        one, other = before.depths_um, after.depths_um
        if one.shape == other.shape:
            return FromImage(one + (other - one) * share)
        raise ValueError("The images of a surface over time must be of one size.")
    settings = _mixed(before.model_dump(mode="json"), after.model_dump(mode="json"), share)
    return type(before)(**settings)


def _mixed(one: Any, other: Any, share: float) -> Any:
    if one == other:
        return one
    if _is_number(one) and _is_number(other):
        return one + (other - one) * share
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return {name: _mixed(value, other[name], share) for name, value in one.items()}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [_mixed(*pair, share) for pair in zip(one, other, strict=True)]
    raise ValueError(
        "What lies between the surfaces of two frames is not clear: let them be of one kind, with "
        "as many points, and differ in numbers alone."
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""The recipe: all that a run depends on, as a value that can be saved and cooked again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from napari_deepz.atomic_files import written_beside
from napari_deepz.engine.compute import Compute
from napari_deepz.engine.encoded import ONE_PLANE_ALONE
from napari_deepz.engine.planes.shares import Merge
from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.provenance import Provenance
from napari_deepz.recipes.depths import write_depths
from napari_deepz.sampling import Sampling
from napari_deepz.settings import Settings
from napari_deepz.surfaces import FromImage, Surface, found_from, parse_surface

RECIPE_SUFFIX = ".recipe.json"

_ENDINGS = (
    *(".ome.tif", ".ome.tiff", ".ome.zarr", ".dpm.tif", RECIPE_SUFFIX, ".surface.json"),
    *(".tif", ".tiff", ".zarr"),
)
_MOST_BYTES = 10_000_000
_CHECKSUM = r"^[0-9a-f]{64}$"


class Source(Settings):
    """The image that is refocused.

    Parameters
    ----------
    path : str or None
        Its file, or the folder of an OME-Zarr image; None where it is in no file.
    t, c, z : int, optional
        Which time point, channel and plane of it, counted from 0.
    name : str or None, optional
        How people call it; that of the file where None.
    sha256 : str or None, optional
        Of the pixels (`images.digest_of`): other ones are refused.
    at_um : float, optional
        Where it was taken, on the axis on which depths of surfaces count.
    """

    called = "the source of a recipe"

    path: str | None = None
    t: int = Field(0, ge=0)
    c: int = Field(0, ge=0)
    z: int = Field(0, ge=0)
    name: str | None = None
    sha256: str | None = Field(None, pattern=_CHECKSUM)
    at_um: Annotated[float, Field(ge=-1e6, le=1e6)] = 0.0

    @property
    def title(self) -> str:
        """How people call it."""
        return self.name or (Path(self.path).name if self.path else "image")

    def found_from(self, folder: Path) -> Source:
        """The same with its file where it is, as seen from a folder that names are relative to."""
        if self.path is None:
            return self
        return self.model_copy(update={"path": str(found_from(folder, self.path))})


class ModelChoice(Settings):
    """The model that refocuses.

    Parameters
    ----------
    name : str, optional
        Of a model at hand, or the path of a package.
    version : str or None, optional
        As its card says; for people.
    sha256 : str or None, optional
        Of its weights: other ones are refused.
    """

    called = "the model of a recipe"

    name: str = DEFAULT_MODEL
    version: str | None = None
    sha256: str | None = Field(None, pattern=_CHECKSUM)


def _as_surface(given: Any) -> Any:
    return parse_surface(given, Path(), "A surface") if isinstance(given, dict) else given


def _as_tuple(given: Any) -> Any:
    return (given,) if isinstance(given, Surface | Source) else given


def _as_choice(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


_Surface = Annotated[SerializeAsAny[Surface], BeforeValidator(_as_surface)]


class Recipe(Settings):
    """A run: this image, with this model, onto these surfaces, into that file.

    Parameters
    ----------
    source : Source
        The image. One that is alone is where depths count from.
    further : Source or tuple of Source, optional
        Further input planes of the same place, taken in other depths.
    merge : {"blended", "learned", "distance", "nearest", "linear"} or None, optional
        How several input planes are put together, see `EncodedPlanes`; None for what is best by
        measurement.
    spread : bool, optional
        Give how far the planes may be off instead of them, see `Encoded.spread`.
    surfaces : Surface or tuple of Surface
        Onto what it is refocused, at least one.
    sampling : Sampling or None, optional
        Pixels and optics of the image; as its file says where None.
    model : ModelChoice or str, optional
        The model, or its name; the bundled one unless given.
    compute : Compute, optional
        With what it is computed.
    output : str or None, optional
        The file to be written; `save` can name another one.

    Raises
    ------
    ValueError
        If a setting is wrong; one sentence.
    """

    called = "a recipe"

    format_version: Literal[1] = 1
    source: Source
    further: Annotated[tuple[Source, ...], BeforeValidator(_as_tuple)] = ()
    merge: Merge | None = None
    spread: bool = False
    surfaces: Annotated[tuple[_Surface, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
    sampling: Sampling | None = None
    model: Annotated[ModelChoice, BeforeValidator(_as_choice)] = ModelChoice()
    compute: Compute = Compute()
    output: str | None = None

    @model_validator(mode="after")
    def _check_planes(self) -> Self:
        if not self.further:
            if self.source.at_um:
                raise ValueError("An input plane that is alone is where depths count from: 0 µm.")
            if self.merge is not None:
                raise ValueError("There is nothing to merge: name further input planes.")
            if self.spread:
                raise ValueError(ONE_PLANE_ALONE)
        elif len({one.at_um for one in self.sources}) <= len(self.further):
            raise ValueError("Input planes must have been taken at depths that are all different.")
        return self

    @property
    def sources(self) -> tuple[Source, ...]:
        """All input planes, the first one first."""
        return (self.source, *self.further)

    def to_json(self) -> str:
        """All of it as JSON, of ASCII characters alone."""
        return json.dumps(self.model_dump(mode="json"), indent=2)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recipe as JSON; depths that are in no file yet go to a DPM beside it.

        Parameters
        ----------
        path : path
            The file, ending in .json; an existing one is replaced.

        Raises
        ------
        ValueError
            If the name does not end in .json.
        OSError
            If a file cannot be written; one sentence.
        """
        path = Path(path)
        if path.suffix.lower() != ".json":
            raise ValueError(f"The recipe {path.name} must have a name that ends in .json.")
        kept = self.with_depths_in_files(path)
        with written_beside(path) as beside:
            beside.write_text(kept.to_json() + "\n", encoding="ascii")

    def with_depths_in_files(self, path: Path) -> Recipe:
        """Save depths that are in no file beside another file, and refer to them.

        Parameters
        ----------
        path : Path
            The other file: depths of "worm.ome.tif" go to "worm.dpm.tif", then "worm.2.dpm.tif".

        Raises
        ------
        ValueError
            If something else lies there than what this package has written.
        OSError
            If they cannot be written; one sentence.
        """
        surfaces: list[Surface] = []
        files = depth_files(self, path)
        for surface in self.surfaces:
            if isinstance(surface, FromImage) and surface.source is None:
                file = files.pop(0)
                write_depths(
                    file,
                    surface.depths_um,
                    sampling=self.sampling,
                    name=self.source.title,
                    record=Provenance(kind="inferred", input_name=self.source.title),
                )
                surface = FromImage(file)
            surfaces.append(surface)
        return self.model_copy(update={"surfaces": tuple(surfaces)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recipe:
        """Read a recipe that `save` wrote; names of files in it are relative to its folder.

        Raises
        ------
        FileNotFoundError
            If there is no such file, or a file of depths that it names is not there.
        ValueError
            If it is no recipe; one sentence.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There is no recipe {path}; check its name and folder.")
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{path.name} is too large to be a recipe.")
        try:
            return cls.parse(json.loads(path.read_text(encoding="utf-8-sig")), path.parent)
        except (ValueError, RecursionError) as error:
            said = "it is not valid JSON" if isinstance(error, json.JSONDecodeError) else error
            raise ValueError(f"{path.name} cannot be used as a recipe: {said}") from error

    @classmethod
    def parse(cls, settings: Any, folder: Path) -> Recipe:
        """Make a recipe of what JSON says; names of files are relative to a folder.

        Raises
        ------
        FileNotFoundError, ValueError
            As `load`.
        """
        if not isinstance(settings, dict) or "surfaces" not in settings:
            raise ValueError("It is no recipe: it names no surfaces.")
        surfaces = settings["surfaces"]
        if not (isinstance(surfaces, list) and all(isinstance(one, dict) for one in surfaces)):
            raise ValueError("Its surfaces must be a list of settings.")
        parsed = [parse_surface(one, folder, "A surface in it") for one in surfaces]
        recipe = cls(**settings | {"surfaces": tuple(parsed)})
        source, *further = (one.found_from(folder) for one in recipe.sources)
        return recipe.model_copy(update={"source": source, "further": tuple(further)})


def depth_files(recipe: Recipe, path: Path) -> list[Path]:
    """Files that `Recipe.with_depths_in_files` writes for a file."""
    count = sum(isinstance(one, FromImage) and one.source is None for one in recipe.surfaces)
    numbers = ["", *(f".{number}" for number in range(2, count + 1))]
    return [path.with_name(f"{stem_of(path)}{number}.dpm.tif") for number in numbers[:count]]


def stem_of(path: str | os.PathLike[str]) -> str:
    """Name of a file without its ending, both parts of it where it has two."""
    name = Path(path).name
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return Path(name).stem

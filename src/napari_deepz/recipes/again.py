"""The recipe of a result that is there already."""

from __future__ import annotations

import os
from pathlib import Path

from napari_deepz.io.reading import read_provenance
from napari_deepz.provenance import Provenance
from napari_deepz.recipes.movies.recipe import MovieRecipe
from napari_deepz.recipes.recipe import Recipe
from napari_deepz.surfaces import Surface, parse_movie_surface


def recipe_of(path: str | os.PathLike[str]) -> Recipe:
    """Read the recipe with which a result was made.

    Parameters
    ----------
    path : path
        A stack, picture or movie of this package, or a recipe in a .json file.

    Returns
    -------
    Recipe
        Its files are found where they were, or beside the result.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or a file of depths that it names is not there.
    ValueError
        If it holds no recipe; one sentence.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return Recipe.load(path)
    record = read_provenance(path)
    if record is None:
        raise ValueError(
            f"'{path.name}' holds no record of napari-deepz that can be read; give the stack, "
            "picture or movie of that run, or its recipe (.json)."
        )
    return recipe_in(record, path)


def movie_recipe_of(path: str | os.PathLike[str]) -> MovieRecipe:
    """Read the recipe with which a 3D movie was made.

    Parameters
    ----------
    path : path
        An OME-Zarr of this package.

    Returns
    -------
    MovieRecipe
        Its movies are found where they were, or beside the result.

    Raises
    ------
    FileNotFoundError
        If a movie is not there.
    ValueError
        If it is no 3D movie of this package; one sentence.
    """
    path = Path(path)
    record = read_provenance(path)
    if record is None or record.recipe is None or record.recipe.get("kind") != "movie":
        raise ValueError(f"'{path.name}' is no 3D movie that napari-deepz has made.")
    folder = path.absolute().parent
    sampling = None if record.sampling is None else record.sampling.model_dump()
    try:
        surfaces = tuple(
            parse_movie_surface(surface, folder, "A surface in it")
            for surface in record.surfaces or ()
        )
        recipe = MovieRecipe.model_validate(
            record.recipe | {"surfaces": surfaces, "sampling": sampling}
        )
    except ValueError as error:
        raise ValueError(f"The recipe in '{path.name}' cannot be used: {error}") from error
    found = tuple(str(_found(Path(movie), folder)) for movie in recipe.paths)
    return recipe.model_copy(update={"paths": found})


def _found(movie: Path, folder: Path) -> Path:
    for place in (movie, folder / movie, folder / movie.name):
        if place.exists():
            return place
    raise FileNotFoundError(
        f"The movie '{movie}' is neither where it was nor beside the 3D movie made of it: put it "
        "there, or give the measured movie."
    )


def recipe_in(
    record: Provenance, path: Path, *, surfaces: tuple[Surface, ...] | None = None
) -> Recipe:
    """Take the recipe out of a record.

    Parameters
    ----------
    record : Provenance
        Of the result.
    path : Path
        The file that the record was read from, or will be written to.
    surfaces : tuple of Surface, optional
        Those of the recipe, for who has them; otherwise they are read from the record.

    Raises
    ------
    FileNotFoundError, ValueError
        As `recipe_of`.
    """
    if record.recipe is None:
        raise ValueError(
            f"'{path.name}' holds no recipe: it was not made from one, as simulated stacks and "
            "planes that Python wrote, or by an older version of napari-deepz."
        )
    if record.recipe.get("kind") == "movie":
        raise ValueError(
            f"'{path.name}' is a movie: make it again with the command in its record, "
            f"{record.command or 'napari-deepz movie'}"
        )
    sampling = None if record.sampling is None else record.sampling.model_dump()
    settings = {"surfaces": record.surfaces, "sampling": sampling, "output": str(path)}
    if surfaces is not None:
        return Recipe(**record.recipe | settings | {"surfaces": surfaces, "output": None})
    try:
        return Recipe.parse(record.recipe | settings, path.parent)
    except ValueError as error:
        raise ValueError(f"The recipe in '{path.name}' cannot be used: {error}") from error

"""Refocus fluorescence images after the fact with Deep-Z.

>>> import napari_deepz as dz
>>> image = dz.read_image("worm.tif")
>>> stack = dz.refocus(
...     image.plane(), dz.Flat(-10, 10, 0.5), dz.load_model(), pixel_size_um=image.pixel_size_um
... )  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_deepz.analysis.evaluation import evaluate
    from napari_deepz.engine.compute import Compute
    from napari_deepz.engine.lens import Lens
    from napari_deepz.engine.planes.encoded_planes import EncodedPlanes
    from napari_deepz.engine.refocus import EncodedImage, iter_refocus, refocus
    from napari_deepz.io.reading import read_image
    from napari_deepz.models.library import load_model
    from napari_deepz.movies.movie import Movie
    from napari_deepz.neurons.measuring import measure_neurons
    from napari_deepz.neurons.saving import save_neurons
    from napari_deepz.recipes.again import recipe_of
    from napari_deepz.recipes.cooking import cook
    from napari_deepz.recipes.movies.recipe import MovieRecipe
    from napari_deepz.recipes.movies.saving import film
    from napari_deepz.recipes.recipe import Recipe, Source
    from napari_deepz.recipes.saving import save
    from napari_deepz.sampling import Sampling
    from napari_deepz.surfaces import (
        AlongPath,
        Curved,
        Flat,
        FromImage,
        FromPoints,
        OverTime,
        Tilted,
    )
    from napari_deepz.watch import Watch

__version__ = version("napari-deepz")

__all__ = [
    "AlongPath",
    "Compute",
    "Curved",
    "EncodedImage",
    "EncodedPlanes",
    "Flat",
    "FromImage",
    "FromPoints",
    "Lens",
    "Movie",
    "MovieRecipe",
    "OverTime",
    "Recipe",
    "Sampling",
    "Source",
    "Tilted",
    "Watch",
    "cook",
    "evaluate",
    "film",
    "iter_refocus",
    "load_model",
    "measure_neurons",
    "read_image",
    "recipe_of",
    "refocus",
    "save",
    "save_neurons",
]

_HOMES = {
    "Compute": "engine.compute",
    "Lens": "engine.lens",
    "Movie": "movies.movie",
    "MovieRecipe": "recipes.movies.recipe",
    "Recipe": "recipes.recipe",
    "Sampling": "sampling",
    "Source": "recipes.recipe",
    "Watch": "watch",
    "cook": "recipes.cooking",
    "EncodedImage": "engine.refocus",
    "EncodedPlanes": "engine.planes.encoded_planes",
    "evaluate": "analysis.evaluation",
    "film": "recipes.movies.saving",
    "iter_refocus": "engine.refocus",
    "load_model": "models.library",
    "measure_neurons": "neurons.measuring",
    "read_image": "io.reading",
    "recipe_of": "recipes.again",
    "refocus": "engine.refocus",
    "save": "recipes.saving",
    "save_neurons": "neurons.saving",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that importing the package is quick."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'surfaces')}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""A run of a dock: its recipe, and where its image and its model are at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_deepz.recipes.recipe import Recipe
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Surface
from napari_deepz.widgets.shared.input_plane import InputPlane

SPREAD_COLORMAP = "magma"


@dataclass(frozen=True, eq=False)
class RefocusRequest:
    """All that a run needs; nothing that the user changes later can reach it.

    Attributes
    ----------
    plane : InputPlane
        What is refocused.
    recipe : Recipe
        With which model, and onto which one surface.
    package : Path
        Where the model lies.
    notes : tuple of str
        What the user must know about the settings, a sentence each.
    further : tuple of InputPlane
        Further input planes, in the order of the recipe.
    """

    plane: InputPlane
    recipe: Recipe
    package: Path
    notes: tuple[str, ...]
    further: tuple[InputPlane, ...] = ()

    @property
    def inputs(self) -> tuple[InputPlane, ...]:
        """All input planes."""
        return (self.plane, *self.further)

    def read_inputs(self) -> list[NDArray[Any]]:
        """Load the pixels of all input planes, (Y, X) each; may take long."""
        return [plane.read() for plane in self.inputs]

    @property
    def of_further(self) -> tuple[object, ...]:
        """Tells requests apart by their further planes and what is made of these."""
        others = (one.model_copy(update={"sha256": None}) for one in self.recipe.further)
        return (*others, self.recipe.merge, self.recipe.spread)

    @property
    def at_um(self) -> tuple[float, ...]:
        """Where they were taken."""
        return tuple(source.at_um for source in self.recipe.sources)

    @property
    def headline(self) -> str:
        """What is written over the pixels."""
        if self.recipe.spread:
            return "HOW FAR IT MAY BE OFF"
        return "INTERPOLATED" if self.recipe.merge == "linear" else "INFERRED"

    @property
    def shows(self) -> str:
        """What the pixels are, in a word."""
        return "spread" if self.recipe.spread else "virtual"

    def colormap_beside(self, colormap: str) -> str:
        """Which one to show it in, where the image is shown in that one."""
        return SPREAD_COLORMAP if self.recipe.spread else colormap

    @property
    def surface(self) -> Surface:
        """Onto what."""
        return self.recipe.surfaces[0]

    @property
    def sampling(self) -> Sampling:
        """Of the image: its own, or what the user said."""
        assert self.recipe.sampling is not None
        return self.recipe.sampling

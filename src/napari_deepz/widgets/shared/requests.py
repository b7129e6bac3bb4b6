"""A run of a dock: its recipe, and where its image and its model are at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_deepz.recipes.recipe import Recipe
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Surface
from napari_deepz.widgets.shared.input_plane import InputPlane


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
    """

    plane: InputPlane
    recipe: Recipe
    package: Path
    notes: tuple[str, ...]

    @property
    def surface(self) -> Surface:
        """Onto what."""
        return self.recipe.surfaces[0]

    @property
    def sampling(self) -> Sampling:
        """Of the image: its own, or what the user said."""
        assert self.recipe.sampling is not None
        return self.recipe.sampling

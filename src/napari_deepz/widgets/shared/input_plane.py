"""The 2D image that a dock works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_deepz.recipes.recipe import Source


@dataclass(frozen=True, eq=False)
class InputPlane:
    """The 2D image that is to be refocused.

    Attributes
    ----------
    name : str
        As the user knows it.
    shape : tuple of int
        (Y, X) in pixels.
    pixel_size_um : float or None
        None where the image does not say.
    is_size_typed : bool
        Whether the user has said it, and nothing else.
    lacks_z_step : bool
        Whether it belongs to a stack that does not say how far apart its planes are.
    read : callable
        Loads the pixels, (Y, X); may take long.
    source : Source
        Where a recipe finds it.
    position : str
        Where in its layer it is, such as "t 3 z 20", counted from 0; nothing for a single image.
    origin : tuple or None
        The array that pixels are read from and where in it, if it is not in memory: reading it
        again takes long, and gives the same.
    doubtful_pixel_um, doubtful_z_step_um : float or None
        Pixel size and distance of planes that the image claims, and no microscope has.
    """

    name: str
    shape: tuple[int, int]
    pixel_size_um: float | None
    read: Callable[[], NDArray[Any]]
    source: Source
    position: str = ""
    is_size_typed: bool = False
    lacks_z_step: bool = False
    origin: tuple[Any, tuple[int, ...]] | None = None
    doubtful_pixel_um: float | None = None
    doubtful_z_step_um: float | None = None

    @property
    def title(self) -> str:
        """Its name, and which plane of it is meant."""
        return " ".join(filter(None, (self.name, self.position)))

    def reads_the_same(self, other: InputPlane) -> bool:
        """Whether another plane comes from the same place of the same array, not in memory."""
        if self.origin is None or other.origin is None:
            return False
        (own, at), (others, others_at) = self.origin, other.origin
        return own is others and at == others_at

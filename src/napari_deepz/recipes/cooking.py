"""Cooking a recipe: its image is read, its model taken, and planes come out one by one."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.encoded import Encoded
from napari_deepz.engine.last_encoding import FurtherPlanes, Key, LastEncoding
from napari_deepz.engine.planes.encoded_planes import EncodedPlanes
from napari_deepz.engine.refocus import RefocusedPlane
from napari_deepz.images import ImageSeries, digest_of
from napari_deepz.io.reading import read_image
from napari_deepz.models.library import load_model
from napari_deepz.models.package import Model
from napari_deepz.provenance import Provenance
from napari_deepz.recipes.recipe import ModelChoice, Recipe, Source
from napari_deepz.recipes.record import describe_run
from napari_deepz.surfaces import Flat, Surface
from napari_deepz.watch import UNWATCHED, Watch

Pixels = NDArray[Any] | Sequence[NDArray[Any]]

_SAME_SIZE = 1.02


class Cooking:
    """A recipe on its way: iterate over it for its planes, as often as there are some left.

    Everything that can go wrong before the first plane has gone wrong when it is made.

    Parameters
    ----------
    recipe : Recipe
        What is to be done.
    watch : Watch, optional
        As for `engine.refocus.iter_refocus`.
    pixels : ndarray or sequence of ndarray, optional
        (Y, X) of the source, for who has them already, or of all input planes; read from their
        files where None.
    model : Model, optional
        Of the recipe, for who has it already.
    encoding : LastEncoding, optional
        Keeps the encoded image for the next recipe.
    outward_from_um : float, optional
        As for `EncodedImage.iter_refocus`.

    Attributes
    ----------
    recipe : Recipe
        With what its image and its model added: sampling, checksums.
    model : Model
        What refocuses.
    shape : tuple of int
        (Y, X) of every plane.
    count : int
        Number of planes.
    z_um : tuple of float or None
        Depth of every plane; None where one is not flat.
    given : int
        How many planes have come out so far.

    Raises
    ------
    FileNotFoundError
        If the image is not there.
    ValueError
        If image, model or surfaces cannot be used, or are not those of the recipe; one sentence.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        watch: Watch = UNWATCHED,
        pixels: Pixels | None = None,
        model: Model | None = None,
        encoding: LastEncoding | None = None,
        outward_from_um: float | None = None,
    ) -> None:
        sampling = recipe.sampling
        read_notes: dict[str, None] = {}
        if pixels is None:
            images, stated_um = [], set[float]()
            for source in recipe.sources:
                series = open_source(source)
                read_notes |= dict.fromkeys(series.notes)
                images.append(series.plane(t=source.t, c=source.c, z=source.z))
                if sampling is None and series.pixel_size_problem is not None:
                    raise ValueError(
                        f"{series.pixel_size_problem}: say the pixel size in the recipe."
                    )
                sampling = sampling or series.sampling(source.c)
                if series.pixel_size_um is not None:
                    stated_um.add(series.pixel_size_um)
            _require_same_size(stated_um)
        else:
            images = [pixels] if isinstance(pixels, np.ndarray) else list(pixels)
        self.model = model or load_model(recipe.model.name)
        require_same_model(recipe.model, self.model)
        sources = [
            source.model_copy(update={"sha256": _checked_digest(source, image)})
            for source, image in zip(recipe.sources, images, strict=True)
        ]
        self.recipe = recipe.model_copy(
            update={
                "source": sources[0],
                "further": tuple(sources[1:]),
                "sampling": sampling,
                "model": recipe.model.model_copy(
                    update={"version": self.model.spec.version, "sha256": self.model.sha256}
                ),
            }
        )
        self.key, encoded = (encoding or LastEncoding()).encode(
            images[0],
            self.model,
            sampling,
            recipe.compute,
            digest=sources[0].sha256,
            further=further_planes(recipe, images),
        )
        if isinstance(encoded, EncodedPlanes):
            self.recipe = self.recipe.model_copy(update={"merge": encoded.merge})
        self.key, encoded = as_asked(recipe, self.key, encoded)
        self.shape = (int(images[0].shape[0]), int(images[0].shape[1]))
        self.count = sum(len(surface) for surface in recipe.surfaces)
        self.z_um = depths_um(recipe.surfaces)
        self.device = encoded.device
        self.given = 0
        self._notes = read_notes
        self._planes = encoded.iter_refocus(
            recipe.surfaces, watch=watch, outward_from_um=outward_from_um
        )
        self.note(*encoded.notes_on(recipe.surfaces))

    @property
    def notes(self) -> tuple[str, ...]:
        """What has been noticed so far, a sentence each: of the image, the plan and the planes."""
        return tuple(self._notes)

    def note(self, *sentences: str) -> None:
        """Add to the notes what is not among them yet."""
        self._notes |= dict.fromkeys(sentences)

    def __iter__(self) -> Generator[RefocusedPlane, None, None]:
        for plane in self._planes:
            self.note(*plane.notes)
            self.given += 1
            yield plane

    def close(self) -> None:
        """Give up what is left, and the files that were opened for it."""
        self._planes.close()

    def record(self) -> Provenance:
        """What is saved with the planes: how they were made, and what has been noticed so far."""
        return describe_run(self.recipe, self.model, device=self.device, notes=self.notes)


def _require_same_size(stated_um: set[float]) -> None:
    if stated_um and max(stated_um) > _SAME_SIZE * min(stated_um):
        sizes = " and ".join(f"{size_um:g}" for size_um in sorted(stated_um))
        raise ValueError(
            f"The input planes have pixels of {sizes} µm: they must show the same place at the "
            "same magnification."
        )


def cook(recipe: Recipe, *, pixels: Pixels | None = None, watch: Watch = UNWATCHED) -> Cooking:
    """Read what a recipe names, and refocus its image plane by plane.

    Parameters
    ----------
    recipe : Recipe
        What is to be done.
    pixels : ndarray or sequence of ndarray, optional
        (Y, X) of an image that is in no file, or of all input planes.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Returns
    -------
    Cooking
        Iterate over it, or give it to `save`. Planes are computed when they are asked for.

    Raises
    ------
    FileNotFoundError, ValueError
        As `Cooking`.
    Cancelled
        From the iteration, when the watch says so.
    """
    return Cooking(upward(recipe), pixels=pixels, watch=watch)


def upward(recipe: Recipe) -> Recipe:
    """Turn flat ranges that go downward round, as files know positive steps only."""
    surfaces = tuple(
        Flat(one.stop_um, one.start_um, -one.step_um)
        if isinstance(one, Flat) and one.step_um and one.step_um < 0 and one.stop_um is not None
        else one
        for one in recipe.surfaces
    )
    return recipe.model_copy(update={"surfaces": surfaces})


def as_asked(recipe: Recipe, key: Key, encoded: Encoded) -> tuple[Key, Encoded]:
    """Turn to how far the pictures may be off, where a recipe asks for it.

    Parameters
    ----------
    recipe : Recipe
        What is to be done.
    key, encoded
        Of `LastEncoding.encode`.
    """
    return ((*key, "spread"), encoded.spread()) if recipe.spread else (key, encoded)


def further_planes(recipe: Recipe, images: Sequence[NDArray[Any]]) -> FurtherPlanes | None:
    """The input planes of a recipe but the first, as the engine takes them; None without any.

    Parameters
    ----------
    recipe : Recipe
        What is to be done.
    images : sequence of ndarray
        (Y, X) of all its input planes.
    """
    if not recipe.further:
        return None
    at_um = tuple(source.at_um for source in recipe.sources)
    return FurtherPlanes(images[1:], at_um, recipe.merge)


def open_source(source: Source) -> ImageSeries:
    """Open the file of an image.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    ValueError
        If it cannot be used; one sentence.
    """
    if source.path is None:
        raise ValueError(
            f"The image '{source.title}' of the recipe is in no file: save it as TIFF, and name "
            "that in the recipe."
        )
    return read_image(source.path)


def source_pixels(source: Source) -> NDArray[Any]:
    """Read an image of a recipe again, as (Y, X).

    Raises
    ------
    FileNotFoundError
        If its file is not there.
    ValueError
        If it cannot be used, or has other pixels than at the run; one sentence.
    """
    pixels = np.asarray(open_source(source).plane(t=source.t, c=source.c, z=source.z))
    _checked_digest(source, pixels)
    return pixels


def depths_um(surfaces: tuple[Surface, ...]) -> tuple[float, ...] | None:
    """Depth of every plane on these surfaces; None where one is not flat."""
    if any(surface.uniform_z_um is None for surface in surfaces):
        return None
    return tuple(z_um for surface in surfaces for z_um in surface.uniform_z_um or ())


def require_same_model(choice: ModelChoice, model: Model) -> None:
    """Refuse a model with other weights than those that a recipe names.

    Raises
    ------
    ValueError
        One sentence.
    """
    if choice.sha256 not in (None, model.sha256):
        raise ValueError(
            f"The model '{choice.name}' at hand has other weights than that of the recipe; "
            "add the model that it was made with, or take the checksum out of the recipe."
        )


def _checked_digest(source: Source, pixels: NDArray[Any]) -> str:
    digest = digest_of(np.asarray(pixels))
    if source.sha256 not in (None, digest):
        raise ValueError(
            f"The image '{source.title}' has other pixels than that of the recipe; give the "
            "image that it was made with, or take the checksum out of the recipe."
        )
    return digest


def source_files(recipe: Recipe) -> list[Path]:
    """Files that cooking a recipe reads, and must not replace."""
    images = (one.path for one in recipe.sources)
    files = [*images, *(getattr(one, "source", None) for one in recipe.surfaces)]
    model = recipe.model.name if os.path.exists(recipe.model.name) else None
    return [Path(file) for file in (*files, model) if file is not None]

"""A recipe of a movie on its way: what all frames share, and each frame when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.encoded import Encoded
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.planes.encoded_planes import EncodedPlanes
from napari_deepz.engine.refocus import EncodedImage, RefocusedPlane
from napari_deepz.io.reading import read_image
from napari_deepz.models.library import load_model
from napari_deepz.models.package import Model
from napari_deepz.movies.brightness import Brightness, measure_brightness
from napari_deepz.movies.motion import Motion, measure_motion
from napari_deepz.movies.movie import Movie
from napari_deepz.recipes.cooking import require_same_model
from napari_deepz.recipes.movies.recipe import MovieRecipe
from napari_deepz.surfaces import MovieSurface, Surface, surface_at
from napari_deepz.watch import UNWATCHED, Watch


class MovieCooking:
    """A recipe of a movie, of which any frame can be made, in any order and by any thread.

    Parameters
    ----------
    recipe : MovieRecipe
        What is to be done.
    watch : Watch, optional
        Says when to stop, and hears how far the frames have been looked through.
    movie : Movie, optional
        Of the recipe, for who has it already.
    model : Model, optional
        Of the recipe, for who has it already.

    Attributes
    ----------
    recipe : MovieRecipe
        With what files and model added: sampling, depths, checksum.
    movie : Movie
        The frames as they were taken.
    model : Model
        What refocuses.
    brightness : Brightness
        The light that frames have in common.
    motion : Motion or None
        How the sample moves; None where that was not asked for.

    Raises
    ------
    FileNotFoundError, ValueError
        As `Cooking`.
    Cancelled
        When the watch says so.
    """

    def __init__(
        self,
        recipe: MovieRecipe,
        *,
        watch: Watch = UNWATCHED,
        movie: Movie | None = None,
        model: Model | None = None,
    ) -> None:
        self.movie = movie = movie or open_movie(recipe)
        if len(movie.at_um) == 1 and movie.at_um[0]:
            raise ValueError("An input plane that is alone is where depths count from: 0 µm.")
        self.model = model or load_model(recipe.model.name)
        require_same_model(recipe.model, self.model)
        self.brightness: Brightness = measure_brightness(movie, watch=watch)
        self.motion: Motion | None = None
        typical = self.brightness.typical
        if recipe.motion == "shift":
            self.motion = measure_motion(movie, self.brightness, watch)
            typical = self.motion.template + np.float32(self.brightness.offset)
        self._typical = self._encoded(typical, recipe, Lens(self.model, recipe.compute))
        merge = self._typical.merge if isinstance(self._typical, EncodedPlanes) else None
        self.recipe = recipe.model_copy(
            update={
                "sampling": movie.sampling,
                "at_um": movie.at_um,
                "merge": merge,
                "rate_hz": movie.rate_hz,
                "model": recipe.model.model_copy(
                    update={"version": self.model.spec.version, "sha256": self.model.sha256}
                ),
            }
        )

    def _encoded(self, typical: NDArray[np.float32], recipe: MovieRecipe, lens: Lens) -> Encoded:
        sampling, at_um = self.movie.sampling, self.movie.at_um
        if len(at_um) == 1:
            return EncodedImage(typical[0], lens, sampling=sampling)
        return EncodedPlanes(list(typical), at_um, lens, merge=recipe.merge, sampling=sampling)

    def onto(self, surfaces: tuple[MovieSurface, ...]) -> MovieCooking:
        """Do the same with other surfaces; nothing is read anew."""
        other = copy(self)
        other.recipe = self.recipe.model_copy(update={"surfaces": surfaces})
        return other

    @property
    def device(self) -> str:
        """What computes, for people."""
        return self._typical.device

    @property
    def notes(self) -> tuple[str, ...]:
        """What is known before a frame is made, a sentence each."""
        of_plan = self._typical.notes_on(self.surfaces(0))
        return tuple(dict.fromkeys((*self.movie.notes, *of_plan)))

    @property
    def digest(self) -> str:
        """Tells movies with other pixels apart."""
        seen = hashlib.sha256(self.brightness.typical.tobytes())
        seen.update(self.brightness.relative.tobytes())
        seen.update(self.brightness.highest.tobytes())
        return seen.hexdigest()

    def surfaces(self, t: int) -> list[Surface]:
        """Onto what a frame is refocused."""
        return [surface_at(surface, t) for surface in self.recipe.surfaces]

    def measured(self, t: int) -> NDArray[np.float32]:
        """(K, Y, X) a frame as it was taken, moved to where most are if that was asked for."""
        frame = self.movie.frame(t)
        return frame if self.motion is None else self.motion.straightened(frame, t)

    def planes(self, t: int, *, watch: Watch = UNWATCHED) -> Generator[RefocusedPlane, None, None]:
        """Refocus a frame, plane by plane.

        Parameters
        ----------
        t : int
            Which one.
        watch : Watch, optional
            Says when to stop.
        """
        light = None
        if self.recipe.brightness == "common":
            light = float(self.brightness.relative[t])
        encoded = self._typical.for_frame(list(self.measured(t)), light, self.brightness.offset)
        return encoded.iter_refocus(self.surfaces(t), watch=watch)

    def range_of(self, watch: Watch = UNWATCHED) -> tuple[float, float]:
        """Lowest and highest intensity of planes of the typical, the first and the brightest."""
        lows, highs = [], []
        for t in sorted({0, len(self.movie) // 2, int(np.argmax(self.brightness.highest))}):
            for plane in self.planes(t, watch=Watch(watch.should_stop)):
                lows.append(float(np.nanmin(plane.data)))
                highs.append(float(np.nanmax(plane.data)))
        return min(lows), max(highs)

    def found(self) -> dict[str, Any]:
        """What was found of each frame, as JSON."""
        about: dict[str, Any] = {
            "brightness": [round(float(value), 5) for value in self.brightness.relative],
            "offset": round(self.brightness.offset, 3),
        }
        if self.motion is not None:
            about["shift_y_x_px"] = np.round(self.motion.shift_px, 2).tolist()
        return about


def open_movie(recipe: MovieRecipe) -> Movie:
    """Open the movie of a recipe.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If it is no movie that can be used; one sentence.
    """
    series = [read_image(path) for path in recipe.paths]
    sampling = recipe.sampling
    if sampling is None:
        problem = series[0].pixel_size_problem
        if problem is not None:
            raise ValueError(f"{problem}: say the pixel size.")
        sampling = series[0].sampling(recipe.c)
    return Movie.of(series, sampling, c=recipe.c, at_um=recipe.at_um, rate_hz=recipe.rate_hz)

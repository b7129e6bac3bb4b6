"""Work of the dock on a movie, without a window."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.io.reading import read_image
from napari_deepz.movies.movie import Movie
from napari_deepz.recipes.movies.cooking import MovieCooking
from napari_deepz.recipes.movies.recipe import MovieRecipe
from napari_deepz.recipes.movies.saving import film
from napari_deepz.watch import Watch
from napari_deepz.widgets.shared.news import Send

_TELL_EVERY_S = 0.2


@dataclass(frozen=True, eq=False)
class LookedThrough:
    """All frames have been looked through: any of them can be made now."""

    cooking: MovieCooking


@dataclass(frozen=True, eq=False)
class FrameMade:
    """A frame for the preview.

    Attributes
    ----------
    t : int
        Which one.
    planes : ndarray
        (Z, Y, X) float32.
    """

    t: int
    planes: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FramesThere:
    """Which frames are in the file.

    Attributes
    ----------
    volumes : array
        (T, Z, Y, X) of the file, without Z for one surface; read when they are asked for.
    times : frozenset of int
        Those that are there.
    """

    volumes: Any
    times: frozenset[int]


def look_through(recipe: MovieRecipe, movie: Movie, send: Send, watch: Watch) -> None:
    """Send a `LookedThrough`.

    Raises
    ------
    Cancelled
        When asked to stop.
    ValueError, OSError
        If movie or model cannot be used; one sentence.
    """
    send(LookedThrough(MovieCooking(recipe, movie=movie, watch=watch)))


def make_frame(cooking: MovieCooking, t: int, send: Send, watch: Watch) -> None:
    """Send the `FrameMade` of one time."""
    planes = [plane.data for plane in cooking.planes(t, watch=Watch(watch.should_stop))]
    send(FrameMade(t, np.stack(planes)))


def make_movie(
    recipe: MovieRecipe,
    movie: Movie,
    cooking: MovieCooking | None,
    path: Path,
    send: Send,
    watch: Watch,
) -> None:
    """Write a 3D movie, and send `FramesThere` as it grows.

    Parameters
    ----------
    recipe, movie
        What is to be done.
    cooking : MovieCooking or None
        Of that recipe, where the frames have been looked through already; else it is sent.
    path : Path
        The folder.

    Raises
    ------
    Cancelled
        When asked to stop; the frames that are there stay.
    ValueError, OSError
        If movie, model or folder cannot be used; one sentence.
    """
    if cooking is None:
        cooking = MovieCooking(recipe, movie=movie, watch=watch)
        send(LookedThrough(cooking))
    told_s, volumes = -np.inf, None

    def tell(times: frozenset[int], *, at_once: bool = False) -> None:
        nonlocal told_s, volumes
        if at_once or time.monotonic() - told_s > _TELL_EVERY_S:
            told_s = time.monotonic()
            volumes = read_image(path).data if volumes is None else volumes
            send(FramesThere(volumes, times))

    film(cooking, path, watch=watch, on_frames=tell)
    tell(frozenset(range(len(movie))), at_once=True)

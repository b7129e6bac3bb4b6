"""Neurons found in the virtual volume of the typical frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.lens import Lens
from napari_deepz.engine.planes.encoded_planes import EncodedPlanes
from napari_deepz.engine.refocus import EncodedImage
from napari_deepz.movies.brightness import Brightness
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.detection import find_spots
from napari_deepz.surfaces import Flat
from napari_deepz.watch import UNWATCHED, Watch

Array = NDArray[np.float64]

Z_STEP_UM = 0.5

LEAST_HEIGHT = 45.0
"""Of a spot above the noise of its surroundings: on simulated movies of 30 neurons in 83 µm, and of
120 in a head, F1 is within .02 of the best that any threshold gives."""


def find_places(
    movie: Movie, brightness: Brightness, lens: Lens, watch: Watch = UNWATCHED
) -> Array:
    """Find neurons in the virtual volume of the typical frame.

    Parameters
    ----------
    movie : Movie
        Where they are.
    brightness : Brightness
        With the typical frame.
    lens : Lens
        What refocuses it.
    watch : Watch, optional
        Says when to stop.

    Returns
    -------
    ndarray
        (N, 3) z, y and x in µm from the centre of the first pixel, the most prominent first.
    """
    volume, z_um = virtual_volume(movie, brightness.typical, lens, watch)
    pixel_um = movie.pixel_um
    voxel_um = (float(z_um[1] - z_um[0]), pixel_um, pixel_um)
    spots, heights = find_spots(volume, voxel_um, float(z_um[0]))
    return spots[heights >= LEAST_HEIGHT]


def virtual_volume(
    movie: Movie, frame: NDArray[np.float32], lens: Lens, watch: Watch = UNWATCHED
) -> tuple[NDArray[np.float32], Array]:
    """(Z, Y, X) planes of a frame (K, Y, X), as far as all its input planes know; and (Z,) µm."""
    first_um, last_um = range_of(movie, lens)
    count = max(2, round((last_um - first_um) / Z_STEP_UM) + 1)
    z_um = np.linspace(first_um, last_um, count)
    surfaces = [Flat(float(depth)) for depth in z_um]
    if len(movie.at_um) == 1:
        encoded = EncodedImage(frame[0], lens, sampling=movie.sampling)
        surfaces = [Flat(float(depth - movie.at_um[0])) for depth in z_um]
        return encoded.refocus(surfaces, watch=watch).data, z_um
    planes = EncodedPlanes(list(frame), movie.at_um, lens, sampling=movie.sampling)
    return planes.refocus(surfaces, watch=watch).data, z_um


def range_of(movie: Movie, lens: Lens) -> tuple[float, float]:
    """Between which depths its input planes know of neurons, µm."""
    low_um, high_um = lens.model.spec.for_image(movie.sampling).axial_range_um
    return low_um + min(movie.at_um), high_um + max(movie.at_um)

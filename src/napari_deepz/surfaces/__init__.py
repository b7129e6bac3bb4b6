"""Surfaces in depth on which an image is refocused, their files, and the sign of z.

A surface turns into digital propagation matrices (DPM): for each pixel of the image the distance

    DPM(y, x) = z_target(y, x) - z_input

in µm, float32, positive in the direction of increasing plane index of a focal stack. Refocusing
plane k of a stack with the z step dz onto ``Flat(dz)`` therefore aims at plane k + 1. Positions in
the image are in µm from the centre of the first pixel, y down the rows and x along them.
"""

from napari_deepz.surfaces.base import Surface, out_of_range_mask
from napari_deepz.surfaces.files import (
    found_from,
    load_surface,
    parse_surface,
    save_surface,
)
from napari_deepz.surfaces.image import FromImage
from napari_deepz.surfaces.over_time import (
    MovieSurface,
    OverTime,
    load_movie_surface,
    parse_movie_surface,
    surface_at,
)
from napari_deepz.surfaces.path import AlongPath
from napari_deepz.surfaces.points import FromPoints
from napari_deepz.surfaces.shapes import Curved, Flat, Tilted

__all__ = [
    "AlongPath",
    "Curved",
    "Flat",
    "FromImage",
    "FromPoints",
    "MovieSurface",
    "OverTime",
    "Surface",
    "Tilted",
    "found_from",
    "load_movie_surface",
    "load_surface",
    "out_of_range_mask",
    "parse_movie_surface",
    "parse_surface",
    "save_surface",
    "surface_at",
]

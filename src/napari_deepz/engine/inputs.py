"""What a refocus call accepts: one 2D image of any real pixel type, and surfaces."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from napari_deepz.engine.mending import CheckedImage, mend
from napari_deepz.surfaces import FromImage, Surface

SMALLEST_PX = 32
"""Shortest side of an image that a generator can work on."""


def check_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (Y, X), or say in a sentence why the image cannot be refocused.

    Raises
    ------
    ValueError
        If the image is empty, not two-dimensional or smaller than 32 x 32 pixels.
    """
    size = " × ".join(str(side) for side in shape)
    if len(shape) != 2:
        raise ValueError(
            f"The image is {len(shape)}D ({size or 'a single number'}); refocusing takes one 2D "
            "image, so choose one plane, channel and time point first."
        )
    if 0 in shape:
        raise ValueError(f"The image is empty ({size} pixels); check the file or the selection.")
    if min(shape) < SMALLEST_PX:
        raise ValueError(
            f"The image is {size} pixels, too small to refocus; it needs at least "
            f"{SMALLEST_PX} × {SMALLEST_PX} pixels."
        )
    return shape[0], shape[1]


def check_image(image: ArrayLike) -> CheckedImage:
    """Read an image into memory as finite float32, without what is no measurement.

    Values beyond the range of float32 count as infinite.

    Parameters
    ----------
    image : array-like
        (Y, X), bool, integer or float of any byte order and memory layout; NumPy, dask, zarr or
        anything that `numpy.asarray` reads.

    Returns
    -------
    CheckedImage
        Float32 pixels and what was noticed.

    Raises
    ------
    ValueError
        As `check_shape`, and if the pixels are not real numbers or none of them is finite.
    """
    if hasattr(image, "shape"):
        check_shape(tuple(image.shape))
    array = np.asarray(image)
    check_shape(array.shape)
    if array.dtype.kind not in "buif":
        raise ValueError(
            f"The image's pixels are of type '{array.dtype}', not real numbers; convert it to an "
            "8-bit, 16-bit or 32-bit grey image first."
        )
    with np.errstate(over="ignore"):
        pixels = np.ascontiguousarray(array, dtype=np.float32)
    return mend(pixels)


Surfaces = Surface | ArrayLike | Iterable[Surface | ArrayLike]
"""What a caller may give as surfaces; an array is a (Y, X) matrix of distances in µm."""


def check_surfaces(surfaces: Surfaces) -> tuple[Surface, ...]:
    """Turn what a caller gives into surfaces.

    Parameters
    ----------
    surfaces : Surface, array-like or iterable of them
        An array is a digital propagation matrix, (Y, X) in µm.

    Returns
    -------
    tuple of Surface
        At least one.

    Raises
    ------
    ValueError
        If there is none or something else is among them.
    """
    alone = isinstance(surfaces, Surface | str) or hasattr(surfaces, "ndim")
    several: Iterable[object] = (
        [surfaces] if alone or not isinstance(surfaces, Iterable) else surfaces
    )
    checked = tuple(_surface(one) for one in several)
    if not checked:
        raise ValueError("No surface to refocus onto was given; add one, such as Flat(-5, 5, 1).")
    return checked


def _surface(given: object) -> Surface:
    if isinstance(given, Surface):
        return given
    dimensions = getattr(given, "ndim", None)
    if dimensions == 2:
        return FromImage(np.asarray(given))
    what = type(given).__name__ if not dimensions else f"{dimensions}D array"
    raise ValueError(
        f"A surface to refocus onto was given as {what}; give Flat, Tilted, Curved, FromPoints, "
        "AlongPath or FromImage, or a 2D array of axial distances in µm."
    )

"""What becomes of a plane between the network and its user."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.devices import Precision
from napari_deepz.engine.resampling import LINEAR, resample

Pixels = NDArray[np.float32]


class OutputError(ValueError):
    """A model computes nothing that could be shown."""


def on_image_grid(canvas: Pixels, shape: tuple[int, int]) -> Pixels:
    """Bring a plane from the model's pixel grid to the image's.

    Parameters
    ----------
    canvas : ndarray
        (Y, X) float32.
    shape : tuple of int
        (Y, X) of the image.

    Returns
    -------
    ndarray
        `shape`, float32. Pixels that are not finite spoil those alone that they touch.
    """
    if canvas.shape == shape or is_finite(canvas):
        return resample(canvas, shape)
    broken = ~np.isfinite(canvas)
    if broken.all():
        return np.full(shape, np.nan, np.float32)
    # A spline would carry one of them through the whole plane.
    mended = np.where(broken, np.median(canvas[~broken]), canvas)
    data = resample(mended, shape)
    data[resample(broken.astype(np.float32), shape, order=LINEAR) > 0] = np.nan
    return data


def note_of_not_finite(
    data: Pixels, which: str, model_name: str, precision: Precision
) -> str | None:
    """Say that a plane has pixels which are no numbers.

    Parameters
    ----------
    data : ndarray
        (Y, X) float32, the plane.
    which : str
        What the sentence calls the plane.
    model_name : str
        What made it.
    precision : {"float32", "bfloat16"}
        In which it was made.

    Returns
    -------
    str or None
        A sentence; None where all pixels are finite.

    Raises
    ------
    OutputError
        If none is.
    """
    if is_finite(data):
        return None
    instead = (
        "check the model with 'napari-deepz models test', or use another one"
        if precision == "float32"
        else "use the precision 'float32'"
    )
    count = int(np.count_nonzero(~np.isfinite(data)))
    if count == data.size:
        raise OutputError(
            f"The model '{model_name}' gives NaN or infinity, no numbers, for all pixels of "
            f"{which}; {instead}."
        )
    pixels = "1 pixel" if count == 1 else f"{count} pixels"
    return (
        f"The model '{model_name}' gives NaN or infinity for {pixels} of {which}, and perhaps of "
        f"further ones; do not trust them, and {instead}."
    )


def is_finite(data: Pixels) -> bool:
    """Whether all pixels are finite, told without memory for each."""
    return bool(np.isfinite(data.min()) and np.isfinite(data.max()))

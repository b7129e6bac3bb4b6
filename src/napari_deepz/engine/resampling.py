"""From the image's pixel grid to the model's and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

CUBIC = 3
LINEAR = 1


def resample(
    image: NDArray[np.float32], shape: tuple[int, int], *, order: int = CUBIC
) -> NDArray[np.float32]:
    """Resample an image to another number of pixels over the same field of view.

    The outer edges of both grids coincide. Where pixels get coarser the image is low-pass
    filtered first (Gaussian, standard deviation (ratio - 1) / 2 pixels).

    Parameters
    ----------
    image : ndarray
        (Y, X) float32.
    shape : tuple of int
        (Y, X) wanted.
    order : int
        Spline order; cubic for intensities, linear for distances, which must not overshoot.

    Returns
    -------
    ndarray
        `shape`, float32; the image itself where the shape is its own.
    """
    if image.shape == shape:
        return image
    smaller = shape[0] < image.shape[0] or shape[1] < image.shape[1]
    resized = resize(
        image,
        shape,
        order=order,
        mode="edge",
        anti_aliasing=smaller,
        preserve_range=True,
        clip=order == LINEAR,
    )
    return np.ascontiguousarray(resized, dtype=np.float32)

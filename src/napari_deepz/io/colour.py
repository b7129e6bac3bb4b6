"""Colour images that hold a single intensity after all."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_deepz.images import ImageFileError

_Pixels = np.ndarray[Any, np.dtype[Any]]


def grey_from_colour(samples: _Pixels, name: str) -> _Pixels:
    """Reduce grey + alpha, RGB or RGBA samples to the one intensity they show.

    Screenshots and exports often store a grey image three times over, or a fluorescence channel
    in one colour with the two others black. Both lose nothing here. Transparency is ignored.

    Parameters
    ----------
    samples : ndarray
        (..., S) with S = 2 (grey, alpha), 3 (RGB) or 4 (RGBA).
    name : str
        The image, for the message.

    Returns
    -------
    ndarray
        (...), same type of number.

    Raises
    ------
    ImageFileError
        If the colours hold different images.
    """
    if samples.shape[-1] == 2:
        return samples[..., 0]
    red, green, blue = (samples[..., index] for index in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return red
    lit = [colour for colour in (red, green, blue) if colour.any()]
    if len(lit) == 1:
        return lit[0]
    raise ImageFileError(
        f"'{name}' is a colour image, which cannot be refocused as a whole: split its channels "
        "(in Fiji: Image > Color > Split Channels) and choose the one with the fluorescence."
    )

"""Contrast in which something is seen, the same for an image and for what is made of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from napari.layers import Image

from napari_deepz.widgets.shared.input_plane import InputPlane

_PERCENTILES = (1.0, 99.8)
_MOST_PIXELS = 512 * 512
_LINKED = ("contrast_limits", "gamma")


def suit_contrast(layer: Image, plane: InputPlane) -> None:
    """Show an image from its 1st to its 99.8th percentile, unless the user has set other limits.

    napari shows all from the darkest to the brightest pixel: one hot pixel leaves the rest black.

    Parameters
    ----------
    layer : Image
        What was opened.
    plane : InputPlane
        The plane of it that is to be refocused.
    """
    if tuple(layer.contrast_limits) != tuple(layer.contrast_limits_range):
        return
    pixels = plane.read()
    every = max(1, math.ceil(math.sqrt(pixels.size / _MOST_PIXELS)))
    sample = np.asarray(pixels[::every, ::every], np.float32)
    finite = sample[np.isfinite(sample)]
    if finite.size == 0:
        return
    low, high = (float(limit) for limit in np.percentile(finite, _PERCENTILES))
    if low < high:
        layer.contrast_limits = (low, high)


def link_contrast(viewer: Any, source: Image, made: Image) -> None:
    """Give a layer the contrast of the one that it is made from or compared with, and keep both
    alike, whichever is changed.
    """
    made.contrast_limits, made.gamma = tuple(source.contrast_limits), source.gamma
    viewer.layers.link_layers([source, made], _LINKED)


def unlink_contrast(viewer: Any, source: Image, made: Image) -> None:
    """Let each have its own contrast from now on."""
    viewer.layers.unlink_layers([source, made], _LINKED)

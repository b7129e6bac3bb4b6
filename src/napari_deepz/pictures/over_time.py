"""Frames of a movie over time: stacks projected in the colours of their depth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from napari_deepz.pictures.depth_colours import depth_coded_projection, depth_shades
from napari_deepz.pictures.lettering import (
    annotate,
    in_lines,
    lay,
    letters_px,
    resized,
    scale_bar,
    size_px,
    text_box,
)

_Colours = NDArray[np.uint8]

_HUES, _BRIGHTNESSES = 20, 12
_GREYS = 256 - _HUES * _BRIGHTNESSES
_DARKER = 1.5
"""The eye tells dark shades apart better than bright ones."""


def time_label(t: int, t_step_s: float | None) -> str:
    """How a time point is written in: in seconds, or its number where the time is not known."""
    if t_step_s is None:
        return f"time point {t}"
    decimals = max(0, 1 - math.floor(math.log10(t_step_s)))
    return f"t = {t * t_step_s:.{decimals}f} s"


def depth_coded_frames(
    stacks: Iterable[tuple[str, ArrayLike]],
    z_um: Sequence[float],
    *,
    pixel_size_um: float,
    limits: tuple[float, float],
    note: str,
) -> Iterator[_Colours]:
    """Make a frame of each stack, all with the same colours and brightness.

    Parameters
    ----------
    stacks : iterable of (str, ndarray)
        What is written in, and (Z, Y, X) finite intensities, all of one shape.
    z_um : sequence of float
        Depth of each plane in µm.
    pixel_size_um : float
        Of the planes; a scale bar is drawn for it.
    limits : tuple of float
        Intensities shown black and at full brightness.
    note : str
        Written beside the label: what made the planes.

    Yields
    ------
    ndarray
        (Y, X, 3) uint8: the picture, and beside it what depth each colour is.

    Raises
    ------
    ValueError
        If the planes do not have one depth each.
    """
    for head, stack in stacks:
        colours = depth_coded_projection(np.asarray(stack), z_um, limits=limits)
        size = size_px(colours.shape[:2])
        letters = letters_px(size)
        picture = Image.fromarray(np.rint(255 * colours).astype(np.uint8))
        frame = np.array(resized(picture, size))
        label = text_box(in_lines(head, note, size[1], letters), letters)
        bar = scale_bar(pixel_size_um * colours.shape[1] / size[1], size[1], letters)
        annotate(frame, _in_colour(label), _in_colour(bar), letters)
        yield np.hstack([frame, depth_legend(z_um, size[0], letters)])


def depth_palette(z_um: Sequence[float]) -> _Colours:
    """Make the (256, 3) colours of a GIF: depths, each from black to full, and greys for words."""
    hues = depth_shades(np.linspace(min(z_um), max(z_um), _HUES), z_um)
    bright = (np.arange(1, _BRIGHTNESSES + 1) / _BRIGHTNESSES) ** _DARKER
    coloured = (hues[:, np.newaxis] * bright[:, np.newaxis]).reshape(-1, 3)
    greys = np.linspace(0, 1, _GREYS)[:, np.newaxis].repeat(3, axis=1)
    palette: _Colours = np.rint(255 * np.concatenate([coloured, greys])).astype(np.uint8)
    return palette


def depth_legend(z_um: Sequence[float], height: int, letters: int) -> _Colours:
    """Draw a bar of the colours from the greatest depth down to the least, with its numbers."""
    low, high = min(z_um), max(z_um)
    shown = [high, 0.0, low] if low < 0 < high else [high, low]
    numbers = [text_box(f"{depth:+g}" if depth else "0", letters) for depth in shown]
    title = text_box("z (µm)", letters)
    wide = max(box.shape[1] for box in (*numbers, title))
    legend = np.zeros((height, 2 * letters + wide, 3), np.uint8)
    lay(legend, _in_colour(title), 0, letters // 2)
    top, bottom = title.shape[0] + letters // 2, height - 1 - letters
    if bottom <= top:
        return legend
    depths = np.linspace(high, low, bottom + 1 - top)
    shades = np.rint(255 * depth_shades(depths, z_um)).astype(np.uint8)
    legend[top : bottom + 1, letters // 2 : letters // 2 + letters] = shades[:, np.newaxis]
    for depth, box in zip(shown, numbers, strict=True):
        at = round(top + (bottom - top) * (high - depth) / (high - low or 1))
        lay(legend, _in_colour(box), at - box.shape[0] // 2, letters // 2 + letters)
    return legend


def _in_colour(grey: NDArray[np.uint8]) -> _Colours:
    return np.repeat(grey[..., np.newaxis], 3, axis=2)

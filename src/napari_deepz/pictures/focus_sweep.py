"""A stack as a movie that goes up and down through its planes, each with its depth written in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_deepz.pictures.lettering import (
    annotate,
    in_lines,
    letters_px,
    resized,
    scale_bar,
    size_px,
    text_box,
)

SHADES = 240
"""Places of the palette for the picture; the others are grey, for what is written in it."""

_LETTERING_SHADES = 256 - SHADES
_FASTEST_PER_S = 12.0
_SHORTEST_S = 4.0

_Shades = NDArray[np.uint8]


def sweep_order(count: int) -> list[int]:
    """Order of planes that goes up, down, and on without a jump when it is repeated."""
    return [*range(count), *range(count - 2, 0, -1)]


def sweep_speed(frames: int) -> float:
    """Frames a second: twelve, or fewer where there and back would take less than four seconds."""
    return min(_FASTEST_PER_S, max(1.0, frames / _SHORTEST_S))


def sweep_palette(colours: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Make the palette (256, 3) of a sweep.

    Parameters
    ----------
    colours : ndarray
        (SHADES, 3), red, green and blue from 0 to 1, for intensities from black to full.
    """
    greys = np.linspace(0, 1, _LETTERING_SHADES)[:, None].repeat(3, axis=1)
    palette: NDArray[np.uint8] = np.rint(255 * np.concatenate([colours, greys])).astype(np.uint8)
    return palette


def sweep_frames(
    planes: NDArray[np.float32],
    z_um: Sequence[float],
    *,
    pixel_size_um: float,
    limits: tuple[float, float],
    note: str,
) -> Iterator[_Shades]:
    """Make the frames of a sweep, one after the other.

    Parameters
    ----------
    planes : ndarray
        (Z, Y, X) finite intensities. Planes with sides above 1024 pixels are reduced by averaging,
        and small ones enlarged by a whole number so that the text can be read.
    z_um : sequence of float
        Depth of each plane in µm.
    pixel_size_um : float
        Of the planes; a scale bar is drawn for it.
    limits : tuple of float
        Intensities shown black and at full brightness.
    note : str
        Written beside the depth: what made the planes.

    Yields
    ------
    ndarray
        (Y, X) uint8, places in the palette of `sweep_palette`, in the order of `sweep_order`.

    Raises
    ------
    ValueError
        If the planes do not have one depth each.
    """
    if planes.ndim != 3 or len(planes) != len(z_um) or len(planes) == 0:
        raise ValueError("A focus sweep needs a stack with one depth for each plane.")
    pictures = ((depth_label(z_um[index]), planes[index]) for index in sweep_order(len(planes)))
    yield from labelled_frames(pictures, pixel_size_um=pixel_size_um, limits=limits, note=note)


def labelled_frames(
    pictures: Iterable[tuple[str, NDArray[Any]]],
    *,
    pixel_size_um: float,
    limits: tuple[float, float],
    note: str,
) -> Iterator[_Shades]:
    """Make a frame of each picture.

    Parameters
    ----------
    pictures : iterable of (str, ndarray)
        What is written in, and (Y, X) finite intensities, all of one shape.
    pixel_size_um, limits, note
        As for `sweep_frames`.

    Yields
    ------
    ndarray
        (Y, X) uint8, as from `sweep_frames`.
    """
    for head, plane in pictures:
        size = size_px(plane.shape)
        letters = letters_px(size)
        frame = _shaded(plane, size, limits)
        label = text_box(in_lines(head, note, size[1], letters), letters)
        bar = scale_bar(pixel_size_um * plane.shape[1] / size[1], size[1], letters)
        annotate(frame, _lettering(label), _lettering(bar), letters)
        yield frame


def depth_label(z_um: float) -> str:
    """How a depth is written in."""
    return f"z = {z_um:+.4g} µm" if z_um else "z = 0 µm"


def _shaded(plane: NDArray[Any], size: tuple[int, int], limits: tuple[float, float]) -> _Shades:
    values = np.asarray(resized(Image.fromarray(np.asarray(plane, np.float32)), size))
    low, high = limits
    part = ((values - low) / (high - low if high > low else 1)).clip(0, 1)
    shades: _Shades = np.rint(part * (SHADES - 1)).astype(np.uint8)
    return shades


def _lettering(grey: NDArray[np.uint8]) -> _Shades:
    shades: _Shades = (SHADES + np.rint(grey / 255 * (_LETTERING_SHADES - 1))).astype(np.uint8)
    return shades

"""A stack as a movie that goes up and down through its planes, each with its depth written in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SHADES = 240
"""Places of the palette for the picture; the others are grey, for what is written in it."""

LONGEST_SIDE_PX = 1024
_SHORTEST_SIDE_PX = 480
_LETTERING_SHADES = 256 - SHADES
_FASTEST_PER_S = 12.0
_SHORTEST_S = 4.0
_BAR_PART = 0.25
_LETTERS_PX = (10, 32)
_LETTERS_PART = 1 / 24

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
    height, width = _size_px(planes.shape[1:])
    letters_px = int(np.clip(min(height, width) * _LETTERS_PART, *_LETTERS_PX))
    bar = _bar(pixel_size_um * planes.shape[2] / width, width, letters_px)
    for index in sweep_order(len(planes)):
        frame = _shaded(planes[index], (height, width), limits)
        label = _text(_lines(z_um[index], note, width, letters_px), letters_px)
        margin = letters_px // 2
        _put(frame, label, margin, margin)
        _put(frame, bar, height - margin - bar.shape[0], width - margin - bar.shape[1])
        yield frame


def _size_px(shape: tuple[int, ...]) -> tuple[int, int]:
    longest = max(shape)
    factor = float(max(1, math.ceil(_SHORTEST_SIDE_PX / longest)))
    if longest > LONGEST_SIDE_PX:
        factor = LONGEST_SIDE_PX / longest
    height, width = (max(1, round(side * factor)) for side in shape)
    return height, width


def _shaded(
    plane: NDArray[np.float32], size_px: tuple[int, int], limits: tuple[float, float]
) -> _Shades:
    picture = Image.fromarray(np.asarray(plane, np.float32))
    smaller = size_px[0] < plane.shape[0]
    how = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
    values = np.asarray(picture.resize(size_px[::-1], how))
    low, high = limits
    part = ((values - low) / (high - low if high > low else 1)).clip(0, 1)
    shades: _Shades = np.rint(part * (SHADES - 1)).astype(np.uint8)
    return shades


def _lines(z_um: float, note: str, width: int, letters_px: int) -> str:
    """Depth and note in one line where the picture is wide enough."""
    depth = f"z = {z_um:+.4g} µm" if z_um else "z = 0 µm"
    line = f"{depth}, {note}"
    return (
        line if _font(letters_px).getlength(line) < width - 2 * letters_px else f"{depth}\n{note}"
    )


def _text(text: str, letters_px: int) -> _Shades:
    """Bright letters on a dark box."""
    font = _font(letters_px)
    pad = letters_px // 3
    measure = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = measure.multiline_textbbox((0, 0), text, font=font)
    box = Image.new("L", (math.ceil(right - left) + 2 * pad, math.ceil(bottom - top) + 2 * pad))
    ImageDraw.Draw(box).multiline_text((pad - left, pad - top), text, fill=255, font=font)
    return _lettering(np.asarray(box))


def _bar(pixel_size_um: float, width: int, letters_px: int) -> _Shades:
    """A bar of a round length, with that length above it."""
    length_um = _round_length(pixel_size_um * width * _BAR_PART)
    length_px = max(1, round(length_um / pixel_size_um))
    words = _text(f"{length_um:g} µm", letters_px)
    thick = max(2, letters_px // 5)
    pad = letters_px // 3
    box = np.full(
        (words.shape[0] + thick + pad, max(words.shape[1], length_px + 2 * pad)), SHADES, np.uint8
    )
    _put(box, words, 0, (box.shape[1] - words.shape[1]) // 2)
    start = (box.shape[1] - length_px) // 2
    box[words.shape[0] : words.shape[0] + thick, start : start + length_px] = 255
    return box


def _round_length(most_um: float) -> float:
    """The largest of 1, 2, 5, 10, … that is not longer."""
    power = 10.0 ** math.floor(math.log10(most_um))
    return max(step * power for step in (1, 2, 5) if step * power <= most_um * (1 + 1e-9))


def _lettering(grey: NDArray[np.uint8]) -> _Shades:
    shades: _Shades = (SHADES + np.rint(grey / 255 * (_LETTERING_SHADES - 1))).astype(np.uint8)
    return shades


def _put(frame: _Shades, box: _Shades, top: int, left: int) -> None:
    """Lay a box over a frame; what does not fit is cut off."""
    top, left = max(top, 0), max(left, 0)
    place = frame[top : top + box.shape[0], left : left + box.shape[1]]
    place[:] = box[: place.shape[0], : place.shape[1]]


def _font(letters_px: int) -> ImageFont.FreeTypeFont:
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), letters_px)

"""What is written into the frames of movies, in grey: text and a scale bar, and their size."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

LONGEST_SIDE_PX = 1024
_SHORTEST_SIDE_PX = 480
_BAR_PART = 0.25
_LETTERS_PX = (10, 32)
_LETTERS_PART = 1 / 24

Grey = NDArray[np.uint8]


def size_px(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width at which an image is shown: reduced, or enlarged by a whole number."""
    longest = max(shape)
    factor = float(max(1, math.ceil(_SHORTEST_SIDE_PX / longest)))
    if longest > LONGEST_SIDE_PX:
        factor = LONGEST_SIDE_PX / longest
    height, width = (max(1, round(side * factor)) for side in shape)
    return height, width


def letters_px(size: tuple[int, int]) -> int:
    """Height of letters in a picture."""
    return int(np.clip(min(size) * _LETTERS_PART, *_LETTERS_PX))


def resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Bring a picture to (height, width): averaged where smaller, else pixel by pixel."""
    smaller = size[0] < picture.height
    how = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
    return picture.resize(size[::-1], how)


def in_lines(head: str, note: str, width: int, letters: int) -> str:
    """Head and note in one line where the picture is wide enough."""
    line = f"{head}, {note}"
    fits = _font(letters).getlength(line) < width - 2 * letters
    return line if fits else f"{head}\n{note}"


def text_box(text: str, letters: int) -> Grey:
    """Bright letters on a dark box."""
    font = _font(letters)
    pad = letters // 3
    measure = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = measure.multiline_textbbox((0, 0), text, font=font)
    box = Image.new("L", (math.ceil(right - left) + 2 * pad, math.ceil(bottom - top) + 2 * pad))
    ImageDraw.Draw(box).multiline_text((pad - left, pad - top), text, fill=255, font=font)
    return np.array(box)


def scale_bar(pixel_size_um: float, width: int, letters: int) -> Grey:
    """A bar of a round length in a picture of some width, with that length above it."""
    length_um = _round_length(pixel_size_um * width * _BAR_PART)
    length_px = max(1, round(length_um / pixel_size_um))
    words = text_box(f"{length_um:g} µm", letters)
    thick = max(2, letters // 5)
    pad = letters // 3
    box = np.zeros(
        (words.shape[0] + thick + pad, max(words.shape[1], length_px + 2 * pad)), np.uint8
    )
    lay(box, words, 0, (box.shape[1] - words.shape[1]) // 2)
    start = (box.shape[1] - length_px) // 2
    box[words.shape[0] : words.shape[0] + thick, start : start + length_px] = 255
    return box


def annotate(frame: Grey, label: Grey, bar: Grey, letters: int) -> None:
    """Lay a label over the upper left corner of a frame, and a scale bar over the lower right."""
    margin = letters // 2
    height, width = frame.shape[:2]
    lay(frame, label, margin, margin)
    lay(frame, bar, height - margin - bar.shape[0], width - margin - bar.shape[1])


def lay(frame: Grey, box: Grey, top: int, left: int) -> None:
    """Lay a box over a frame; what does not fit is cut off."""
    top, left = max(top, 0), max(left, 0)
    place = frame[top : top + box.shape[0], left : left + box.shape[1]]
    place[:] = box[: place.shape[0], : place.shape[1]]


def _round_length(most_um: float) -> float:
    """The largest of 1, 2, 5, 10, … that is not longer."""
    power = 10.0 ** math.floor(math.log10(most_um))
    return max(step * power for step in (1, 2, 5) if step * power <= most_um * (1 + 1e-9))


def _font(letters: int) -> ImageFont.FreeTypeFont:
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), letters)

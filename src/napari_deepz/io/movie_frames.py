"""Which frames of a movie are written so far."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FRAMES = "napari-deepz-frames.jsonl"
"""A file in the folder of a movie that is being written: a line for each frame that is there."""

_MOST_BYTES = 1_000_000_000


@dataclass(frozen=True)
class WrittenFrame:
    """A frame that is there.

    Attributes
    ----------
    t : int
        Which one.
    low, high : float
        Of the stored numbers.
    beyond : int
        Pixels that were too dark or too bright to be stored.
    notes : tuple of str
        What was noticed.
    """

    t: int
    low: float
    high: float
    beyond: int
    notes: tuple[str, ...] = ()


def read_frames(folder: Path) -> dict[int, WrittenFrame] | None:
    """Read which frames are there, by time; None for what is no movie that is being written.

    A last line that was cut short does not count.
    """
    file = folder / FRAMES
    if not file.is_file() or file.stat().st_size > _MOST_BYTES:
        return None
    frames = {}
    for line in file.read_text(encoding="ascii", errors="replace").splitlines(keepends=True):
        try:
            about = json.loads(line) if line.endswith("\n") else None
            frame = WrittenFrame(**about | {"notes": tuple(about["notes"])}) if about else None
        except (ValueError, TypeError, KeyError):
            continue
        if frame is not None:
            frames[frame.t] = frame
    return frames

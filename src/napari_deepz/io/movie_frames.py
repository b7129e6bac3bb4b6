"""Which frames of a movie are written so far."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from napari_deepz.images import ImageFileError

FRAMES = "napari-deepz-frames.jsonl"
"""A file in the folder of a movie that is being written: a line for each frame that is there."""

_MOST_BYTES = 1_000_000_000
_MOST_NAMED = 4


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


def require_written(folder: Path, wanted: Iterable[int]) -> None:
    """Refuse frames that are not there yet; an image that is no unfinished movie has all of its.

    Raises
    ------
    ImageFileError
        With the numbers of those that are missing.
    """
    written = read_frames(folder)
    if written is None:
        return
    missing = [t for t in wanted if t not in written]
    if missing:
        which = "time point" if len(missing) == 1 else "time points"
        raise ImageFileError(
            f"'{folder.name}' is unfinished, and {which} {_spans(missing)} not there yet: run the "
            "command that makes it again, or choose a time point that is there."
        )


def _spans(numbers: list[int]) -> str:
    """Numbers in order, those that follow one another together, such as "3, 7 to 9 are"."""
    breaks = [i for i, (one, other) in enumerate(pairwise(numbers), 1) if other != one + 1]
    edges = [0, *breaks, len(numbers)]
    runs = [(numbers[begin], numbers[end - 1]) for begin, end in pairwise(edges)]
    named = [str(one) if one == last else f"{one} to {last}" for one, last in runs[:_MOST_NAMED]]
    more = [f"{len(runs) - _MOST_NAMED} more ranges"] if len(runs) > _MOST_NAMED else []
    return f"{', '.join(named + more)} {'is' if len(numbers) == 1 else 'are'}"

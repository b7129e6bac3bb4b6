"""Movies as MP4 and GIF, streamed frame by frame, with a title and the record of their making."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_deepz.atomic_files import written_beside
from napari_deepz.io.movie_comments import as_metadata, ffmpeg_program
from napari_deepz.names import plain_name
from napari_deepz.provenance import Provenance

Frame = NDArray[np.uint8]

_CONSTANT_QUALITY = 16
_HIGH_DEFINITION_COLOURS = (
    *("-vf", "scale=out_color_matrix=bt709:out_range=tv"),
    *("-colorspace", "bt709", "-color_range", "tv"),
)


def write_movie(
    path: str | os.PathLike[str],
    frames: Iterable[Frame],
    *,
    palette: NDArray[np.uint8],
    frames_per_s: float,
    title: str,
    provenance: Provenance,
) -> None:
    """Write a movie; the file gets its name when it is complete.

    Parameters
    ----------
    path : path
        Ends with .mp4 (H.264, needs the extra ``napari-deepz[movie]``) or .gif (repeats for
        ever); an existing file is replaced.
    frames : iterable of ndarray
        uint8, all of one shape: (Y, X) places in the palette, or (Y, X, 3) red, green and blue,
        for which a GIF takes the nearest of the palette. Whatever it raises, `watch.Cancelled`
        included, is passed on.
    palette : ndarray
        (256, 3) uint8, red, green and blue.
    frames_per_s : float
        GIF knows whole hundredths of a second only: the nearest is taken.
    title : str
        MP4: its title. GIF has none.
    provenance : Provenance
        As JSON in the comment.

    Raises
    ------
    ValueError
        If the name ends otherwise, there are no frames, or what writes MP4 is not installed.
    OSError
        If the folder does not exist or writing fails; one sentence.
    """
    path = Path(path)
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise ValueError(
            f"'{path.name}' is not a name that a movie can be written to: let it end with .mp4 or "
            ".gif."
        )
    supply = iter(frames)
    first = next(supply, None)
    if first is None:
        raise ValueError(f"'{path.name}' was not written: the movie has no frames.")
    with written_beside(path) as beside:
        record = provenance.to_json()
        write(beside, _again(first, supply), palette, frames_per_s, plain_name(title), record)


def _again(first: Frame, others: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from others


def _write_gif(
    path: Path,
    frames: Iterator[Frame],
    palette: NDArray[np.uint8],
    frames_per_s: float,
    title: str,
    comment: str,
) -> None:
    known = Image.new("P", (1, 1))
    known.putpalette(palette.tobytes())

    def pictures() -> Iterator[Image.Image]:
        for frame in frames:
            picture = Image.fromarray(frame)
            if frame.ndim == 3:
                picture = picture.quantize(palette=known, dither=Image.Dither.NONE)
            else:
                picture.putpalette(palette.tobytes())
            yield picture

    supply = pictures()
    next(supply).save(
        path,
        format="GIF",
        save_all=True,
        append_images=supply,
        duration=10 * round(100 / frames_per_s),
        loop=0,
        optimize=False,
        comment=comment.encode("ascii"),
    )


def _write_mp4(
    path: Path,
    frames: Iterator[Frame],
    palette: NDArray[np.uint8],
    frames_per_s: float,
    title: str,
    comment: str,
) -> None:
    program = ffmpeg_program()
    first = _with_even_sides(next(frames))
    height, width = first.shape[:2]
    with tempfile.TemporaryDirectory(prefix="deepz-") as scratch:
        # A record is longer than an argument may be.
        about = Path(scratch) / "about.txt"
        about.write_text(as_metadata(title=title, comment=comment), "utf-8")
        command = [
            *(program, "-y", "-loglevel", "error"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"),
            *("-r", f"{frames_per_s:g}", "-i", "-"),
            *("-f", "ffmetadata", "-i", str(about), "-map", "0:v", "-map_metadata", "1"),
            *("-c:v", "libx264", "-crf", str(_CONSTANT_QUALITY), "-pix_fmt", "yuv420p"),
            *_HIGH_DEFINITION_COLOURS,
            *("-movflags", "+faststart", "-f", "mp4", f"file:{path}"),
        ]
        with tempfile.TemporaryFile() as said:
            even = map(_with_even_sides, _again(first, frames))
            _feed(command, (f if f.ndim == 3 else palette[f] for f in even), said)


def _feed(command: list[str], pictures: Iterator[NDArray[np.uint8]], said: IO[bytes]) -> None:
    """Give frames to ffmpeg, which is killed if they end with an exception."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=said,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    assert process.stdin is not None
    try:
        for picture in pictures:
            try:
                process.stdin.write(picture.tobytes())
            except OSError:
                break
        process.communicate()
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode != 0:
        said.seek(0)
        complaint = said.read().decode(errors="replace").strip()
        full = os.strerror(errno.ENOSPC)
        if full in complaint:
            raise OSError(errno.ENOSPC, full)
        last = re.sub(r"^(\[.*?\] )+", "", complaint.rpartition("\n")[2])
        raise OSError(last.rstrip(".") or "ffmpeg stopped; is the disk full?")


def _with_even_sides(frame: Frame) -> Frame:
    """Repeat the last row and column where H.264, which halves the colours' grid, needs it."""
    height, width = frame.shape[:2]
    more = ((0, height % 2), (0, width % 2), (0, 0))
    return np.pad(frame, more[: frame.ndim], mode="edge")


_WRITERS: dict[str, Callable[..., Any]] = {".mp4": _write_mp4, ".gif": _write_gif}

"""Comments of GIF and MP4 movies, in which the record of their making lies."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from PIL import Image, UnidentifiedImageError

MOVIE_SUFFIXES = (".gif", ".mp4")

_LONGEST_WAIT_S = 30


def movie_comment(path: Path) -> str | None:
    """Read the comment of a movie.

    Parameters
    ----------
    path : Path
        A file that ends with .gif or .mp4.

    Returns
    -------
    str or None
        None where it has none.

    Raises
    ------
    ValueError
        If it is no such movie, or what reads MP4 is not installed; one sentence.
    """
    comment = _gif_comment(path) if path.suffix.lower() == ".gif" else _mp4_comment(path)
    return comment or None


def ffmpeg_program() -> str:
    """Path of the program that writes and reads MP4.

    Raises
    ------
    ValueError
        If the extra that brings it is not installed.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ValueError(
            "MP4 movies need a package that is not installed: run pip install "
            "'napari-deepz[movie]' and start again, or take a GIF."
        ) from error
    program: str = imageio_ffmpeg.get_ffmpeg_exe()
    return program


def as_metadata(**entries: str) -> str:
    """Text of a file of metadata, https://ffmpeg.org/ffmpeg-formats.html#Metadata-2."""
    quoted = (re.sub(r"([=;#\\\n])", r"\\\1", text) for text in entries.values())
    lines = (f"{key}={text}\n" for key, text in zip(entries, quoted, strict=True))
    return ";FFMETADATA1\n" + "".join(lines)


def _gif_comment(path: Path) -> str:
    try:
        with Image.open(path, formats=["GIF"]) as movie:
            comment = movie.info.get("comment", b"")
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"'{path.name}' is damaged or no GIF.") from error
    return comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)


def _mp4_comment(path: Path) -> str:
    command = [ffmpeg_program(), "-loglevel", "error", "-i", f"file:{path}", "-f", "ffmetadata"]
    try:
        told = subprocess.run(
            [*command, "-"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_LONGEST_WAIT_S,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.SubprocessError as error:
        raise ValueError(f"'{path.name}' is damaged or no MP4.") from error
    text = told.stdout.decode("utf-8", "replace")
    found = re.search(r"^comment=((?:\\.|[^\\\n])*)$", text, re.DOTALL | re.MULTILINE)
    return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) if found else ""

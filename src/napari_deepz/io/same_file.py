"""A file that is opened again and again, and must still be the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from napari_deepz.images import ImageFileError

FileState = tuple[int, ...]


def state_of(descriptor: int) -> FileState:
    """What of an open file tells that it was changed or replaced."""
    about = os.fstat(descriptor)
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


@contextmanager
def opened_again(path: Path, state: FileState) -> Iterator[IO[bytes]]:
    """Open a file that was opened before.

    Raises
    ------
    ImageFileError
        If it was changed, replaced or deleted since, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            if state_of(file.fileno()) != state:
                raise changed(path.name)
            yield file
    except FileNotFoundError as error:
        raise ImageFileError(
            f"'{path.name}' was moved or deleted after it was opened: open it again."
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageFileError(f"'{path.name}' cannot be read: {reason}.") from error


def changed(name: str) -> ImageFileError:
    """Make the error for a file that is another one than it was."""
    return ImageFileError(f"'{name}' was changed after it was opened: open it again.")

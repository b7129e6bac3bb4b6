"""Files that are complete or not there at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class WriteError(OSError):
    """A file could not be written; the message is one sentence for the user."""


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Give a name to write to, in the same folder, which becomes `path` when all went well.

    After a failure or a cancellation nothing is left under that name, and a file that was called
    `path` before is still there, unchanged.

    Parameters
    ----------
    path : Path
        The file; the name to write to ends as it does.

    Raises
    ------
    FileNotFoundError
        If there is no such folder; one sentence.
    WriteError
        If writing fails.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder '{path.parent}' to write '{path.name}' into.")
    beside = path.with_name(f".{uuid.uuid4().hex}.part{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(
            f"'{path.name}' could not be written, nothing is left of it: {error.strerror or error}."
        ) from error
    finally:
        beside.unlink(missing_ok=True)

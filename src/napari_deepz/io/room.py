"""Whether there is memory for what a file claims to hold."""

from __future__ import annotations

import psutil

from napari_deepz.images import ImageFileError


def require_room(needed_bytes: int, name: str) -> None:
    """Refuse an image of which not even one plane fits into memory.

    Parameters
    ----------
    needed_bytes : int
        For one plane.
    name : str
        The image, for the message.

    Raises
    ------
    ImageFileError
        If less is free.
    """
    free = psutil.virtual_memory().available
    if needed_bytes > free:
        raise ImageFileError(
            f"A plane of '{name}' needs {needed_bytes / 1e9:.3g} GB of memory, but only "
            f"{free / 1e9:.3g} GB are free: it is damaged, or a smaller part of it must be saved "
            "as an image of its own."
        )

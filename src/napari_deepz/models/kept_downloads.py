"""What is kept of downloads on the disk, and for how long."""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from pathlib import Path

import platformdirs

from napari_deepz.models.library import MODELS_VARIABLE, user_models_folder

MOST_BYTES = 4 << 30

_KEPT_S = 7 * 24 * 3600
_OURS = re.compile(r"[0-9a-f]{16}-")


def downloads_folder() -> Path:
    """Where downloads are kept: in the user's cache, or in the models folder that was chosen."""
    if os.environ.get(MODELS_VARIABLE):
        return user_models_folder() / ".downloads"
    return platformdirs.user_cache_path("napari-deepz") / "downloads"


def download_of(url: str) -> Path:
    """Where the file from an address is, or would be, among the downloads."""
    last = re.sub(r"[^A-Za-z0-9._-]", "_", url.partition("?")[0].rpartition("/")[2])[-60:]
    return downloads_folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{last}"


def forget(url: str) -> None:
    """Delete what has been downloaded from an address."""
    with suppress(OSError):
        download_of(url).unlink()


def clear_downloads() -> None:
    """Delete downloads that nobody has used for a week, or that are too many.

    The newest that together have at most as many bytes as one may have are kept.
    """
    together = 0
    with suppress(OSError):
        ours = [path for path in downloads_folder().iterdir() if _OURS.match(path.name)]
        for path in sorted(ours, key=lambda path: path.stat().st_mtime, reverse=True):
            together += path.stat().st_size
            if together > MOST_BYTES or time.time() - path.stat().st_mtime > _KEPT_S:
                path.unlink()

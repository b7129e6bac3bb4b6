"""What is kept of downloads on the disk, and for how long."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_deepz.atomic_files import is_in_use, own_mark
from napari_deepz.models.library import MODELS_VARIABLE, user_models_folder

MOST_BYTES = 4 << 30

_KEPT_S = 7 * 24 * 3600
_ABANDONED_S = 3600
_VERSION = ".version"
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


def version_of(target: Path) -> Path:
    """Where the server's name of the version is written that is there."""
    return target.with_name(target.name + _VERSION)


def forget(url: str) -> None:
    """Delete what has been downloaded from an address."""
    target = download_of(url)
    for path in (target, version_of(target), _waiting(target), *_abandoned(target)):
        _delete(path)


def clear_downloads() -> None:
    """Delete downloads, whole or in part, that nobody has used for a week, or that are too many.

    The newest that together have at most as many bytes as one may have are kept.
    """
    together = 0
    for used_s, size, path in sorted(_kept(), reverse=True):
        together += size
        if together > MOST_BYTES or time.time() - used_s > _KEPT_S:
            _delete(path)
            _delete(version_of(path))


def _kept() -> Iterator[tuple[float, int, Path]]:
    """What nobody is at work on: when it was used last, and its bytes."""
    with suppress(OSError):
        for path in downloads_folder().iterdir():
            if not _OURS.match(path.name) or path.suffix == _VERSION:
                continue
            with suppress(OSError):  # Another process was faster.
                if not _is_worked_on(path):
                    facts = [entry.stat() for entry in (path, *_inside(path))]
                    used_s = max(entry.st_mtime for entry in facts)
                    yield used_s, sum(entry.st_size for entry in facts), path


def _is_worked_on(path: Path) -> bool:
    _, is_part, mark = path.name.partition(".part-")
    return bool(is_part) and is_in_use(mark, path, _ABANDONED_S)


def _inside(path: Path) -> Iterator[Path]:
    return path.iterdir() if path.is_dir() else iter(())


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@dataclass(frozen=True)
class Part:
    """What has come of a download, and of which version it is, in a folder."""

    folder: Path

    @property
    def data(self) -> Path:
        """The file itself."""
        return self.folder / "data"

    @property
    def version(self) -> Path:
        """What the server calls its version."""
        return self.folder / "version"

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.data.stat().st_size if self.data.exists() else 0


def claimed_part(target: Path) -> Part:
    """Take what an earlier attempt has left, which only one of several can, or begin anew."""
    own = target.with_name(f"{target.name}.part-{own_mark()}")
    for left in (_waiting(target), *_abandoned(target)):
        with suppress(OSError):  # It is not there, or another attempt was faster.
            left.rename(own)
            return Part(own)
    own.mkdir()
    return Part(own)


def release(part: Part, target: Path, *, keep: bool) -> None:
    """Let a part wait for the next attempt, or delete it."""
    if keep and part.size > 0:
        with suppress(OSError):  # What another attempt has left is there already.
            part.folder.rename(_waiting(target))
    _delete(part.folder)


def _waiting(target: Path) -> Path:
    """Folder in which a download that broke off waits for the next attempt."""
    return target.with_name(target.name + ".part")


def _abandoned(target: Path) -> Iterator[Path]:
    """Parts of attempts that were killed."""
    for entry in target.parent.glob(f"{target.name}.part-*"):
        with suppress(OSError):  # It has just been finished.
            if not _is_worked_on(entry):
                yield entry

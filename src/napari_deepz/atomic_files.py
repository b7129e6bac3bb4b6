"""Files and folders that are complete or not there at all, and what killed runs leave of them."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil

_OWNER = re.compile(r"(?P<host>[0-9a-f]{8})-(?P<pid>\d{1,18})-(?P<started>\d{1,18})-[0-9a-f]{8}")
_NAME = re.compile(
    rf"\.deepz-(?P<owner>{_OWNER.pattern})\.(?:part|former-(?P<replaced>.+))", re.DOTALL
)
_ABANDONED_S = 24 * 3600
_START_TOLERANCE_S = 60  # The clock may be set meanwhile.
_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2

# What NumPy says in place of the system's reason.
_CUT_SHORT = re.compile(r"\d+ requested and \d+ written")

_REMEDIES = {
    errno.ENOSPC: "make room or choose another folder",
    errno.EDQUOT: "make room or choose another folder",
    errno.EACCES: "choose another folder",
    errno.EPERM: "choose another folder",
    errno.EROFS: "choose another folder",
    errno.EFBIG: "choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}


class WriteError(OSError):
    """A file could not be written; the message is one sentence for the user."""


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Give a name to write a file or folder to, which becomes `path` when all went well.

    The name lies in the same folder and ends with .part. After a failure or a cancellation nothing
    is left under it, and what was called `path` before is still there, unchanged; there is no
    moment at which neither is there where the system can exchange folders (Linux, macOS). What a
    killed process leaves is cleared when another one first writes into the same folder.

    Parameters
    ----------
    path : Path
        The file or folder; where it is a link, what that leads to.

    Raises
    ------
    FileNotFoundError
        If there is no folder to write into; one sentence.
    WriteError
        If writing fails; one sentence.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink():
        raise WriteError(f"'{path}' is a link that leads in a circle: choose another name.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder '{target.parent}' to write '{path.name}' into."
        )
    _clear_once(target.parent.absolute())
    beside = target.with_name(f".deepz-{own_mark()}.part")
    try:
        yield beside
        _put_in_place(beside, target)
    except (WriteError, FileNotFoundError):
        raise
    except OSError as error:
        raise WriteError(
            f"'{path.name}' could not be written, nothing is left of it: {reason_of(error)}."
        ) from error
    finally:
        _remove(beside)


@contextmanager
def scratch_folder(inside: Path | None = None) -> Iterator[Path]:
    """Make an empty folder for intermediate files, which is gone in the end.

    What killed processes have left of such folders in the same place is cleared first.

    Parameters
    ----------
    inside : Path, optional
        Where to make it; the system's folder for temporary files if not given.

    Raises
    ------
    WriteError
        If it cannot be made; one sentence.
    """
    parent = Path(tempfile.gettempdir()) if inside is None else inside
    _clear_once(parent.absolute())
    folder = parent / f".deepz-{own_mark()}.part"
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise WriteError(f"Nothing can be written to '{parent}': {reason_of(error)}.") from error
    try:
        yield folder
    finally:
        _remove(folder)


def made_folder(path: Path) -> Path:
    """Make a folder for results, and those above it, where it is not there yet.

    Raises
    ------
    WriteError
        If it cannot be made, or a file has its name; one sentence.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        if path.is_symlink():
            raise WriteError(f"'{path}' is a link that leads nowhere: choose another.") from error
        raise WriteError(f"'{path}' cannot be a folder: a file is in its place.") from error
    except OSError as error:
        raise WriteError(f"The folder '{path}' cannot be made: {reason_of(error)}.") from error
    return path


def reason_of(error: OSError) -> str:
    """Say why writing failed, and what to do where that is known; no full stop."""
    if isinstance(error, WriteError) and isinstance(error.__cause__, OSError):
        return reason_of(error.__cause__)
    what = (error.strerror or str(error)).rstrip(".")
    remedy = _REMEDIES.get(error.errno or 0)
    if error.errno is None and _CUT_SHORT.search(what):
        what, remedy = "the disk took only a part of it", _REMEDIES[errno.ENOSPC]
    return what if remedy is None else f"{what}; {remedy}"


def clear_leftovers(folder: Path) -> None:
    """Delete what killed processes have left in a folder, and undo what they had half replaced.

    What belongs to a process that is still running stays, and so does what another computer has
    changed within a day: whether its process still runs cannot be known.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if found := _NAME.fullmatch(entry.name):
                with suppress(OSError):  # Another process was faster.
                    _clear(Path(entry.path), found["owner"], found["replaced"])


def _clear(left: Path, owner: str, replaced: str | None) -> None:
    if is_in_use(owner, left):
        return
    if replaced is not None and not (left.parent / replaced).exists():
        left.rename(left.parent / replaced)
    else:
        _remove(left)


_clear_once = cache(clear_leftovers)


def own_mark() -> str:
    """A text, never the same twice, that says which process of which computer made a name."""
    return f"{_host()}-{os.getpid()}-{int(psutil.Process().create_time())}-{uuid.uuid4().hex[:8]}"


def is_in_use(mark: str, path: Path, abandoned_s: float = _ABANDONED_S) -> bool:
    """Whether the process that `own_mark` names in a file's or folder's name may be at work on it.

    Parameters
    ----------
    mark : str
        From the name.
    path : Path
        The file or folder.
    abandoned_s : float
        Nobody is at work on what another computer, or one without a mark, has left unchanged for
        so long: whether its process still runs cannot be known.
    """
    found = _OWNER.fullmatch(mark)
    if found is None or found["host"] != _host():
        return time.time() - _last_change_s(path) < abandoned_s
    try:
        running_since: float = psutil.Process(int(found["pid"])).create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
    return bool(abs(running_since - int(found["started"])) < _START_TOLERANCE_S)


def _put_in_place(beside: Path, target: Path) -> None:
    if not target.is_dir():
        os.replace(beside, target)
        return
    if _exchanged(beside, target):
        return
    former = target.with_name(f".deepz-{own_mark()}.former-{target.name}")
    target.rename(former)
    try:
        beside.rename(target)
    except BaseException:
        former.rename(target)
        raise
    _remove(former)


def _exchanged(one: Path, other: Path) -> bool:
    """Let two folders exchange their names at once; False where the system cannot."""
    names, system = (os.fsencode(one), os.fsencode(other)), platform.system()
    try:
        if system == "Linux":
            here = _AT_FDCWD
            failed = ctypes.CDLL(None).renameat2(here, names[0], here, names[1], _RENAME_EXCHANGE)
        elif system == "Darwin":
            failed = ctypes.CDLL(None).renamex_np(*names, _RENAME_SWAP)
        else:
            return False
    except AttributeError:  # An old C library.
        return False
    return not failed


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@cache
def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _last_change_s(path: Path) -> float:
    """When a file, or anything in a folder, was changed."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return max(float(entry.lstat().st_mtime) for entry in (path, *inside))

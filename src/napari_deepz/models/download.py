"""Files from the internet: there whole, with their checksum, or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import time
from concurrent.futures import Future, wait
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO

import pooch

from napari_deepz.atomic_files import WriteError, made_folder, reason_of, written_beside
from napari_deepz.models.errors import ModelError, quoted
from napari_deepz.models.kept_downloads import MOST_BYTES, clear_downloads, download_of
from napari_deepz.watch import UNWATCHED, Cancelled, Progress, Watch

_INSTEAD = "or download the file with a browser and add it by its path"
_TIMEOUT_S = (10, 20)  # To connect, and between two pieces of data.
_HEADERS = {"Accept-Encoding": "identity"}  # Packed on the way, its length would say nothing.
_PIECE_BYTES = 64 << 10
_ASK_EVERY_S = 0.1
_FRESH_S = 3600
_TRIES = 3


def fetch(
    url: str,
    sha256: str | None = None,
    *,
    watch: Watch = UNWATCHED,
) -> Path:
    """Download a file, or find it among the downloads.

    A file with the right checksum is used without asking the server; without a checksum, one that
    came within the hour. A download that breaks off is begun again twice.

    Parameters
    ----------
    url : str
        An http or https address.
    sha256 : str, optional
        Checksum that the file must have, 64 hexadecimal digits.
    watch : Watch, optional
        Asked ten times a second, and told the bytes that are there and all bytes, if the server
        says how many.

    Returns
    -------
    Path
        In the downloads folder; not to be changed.

    Raises
    ------
    ModelError
        If it cannot be had, is too large, or has another checksum.
    OSError
        If it cannot be written; one sentence.
    Cancelled
        If it was stopped.
    """
    sha256 = None if sha256 is None else checked_sha256(sha256)
    if not url.lower().startswith(("http://", "https://")):
        raise ModelError(
            f"{quoted(url, 300)} cannot be downloaded: only http and https addresses can."
        )
    target = download_of(url)
    try:
        made_folder(target.parent)
        clear_downloads()
        if not _is_there(target, sha256):
            with written_beside(target) as part:
                _fill(part, url, watch)
                if sha256 is not None and digest_of(part) != sha256:
                    raise ModelError(
                        f"The file from {url} does not have the SHA-256 checksum {sha256}; it was "
                        "not kept, because it is damaged or not the file that was meant."
                    )
        elif sha256 is not None:
            os.utime(target)
    except OSError as error:
        raise WriteError(
            f"The download of {url} cannot be written to {target.parent}: {reason_of(error)}."
        ) from error
    return target


def checked_sha256(text: str) -> str:
    """Check that a text is a SHA-256 checksum.

    Raises
    ------
    ModelError
        If it is not one.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ModelError(f"'{text}' is not a SHA-256 checksum, which has 64 digits 0-9 and a-f.")
    return text.lower()


def digest_of(path: Path) -> str:
    """SHA-256 checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_there(target: Path, sha256: str | None) -> bool:
    if not target.exists():
        return False
    if sha256 is not None:
        return digest_of(target) == sha256
    return time.time() - target.stat().st_mtime < _FRESH_S


class _Arrival:
    """What pooch takes for a file to write to, and for the bar that shows its progress."""

    def __init__(self, url: str, stream: BinaryIO) -> None:
        self.url, self.stream = url, stream
        self.total: int | None = None  # Set by pooch when there is an answer, 0 if that is silent.
        self.done = 0
        self.is_unwanted = False

    def write(self, piece: bytes) -> None:
        if self.is_unwanted:
            raise Cancelled
        if max(self.done + len(piece), self.total or 0) > MOST_BYTES:
            raise ModelError(
                f"The file at {self.url} is larger than {MOST_BYTES >> 30} GiB; no model that "
                "napari-deepz can use is."
            )
        try:
            self.stream.write(piece)
        except OSError as error:
            raise WriteError(str(error)) from error
        self.done += len(piece)

    def _nothing(self, *_: int) -> None: ...

    flush = update = reset = close = _nothing


def _fill(part: Path, url: str, watch: Watch) -> None:
    for _ in range(_TRIES):
        with part.open("wb") as stream:
            arrival = _Arrival(url, stream)
            try:
                _receive(arrival, watch)
            except (ModelError, WriteError, Cancelled):
                raise
            except Exception as error:  # Of requests, urllib3, and what lies below them.
                if (answer := getattr(error, "response", None)) is not None:
                    raise ModelError(
                        f"{url} cannot be downloaded: the server answers {answer.status_code} "
                        f"{quoted(answer.reason)}; check the address, {_INSTEAD}."
                    ) from error
                if arrival.total is None:
                    raise ModelError(
                        f"{url} cannot be reached: check the address and the network, {_INSTEAD}."
                    ) from error
            else:
                if arrival.done >= (arrival.total or 0):
                    return
    raise ModelError(f"The download of {url} broke off before its end; run the same again.")


def _receive(arrival: _Arrival, watch: Watch) -> None:
    """Let another thread wait for the network, where no signal and no wish to stop is heard."""
    end: Future[None] = Future()
    answers = ExitStack()  # Pooch leaves them open when it fails.

    def keep(answer: Any, **_: Any) -> None:
        answers.callback(answer.close)

    load = pooch.HTTPDownloader(
        arrival, _PIECE_BYTES, timeout=_TIMEOUT_S, headers=_HEADERS, hooks={"response": keep}
    )

    def work() -> None:
        try:
            with answers:
                load(arrival.url, arrival, None)
        except BaseException as error:
            end.set_exception(error)
        else:
            end.set_result(None)

    Thread(target=work, daemon=True).start()
    progress: Progress | None = None
    is_over = False
    try:
        while not is_over:
            is_over = bool(wait([end], _ASK_EVERY_S).done)
            watch.check()
            if arrival.total and arrival.done:
                progress = progress or Progress(arrival.total)
                progress.advance(arrival.done - progress.done)
                watch.on_progress(progress)
    finally:
        arrival.is_unwanted = True
    end.result()

"""Files from the internet: fetched once, with a checksum, and continued where they broke off."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from napari_deepz.atomic_files import WriteError, made_folder, reason_of
from napari_deepz.models.errors import ModelError, quoted
from napari_deepz.models.kept_downloads import (
    MOST_BYTES,
    Part,
    claimed_part,
    clear_downloads,
    download_of,
    release,
    version_of,
)
from napari_deepz.models.web import Answer, BrokenOffError, UnreachableError, answer_to
from napari_deepz.watch import Cancelled, Progress, StopCondition

_INSTEAD = "or download the file with a browser and add it by its path"
_OK, _PARTIAL, _NOT_SATISFIABLE = 200, 206, 416


class DownloadWarning(UserWarning):
    """Something about a download that the user must know."""


class _RefusedError(ModelError):
    """Nothing is to be kept of a download."""


def fetch(
    url: str,
    sha256: str | None = None,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: StopCondition | None = None,
) -> Path:
    """Download a file, or find it among the downloads.

    A file with the right checksum is used without asking the server. Without a checksum the
    server is asked whether the file is still the same; if it cannot be reached, the file that is
    there is used. A download that broke off goes on where it did.

    Parameters
    ----------
    url : str
        An http or https address.
    sha256 : str, optional
        Checksum that the file must have, 64 hexadecimal digits.
    on_progress : callable, optional
        Called with the bytes that are there and all bytes, if the server says how many.
    should_stop : callable, optional
        Asked between pieces and while there are none; what has come stays for the next time.

    Returns
    -------
    Path
        In the downloads folder; not to be changed.

    Raises
    ------
    ModelError
        If it cannot be had, is too large, or has another checksum: then nothing of it is kept.
    OSError
        If it cannot be written; one sentence.
    Cancelled
        If it was stopped.

    Warns
    -----
    DownloadWarning
        If the server cannot be asked and an earlier download is used.
    """
    sha256 = None if sha256 is None else checked_sha256(sha256)
    if not url.lower().startswith(("http://", "https://")):
        raise ModelError(
            f"{quoted(url, 300)} cannot be downloaded: only http and https addresses can."
        )
    target, asked = download_of(url), should_stop or (lambda: False)
    try:
        made_folder(target.parent)
        clear_downloads()
        if not _is_there(url, target, sha256, asked):
            _Download(url, target, sha256, on_progress, asked).run()
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


def _is_there(url: str, target: Path, sha256: str | None, should_stop: StopCondition) -> bool:
    if not target.exists():
        return False
    if sha256 is not None:
        return digest_of(target) == sha256
    return not _is_outdated(url, target, should_stop)


def _is_outdated(url: str, target: Path, should_stop: StopCondition) -> bool:
    version = version_of(target)
    known = version.read_text("utf-8") if version.exists() else ""
    headers = {"Accept-Encoding": "identity"}
    if known:
        headers["If-None-Match" if known.startswith('"') else "If-Modified-Since"] = known
    try:
        with answer_to(url, headers, should_stop) as answer:
            return answer.status == _OK
    except UnreachableError:
        warnings.warn(
            f"{url} cannot be reached, so the file that was downloaded from it earlier is used.",
            DownloadWarning,
            stacklevel=4,
        )
        return False


def _version(answer: Answer) -> str:
    """What the server calls this version of the file; empty if it has no reliable name."""
    tag = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified", "")


@dataclass(frozen=True)
class _Download:
    """One attempt, into a part of its own that the next attempt continues."""

    url: str
    target: Path
    sha256: str | None
    on_progress: Callable[[Progress], None] | None
    should_stop: StopCondition

    def run(self) -> None:
        part, keep = claimed_part(self.target), False
        try:
            self._fill(part)
            if self.sha256 is not None and digest_of(part.data) != self.sha256:
                raise _RefusedError(
                    f"The file from {self.url} does not have the SHA-256 checksum {self.sha256}; "
                    "it was not kept, because it is damaged or not the file that was meant."
                )
            os.replace(part.data, self.target)
            os.replace(part.version, version_of(self.target))
        except _RefusedError:
            raise
        except (ModelError, Cancelled, KeyboardInterrupt):
            keep = True
            raise
        finally:
            release(part, self.target, keep=keep)

    def _fill(self, part: Part) -> None:
        """Bring a part to the length that the server says."""
        with self._answer(part) as answer:
            if answer.status != _PARTIAL:
                part.data.unlink(missing_ok=True)
                part.version.write_text(_version(answer), "utf-8")
            done = part.size
            length = answer.headers.get("Content-Length", "")
            # The length of packed data says nothing about how much will be written.
            known = length.isdecimal() and "Content-Encoding" not in answer.headers
            total = done + int(length) if known else None
            with part.data.open("ab") as stream:
                done = self._copy(answer, stream, done, total)
        if part.size != (done if total is None else total):
            raise self._broken_off()

    @contextmanager
    def _answer(self, part: Part) -> Iterator[Answer]:
        """Ask for what is missing, or for all of it if the server has another version now."""
        have = part.size
        known = part.version.read_text("utf-8") if part.version.exists() else ""
        headers = {"Accept-Encoding": "identity"}
        if have and known:
            headers |= {"Range": f"bytes={have}-", "If-Range": known}
        try:
            with answer_to(self.url, headers, self.should_stop) as answer:
                begins = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
                unwanted = answer.status == _PARTIAL and not begins
                if not ("Range" in headers and (answer.status == _NOT_SATISFIABLE or unwanted)):
                    self._check(answer)
                    yield answer
                    return
        except UnreachableError as error:
            raise ModelError(
                f"{self.url} cannot be reached: check the address and the network, {_INSTEAD}."
            ) from error
        part.data.unlink()
        with self._answer(part) as answer:
            yield answer

    def _check(self, answer: Answer) -> None:
        if answer.status not in (_OK, _PARTIAL):
            raise ModelError(
                f"{self.url} cannot be downloaded: the server answers {answer.status} "
                f"{quoted(answer.reason)}; check the address, {_INSTEAD}."
            )

    def _copy(self, answer: Answer, stream: BinaryIO, done: int, total: int | None) -> int:
        """Write what comes; returns how much there is then."""
        progress = None if total is None else Progress(total, done)
        if total is not None and total > MOST_BYTES:
            raise self._too_large()
        try:
            for piece in answer.pieces:
                stream.write(piece)
                stream.flush()  # What has come is there for the next attempt, even after a kill.
                done += len(piece)
                if done > MOST_BYTES:
                    raise self._too_large()
                if progress is not None and self.on_progress is not None:
                    progress.advance(len(piece))
                    self.on_progress(progress)
                if self.should_stop():
                    raise Cancelled
        except BrokenOffError as error:
            raise self._broken_off() from error
        return done

    def _too_large(self) -> _RefusedError:
        return _RefusedError(
            f"The file at {self.url} is larger than {MOST_BYTES >> 30} GiB; no model that "
            "napari-deepz can use is."
        )

    def _broken_off(self) -> ModelError:
        return ModelError(
            f"The download of {self.url} broke off before its end; run the same again to go on."
        )

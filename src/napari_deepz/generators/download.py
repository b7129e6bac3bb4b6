"""Files from the internet: fetched once, with a checksum, and continued where they broke off."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from napari_deepz.generators.errors import ModelError
from napari_deepz.generators.library import MODELS_VARIABLE, user_models_folder
from napari_deepz.jobs import Cancelled, Progress, StopCondition

if TYPE_CHECKING:
    from requests import Response

_MOST_BYTES = 4 << 30
_CHUNK_BYTES = 64 << 10
_TIMEOUT_S = (10, 20)  # To connect, and between two pieces of data.
_ABANDONED_S = 3600
_INSTEAD = "or download the file with a browser and add it by its path"


class DownloadWarning(UserWarning):
    """Something about a download that the user must know."""


def downloads_folder() -> Path:
    """Where downloads are kept: in the user's cache, or in the models folder that was chosen."""
    if os.environ.get(MODELS_VARIABLE):
        return user_models_folder() / ".downloads"
    return platformdirs.user_cache_path("napari-deepz") / "downloads"


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
        Asked between pieces; what has come stays for the next time.

    Returns
    -------
    Path
        In the downloads folder; not to be changed.

    Raises
    ------
    ModelError
        If it cannot be had, is too large, or has another checksum: then nothing of it is kept.
    Cancelled
        If it was stopped.

    Warns
    -----
    DownloadWarning
        If the server cannot be asked and an earlier download is used.
    """
    import pooch
    import requests
    import urllib3

    sha256 = None if sha256 is None else checked_sha256(sha256)
    if not url.lower().startswith(("http://", "https://")):
        raise ModelError(f"{url} cannot be downloaded: only http and https addresses can.")
    target = download_of(url)
    if sha256 is None and target.exists() and _is_outdated(url, target):
        target.unlink(missing_ok=True)
    logger: logging.Logger = pooch.get_logger()
    logger.setLevel(logging.WARNING)  # It tells where it puts what, which is our business.
    try:
        pooch.retrieve(
            url,
            known_hash=sha256,
            fname=target.name,
            path=target.parent,
            downloader=_Download(target, on_progress, should_stop),
        )
    except (ModelError, Cancelled):
        raise
    except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
        raise ModelError(
            f"{url} cannot be reached: check the address and the network, {_INSTEAD}."
        ) from error
    except ValueError as error:  # Of pooch, about the checksum.
        _version_of(target).unlink(missing_ok=True)
        raise ModelError(
            f"The file from {url} does not have the SHA-256 checksum {sha256}; it was not kept, "
            "because it is damaged or not the file that was meant."
        ) from error
    except OSError as error:
        raise OSError(
            f"The download of {url} cannot be written to {target.parent}: "
            f"{error.strerror or error}."
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


def download_of(url: str) -> Path:
    """Where the file from an address is, or would be, among the downloads."""
    last = re.sub(r"[^A-Za-z0-9._-]", "_", url.partition("?")[0].rpartition("/")[2])[-60:]
    return downloads_folder() / f"{hashlib.sha256(os.fsencode(url)).hexdigest()[:16]}-{last}"


def forget(url: str) -> None:
    """Delete what has been downloaded from an address."""
    target = download_of(url)
    for path in (target, _version_of(target)):
        path.unlink(missing_ok=True)
    for folder in (_part_of(target), *_abandoned(target)):
        shutil.rmtree(folder, ignore_errors=True)


def _part_of(target: Path) -> Path:
    """Folder in which a download that broke off waits for the next attempt."""
    return target.with_name(target.name + ".part")


def _version_of(target: Path) -> Path:
    """Where the server's name of the version is written that is there."""
    return target.with_name(target.name + ".version")


def _is_outdated(url: str, target: Path) -> bool:
    import requests

    version = _version_of(target)
    known = version.read_text("utf-8") if version.exists() else ""
    headers = {"Accept-Encoding": "identity"}
    if known:
        headers["If-None-Match" if known.startswith('"') else "If-Modified-Since"] = known
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
            return bool(response.status_code == requests.codes.ok)
    except requests.RequestException:
        warnings.warn(
            f"{url} cannot be reached, so the file that was downloaded from it earlier is used.",
            DownloadWarning,
            stacklevel=3,
        )
        return False


def _version(response: Response) -> str:
    """What the server calls this version of the file; empty if it has no reliable name."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


class _TooLargeError(ModelError):
    def __init__(self, url: str) -> None:
        super().__init__(
            f"The file at {url} is larger than {_MOST_BYTES >> 30} GiB; no model that napari-deepz "
            "can use is."
        )


@dataclass(frozen=True)
class _Part:
    """What has come of a download, and of which version it is, in a folder."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def version(self) -> Path:
        return self.folder / "version"

    @property
    def size(self) -> int:
        return self.data.stat().st_size if self.data.exists() else 0


def _claimed_part(target: Path) -> _Part:
    """Take what an earlier attempt has left, which only one of several can, or begin anew."""
    own = target.with_name(f"{target.name}.part-{uuid.uuid4().hex[:8]}")
    for left in (_part_of(target), *_abandoned(target)):
        with suppress(OSError):  # It is not there, or another attempt was faster.
            left.rename(own)
            return _Part(own)
    own.mkdir()
    return _Part(own)


def _abandoned(target: Path) -> Iterator[Path]:
    """Parts of attempts that were killed: nothing has come for far longer than they wait."""
    for entry in target.parent.glob(f"{target.name}.part-*"):
        with suppress(OSError):  # It has just been finished.
            changed = max(path.stat().st_mtime for path in (entry, *entry.iterdir()))
            if time.time() - changed > _ABANDONED_S:
                yield entry


@dataclass(frozen=True)
class _Download:
    """Downloads for pooch, into a part of its own that the next attempt continues."""

    target: Path
    on_progress: Callable[[Progress], None] | None
    should_stop: StopCondition | None

    def __call__(self, url: str, output: str, _pooch: Any) -> None:
        import requests

        part, keep = _claimed_part(self.target), False
        try:
            self._fill(part, url)
            os.replace(part.data, output)
            part.version.replace(_version_of(self.target))
        except _TooLargeError:
            raise
        except (ModelError, Cancelled, KeyboardInterrupt, requests.RequestException):
            keep = part.size > 0
            raise
        finally:
            if keep:
                with suppress(OSError):  # What another attempt has left is there already.
                    part.folder.rename(_part_of(self.target))
            shutil.rmtree(part.folder, ignore_errors=True)

    def _fill(self, part: _Part, url: str) -> None:
        """Bring a part to the length that the server says."""
        with self._request(part, url) as response:
            if response.status_code != 206:
                part.data.unlink(missing_ok=True)
                part.version.write_text(_version(response), "utf-8")
            done = part.size
            length = response.headers.get("Content-Length", "")
            # The length of packed data says nothing about how much will be written.
            known = length.isdecimal() and "Content-Encoding" not in response.headers
            total = done + int(length) if known else None
            with part.data.open("ab") as stream:
                done = self._copy(response, stream, url, done, total)
        if part.size != (done if total is None else total):
            raise _broken_off(url)

    def _request(self, part: _Part, url: str) -> Response:
        """Ask for what is missing, or for all of it if the server has another version now."""
        import requests

        have = part.size
        known = part.version.read_text("utf-8") if part.version.exists() else ""
        headers = {"Accept-Encoding": "identity"}
        if have and known:
            headers |= {"Range": f"bytes={have}-", "If-Range": known}
        response = requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S)
        status = response.status_code
        begins = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if "Range" in headers and (status == 416 or (status == 206 and not begins)):
            response.close()
            part.data.unlink()
            return self._request(part, url)
        if status not in (200, 206):
            response.close()
            raise ModelError(
                f"{url} cannot be downloaded: the server answers {status} {response.reason}; "
                f"check the address, {_INSTEAD}."
            )
        return response

    def _copy(self, response: Response, stream: Any, url: str, done: int, total: int | None) -> int:
        """Write what comes; returns how much there is then."""
        import requests

        progress = None if total is None else Progress(total, done)
        if total is not None and total > _MOST_BYTES:
            raise _TooLargeError(url)
        try:
            for chunk in response.iter_content(_CHUNK_BYTES):
                stream.write(chunk)
                done += len(chunk)
                if done > _MOST_BYTES:
                    raise _TooLargeError(url)
                if progress is not None and self.on_progress is not None:
                    progress.advance(len(chunk))
                    self.on_progress(progress)
                if self.should_stop is not None and self.should_stop():
                    raise Cancelled
        except requests.RequestException as error:
            raise _broken_off(url) from error
        return done


def _broken_off(url: str) -> ModelError:
    return ModelError(
        f"The download of {url} broke off before its end; run the same again to go on."
    )

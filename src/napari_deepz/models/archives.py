"""Files of a model package, read from a folder or a zip file without unpacking anything."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from napari_deepz.models.errors import ModelError, reading

MOST_DECLARED_BYTES = 8 << 30

_MOST_MEMBERS = 1000
_MOST_AT_ONCE_BYTES = 4 << 20
_CHUNK_BYTES = 1 << 20
_ENCRYPTED = 0x1 | 0x40 | 0x2000
# The others unpack as much as they like at once, however little one asks them for.
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises for archives that are damaged or of a kind that it does not know.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)


class PackageFiles:
    """The files of one package.

    A zip file may hold them at its top or in its only folder. Names are those inside the package,
    such as "model.json". Nothing is ever written to disk.

    Parameters
    ----------
    path : Path
        A folder or a zip file.
    called : str, optional
        What sentences call the package, where its path would mean nothing to the user.

    Raises
    ------
    ModelError
        If it is neither, or if the archive is not one that a model package would be: names that
        climb out of it or stand there twice, links, encryption, an unusual compression, or more
        or larger files than any model has.
    """

    def __init__(self, path: Path, *, called: str | None = None) -> None:
        self.path = path
        self.called = str(path) if called is None else called
        self._members: dict[str, zipfile.ZipInfo] | None = None
        with reading(self.called):
            is_folder = path.is_dir()
        if not is_folder:
            self._members = _checked_members(path, self.called)

    def __contains__(self, name: str) -> bool:
        if self._members is not None:
            return name in self._members
        with reading(self.called):
            return _stays_inside(name) and (self.path / name).is_file()

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Read a file whole.

        Raises
        ------
        ModelError
            If it is not there, cannot be read, or is larger than the limit.
        """
        if name not in self:
            raise ModelError(f"{self.called} is not a whole model package: it has no {name}.")
        data = io.BytesIO()
        try:
            size = self._size_of(name)
            if size <= limit_bytes:
                with self._open(name) as stream:
                    while data.tell() <= size and (chunk := stream.read(_CHUNK_BYTES)):
                        data.write(chunk)
        except UNREADABLE as error:
            raise self._damaged(name) from error
        if size > limit_bytes:
            raise ModelError(
                f"The {name} in {self.called} is larger than {limit_bytes >> 20} MiB; this is not "
                "a model that napari-deepz can use."
            )
        if data.tell() != size:
            raise self._damaged(name)
        return data.getvalue()

    def _size_of(self, name: str) -> int:
        if self._members is None:
            return (self.path / name).stat().st_size
        return self._members[name].file_size

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        if self._members is None:
            with (self.path / name).open("rb") as stream:
                yield stream
        else:
            with (
                _opened(self.path, self.called) as archive,
                archive.open(self._members[name]) as stream,
            ):
                yield stream

    def _damaged(self, name: str) -> ModelError:
        return ModelError(
            f"The {name} in {self.called} cannot be read; the file is damaged or was not copied "
            "whole."
        )


class _BoundedReader(io.BufferedReader):
    """Reads a bounded part at once, where zipfile reads a list of contents of any length."""

    def __init__(self, path: Path, called: str) -> None:
        super().__init__(io.FileIO(path))
        self._called = called

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MOST_AT_ONCE_BYTES:
            raise ModelError(f"{self._called} lists more files than any model package has.")
        return super().read(size)


@contextmanager
def _opened(path: Path, called: str) -> Iterator[zipfile.ZipFile]:
    with _BoundedReader(path, called) as stream, zipfile.ZipFile(stream) as archive:
        yield archive


def _checked_members(path: Path, called: str) -> dict[str, zipfile.ZipInfo]:
    """Members of an archive by their name inside the package."""
    with reading(called):
        is_there = path.exists()
    if not is_there:
        raise ModelError(f"There is no model package at {called}.")
    entries = _listed(path, called)
    if len(entries) > _MOST_MEMBERS:
        raise ModelError(f"{called} lists more files than any model package has.")
    if sum(entry.file_size for entry in entries) > MOST_DECLARED_BYTES:
        raise ModelError(
            f"{called} would unpack to more than {MOST_DECLARED_BYTES >> 30} GiB, more than any "
            "model package has."
        )
    files: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        _check_member(entry, called)
        name = PurePosixPath(_with_slashes(entry)).as_posix()
        if name in files:
            raise ModelError(f"{called} is not a safe model package: it has two files {name!r}.")
        # What macOS adds to every archive stands beside the package's folder.
        if not _with_slashes(entry).endswith("/") and not name.startswith("__MACOSX/"):
            files[name] = entry
    folders = {name.split("/")[0] for name in files if "/" in name}
    if len(folders) == 1 and all("/" in name for name in files):
        (folder,) = folders
        return {name.removeprefix(f"{folder}/"): entry for name, entry in files.items()}
    return files


def _listed(path: Path, called: str) -> list[zipfile.ZipInfo]:
    if path.is_file():  # Opening a pipe would wait for ever.
        with reading(called), path.open("rb") as stream:
            start = stream.read(2)
        try:
            with _opened(path, called) as archive:
                return archive.infolist()
        except ModelError:
            raise
        except UNREADABLE as error:
            if start == b"PK":
                raise ModelError(
                    f"The zip file {called} is damaged or was not copied whole."
                ) from error
    raise ModelError(
        f"{called} is not a model package: it is neither a folder nor a readable zip file."
    )


def _check_member(entry: zipfile.ZipInfo, called: str) -> None:
    unsafe = f"{called} is not a safe model package: its file {entry.filename!r}"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if not _stays_inside(_with_slashes(entry)):
        raise ModelError(f"{unsafe} points out of it.")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ModelError(f"{unsafe} is a link or no file at all.")
    if entry.flag_bits & _ENCRYPTED:
        raise ModelError(f"{called} is encrypted; unpack it and use its folder.")
    if entry.compress_type not in COMPRESSIONS:
        raise ModelError(
            f"{called} is compressed in an unusual way; unpack it with the program that made it "
            "and use its folder."
        )


def _with_slashes(entry: zipfile.ZipInfo) -> str:
    return entry.filename.replace("\\", "/")


def _stays_inside(name: str) -> bool:
    return not (name.startswith("/") or ":" in name or ".." in PurePosixPath(name).parts)

"""Files of a model package, read from a folder or a zip file without unpacking anything."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from napari_deepz.generators.errors import ModelError

_MOST_MEMBERS = 1000
_MOST_DECLARED_BYTES = 8 << 30
_ENCRYPTED = 0x1
# What zipfile raises for damaged archives, and for encryption and compression it does not know.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError)


class PackageFiles:
    """The files of one package.

    A zip file may hold them at its top or in its only folder. Names are those inside the package,
    such as "model.json". Nothing is ever written to disk.

    Parameters
    ----------
    path : Path
        A folder or a zip file.

    Raises
    ------
    ModelError
        If it is neither, or if the archive is not one that a model package would be: names that
        climb out of it, links, encryption, or more or larger files than any model has.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, zipfile.ZipInfo] | None = None
        if not path.is_dir():
            self._members = _checked_members(path)

    def __contains__(self, name: str) -> bool:
        if self._members is not None:
            return name in self._members
        return (self.path / name).is_file()

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Read a file whole.

        Raises
        ------
        ModelError
            If it is not there, cannot be read, or is larger than the limit.
        """
        if name not in self:
            raise ModelError(f"{self.path} is not a whole model package: it has no {name}.")
        try:
            data = self._start_of(name, limit_bytes + 1)
        except _UNREADABLE as error:
            raise ModelError(
                f"The {name} in {self.path} cannot be read; the file is damaged or was not copied "
                "whole."
            ) from error
        if len(data) > limit_bytes:
            raise ModelError(
                f"The {name} in {self.path} is larger than {limit_bytes >> 20} MiB; this is not a "
                "model that napari-deepz can use."
            )
        return data

    def _start_of(self, name: str, size: int) -> bytes:
        if self._members is None:
            with (self.path / name).open("rb") as stream:
                return stream.read(size)
        with zipfile.ZipFile(self.path) as archive, archive.open(self._members[name]) as stream:
            return stream.read(size)


def _checked_members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """Members of an archive by their name inside the package."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except _UNREADABLE as error:
        raise ModelError(
            f"{path} is not a model package: it is neither a folder nor a readable zip file."
        ) from error
    if len(entries) > _MOST_MEMBERS:
        raise ModelError(f"{path} holds {len(entries)} files, more than any model package has.")
    if sum(entry.file_size for entry in entries) > _MOST_DECLARED_BYTES:
        raise ModelError(
            f"{path} would unpack to more than {_MOST_DECLARED_BYTES >> 30} GiB, more than any "
            "model package has."
        )
    for entry in entries:
        _check_member(entry, path)
    files = {entry.filename: entry for entry in entries if not entry.is_dir()}
    folders = {name.split("/")[0] for name in files if "/" in name}
    if len(folders) == 1 and all("/" in name for name in files):
        (folder,) = folders
        return {name.removeprefix(f"{folder}/"): entry for name, entry in files.items()}
    return files


def _check_member(entry: zipfile.ZipInfo, path: Path) -> None:
    name = entry.filename.replace("\\", "/")
    if name.startswith("/") or ":" in name or ".." in PurePosixPath(name).parts:
        raise ModelError(
            f"{path} is not a safe model package: its file '{entry.filename}' points out of it."
        )
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ModelError(
            f"{path} is not a safe model package: its file '{entry.filename}' is a link."
        )
    if entry.flag_bits & _ENCRYPTED:
        raise ModelError(f"{path} is encrypted; unpack it and use its folder.")

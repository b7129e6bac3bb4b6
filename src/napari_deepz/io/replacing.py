"""What a result may replace: a former result of the same kind, and never an input."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from napari_deepz.io.movie_frames import FRAMES
from napari_deepz.io.reading import read_provenance

_MADE_BY_FILE_MANAGERS = {".DS_Store", "Thumbs.db", "desktop.ini"}
_PARTS_OF_OUR_ZARR = {"zarr.json", ".zgroup", ".zattrs", "0", FRAMES} | _MADE_BY_FILE_MANAGERS
_HOLDS = {
    "inferred": "inferred planes",
    "simulated": "a simulated stack",
    "measured": "a measured image",
}


def require_replaceable(path: Path, kind: str) -> None:
    """Refuse a name under which something else lies than a former result of this package.

    Parameters
    ----------
    path : Path
        Where a stack or a picture shall be written.
    kind : str
        As in its `Provenance`.

    Raises
    ------
    ValueError
        If anything is there whose record is not of this kind or cannot be read, or something was
        added to it; measured images are never replaced.
    """
    if not path.exists():
        return
    if not (path.is_file() or path.is_dir()):
        raise ValueError(f"'{path}' is neither a file nor a folder; choose another output name.")
    try:
        record = read_provenance(path)
    except (ValueError, OSError):
        record = None
    if record is None:
        raise foreign(path)
    if record.kind != kind or kind == "measured":
        raise ValueError(
            f"'{path}' exists and holds {_HOLDS[record.kind]}, which would be lost; choose another "
            "output name."
        )
    if path.is_dir() and (added := sorted(set(os.listdir(path)) - _PARTS_OF_OUR_ZARR)):
        raise ValueError(
            f"'{path}' exists and holds '{added[0]}', which would be lost; choose another output "
            "name."
        )


def foreign(path: Path) -> ValueError:
    """What to raise where something lies in the way that this package has not made."""
    return ValueError(
        f"'{path}' exists and was not made by napari-deepz; choose another output name."
    )


def require_no_input(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over, into or around what is being read.

    Parameters
    ----------
    outputs : iterable of Path
        Files and folders to be written.
    inputs : iterable of Path
        Files and folders that are read; those that do not exist are passed over.

    Raises
    ------
    ValueError
        If an output is an input, whatever links lead there, lies in an input's folder, or is a
        folder with an input in it.
    """
    existing = [given for given in inputs if given.exists()]
    for output in outputs:
        for given in existing:
            if _is_same_or_below(output, given):
                where = "is" if _is_same(output, given) else "would lie inside"
                raise ValueError(
                    f"The output '{output}' {where} the input '{given}', which is never changed; "
                    "choose another output name."
                )
            if _is_same_or_below(given, output):
                raise ValueError(
                    f"The output '{output}' would replace the folder in which the input '{given}' "
                    "lies; choose another output name."
                )


def _is_same_or_below(path: Path, folder: Path) -> bool:
    real = Path(os.path.realpath(path))
    return any(_is_same(place, folder) for place in (path, real, *real.parents))


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False

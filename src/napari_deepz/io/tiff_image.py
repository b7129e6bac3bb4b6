"""An image as it lies in TIFF files."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tifffile

from napari_deepz.images import ImageFileError
from napari_deepz.io.noticing import note
from napari_deepz.io.stated_optics import StatedOptics
from napari_deepz.io.tiff_planes import PlaneMap
from napari_deepz.io.tiff_sizes import StatedSizes

_MOST_TO_ONE = 100
_MOST_NAMED = 3


@dataclass(frozen=True, eq=False)
class TiffImage:
    """Where the planes of an image lie, and what its files say of them.

    Attributes
    ----------
    planes : PlaneMap
        Where they lie.
    axes : str
        Of the planes and of one plane, as tifffile calls them, such as "TCZYX" or "ZYXS".
    page : tifffile.TiffPage
        One of its pages.
    kind : str
        Which program's description the file has, such as "imagej".
    stated : StatedSizes or None
        Sizes in that description; None where they are to be looked for on the page.
    channel_names : tuple of str
        One for each channel; empty where its files do not name them.
    optics : StatedOptics or None
        As its description states them; None for one that has no place for them.
    """

    planes: PlaneMap
    axes: str
    page: tifffile.TiffPage
    kind: str
    stated: StatedSizes | None = None
    channel_names: tuple[str, ...] = ()
    optics: StatedOptics | None = None


def does_not_fit(name: str) -> ImageFileError:
    """Make the error for a description that does not fit the pixels."""
    return ImageFileError(
        f"The description in '{name}' does not fit its pixels: it is damaged, or one part of an "
        "image in several files, of which the first is to be opened."
    )


def listed(names: list[str]) -> str:
    """Name files after what another file calls them, which may be anything: the first few."""
    printable = ["".join(c if c.isprintable() else "?" for c in name) for name in names]
    named = ", ".join(f"'{name}'" for name in printable[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def note_first_of(count: int, name: str) -> None:
    """Say that a file holds several images."""
    note(f"'{name}' holds {count} images of which only the first was read.")


def note_missing(there: int, leading: tuple[int, ...], name: str, *, planned: int = 0) -> None:
    """Say that planes are missing, and give up where hardly any is there.

    Parameters
    ----------
    there : int
        Planes that are there.
    leading : tuple of int
        Lengths of the axes along which they are to be put.
    name : str
        The file.
    planned : int, optional
        Planes that were to be taken.

    Raises
    ------
    ImageFileError
        If less than one of a hundred planes along the axes is there.
    """
    total = math.prod(leading)
    missing = max(total, planned) - there
    what = f"{missing} of {missing + there} planes of '{name}' are missing"
    if total > _MOST_TO_ONE * there:
        raise ImageFileError(f"{what}: copy the whole folder again, or record it anew.")
    if missing > 0:
        note(f"{what}: they were never taken, or lie in a file that is not in the same folder.")

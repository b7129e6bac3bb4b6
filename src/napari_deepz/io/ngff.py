"""What the metadata of OME-Zarr 0.1 to 0.5 say: axes, sizes, positions and channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_deepz.images import ImageFileError
from napari_deepz.io.noticing import note
from napari_deepz.io.units import length_um, time_s
from napari_deepz.names import plain_name

# Versions 0.1 and 0.2 have no axes, https://ngff.openmicroscopy.org/0.2
_AXES_OF_OLD_VERSIONS = "tczyx"
_LETTER_OF_KIND = {"time": "T", "channel": "C"}
_KIND_OF_LETTER = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
_OTHER_NAMES = {
    "time": "T",
    "timepoint": "T",
    "frame": "T",
    "ch": "C",
    "channel": "C",
    "wavelength": "C",
    "depth": "Z",
    "plane": "Z",
    "slice": "Z",
    "row": "Y",
    "column": "X",
    "col": "X",
}


@dataclass(frozen=True)
class FullResolution:
    """The first level of an image.

    Attributes
    ----------
    path : str
        Where its array lies in the group.
    axes : str
        For each axis of the array its letter of "TCZYX", or "?".
    pixel_um : tuple of float or None
        Height and width of a pixel in µm.
    z_step_um, t_step_s : float or None
        Steps between planes and time points.
    z_start_um : float or None
        Where the first plane lies.
    origin_um : tuple of float or None
        (y, x) of the first pixel.
    channel_names : tuple of str
        As many as the file names, "" for one without a label.
    """

    path: str
    axes: str
    pixel_um: tuple[float | None, float | None]
    z_step_um: float | None
    t_step_s: float | None
    z_start_um: float | None
    origin_um: tuple[float, float] | None
    channel_names: tuple[str, ...]


def full_resolution(ome: dict[str, Any], name: str) -> FullResolution:
    """Understand the metadata of an image.

    Parameters
    ----------
    ome : dict
        The attributes that hold "multiscales".
    name : str
        The image, for messages.

    Returns
    -------
    FullResolution
        Sizes and positions are None where the file gives no unit or no transformation.


    Raises
    ------
    ImageFileError
        If the version is newer.
    KeyError, IndexError, TypeError, AttributeError
        If these are not the metadata of an image.
    """
    multiscale = ome["multiscales"][0]
    if "coordinateSystems" in multiscale:
        raise ImageFileError(
            f"'{name}' is of a newer version of OME-Zarr than can be read: save it as 0.5 or 0.4."
        )
    level = multiscale["datasets"][0]
    if len(ome["multiscales"]) > 1:
        note(f"'{name}' holds several images of which only the first was read.")
    axes = multiscale.get("axes", _AXES_OF_OLD_VERSIONS)
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in axes]
    letters = _letters(axes)
    scale, start = _placement([level, multiscale], len(axes), name)

    def along(letter: str, values: Sequence[float] | None) -> tuple[float | None, Any]:
        if values is None or letters.count(letter) != 1:
            return None, None
        index = letters.index(letter)
        return values[index], axes[index].get("unit")

    z_start_um, *origin_um = (_position_um(*along(letter, start)) for letter in "ZYX")
    return FullResolution(
        path=level["path"],
        axes=letters,
        pixel_um=(length_um(*along("Y", scale)), length_um(*along("X", scale))),
        z_step_um=length_um(*along("Z", scale)),
        t_step_s=time_s(*along("T", scale)),
        z_start_um=z_start_um,
        origin_um=None if None in origin_um else (origin_um[0], origin_um[1]),  # type: ignore[arg-type]
        channel_names=_channel_names(ome),
    )


def _letters(axes: Sequence[dict[str, Any]]) -> str:
    """By name, then by type; axes of space without a known name are the last of z, y, x."""
    kinds = [axis.get("type") for axis in axes]
    letters = [_letter(axis.get("name"), kind) for axis, kind in zip(axes, kinds, strict=True)]
    unnamed = [
        index
        for index, kind in enumerate(kinds)
        if kind == "space" and letters[index] not in _KIND_OF_LETTER
    ]
    free = [letter for letter in "ZYX" if letter not in letters]
    for index, letter in zip(reversed(unnamed), reversed(free), strict=False):
        letters[index] = letter
    return "".join(letters)


def _letter(name: object, kind: object) -> str:
    called = str(name).strip().casefold()
    if called.upper() in _KIND_OF_LETTER:
        return called.upper()
    other = _OTHER_NAMES.get(called.removesuffix("s"))
    if other is not None and kind in (None, _KIND_OF_LETTER[other]):
        return other
    return _LETTER_OF_KIND.get(str(kind), "?")


def _placement(
    holders: Sequence[dict[str, Any]], count: int, name: str
) -> tuple[list[float] | None, list[float] | None]:
    """Scale and position that all transformations of a level, then of its image, come to.

    Each is None where no transformation gives it.
    """
    scale: list[float] | None = None
    start: list[float] | None = None
    for holder in holders:
        for transformation in holder.get("coordinateTransformations") or ():
            kind = transformation["type"]
            if kind == "identity":
                continue
            values = transformation.get(kind)
            if kind not in ("scale", "translation") or not _are_numbers(values, count):
                note(
                    f"The sizes of '{name}' are stored in a form that cannot be used and are "
                    "taken as unknown: give its pixel size and z step yourself."
                )
                return None, None
            if kind == "translation":
                start = [a + b for a, b in zip(start or [0.0] * count, values, strict=True)]
                continue
            scale = [a * b for a, b in zip(scale or [1.0] * count, values, strict=True)]
            if start is not None:
                start = [a * b for a, b in zip(start, values, strict=True)]
    return scale, start


def _are_numbers(values: object, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(value) in (int, float) and math.isfinite(value) for value in values)
    )


def _position_um(value: float | None, unit: object) -> float | None:
    one_um = length_um(1, unit)
    return None if value is None or one_um is None else value * one_um


def _channel_names(ome: dict[str, Any]) -> tuple[str, ...]:
    omero = ome.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list):
        return ()
    labels = (channel.get("label") if isinstance(channel, dict) else None for channel in channels)
    return tuple(plain_name(label) if isinstance(label, str) else "" for label in labels)

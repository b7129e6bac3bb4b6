"""Reading CZI files of ZEISS: the first scene, with its tiles put together."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.images import ImageFileError, ImageSeries
from napari_deepz.io.czi_directory import CziDirectory, CziTile, read_directory
from napari_deepz.io.czi_metadata import parse_czi_metadata
from napari_deepz.io.czi_pixels import CZI, PIXEL_TYPES, CziPlanes, Place, can_decode
from napari_deepz.io.microscope_file import MicroscopeImage, sentences_for, series_of
from napari_deepz.io.same_file import state_of
from napari_deepz.io.tiff_image import note_first_of, note_missing

_LEADING = "TCZ"
_SCENE = "S"
_MOST_EMPTY = 100
_FURTHER = {
    "R": "rotations",
    "I": "directions of illumination",
    "H": "phases",
    "V": "views",
    "B": "blocks",
}


def read_czi(path: Path, name: str) -> ImageSeries:
    """Read the first scene of a CZI file.

    Parameters
    ----------
    path : Path
        An existing file.
    name : str
        Name of the image.

    Returns
    -------
    ImageSeries
        Planes are read when they are asked for.

    Raises
    ------
    ImageFileError
        If the file is no CZI file, damaged, or holds what cannot be refocused.
    """
    with path.open("rb") as file, sentences_for(path.name, CZI):
        state = state_of(file.fileno())
        directory = read_directory(file)
    tiles = _first_scene(directory, path.name)
    about = parse_czi_metadata(directory.xml, path.name)
    dtype, samples = _pixels(tiles, path.name)
    left, top, width, height = _rectangle(tiles, path.name)
    found = np.array([[tile.place.get(axis, 0) for axis in _LEADING] for tile in tiles], np.int64)
    lengths = np.ptp(found, axis=0) + 1
    places: dict[Place, list[CziTile]] = defaultdict(list)
    for place, tile in zip((found - found.min(axis=0)).tolist(), tiles, strict=True):
        places[tuple(place)].append(tile)
    shape = (height, width, samples)
    image = MicroscopeImage(
        path,
        state,
        CziPlanes(path, state, dict(places), left, top, shape, dtype),
        dict(zip(_LEADING, lengths.tolist(), strict=True)),
        "YXS",
        shape,
        dtype,
        about.sizes,
        about.optics,
        about.channel_names,
        _missing(list(places), tuple(lengths.tolist()), path.name),
    )
    return series_of(image, name)


def _first_scene(directory: CziDirectory, name: str) -> list[CziTile]:
    if not directory.tiles:
        raise ImageFileError(f"'{name}' holds no pixels: record or export it again.")
    for axis, called in _FURTHER.items():
        if len({tile.place.get(axis, 0) for tile in directory.tiles}) > 1:
            raise ImageFileError(
                f"'{name}' holds several {called} of the same place: save the wanted one alone, "
                "or as an OME-TIFF."
            )
    scenes = {tile.place.get(_SCENE, -1) for tile in directory.tiles}
    if len(scenes) > 1:
        note_first_of(len(scenes), name)
    first = min(scenes)
    return [tile for tile in directory.tiles if tile.place.get(_SCENE, -1) == first]


def _rectangle(tiles: list[CziTile], name: str) -> tuple[int, int, int, int]:
    """Left, top, width and height of all tiles together."""
    left, top = min(tile.left for tile in tiles), min(tile.top for tile in tiles)
    width = max(tile.left + tile.width for tile in tiles) - left
    height = max(tile.top + tile.height for tile in tiles) - top
    covered = sum(tile.width * tile.height for tile in tiles)
    if width * height > _MOST_EMPTY * covered:
        raise ImageFileError(
            f"The tiles of '{name}' lie {width} x {height} pixels apart, with hardly any between "
            "them: it is damaged, or each tile must be saved as an image of its own."
        )
    return left, top, width, height


def _pixels(tiles: list[CziTile], name: str) -> tuple[np.dtype[Any], int]:
    """Kind of numbers that holds all channels, and samples of a pixel."""
    if not all(map(can_decode, tiles)):
        raise ImageFileError(
            f"The pixels of '{name}' are of a kind or compression that cannot be read: export it "
            "in ZEN as an OME-TIFF."
        )
    types = [PIXEL_TYPES[number] for number in {tile.pixel_type for tile in tiles}]
    samples = {per_pixel for _, per_pixel in types}
    if len(samples) > 1:
        raise ImageFileError(
            f"'{name}' holds channels in grey and in colour: save the fluorescence alone."
        )
    return np.result_type(*(kind for kind, _ in types)), samples.pop()


def _missing(places: list[Place], lengths: Place, name: str) -> NDArray[np.bool_] | None:
    """Which planes are missing; given up before room is made for more than can be there."""
    note_missing(len(places), lengths, name)
    missing = np.ones(lengths, bool)
    missing[tuple(np.array(places).T)] = False
    return missing if missing.any() else None

"""Surfaces in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tifffile

from napari_deepz.atomic_files import written_beside
from napari_deepz.surfaces.base import Surface
from napari_deepz.surfaces.image import IMAGE_SUFFIXES, FromImage
from napari_deepz.surfaces.path import AlongPath
from napari_deepz.surfaces.points import FromPoints
from napari_deepz.surfaces.shapes import Curved, Flat, Tilted

MAX_JSON_BYTES = 10_000_000
_KINDS: dict[str, type[Surface]] = {
    "flat": Flat,
    "tilted": Tilted,
    "curved": Curved,
    "points": FromPoints,
    "path": AlongPath,
    "image": FromImage,
}


def save_surface(surface: Surface, path: str | Path) -> None:
    """Write a surface to a JSON file that `load_surface` reads.

    The depths of a `FromImage` made from an array go to ``<stem>.dpm.tif`` beside the JSON file;
    one made from a file is referred to, relatively where the file lies below the JSON's folder.

    Parameters
    ----------
    surface : Surface
        What to save.
    path : str or Path
        The file, ending in .json; an existing one is replaced.

    Raises
    ------
    ValueError
        If the name does not end in .json.
    OSError
        If a file cannot be written; one sentence.
    """
    path = Path(path)
    if path.suffix.lower() != ".json":
        raise ValueError(f"The surface file {path.name} must have a name that ends in .json.")
    settings = surface.model_dump(mode="json")
    if isinstance(surface, FromImage):
        settings["source"] = _stored_image(surface, path)
    with written_beside(path) as beside:
        beside.write_text(
            json.dumps(settings, indent=2, ensure_ascii=False) + "\n",
            encoding="utf-8",
            errors="backslashreplace",  # A name that is not UTF-8 becomes JSON's own \\udcxx.
        )


def load_surface(path: str | Path) -> Surface:
    """Read a surface from a JSON file, or from an image of depths in µm (TIFF, PNG, .npy).

    Parameters
    ----------
    path : str or Path
        The file; image names inside a JSON file are relative to its folder.

    Raises
    ------
    FileNotFoundError
        If the file, or the image that it refers to, does not exist.
    ValueError
        If the file is too large, damaged, of an unknown kind or has a wrong setting.
    """
    path = Path(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return FromImage(path)
    return parse_surface(read_settings(path), path.parent, f"The surface file {path.name}")


def parse_surface(settings: dict[str, Any], folder: Path, called: str) -> Surface:
    """Make a surface of what JSON says of it.

    Parameters
    ----------
    settings : dict
        As `Surface.model_dump` gives them.
    folder : Path
        What the name of an image is relative to.
    called : str
        What sentences call the settings.

    Raises
    ------
    FileNotFoundError
        If the image that it refers to does not exist.
    ValueError
        If it is of an unknown kind or has a wrong setting.
    """
    kind = settings.get("kind")
    surface_class = _KINDS.get(kind) if isinstance(kind, str) else None
    if surface_class is None:
        raise ValueError(
            f"{called} is of the unknown kind {kind!r:.40}; its 'kind' must be one of "
            f"{', '.join(_KINDS)}."
        )
    if surface_class is FromImage:
        if not isinstance(settings.get("source"), str):
            raise ValueError(f"{called} does not name its image; give its 'source'.")
        settings = settings | {"source": found_from(folder, settings["source"])}
    for name, field in surface_class.model_fields.items():
        if field.is_required() and name not in settings:
            raise ValueError(f"{called} lacks the setting '{name}'; add it.")
    try:
        return surface_class(**settings)
    except ValueError as error:
        raise ValueError(f"{called} cannot be used: {error}") from error


def found_from(folder: Path, name: str) -> Path:
    """Find a file that is named in another one's folder, also where both were moved together."""
    path = folder / name
    return folder / path.name if not path.exists() and (folder / path.name).exists() else path


def read_settings(path: Path) -> dict[str, Any]:
    """Read what a surface file says, without judging it; errors as of `load_surface`."""
    if path.suffix.lower() != ".json":
        raise ValueError(
            f"The surface file {path.name} is not of a known kind; "
            f"give a .json file or an image ({', '.join(IMAGE_SUFFIXES)})."
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no surface file {path}; check its name and folder.")
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ValueError(
            f"The surface file {path.name} is larger than {MAX_JSON_BYTES // 10**6} MB and was not "
            "read; store depths of every pixel as a TIFF instead."
        )
    try:
        settings = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"The surface file {path.name} is not valid JSON ({error}); save it again."
        ) from error
    if not isinstance(settings, dict):
        raise ValueError(
            f"The surface file {path.name} does not describe a surface; "
            "it must be a JSON object with a 'kind'."
        )
    return settings


def _stored_image(surface: FromImage, json_path: Path) -> str:
    folder = json_path.parent.resolve()
    if surface.source is None:
        image_path = folder / f"{json_path.stem}.dpm.tif"
        with written_beside(image_path) as beside:
            tifffile.imwrite(beside, surface.depths_um, photometric="minisblack")
        return image_path.name
    image_path = surface.source.resolve()
    if image_path.is_relative_to(folder):
        return image_path.relative_to(folder).as_posix()
    return str(image_path)

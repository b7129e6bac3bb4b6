"""Reading OME-Zarr, versions 0.1 to 0.5; needs the optional package zarr."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_deepz.images import ImageFileError, ImageSeries, in_axis_order
from napari_deepz.io.movie_frames import read_frames
from napari_deepz.io.ngff import full_resolution
from napari_deepz.io.noticing import note
from napari_deepz.io.ome_files import companion_text
from napari_deepz.io.ome_xml import parse_ome
from napari_deepz.io.stated_optics import StatedOptics, plausible_optics
from napari_deepz.io.units import plausible_pixel_um, plausible_z_step_um, positive_number
from napari_deepz.io.zarr_pixels import (
    lazy_pixels,
    require_plain_metadata,
    say_what_is_missing,
)
from napari_deepz.provenance import Provenance

RECORD = "napari-deepz"
"""The attribute of a group under which this package keeps what OME-Zarr has no place for."""

# https://github.com/glencoesoftware/bioformats2raw
_OME_XML_OF_BIOFORMATS2RAW = "OME/METADATA.ome.xml"


def read_ome_zarr(path: Path, name: str) -> ImageSeries:
    """Read level 0, the full resolution, of an OME-Zarr image.

    Parameters
    ----------
    path : Path
        An existing folder.
    name : str
        Name of the image.

    Returns
    -------
    ImageSeries
        With a dask array; axes of length 1 other than Y and X are dropped.


    Raises
    ------
    ImageFileError
        If zarr is not installed, or the folder holds no image that can be refocused.
    """
    root = _open_group(path)
    group = _image_group(root, path)
    try:
        about = full_resolution(_ome_attributes(group), path.name)
        folder = path / group.path / about.path
        require_plain_metadata(folder, path.name)
        with _own_warnings_only():
            array = group[about.path]
        if array.ndim != len(about.axes):
            raise _no_image(path)
        _require_no_pickle(array, path)
        data = lazy_pixels(array, about.axes, folder, path.name)
        _say_what_is_missing(array, folder, path)
    except (ImageFileError, Warning):
        raise
    except Exception as error:  # zarr and other people's metadata fail in many ways
        raise _no_image(path) from error
    data, axes = in_axis_order(data, about.axes, path.name)
    channels = data.shape[axes.index("C")] if "C" in axes else 1
    named = len(about.channel_names) == channels and any(about.channel_names)
    height_um, width_um = about.pixel_um
    pixel_size_um, problem = plausible_pixel_um(path.name, width_um, height_um)
    stated = _optics_of_bioformats2raw(path) if group.path != root.path else _own_optics(group)
    optics = plausible_optics(path.name, stated, channels)
    return ImageSeries(
        data,
        axes,
        pixel_size_um,
        plausible_z_step_um(path.name, about.z_step_um) if "Z" in axes else None,
        about.t_step_s,
        name,
        z_start_um=about.z_start_um,
        origin_um=about.origin_um,
        channel_names=about.channel_names if named else (),
        pixel_size_problem=problem,
        na=optics.na,
        immersion_index=optics.immersion_index,
        wavelengths_um=optics.wavelengths_um,
    )


def zarr_provenance(path: Path) -> Provenance | None:
    """Provenance in an OME-Zarr image; None when this package did not write it.

    Raises
    ------
    ValueError
        If zarr is not installed, the folder is no zarr, or its record is damaged.
    """
    ours = _open_group(path).attrs.get(RECORD)
    if not isinstance(ours, dict) or "provenance" not in ours:
        return None
    return Provenance.from_json(json.dumps(ours["provenance"]))


def zarr_package() -> Any:
    """Import zarr.

    Raises
    ------
    ImageFileError
        If it is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise ImageFileError(
            "OME-Zarr images need one more package: install it with "
            "\"pip install 'napari-deepz[zarr]'\"."
        ) from error
    return zarr


def _open_group(path: Path) -> Any:
    zarr = zarr_package()
    require_plain_metadata(path, path.name)
    require_plain_metadata(path / "0", path.name)
    try:
        with _own_warnings_only():
            return zarr.open_group(str(path), mode="r")
    except Exception as error:  # no group, an array, broken JSON: each its own class
        raise _no_image(path) from error


@contextmanager
def _own_warnings_only() -> Iterator[None]:
    """zarr complains about much that no user can change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _no_image(path: Path) -> ImageFileError:
    return ImageFileError(
        f"The folder '{path.name}' is not an OME-Zarr image (version 0.1 to 0.5), or it is "
        "damaged: choose the folder whose name ends with .ome.zarr or .zarr, or an image file."
    )


def _ome_attributes(group: Any) -> dict[str, Any]:
    """Version 0.5 nests under "ome" what 0.4 keeps at the top."""
    attributes = dict(group.attrs)
    nested = attributes.get("ome")
    return nested if isinstance(nested, dict) else attributes


def _image_group(group: Any, path: Path) -> Any:
    ome = _ome_attributes(group)
    if "plate" in ome:
        raise ImageFileError(
            f"'{path.name}' is a whole plate: open one of the images inside, such as "
            f"'{path.name}/A/1/0'."
        )
    if "bioformats2raw.layout" not in ome or "0" not in group:
        return group
    if "1" in group:
        note(f"'{path.name}' holds several images of which only the first was read.")
    return group["0"]


def _require_no_pickle(array: Any, path: Path) -> None:
    """A pickle codec runs whatever its author put into the pixels."""
    about = array.metadata.to_dict()
    codecs = [about.get(key) for key in ("filters", "compressor", "codecs")]
    if array.dtype.kind == "O" or "pickle" in repr(codecs).casefold():
        raise ImageFileError(
            f"'{path.name}' stores Python objects in place of pixels, which is not safe to open: "
            "ask its author for a plain OME-Zarr image."
        )


def _say_what_is_missing(array: Any, folder: Path, path: Path) -> None:
    written = read_frames(path)
    if written is None:
        say_what_is_missing(array, folder, path.name)
        return
    note(
        f"'{path.name}' is unfinished: {len(written)} of {array.shape[0]} time points are there, "
        "the others are empty."
    )


def _own_optics(group: Any) -> StatedOptics:
    """Read the optics that this package wrote; whatever else lies there says nothing."""
    ours = group.attrs.get(RECORD)
    optics = ours.get("optics") if isinstance(ours, dict) else None
    if not isinstance(optics, dict):
        return StatedOptics()
    wavelengths_um = optics.get("wavelengths_um")
    return StatedOptics(
        positive_number(optics.get("na")),
        positive_number(optics.get("immersion_index")),
        tuple(map(positive_number, wavelengths_um)) if isinstance(wavelengths_um, list) else (),
    )


def _optics_of_bioformats2raw(path: Path) -> StatedOptics:
    """Read them from the OME-XML beside the images, of which the first was opened."""
    description = path / _OME_XML_OF_BIOFORMATS2RAW
    if not description.is_file():
        return StatedOptics()
    try:
        images = parse_ome(companion_text(description), path.name).images
    except (ImageFileError, OSError):  # The image can be used without.
        return StatedOptics()
    return images[0].optics if images else StatedOptics()

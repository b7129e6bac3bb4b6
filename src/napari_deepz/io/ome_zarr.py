"""OME-Zarr: reading versions 0.4 and 0.5, writing 0.5; needs the optional package zarr."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

from napari_deepz.images import ImageFileError, ImageReadWarning, ImageSeries, in_axis_order
from napari_deepz.io.layout import StackLayout
from napari_deepz.io.units import length_um, plausible_pixel_um, plausible_z_step_um, time_s
from napari_deepz.provenance import Provenance

_KEY = "napari-deepz"
_AXIS_LETTERS = {"t": "T", "c": "C", "z": "Z", "y": "Y", "x": "X"}
_LONGEST_CHUNK_PX = 1024


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
    group = _image_group(_open_group(path), path)
    try:
        multiscale = _ome_attributes(group)["multiscales"][0]
        level = multiscale["datasets"][0]
        axes_given = multiscale["axes"]
        scale = _scale(multiscale, level, len(axes_given))
        sizes = {
            axis["name"]: (step, axis.get("unit"))
            for axis, step in zip(axes_given, scale, strict=True)
        }
        array = group[level["path"]]
        _require_no_pickle(array, path)
        data = da.from_zarr(array)
    except ImageFileError:
        raise
    except Exception as error:  # zarr and other people's metadata fail in many ways
        raise _no_image(path) from error
    letters = "".join(_AXIS_LETTERS.get(axis, "?") for axis in sizes)
    if data.ndim != len(letters):
        raise _no_image(path)
    data, axes = in_axis_order(data, letters, path.name)
    unknown = (None, None)
    x_um, y_um, z_um = (length_um(*sizes.get(axis, unknown)) for axis in "xyz")
    pixel_size_um, problem = plausible_pixel_um(path.name, x_um, y_um)
    return ImageSeries(
        data,
        axes,
        pixel_size_um,
        plausible_z_step_um(path.name, z_um) if "Z" in axes else None,
        time_s(*sizes.get("t", unknown)),
        name,
        pixel_size_problem=problem,
    )


def write_ome_zarr(
    path: Path,
    planes: Iterator[np.ndarray[Any, np.dtype[Any]]],
    layout: StackLayout,
    provenance: Provenance,
) -> None:
    """Write an OME-Zarr 0.5 image of one resolution level, each plane as it arrives.

    Parameters
    ----------
    path : Path
        Folder to write; must not exist.
    planes : iterator of ndarray
        `layout.count` planes (Y, X) of `layout.dtype`.
    layout : StackLayout
        Shape, type, sizes and name of the stack.
    provenance : Provenance
        Written under the key "napari-deepz" of the group's attributes.

    Raises
    ------
    ImageFileError
        If zarr is not installed.
    """
    group = zarr_package().create_group(
        str(path),
        attributes={
            "ome": {"version": "0.5", "multiscales": [_multiscale(layout)]},
            _KEY: {
                "description": provenance.describe(),
                "provenance": provenance.model_dump(mode="json"),
                "z_um": layout.positions_um,
            },
        },
    )
    array = group.create_array(
        "0",
        shape=(layout.count, *layout.shape),
        chunks=(1, *(min(length, _LONGEST_CHUNK_PX) for length in layout.shape)),
        dtype=layout.dtype,
        dimension_names=list("zyx"),
    )
    for index, plane in enumerate(planes):
        array[index] = plane


def zarr_provenance(path: Path) -> Provenance | None:
    """Provenance in an OME-Zarr image; None when this package did not write it.

    Raises
    ------
    ValueError
        If zarr is not installed, the folder is no zarr, or its record is damaged.
    """
    ours = _open_group(path).attrs.get(_KEY)
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
    try:
        return zarr.open_group(str(path), mode="r")
    except Exception as error:  # no group, an array, broken JSON: each its own class
        raise _no_image(path) from error


def _no_image(path: Path) -> ImageFileError:
    return ImageFileError(
        f"The folder '{path.name}' is not an OME-Zarr image (version 0.4 or 0.5), or it is "
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
        warnings.warn(
            f"'{path.name}' holds several images of which only the first was read.",
            ImageReadWarning,
            stacklevel=4,
        )
    return group["0"]


def _scale(multiscale: dict[str, Any], level: dict[str, Any], ndim: int) -> list[float | None]:
    """Product of all scales that apply to a level, None on every axis when there is none."""
    scales = [
        transformation["scale"]
        for holder in (level, multiscale)
        for transformation in holder.get("coordinateTransformations", [])
        if transformation["type"] == "scale"
    ]
    return [math.prod(scale[axis] for scale in scales) if scales else None for axis in range(ndim)]


def _require_no_pickle(array: Any, path: Path) -> None:
    """A pickle codec runs whatever its author put into the pixels."""
    about = array.metadata.to_dict()
    codecs = [about.get(key) for key in ("filters", "compressor", "codecs")]
    if array.dtype.kind not in "buif" or "pickle" in repr(codecs).casefold():
        raise ImageFileError(
            f"'{path.name}' stores Python objects in place of pixels, which is not safe to open: "
            "ask its author for a plain OME-Zarr image."
        )


def _multiscale(layout: StackLayout) -> dict[str, Any]:
    """Unknown sizes become a scale of 1 without a unit."""
    z_um, start_um, pixel_um = layout.z_step_um, layout.z_start_um, layout.pixel_size_um
    transformations: list[dict[str, Any]] = [
        {"type": "scale", "scale": [z_um or 1.0, pixel_um or 1.0, pixel_um or 1.0]}
    ]
    if z_um is not None and start_um is not None:
        transformations.append({"type": "translation", "translation": [start_um, 0.0, 0.0]})
    axes = []
    for axis, size_um in (("z", z_um), ("y", pixel_um), ("x", pixel_um)):
        unit = {} if size_um is None else {"unit": "micrometer"}
        axes.append({"name": axis, "type": "space"} | unit)
    return {
        "name": layout.name,
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": transformations}],
    }

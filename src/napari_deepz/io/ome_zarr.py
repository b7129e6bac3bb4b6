"""OME-Zarr: reading versions 0.1 to 0.5, writing 0.5; needs the optional package zarr."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_deepz.images import ImageFileError, ImageReadWarning, ImageSeries, in_axis_order
from napari_deepz.io.layout import StackLayout
from napari_deepz.io.ngff import full_resolution
from napari_deepz.io.units import plausible_pixel_um, plausible_z_step_um
from napari_deepz.io.zarr_pixels import lazy_pixels, require_plain_metadata
from napari_deepz.provenance import Provenance

_KEY = "napari-deepz"
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

    Warns
    -----
    ImageReadWarning
        As `full_resolution` and `lazy_pixels`.

    Raises
    ------
    ImageFileError
        If zarr is not installed, or the folder holds no image that can be refocused.
    """
    group = _image_group(_open_group(path), path)
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
    except (ImageFileError, Warning):
        raise
    except Exception as error:  # zarr and other people's metadata fail in many ways
        raise _no_image(path) from error
    data, axes = in_axis_order(data, about.axes, path.name)
    channels = data.shape[axes.index("C")] if "C" in axes else 1
    named = len(about.channel_names) == channels and any(about.channel_names)
    height_um, width_um = about.pixel_um
    pixel_size_um, problem = plausible_pixel_um(path.name, width_um, height_um)
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
            "ome": _image_attributes(layout, []),
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
        # Parts that are left out where they are black look like parts that were lost.
        config={"write_empty_chunks": True},
    )
    limits = []
    for index, plane in enumerate(planes):
        array[index] = plane
        finite = plane[np.isfinite(plane)]
        limits += [float(finite.min()), float(finite.max())] if finite.size else []
    group.attrs["ome"] = _image_attributes(layout, limits)


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
        warnings.warn(
            f"'{path.name}' holds several images of which only the first was read.",
            ImageReadWarning,
            stacklevel=4,
        )
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


def _image_attributes(layout: StackLayout, limits: list[float]) -> dict[str, Any]:
    """With the name of the only channel, and the range in which viewers shall show it."""
    low, high = min(limits, default=0.0), max(limits, default=1.0)
    window = {"min": low, "max": high, "start": low, "end": high if high > low else low + 1}
    channel = {"label": layout.name, "color": "FFFFFF", "active": True, "window": window}
    return {
        "version": "0.5",
        "multiscales": [_multiscale(layout)],
        "omero": {"channels": [channel]},
    }


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

"""OME-Zarr as this package writes it, versions 0.5 and 0.4; needs the optional package zarr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_deepz.io.layout import StackLayout
from napari_deepz.io.ome_zarr import RECORD, zarr_package
from napari_deepz.provenance import Provenance

OmeZarrVersion = Literal["0.5", "0.4"]

_LONGEST_CHUNK_PX = 1024
_TYPES = {"T": "time", "C": "channel"}
_UNITS = {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}

# White alone; several channels in colours that stay apart where they are shown over one another.
_COLOURS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
_ONE_COLOUR = ("FFFFFF",)


def write_ome_zarr(
    path: Path,
    planes: Iterator[np.ndarray[Any, np.dtype[Any]]],
    layout: StackLayout,
    record: Callable[[], Provenance],
    version: OmeZarrVersion,
) -> None:
    """Write an OME-Zarr image of one resolution level, each plane as it arrives.

    Parameters
    ----------
    path : Path
        Folder to write; must not exist.
    planes : iterator of ndarray
        `layout.count` planes (Y, X) of `layout.dtype`, in the order (T, C, Z).
    layout : StackLayout
        Shape, type, sizes, optics and names of the series.
    record : callable
        Asked after the last plane how it was made; written under the key "napari-deepz" of the
        group's attributes, with the depths of the planes and the optics.
    version : {"0.5", "0.4"}
        0.5 is stored as zarr 3, 0.4 as zarr 2.

    Raises
    ------
    ImageFileError
        If zarr is not installed.
    """
    group = zarr_package().create_group(str(path), zarr_format=3 if version == "0.5" else 2)
    leading = layout.stored_shape[:-2]
    array = group.create_array(
        "0",
        shape=layout.stored_shape,
        chunks=(
            *(1 for _ in leading),
            *(min(length, _LONGEST_CHUNK_PX) for length in layout.plane_shape),
        ),
        dtype=layout.dtype,
        # Parts that are left out where they are black look like parts that were lost.
        config={"write_empty_chunks": True},
        **_naming(layout, version),
    )
    limits: list[list[float]] = [[] for _ in layout.channel_names]
    places = zip(np.ndindex(layout.shape[:3]), np.ndindex(leading), strict=True)
    for ((_, c, _), place), plane in zip(places, planes, strict=True):
        array[place] = plane
        finite = plane[np.isfinite(plane)]
        limits[c] += [float(finite.min()), float(finite.max())] if finite.size else []
    group.attrs.put(attributes_of(layout, record(), version, limits))


def attributes_of(
    layout: StackLayout,
    record: Provenance,
    version: OmeZarrVersion,
    limits: list[list[float]],
) -> dict[str, Any]:
    """Write what the group of an image says of it.

    Parameters
    ----------
    layout : StackLayout
        Sizes, optics and names.
    record : Provenance
        How it was made.
    version : {"0.5", "0.4"}
        Of OME-Zarr.
    limits : list of list of float
        For each channel, lowest and highest stored numbers that it holds.
    """
    multiscale, channels = _multiscale(layout), _channels(layout, limits)
    about: dict[str, Any] = {"multiscales": [multiscale], "omero": {"channels": channels}}
    if version == "0.5":
        about = {"ome": {"version": version} | about}
    else:
        multiscale["version"] = about["omero"]["version"] = version
    return about | {RECORD: _own_record(layout, record)}


def _naming(layout: StackLayout, version: OmeZarrVersion) -> dict[str, Any]:
    """zarr 3 names axes; in zarr 2, parts lie in folders of folders, as OME-Zarr wants it."""
    if version == "0.5":
        return {"dimension_names": list(layout.axes.lower())}
    return {"chunk_key_encoding": {"name": "v2", "separator": "/"}}


def _own_record(layout: StackLayout, provenance: Provenance) -> dict[str, Any]:
    return {
        "description": provenance.describe(),
        "provenance": provenance.model_dump(mode="json"),
        "z_um": layout.positions_um,
        "optics": {
            "na": layout.na,
            "immersion_index": layout.immersion_index,
            "wavelengths_um": list(layout.wavelengths_um),
        },
    }


def _channels(layout: StackLayout, limits: list[list[float]]) -> list[dict[str, Any]]:
    """Name, colour, and the range in which viewers shall show it."""
    colours = _ONE_COLOUR if len(limits) == 1 else _COLOURS
    channels = []
    for c, (label, found) in enumerate(zip(layout.channel_names, limits, strict=True)):
        low, high = min(found, default=0.0), max(found, default=1.0)
        window = {"min": low, "max": high, "start": low, "end": high if high > low else low + 1}
        colour = colours[c % len(colours)]
        channels.append({"label": label, "color": colour, "active": True, "window": window})
    return channels


def _multiscale(layout: StackLayout) -> dict[str, Any]:
    """Unknown sizes become a scale of 1 without a unit."""
    axes, scale, start = [], [], []
    for axis in layout.axes:
        step = layout.steps[axis]
        unit = {} if step is None else {"unit": _UNITS[axis]}
        axes.append({"name": axis.lower(), "type": _TYPES.get(axis, "space")} | unit)
        scale.append(step or 1.0)
        start.append((layout.z_start_um or 0.0) if axis == "Z" else 0.0)
    transformations: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if layout.z_step_um is not None and layout.z_start_um is not None:
        transformations.append({"type": "translation", "translation": start})
    return {
        "name": layout.name,
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": transformations}],
    }

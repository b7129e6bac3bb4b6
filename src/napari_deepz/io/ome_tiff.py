"""OME-TIFF as this package writes it, and the provenance inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_deepz.io.layout import StackLayout
from napari_deepz.io.ome_files import ome_file, own_image
from napari_deepz.provenance import RECORD_KEY, Provenance
from napari_deepz.stored_pixels.tiff_pages import open_tiff

_KEY = "provenance"

# Offsets in classic TIFF have 32 bits; the last 32 MiB are left to the tables behind the pixels.
_LARGEST_CLASSIC_TIFF_BYTES = 2**32 - 2**25
_UM_PER_CM = 1e4

# https://www.w3.org/TR/xml/#charsets
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_ome_tiff(
    path: Path,
    planes: Iterator[np.ndarray[Any, np.dtype[Any]]],
    layout: StackLayout,
    provenance: Provenance,
) -> None:
    """Write an uncompressed OME-TIFF, each plane as it arrives.

    Parameters
    ----------
    path : Path
        File to write; replaced if it exists.
    planes : iterator of ndarray
        `layout.count` planes (Y, X) of `layout.dtype`.
    layout : StackLayout
        Shape, type, sizes and name of the stack.
    provenance : Provenance
        Written as JSON into a MapAnnotation, and in words into the image's Description.
    """
    resolution = {}
    if layout.pixel_size_um is not None:
        per_cm = _UM_PER_CM / layout.pixel_size_um
        resolution = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    bigtiff = layout.nbytes > _LARGEST_CLASSIC_TIFF_BYTES
    with tifffile.TiffWriter(path, bigtiff=bigtiff, ome=True) as tif:
        tif.write(
            planes,
            shape=(layout.count, *layout.shape),
            dtype=layout.dtype,
            photometric="minisblack",
            metadata=_ome_metadata(layout, provenance),
            **resolution,
        )


def tiff_provenance(path: Path) -> Provenance | None:
    """Provenance of the image that lies in a TIFF file; None when this package did not write it.

    Raises
    ------
    ValueError
        If the file is no TIFF, or its record is damaged.
    """
    with open_tiff(path) as tif:
        if RECORD_KEY not in (tif.ome_metadata or ""):
            return None
        ome = ome_file(tif, path)
    notes = ome.description.map_annotations
    for identifier in sorted(own_image(ome).annotations & notes.keys()):
        namespace, entries = notes[identifier]
        if namespace == RECORD_KEY and _KEY in entries:
            return Provenance.from_json(entries[_KEY])
    return None


def _ome_metadata(layout: StackLayout, provenance: Provenance) -> dict[str, Any]:
    name = _NOT_IN_XML.sub("?", layout.name)
    metadata: dict[str, Any] = {
        "axes": "ZYX",
        "Name": name,
        "Channel": {"Name": name},
        "Description": _NOT_IN_XML.sub("?", provenance.describe()),
        "MapAnnotation": {"Namespace": RECORD_KEY, _KEY: provenance.to_json()},
    }
    sizes_um = {
        "PhysicalSizeX": layout.pixel_size_um,
        "PhysicalSizeY": layout.pixel_size_um,
        "PhysicalSizeZ": layout.z_step_um,
    }
    for key, size_um in sizes_um.items():
        if size_um is not None:
            metadata |= {key: size_um, f"{key}Unit": "µm"}
    if positions_um := layout.positions_um:
        metadata["Plane"] = {
            "PositionZ": positions_um,
            "PositionZUnit": ["µm"] * len(positions_um),
        }
    return metadata

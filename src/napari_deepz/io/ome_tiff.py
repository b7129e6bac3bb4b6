"""OME-TIFF as this package writes it, and the provenance inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import tifffile

from napari_deepz.io.layout import StackLayout
from napari_deepz.io.ome_files import ome_file, own_image
from napari_deepz.io.ome_xml_writing import RECORD_ENTRY, ome_xml
from napari_deepz.provenance import RECORD_KEY, Provenance
from napari_deepz.stored_pixels.tiff_pages import open_tiff

# Offsets in classic TIFF have 32 bits; the last 32 MiB are left to what describes the pixels, and
# for every page as much as its table and what the OME-XML says of it take.
_LARGEST_CLASSIC_TIFF_BYTES = 2**32 - 2**25
_BYTES_PER_PAGE = 512
_UM_PER_CM = 1e4

# In place of the OME-XML, which is appended when it is known how the planes were made.
_UNFINISHED = "\0\0\0\0"


def write_ome_tiff(
    path: Path,
    planes: Iterator[np.ndarray[Any, np.dtype[Any]]],
    layout: StackLayout,
    record: Callable[[], Provenance],
) -> None:
    """Write an uncompressed OME-TIFF, each plane as it arrives.

    Parameters
    ----------
    path : Path
        File to write; replaced if it exists.
    planes : iterator of ndarray
        `layout.count` planes (Y, X) of `layout.dtype`, in the order (T, C, Z).
    layout : StackLayout
        Shape, type, sizes, optics and names of the series.
    record : callable
        Asked after the last plane how it was made.
    """
    resolution = {}
    if layout.sampling is not None:
        per_cm = _UM_PER_CM / layout.sampling.pixel_size_um
        resolution = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    needed_bytes = layout.nbytes + layout.count * _BYTES_PER_PAGE
    bigtiff = needed_bytes > _LARGEST_CLASSIC_TIFF_BYTES
    # tifffile's own OME-XML has no place for the objective, and is fixed before the first plane.
    with tifffile.TiffWriter(path, bigtiff=bigtiff, ome=False) as tif:
        tif.write(
            planes,
            shape=(layout.count, *layout.plane_shape),
            dtype=layout.dtype,
            photometric="minisblack",
            description=_UNFINISHED,
            metadata=None,
            **resolution,
        )
        tif.overwrite_description(ome_xml(layout, record(), uuid4()))


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
        if namespace == RECORD_KEY and RECORD_ENTRY in entries:
            return Provenance.from_json(entries[RECORD_ENTRY])
    return None

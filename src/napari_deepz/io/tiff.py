"""Reading TIFF, OME-TIFF, ImageJ hyperstacks, and what Micro-Manager writes."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_deepz.images import ImageSeries, in_axis_order
from napari_deepz.io.meaning import intensities
from napari_deepz.io.micro_manager import read_mmstack
from napari_deepz.io.ndtiff import INDEX, read_ndtiff
from napari_deepz.io.noticing import note
from napari_deepz.io.ome_files import read_ome
from napari_deepz.io.stated_optics import StatedOptics, plausible_optics
from napari_deepz.io.tiff_image import TiffImage, does_not_fit, note_first_of
from napari_deepz.io.tiff_planes import PlaneMap, StoredFile, kind_of
from napari_deepz.io.tiff_sizes import page_sizes
from napari_deepz.io.units import plausible_pixel_um, plausible_z_step_um
from napari_deepz.stored_pixels.tiff_pages import PageTables, StoredPage, damaged, open_tiff

_UNNAMED_AXES = "IQ"
_PREVIEW_OR_MASK = 0b101

# Programs whose files tifffile makes series of, from descriptions of their own.
_DESCRIBED = ("shaped", "lsm", "imagej", "fluoview", "stk", "sis", "svs", "scn", "qpi", "ndpi",
              "bif", "avs", "eer", "philips", "scanimage", "nih", "mdgel")  # fmt: skip


def read_tiff(path: Path, name: str) -> ImageSeries:
    """Read a TIFF file of any kind.

    A plane is read when it is asked for; only colour images are loaded at once, to see whether
    they are grey. Pages of a file that does not say what they are count as planes (Z).

    Parameters
    ----------
    path : Path
        An existing file.
    name : str
        Name of the image.

    Returns
    -------
    ImageSeries
        Axes of length 1 other than Y and X are dropped.

    Raises
    ------
    ImageFileError
        If the file is no TIFF, damaged, cut short, or holds what cannot be refocused.
    """
    with open_tiff(path) as tif:
        image = _image(tif, path)
        image.planes.read_one()
        data, axes = intensities(image.planes.lazy(), image.axes, image.page, image.kind, path.name)
        stated = image.stated or page_sizes(tif, _page_with_sizes(tif, image))
    unnamed = [axis for axis in _UNNAMED_AXES if axis in axes]
    if len(unnamed) == 1 and "Z" not in axes:
        axes = axes.replace(unnamed[0], "Z")
    data, ordered = in_axis_order(data, axes, path.name)
    pixel_size_um, problem = plausible_pixel_um(path.name, stated.x_um, stated.y_um)
    channels = data.shape[ordered.index("C")] if "C" in ordered else 1
    optics = plausible_optics(path.name, image.optics or StatedOptics(), channels)
    return ImageSeries(
        data,
        ordered,
        pixel_size_um,
        plausible_z_step_um(path.name, stated.z_um) if "Z" in ordered else None,
        stated.t_step_s,
        name,
        channel_names=image.channel_names if len(image.channel_names) == channels else (),
        pixel_size_problem=problem,
        missing=_missing(image, axes, path.name),
        na=optics.na,
        immersion_index=optics.immersion_index,
        wavelengths_um=optics.wavelengths_um,
    )


def _image(tif: tifffile.TiffFile, path: Path) -> TiffImage:
    if not tif.pages:
        raise damaged(path.name)
    if tif.is_ndtiff:
        return read_ndtiff(tif, path)
    tables = PageTables(tif, path.name)
    if (tif.micromanager_metadata or {}).get("MajorVersion", 0) >= 2 and len(tables.offsets) > 1:
        note(
            f"'{INDEX}', which says which plane is which, is not beside '{path.name}', whose pages "
            "were taken as planes in their order."
        )
    if tif.is_mmstack:
        return read_mmstack(tif, tables, path)
    if tif.is_ome:
        return read_ome(tif, tables, path)
    if any(getattr(tif, f"is_{kind}") for kind in _DESCRIBED):
        return _series(tif, tables, path)
    return _pages(tif, tables, path)


def _pages(tif: tifffile.TiffFile, tables: PageTables, path: Path) -> TiffImage:
    """Take the pages of the first one's kind as planes; previews and masks do not count."""
    kinds: dict[Hashable, list[StoredPage]] = defaultdict(list)
    for offset in tables.offsets:
        stored = tables.page(offset)
        kinds[kind_of(stored.form)].append(stored)
    first, *others = kinds.values()
    images = 1 + sum(not other[0].form.subfiletype & _PREVIEW_OR_MASK for other in others)
    if images > 1:
        note_first_of(images, path.name)
    planes = PlaneMap((len(first),), first[0].form)
    file = planes.add_file(StoredFile.of(tif, path))
    for number, stored in enumerate(first):
        planes.place((number,), file, stored)
    return TiffImage(planes, "Z" + first[0].form.axes, first[0].form, "pages")


def _series(tif: tifffile.TiffFile, tables: PageTables, path: Path) -> TiffImage:
    """Find the planes of the first series that tifffile makes of the pages."""
    every_series = tif.series
    if not every_series or not math.prod(every_series[0].shape):
        raise damaged(path.name)
    series = every_series[0]
    if (tif.is_imagej and series.kind in ("generic", "uniform")) or _is_cut(series):
        raise does_not_fit(path.name)
    if len(every_series) > 1:
        note_first_of(len(every_series), path.name)
    page = series.keyframe
    shape, axes = series.get_shape(squeeze=True), series.get_axes(squeeze=True)
    leading = shape[: len(shape) - len(page.shape)]
    if shape[len(leading) :] != page.shape:
        raise does_not_fit(path.name)
    if series.dataoffset is not None:
        _stored(tif, tables, page, page)
        if series.dataoffset + series.nbytes > tif.filehandle.size:
            raise damaged(path.name)
        planes = PlaneMap(leading, page)
        planes.place_all(planes.add_file(StoredFile.of(tif, path)), series.dataoffset)
        return TiffImage(planes, axes, page, series.kind)
    if math.prod(leading) > len(tif.pages) or math.prod(leading) != len(series.pages):
        raise does_not_fit(path.name)
    planes = PlaneMap(leading, page)
    file = planes.add_file(StoredFile.of(tif, path))
    for index, stored in zip(np.ndindex(leading), series.pages, strict=True):
        planes.place(index, file, _stored(tif, tables, page, stored))
    return TiffImage(planes, axes, page, series.kind)


def _is_cut(series: tifffile.TiffPageSeries) -> bool:
    """Whether the description of tifffile claims more than was found."""
    claim = series.keyframe.shaped_description or ""
    if not claim.startswith("{"):
        return False
    return bool(math.prod(json.loads(claim)["shape"]) != math.prod(series.shape))


def _stored(
    tif: tifffile.TiffFile,
    tables: PageTables,
    form: tifffile.TiffPage,
    page: tifffile.TiffPage | tifffile.TiffFrame,
) -> StoredPage:
    """Find a page; tifffile itself works out where those of ScanImage and LSM are."""
    if not page.is_virtual and not tif.is_lsm:
        return tables.page(page.offset)
    start = page.dataoffsets[0]
    if not form.is_final and not page.is_virtual:
        return StoredPage(page.offset, form, None)
    if start + form.nbytes > tif.filehandle.size:
        raise damaged(tif.filename)
    return StoredPage(page.offset, form, start)


def _page_with_sizes(tif: tifffile.TiffFile, image: TiffImage) -> tifffile.TiffPage:
    return tif.pages.first if image.kind in ("mmstack", "ndtiff") else image.page


def _missing(image: TiffImage, axes: str, name: str) -> NDArray[np.bool_] | None:
    """Which planes are missing, with the leading axes of the series that is returned."""
    missing = image.planes.missing
    if not missing.any():
        return None
    ordered: NDArray[np.bool_]
    ordered, _ = in_axis_order(missing[..., np.newaxis, np.newaxis], axes, name)
    return ordered[..., 0, 0]

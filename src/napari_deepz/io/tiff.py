"""Reading TIFF, OME-TIFF and ImageJ hyperstacks."""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dask.array as da
import numpy as np
import tifffile

from napari_deepz.images import ImageFileError, ImageReadWarning, ImageSeries, in_axis_order
from napari_deepz.io.colour import grey_from_colour
from napari_deepz.io.units import (
    length_um,
    pixel_um_from_resolution,
    plausible_pixel_um,
    plausible_z_step_um,
    time_s,
    z_step_from_spacing,
)

_UNNAMED_AXES = "IQ"
_COLOUR = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
_ALPHA_SAMPLES = (1, 2)
_RESOLUTION_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: "µm"}
_BASIC_TAGS = range(254, 340)

_Sizes = tuple[float | None, float | None, float | None, float | None]


def read_tiff(path: Path, name: str) -> ImageSeries:
    """Read a TIFF file of any of the three kinds.

    Uncompressed stacks are mapped into memory, others are decoded page by page when a plane is
    asked for; only colour images are loaded at once, to see whether they are grey. Pages of a file
    that does not say what they are count as planes (Z), palette indices as intensities.

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
        _require_complete(tif, path.name)
        series = _main_series(tif, path.name)
        data, axes = _pixels(series, path)
        unnamed = [axis for axis in _UNNAMED_AXES if axis in axes]
        if len(unnamed) == 1 and "Z" not in axes:
            axes = axes.replace(unnamed[0], "Z")
        data, axes = in_axis_order(data, axes, path.name)
        x_um, y_um, z_um, t_step_s = _sizes(tif, series)
    pixel_size_um, problem = plausible_pixel_um(path.name, x_um, y_um)
    z_step_um = plausible_z_step_um(path.name, z_um) if "Z" in axes else None
    return ImageSeries(
        data, axes, pixel_size_um, z_step_um, t_step_s, name, pixel_size_problem=problem
    )


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file and turn every failure to make sense of it into one sentence.

    Raises
    ------
    ImageFileError
        If the file is empty, no TIFF or damaged.
    """
    if path.stat().st_size == 0:
        raise ImageFileError(f"'{path.name}' is empty (0 bytes): copy or export it again.")
    try:
        with tifffile.TiffFile(path) as tif:
            yield tif
    except (OSError, Warning, ImageFileError):
        raise
    except Exception as error:  # a damaged file makes tifffile raise nearly anything
        if "not a TIFF file" not in str(error):
            raise _damaged(path.name) from error
        raise ImageFileError(
            f"'{path.name}' is not a TIFF file, whatever its name says: export it again as TIFF."
        ) from error


def _damaged(name: str) -> ImageFileError:
    return ImageFileError(f"'{name}' is damaged or was cut short: copy or export it again.")


def _require_complete(tif: tifffile.TiffFile, name: str) -> None:
    """tifffile logs a broken chain of pages or an unreadable tag and reads on; we must not."""
    if len(tif.pages) == 0:
        raise _damaged(name)
    handle, layout = tif.filehandle, tif.tiff
    handle.seek(tif.pages.next_page_offset)
    if any(handle.read(layout.offsetsize)):
        raise _damaged(name)
    first = tif.pages.first
    handle.seek(first.offset)
    (count,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    entries = handle.read(count * layout.tagsize)
    for index in range(count):
        (code,) = struct.unpack_from(layout.byteorder + "H", entries, index * layout.tagsize)
        if code in _BASIC_TAGS and code not in first.tags:
            raise _damaged(name)


def _main_series(tif: tifffile.TiffFile, name: str) -> tifffile.TiffPageSeries:
    every_series = tif.series
    if not every_series or not math.prod(every_series[0].shape):
        raise _damaged(name)
    series = every_series[0]
    if (tif.is_imagej or tif.is_ome) and series.kind in ("generic", "uniform"):
        raise ImageFileError(
            f"The description in '{name}' does not fit its pixels: it is damaged, or one part of "
            "an image in several files, of which the first is to be opened."
        )
    missing = sum(page is None for page in series.pages) if series.kind == "ome" else 0
    if missing:
        raise ImageFileError(
            f"{missing} of {len(series.pages)} planes of '{name}' are missing: it was cut short, "
            "or other files that belong to it are not in the same folder."
        )
    if len(every_series) > 1:
        warnings.warn(
            f"'{name}' holds {len(every_series)} images of which only the first was read.",
            ImageReadWarning,
            stacklevel=4,
        )
    return series


def _pixels(series: tifffile.TiffPageSeries, path: Path) -> tuple[Any, str]:
    """Data of a series and its axes as tifffile names them, colour already resolved."""
    axes, shape, page = series.axes, series.shape, series.keyframe
    _require_bytes(series, path.name)
    if "S" in axes and shape[axes.index("S")] > 1:
        data = _decoded(series, path.name)
        if page.photometric in _COLOUR or _ends_with_alpha(page):
            data = grey_from_colour(np.moveaxis(data, axes.index("S"), -1), path.name)
            return data, axes.replace("S", "")
        return data, axes if "C" in axes else axes.replace("S", "C")
    if _is_contiguous(series):
        dtype = series.dtype.newbyteorder(series.parent.byteorder)
        return np.memmap(path, dtype, "r", series.dataoffset, shape), axes
    leading = shape[:-2]
    pages = [(stored.parent.filehandle.path, stored.offset) for stored in series.pages]
    if page.shape != shape[-2:] or len(pages) != math.prod(leading):
        return _decoded(series, path.name), axes
    _read_page(*pages[0], page.shape)
    lazy = da.map_blocks(
        partial(_read_block, pages, leading, page.shape),
        chunks=(*((1,) * length for length in leading), *((length,) for length in page.shape)),
        dtype=series.dtype,
        meta=np.empty((0,) * len(shape), series.dtype),
    )
    return lazy, axes


def _is_contiguous(series: tifffile.TiffPageSeries) -> bool:
    return series.dataoffset is not None and not series.is_multifile


def _ends_with_alpha(page: tifffile.TiffPage) -> bool:
    return page.samplesperpixel == 2 and any(n in _ALPHA_SAMPLES for n in page.extrasamples)


def _require_bytes(series: tifffile.TiffPageSeries, name: str) -> None:
    """Refuse a file that ends before its pixels do, now rather than in the middle of a run."""
    if _is_contiguous(series):
        ends = [(series.parent.filehandle, series.dataoffset + series.nbytes)]
    else:
        ends = [
            (page.parent.filehandle, start + length)
            for page in series.pages
            for start, length in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
    if any(end > handle.size for handle, end in ends):
        raise _damaged(name)


def _decoded(series: tifffile.TiffPageSeries, name: str) -> np.ndarray[Any, np.dtype[Any]]:
    with _decoding(name):
        pixels: np.ndarray[Any, np.dtype[Any]] = series.asarray()
        return pixels


def _read_block(
    pages: list[tuple[str, int]],
    leading: tuple[int, ...],
    shape: tuple[int, int],
    block_id: tuple[int, ...],
) -> np.ndarray[Any, np.dtype[Any]]:
    index = np.ravel_multi_index(block_id[:-2], leading) if leading else 0
    return _read_page(*pages[int(index)], shape)[(np.newaxis,) * len(leading)]


def _read_page(path: str, offset: int, shape: tuple[int, int]) -> np.ndarray[Any, np.dtype[Any]]:
    name = Path(path).name
    with tifffile.TiffFile(path) as tif, _decoding(name):
        tif.filehandle.seek(offset)
        pixels: np.ndarray[Any, np.dtype[Any]] = tifffile.TiffPage(tif, 0).asarray()
    if pixels.shape != shape:
        raise _damaged(name)
    return pixels


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # every codec has exceptions of its own
        if "imagecodecs" in str(error):
            raise ImageFileError(
                f"The compression of '{name}' needs one more package: install it with "
                "'pip install imagecodecs', or save the image without compression."
            ) from error
        raise _damaged(name) from error


def _sizes(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> _Sizes:
    """Pixel width and height (µm), z step (µm), time step (s), None where the file is silent."""
    if tif.ome_metadata:
        return _ome_sizes(tif.ome_metadata, series.keyframe)
    tags = series.keyframe.tags
    unit: object = _RESOLUTION_UNITS.get(tags.valueof(296, default=2))
    about = (tif.imagej_metadata or {}) if tif.is_imagej else {}
    unit = about.get("unit", unit)
    units = (unit, about.get("yunit", unit))
    resolutions = (tags.valueof(tag, default=(0, 1)) for tag in (282, 283))
    x_um, y_um = (
        pixel_um_from_resolution(numerator / denominator if denominator else 0, one)
        for (numerator, denominator), one in zip(resolutions, units, strict=True)
    )
    z_um = z_step_from_spacing(about.get("spacing"), about.get("zunit", unit), x_um)
    return x_um, y_um, z_um, time_s(about.get("finterval"), about.get("tunit", "s"))


def _ome_sizes(xml: str, page: tifffile.TiffPage) -> _Sizes:
    wanted = (str(page.imagewidth), str(page.imagelength))
    for pixels in ElementTree.fromstring(xml).iterfind("{*}Image/{*}Pixels"):
        if (pixels.get("SizeX"), pixels.get("SizeY")) != wanted:
            continue
        x_um, y_um, z_um = (
            length_um(pixels.get(size), pixels.get(f"{size}Unit", "µm"))
            for size in ("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ")
        )
        t_step_s = time_s(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s"))
        return x_um, y_um, z_um, t_step_s
    return None, None, None, None

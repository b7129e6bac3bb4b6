"""Reading images from files: pixels, axes and physical sizes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_deepz.images import ImageFileError, ImageSeries
from napari_deepz.io.colour import grey_from_colour
from napari_deepz.io.czi import read_czi
from napari_deepz.io.meaning import note_shades, rises_evenly, shades_of_table
from napari_deepz.io.movie_comments import MOVIE_SUFFIXES, movie_comment
from napari_deepz.io.nd2 import read_nd2
from napari_deepz.io.noticing import noticing
from napari_deepz.io.ome_tiff import tiff_provenance
from napari_deepz.io.ome_zarr import read_ome_zarr, zarr_provenance
from napari_deepz.io.tiff import read_tiff
from napari_deepz.io.units import pixel_um_from_resolution, plausible_pixel_um
from napari_deepz.provenance import RECORD_KEY, Provenance
from napari_deepz.stored_pixels.png import open_png

_TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8")
_FORMAT_SUFFIXES = (*_TIFF_SUFFIXES, ".png", ".zarr", ".nd2", ".czi", ".ome")


def read_image(path: str | os.PathLike[str]) -> ImageSeries:
    """Read TIFF, OME-TIFF, an ImageJ hyperstack, OME-Zarr (0.4, 0.5, level 0), ND2, CZI or PNG.

    Sizes and optics that the file does not tell, or tells in dots per inch for a printer, stay
    None; so do those that no microscope has, and those of pixels that are not square. Of a set of
    OME-TIFF or Micro-Manager files the image that lies in this file is read, with its planes in
    the others. Pages of a TIFF without a description are planes (Z). Colour images are accepted
    where they hold one intensity only: three equal colours, or one colour and two black ones.

    Parameters
    ----------
    path : path
        An image file, or the folder of an OME-Zarr image.

    Returns
    -------
    ImageSeries
        Axes in the order (T, C, Z, Y, X), those of length 1 (except Y and X) dropped. Pixels of
        all but PNG are loaded plane by plane when asked for, and not if the file was changed by
        then. Its notes say where the file holds several images, of which the first is read,
        where sizes cannot be believed, planes are missing, or it is not certain which numbers are
        the intensities.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImageFileError
        If the file cannot be used as an image; the message says why.
    """
    path = _existing(path)
    with noticing() as notes:
        series = _read(path)
    return replace(series, notes=tuple(notes))


def _read(path: Path) -> ImageSeries:
    try:
        if path.is_dir():
            return read_ome_zarr(path, _stem(path))
        if not path.is_file():
            raise ImageFileError(f"'{path.name}' is neither a file nor a folder: choose an image.")
        if path.suffix.lower() in _TIFF_SUFFIXES:
            return read_tiff(path, _stem(path))
        if path.suffix.lower() == ".png":
            return _read_png(path, _stem(path))
        if path.suffix.lower() == ".nd2":
            return read_nd2(path, _stem(path))
        if path.suffix.lower() == ".czi":
            return read_czi(path, _stem(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageFileError(f"'{path.name}' cannot be read: {reason}.") from error
    raise ImageFileError(
        f"'{path.name}' is not of a kind that can be read: use TIFF, OME-TIFF, OME-Zarr, ND2, CZI "
        "or PNG."
    )


def read_provenance(path: str | os.PathLike[str]) -> Provenance | None:
    """Read how a stack written by `write_stack`, or a picture of one, was made.

    Parameters
    ----------
    path : path
        An OME-TIFF file, a PNG, a GIF or MP4 movie, or the folder of an OME-Zarr image.

    Returns
    -------
    Provenance or None
        None when the file carries no record of this package.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file or the record in it is damaged, or what reads MP4 is not installed.
    """
    path = _existing(path)
    if path.is_dir():
        return zarr_provenance(path)
    if path.suffix.lower() == ".png":
        return _png_provenance(path)
    if path.suffix.lower() in MOVIE_SUFFIXES:
        comment = movie_comment(path)
        return Provenance.from_json(comment) if comment and comment.startswith("{") else None
    return tiff_provenance(path) if path.suffix.lower() in _TIFF_SUFFIXES else None


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file '{path}': check the name and the folder.")
    return path.absolute()


def _stem(path: Path) -> str:
    name = path.name
    while Path(name).suffix.lower() in _FORMAT_SUFFIXES:
        name = Path(name).stem
    return name


def _read_png(path: Path, name: str) -> ImageSeries:
    with open_png(path) as image:
        dots_per_inch: tuple[Any, Any] = image.info.get("dpi", (None, None))
        pixels = _png_pixels(image, path.name)
    x_um, y_um = (pixel_um_from_resolution(dots, "inch") for dots in dots_per_inch)
    pixel_size_um, problem = plausible_pixel_um(path.name, x_um, y_um)
    return ImageSeries(pixels, "YX", pixel_size_um, None, name=name, pixel_size_problem=problem)


def _png_provenance(path: Path) -> Provenance | None:
    with open_png(path) as image:
        record = image.info.get(RECORD_KEY)
    return Provenance.from_json(record) if isinstance(record, str) else None


def _png_pixels(image: Image.Image, name: str) -> np.ndarray[Any, np.dtype[Any]]:
    if image.mode in ("P", "PA"):
        table = np.array(image.getpalette("RGB"), np.uint16).reshape(-1, 3) * 257
        image = image.convert("RGBA")
        shades = shades_of_table(table)
        if shades is None or not rises_evenly(shades):
            note_shades(name)
        return grey_from_colour(np.asarray(image), name)
    if image.mode == "I":
        return np.asarray(image).astype(np.uint16)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 2 else grey_from_colour(pixels, name)

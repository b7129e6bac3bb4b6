"""What the numbers in a picture mean: intensities, their negative, or places in a colour table."""

from __future__ import annotations

from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import tifffile
from tifffile import PHOTOMETRIC, PLANARCONFIG

from napari_deepz.images import ImageFileError
from napari_deepz.io.colour import grey_from_colour
from napari_deepz.io.noticing import note

_COLOUR = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
_ALPHA_SAMPLES = (1, 2)
_NO_INTENSITIES = {
    PHOTOMETRIC.SEPARATED: "the inks of a print (CMYK)",
    PHOTOMETRIC.CIELAB: "colours (CIELAB)",
    PHOTOMETRIC.ICCLAB: "colours (ICCLAB)",
    PHOTOMETRIC.ITULAB: "colours (ITULAB)",
    PHOTOMETRIC.LOGLUV: "colours (LOGLUV)",
    PHOTOMETRIC.CFA: "the mosaic of a colour camera",
}
_PHOTOMETRIC_TAG = 262
_COLOUR_TABLE_TAG = 320

# Programs that mean the numbers they store, however the numbers are to be shown.
_MAY_SHOW_INVERTED = ("imagej", "mmstack")
_MAY_COLOUR = (*_MAY_SHOW_INVERTED, "ome", "ndtiff")

# Colour tables are of 16 bits; two shades this near are the same one of 8 bits.
_SAME_SHADE = 257

_Pixels = np.ndarray[Any, np.dtype[Any]]


def intensities(
    data: da.Array, axes: str, page: tifffile.TiffPage, kind: str, name: str
) -> tuple[da.Array, str]:
    """Turn what a TIFF stores into one intensity per pixel.

    - Colours that hold one intensity become it; they are loaded to see that. Other ones that lie
      one after the other, in a file of tifffile's, are planes: it guesses colours where an array
      has three of them.
    - Where 0 is white, brightness is inverted. ImageJ says so of intensities that are only shown
      inverted: those stay as they are. A note says which.
    - Places in a colour table become its shades, if it has shades of one colour, with a note
      where those do not rise with the places. ImageJ and OME-TIFF colour intensities with a
      table: those stay, with a note.

    Parameters
    ----------
    data : dask array
        Pixels as they are stored.
    axes : str
        Their axes, "S" for the samples of a pixel.
    page : tifffile.TiffPage
        A page of the image.
    kind : str
        Which program's description the file has, as tifffile calls it, such as "imagej".
    name : str
        The file, for messages.

    Returns
    -------
    data : dask array
        Intensities.
    axes : str
        Without "S".


    Raises
    ------
    ImageFileError
        If the numbers are no intensities of one image.
    """
    # tifffile takes 0, "white is zero", where a file does not say.
    meaning = page.photometric if _PHOTOMETRIC_TAG in page.tags else PHOTOMETRIC.MINISBLACK
    if meaning in _NO_INTENSITIES:
        raise ImageFileError(
            f"'{name}' holds {_NO_INTENSITIES[meaning]}, which cannot be refocused: turn it into a "
            "greyscale image (in Fiji: Image > Type > 16-bit) and save that."
        )
    if "S" in axes:
        data, axes = _without_samples(data, axes, meaning, page, kind, name)
    if meaning == PHOTOMETRIC.MINISWHITE:
        return _white_is_zero(data, page, kind, name), axes
    if meaning == PHOTOMETRIC.PALETTE:
        return _places_in_colour_table(data, page, kind, name), axes
    return data, axes


def shades_of_table(colours: _Pixels) -> _Pixels | None:
    """One shade for each place of a colour table, as far as all are shades of one colour.

    Parameters
    ----------
    colours : ndarray
        (N, 3) red, green and blue, 16 bits.

    Returns
    -------
    ndarray or None
        (N,), of 8 bits where those are enough; None where the colours are not of one kind.
    """
    try:
        shades = grey_from_colour(colours, "")
    except ImageFileError:
        return None
    for step in (257, 256):
        if not (shades % step).any():
            return (shades // step).astype(np.uint8)
    return shades


def _without_samples(
    data: da.Array, axes: str, meaning: int, page: tifffile.TiffPage, kind: str, name: str
) -> tuple[da.Array, str]:
    samples = axes.index("S")
    if data.shape[samples] == 1:
        return data[(slice(None),) * samples + (0,)], axes.replace("S", "")
    if meaning in _COLOUR or _ends_with_alpha(page):
        try:
            grey = grey_from_colour(np.moveaxis(np.asarray(data), samples, -1), name)
        except ImageFileError:
            guessed = kind == "shaped" and page.planarconfig == PLANARCONFIG.SEPARATE
            if not guessed or "Z" in axes:
                raise
            note(
                f"'{name}' stores its {data.shape[samples]} images as the colours of one; they "
                "were taken as planes."
            )
            return data, axes.replace("S", "Z")
        return da.from_array(grey, chunks=grey.shape), axes.replace("S", "")
    return data, axes if "C" in axes else axes.replace("S", "C")


def _ends_with_alpha(page: tifffile.TiffPage) -> bool:
    return page.samplesperpixel == 2 and any(n in _ALPHA_SAMPLES for n in page.extrasamples)


def _white_is_zero(data: da.Array, page: tifffile.TiffPage, kind: str, name: str) -> da.Array:
    if kind in _MAY_SHOW_INVERTED or data.dtype.kind == "f":
        note(
            f"'{name}' is meant to be shown inverted (its zero is white); its numbers were taken "
            "as they are: if the sample is dark on a bright ground in them, invert them (in Fiji: "
            "Edit > Invert) and save the image again."
        )
        return data
    note(
        f"In '{name}' zero is white, so its brightness was inverted: if the sample is dark on a "
        "bright ground now, open the image in Fiji and save it again, which keeps the numbers."
    )
    if data.dtype.kind != "u":
        return data.map_blocks(np.invert, dtype=data.dtype, meta=data._meta)
    white = data.dtype.type(2**page.bitspersample - 1)
    return data.map_blocks(partial(np.subtract, white), dtype=data.dtype, meta=data._meta)


def _places_in_colour_table(
    data: da.Array, page: tifffile.TiffPage, kind: str, name: str
) -> da.Array:
    colours = _colour_table(page)
    shades = None if colours is None else shades_of_table(colours)
    if shades is not None and rises_evenly(shades):
        return data
    if kind in _MAY_COLOUR or colours is None:
        note(
            f"'{name}' is coloured with a table; its numbers, not its colours, were taken as the "
            "intensities: if they are not, turn the image into a greyscale one and save that."
        )
        return data
    if shades is None:
        raise ImageFileError(
            f"'{name}' is stored as places in a table of colours, and does not say whether the "
            "places or the colours are the intensities: open it in Fiji, and save it again either "
            "as it is, or as a greyscale image (Image > Type > 16-bit)."
        )
    note_shades(name)
    looked_up = partial(np.take, shades)
    return data.map_blocks(looked_up, dtype=shades.dtype, meta=data._meta.astype(shades.dtype))


def _colour_table(page: tifffile.TiffPage) -> _Pixels | None:
    """(N, 3) colours for all N places that a pixel can name; None where they say nothing."""
    stored = np.asarray(page.tags.valueof(_COLOUR_TABLE_TAG, default=()))
    if stored.shape != (3, 2**page.bitspersample) or not np.ptp(stored):
        return None
    return stored.astype(np.uint16).T


def rises_evenly(shades: _Pixels) -> bool:
    """Whether shades rise evenly from black, so that the places tell the same as they do."""
    wide = shades.astype(float) * (_SAME_SHADE if shades.dtype == np.uint8 else 1)
    even = np.linspace(0, wide[-1], len(wide))
    return bool(wide[-1] > 0 and np.abs(wide - even).max() <= _SAME_SHADE)


def note_shades(name: str) -> None:
    """Say that shades were taken for the places of a colour table."""
    note(
        f"'{name}' is stored as places in a table of shades, which were taken as the intensities: "
        "if the places are, open it in Fiji and save it again as TIFF, which keeps them."
    )

"""Sizes that TIFF files state: in OME-XML, in ImageJ's description, or in the tags of a page."""

from __future__ import annotations

from dataclasses import dataclass

import tifffile

from napari_deepz.io.ome_xml import OmeImage
from napari_deepz.io.units import (
    length_um,
    pixel_um_from_resolution,
    time_s,
    z_step_from_spacing,
)

_RESOLUTION_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: "µm"}
_RESOLUTION_TAGS = (282, 283)
_RESOLUTION_UNIT_TAG = 296


@dataclass(frozen=True)
class StatedSizes:
    """What a file says, believable or not; None where it says nothing.

    Attributes
    ----------
    x_um, y_um : float or None
        Width and height of a pixel.
    z_um : float or None
        Distance between planes.
    t_step_s : float or None
        Time between time points.
    """

    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None
    t_step_s: float | None = None


def ome_sizes(image: OmeImage) -> StatedSizes:
    """Take the sizes of one OME-XML image."""
    x_um, y_um, z_um = (length_um(*image.sizes[axis]) for axis in "XYZ")
    return StatedSizes(x_um, y_um, z_um, time_s(*image.sizes["T"]))


def page_sizes(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> StatedSizes:
    """Take the sizes in ImageJ's description, if there is one, and in the tags of a page."""
    tags = page.tags
    about = (tif.imagej_metadata or {}) if tif.is_imagej else {}
    unit = about.get("unit", _RESOLUTION_UNITS.get(tags.valueof(_RESOLUTION_UNIT_TAG, default=2)))
    units = (unit, about.get("yunit", unit))
    resolutions = (tags.valueof(tag, default=(0, 1)) for tag in _RESOLUTION_TAGS)
    x_um, y_um = (
        pixel_um_from_resolution(numerator / denominator if denominator else 0, one)
        for (numerator, denominator), one in zip(resolutions, units, strict=True)
    )
    z_um = z_step_from_spacing(about.get("spacing"), about.get("zunit", unit), x_um)
    return StatedSizes(x_um, y_um, z_um, time_s(about.get("finterval"), about.get("tunit", "s")))

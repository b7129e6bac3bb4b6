"""Sets of OME-TIFF files as other programs write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@dataclass
class Part:
    """Planes of an image in one file: from a place on an axis, from a page of the file on."""

    name: str | None
    uuid: str | None
    count: int | None = 1
    page: int | None = 0
    first: dict[str, int] = field(default_factory=dict)


@dataclass
class Image:
    parts: Sequence[Part]
    sizes: dict[str, int]
    pixel_um: float = 0.325
    z_um: float | None = None
    name: str = "image"
    channels: Sequence[str] = ()
    shape: tuple[int, int] = (40, 48)
    extra: str = ""


def element(number: int, image: Image) -> str:
    lengths = {"Z": 1, "C": 1, "T": 1} | image.sizes
    sizes = " ".join(f'Size{axis}="{length}"' for axis, length in lengths.items())
    z = "" if image.z_um is None else f'PhysicalSizeZ="{image.z_um}"'
    channels = "".join(
        f'<Channel ID="Channel:{number}:{c}" Name="{name}" SamplesPerPixel="1"/>'
        for c, name in enumerate(image.channels or [""] * lengths["C"])
    )
    return (
        f'<Image ID="Image:{number}" Name="{image.name}"><Pixels ID="Pixels:{number}" '
        f'DimensionOrder="XYZCT" Type="uint16" SizeX="{image.shape[1]}" SizeY="{image.shape[0]}" '
        f'{sizes} PhysicalSizeX="{image.pixel_um}" PhysicalSizeY="{image.pixel_um}" {z}>'
        f"{channels}{''.join(map(_tiff_data, image.parts))}{image.extra}</Pixels></Image>"
    )


def _tiff_data(part: Part) -> str:
    given: dict[str, Any] = {"IFD": part.page, "PlaneCount": part.count}
    given |= {f"First{axis}": at for axis, at in part.first.items()}
    attributes = " ".join(f'{key}="{value}"' for key, value in given.items() if value is not None)
    name = "" if part.name is None else f' FileName="{part.name}"'
    if part.name is None and part.uuid is None:
        return f"<TiffData {attributes}/>"
    return f"<TiffData {attributes}><UUID{name}>{part.uuid or ''}</UUID></TiffData>"


def ome_xml(images: Sequence[Image], own_uuid: str | None = None, before: str = "") -> str:
    uuid = "" if own_uuid is None else f' UUID="{own_uuid}"'
    elements = "".join(element(number, image) for number, image in enumerate(images))
    return f'<?xml version="1.0"?><OME xmlns="{OME}"{uuid}>{before}{elements}</OME>'


def binary_only(metadata_file: str, own_uuid: str) -> str:
    return (
        f'<?xml version="1.0"?><OME xmlns="{OME}"><BinaryOnly MetadataFile="{metadata_file}" '
        f'UUID="{own_uuid}"/></OME>'
    )


def write_tiff(
    path: Path,
    planes: Sequence[np.ndarray] | np.ndarray,
    description: str | None,
    compression: str | None = None,
    **options: Any,
) -> None:
    """Pages with a description of their own; not one of tifffile's."""
    with tifffile.TiffWriter(path, ome=False) as tif:
        for number, plane in enumerate(planes):
            tif.write(
                plane,
                description=description if number == 0 else None,
                metadata=None,
                photometric="minisblack",
                compression=compression,
                contiguous=False,
                **options,
            )

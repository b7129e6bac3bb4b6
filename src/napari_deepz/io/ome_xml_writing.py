"""The OME-XML of a series that this package writes."""

from __future__ import annotations

import re
from uuid import UUID
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from napari_deepz.io.layout import StackLayout
from napari_deepz.provenance import RECORD_KEY, Provenance
from napari_deepz.sampling import IMMERSION_INDICES

RECORD_ENTRY = "provenance"
"""Under which the record lies in its annotation, as JSON."""

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_PIXEL_TYPES = {"float32": "float", "float64": "double"}
_IMMERSIONS = {
    IMMERSION_INDICES[medium]: medium.capitalize() for medium in ("air", "water", "glycerol", "oil")
}
_NM_PER_UM = 1000
_DIGITS_NM = 6

# https://www.w3.org/TR/xml/#charsets
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def ome_xml(layout: StackLayout, provenance: Provenance, uuid: UUID) -> str:
    """Describe a series whose planes are the pages of one file, in the order (T, C, Z).

    Parameters
    ----------
    layout : StackLayout
        The series.
    provenance : Provenance
        Written as JSON into a MapAnnotation, and in words into the image's Description.
    uuid : UUID
        Of the file.

    Returns
    -------
    str
        ASCII.
    """
    root = Element(
        "OME",
        {
            "xmlns": _SCHEMA,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{_SCHEMA} {_SCHEMA}/ome.xsd",
            "UUID": f"urn:uuid:{uuid}",
            "Creator": _clean(f"{provenance.software} {provenance.version}"),
        },
    )
    has_objective = layout.na is not None or layout.immersion_index is not None
    if has_objective:
        _add_instrument(root, layout)
    image = SubElement(root, "Image", {"ID": "Image:0", "Name": _clean(layout.name)})
    SubElement(image, "Description").text = _clean(provenance.describe())
    if has_objective:
        SubElement(image, "InstrumentRef", {"ID": "Instrument:0"})
        index = _known({"RefractiveIndex": layout.immersion_index})
        SubElement(image, "ObjectiveSettings", {"ID": "Objective:0:0"} | index)
    _add_pixels(image, layout)
    SubElement(image, "AnnotationRef", {"ID": "Annotation:0"})
    annotations = SubElement(root, "StructuredAnnotations")
    record = SubElement(
        annotations, "MapAnnotation", {"ID": "Annotation:0", "Namespace": RECORD_KEY}
    )
    entry = SubElement(SubElement(record, "Value"), "M", {"K": RECORD_ENTRY})
    entry.text = provenance.to_json()
    written: bytes = tostring(root, "us-ascii", xml_declaration=True)
    return written.decode("ascii")


def _add_instrument(root: Element, layout: StackLayout) -> None:
    about = _known({"LensNA": layout.na})
    if layout.immersion_index is not None:
        about["Immersion"] = _IMMERSIONS.get(layout.immersion_index, "Other")
    instrument = SubElement(root, "Instrument", {"ID": "Instrument:0"})
    SubElement(instrument, "Objective", {"ID": "Objective:0:0"} | about)


def _add_pixels(image: Element, layout: StackLayout) -> None:
    times, channels, depths, height, width = layout.shape
    pixels = SubElement(
        image,
        "Pixels",
        {
            "ID": "Pixels:0",
            "DimensionOrder": "XYZCT",
            "Type": _PIXEL_TYPES.get(layout.dtype.name, layout.dtype.name),
            "SizeX": str(width),
            "SizeY": str(height),
            "SizeZ": str(depths),
            "SizeC": str(channels),
            "SizeT": str(times),
        },
    )
    for axis, step in layout.steps.items():
        if step is None:
            continue
        key, unit = ("TimeIncrement", "s") if axis == "T" else (f"PhysicalSize{axis}", "µm")
        pixels.attrib |= {key: repr(float(step)), f"{key}Unit": unit}
    for c in range(channels):
        about = {"ID": f"Channel:0:{c}", "SamplesPerPixel": "1"}
        if layout.channel_names[c]:
            about["Name"] = _clean(layout.channel_names[c])
        wavelength_um = layout.wavelengths_um[c] if layout.wavelengths_um else None
        if wavelength_um is not None:
            nm = round(wavelength_um * _NM_PER_UM, _DIGITS_NM)
            about |= {"EmissionWavelength": repr(float(nm)), "EmissionWavelengthUnit": "nm"}
        SubElement(pixels, "Channel", about)
    SubElement(pixels, "TiffData", {"IFD": "0", "PlaneCount": str(layout.count)})
    positions_um = layout.positions_um
    for t, c, z in np.ndindex(layout.shape[:3]) if positions_um else ():
        SubElement(
            pixels,
            "Plane",
            {
                "TheZ": str(z),
                "TheC": str(c),
                "TheT": str(t),
                "PositionZ": repr(float(positions_um[z])),
                "PositionZUnit": "µm",
            },
        )


def _known(numbers: dict[str, float | None]) -> dict[str, str]:
    return {key: repr(float(number)) for key, number in numbers.items() if number is not None}


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("?", text)

"""What the XML in a CZI file says of sizes, channels and optics."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from napari_deepz.images import ImageFileError
from napari_deepz.io.careful_xml import careful_tree
from napari_deepz.io.ome_optics import emission_um, index_of_immersion
from napari_deepz.io.stated_optics import StatedOptics
from napari_deepz.io.tiff_sizes import StatedSizes
from napari_deepz.io.units import length_um, positive_number, time_s

_IMAGE = "Metadata/Information/Image"
_OBJECTIVES = "Metadata/Information/Instrument/Objectives/Objective"

# Finer than any pixel, coarse enough that 1e-7 m become 0.1 µm.
_DIGITS_UM = 9


@dataclass(frozen=True)
class CziMetadata:
    """What is stated, believable or not.

    Attributes
    ----------
    sizes : StatedSizes
        Of a pixel, between planes, between time points.
    optics : StatedOptics
        Of the objective, and a wavelength for each channel that is named.
    channel_names : tuple of str
        One for each channel that is named, "" where it has none.
    """

    sizes: StatedSizes
    optics: StatedOptics
    channel_names: tuple[str, ...]


def parse_czi_metadata(xml: str, name: str) -> CziMetadata:
    """Read the XML of a CZI file.

    Parameters
    ----------
    xml : str
        The text; an empty one says nothing.
    name : str
        The file, for messages.

    Raises
    ------
    ImageFileError
        If it is no XML, or defines a document type.
    """
    try:
        root = careful_tree(xml) if xml.strip() else Element("ImageDocument")
    except (ParseError, ValueError) as error:
        raise ImageFileError(
            f"The description in '{name}' is damaged: copy or export the image again."
        ) from error
    channels = root.findall(f"{_IMAGE}/Dimensions/Channels/Channel")
    return CziMetadata(
        _sizes(root),
        StatedOptics(
            *_objective(root),
            tuple(emission_um(channel.findtext("EmissionWavelength")) for channel in channels),
        ),
        tuple(channel.get("Name", "") for channel in channels),
    )


def _sizes(root: Element) -> StatedSizes:
    """Lengths in metres, whatever unit they are shown in, and the time step in seconds."""
    stated = {
        distance.get("Id"): length_um(distance.findtext("Value"), "m")
        for distance in root.iterfind("Metadata/Scaling/Items/Distance")
    }
    x_um, y_um, z_um = (
        None if (size_um := stated.get(axis)) is None else round(size_um, _DIGITS_UM)
        for axis in "XYZ"
    )
    step = root.findtext(f"{_IMAGE}/Dimensions/T/Positions/Interval/Increment")
    return StatedSizes(x_um, y_um, z_um, time_s(step, "s"))


def _objective(root: Element) -> tuple[float | None, float | None]:
    """Aperture and immersion index of the objective that was used, or of the only one."""
    settings = root.find(f"{_IMAGE}/ObjectiveSettings")
    index, wanted = None, None
    if settings is not None:
        index = positive_number(settings.findtext("RefractiveIndex")) or index_of_immersion(
            settings.findtext("Medium")
        )
        reference = settings.find("ObjectiveRef")
        wanted = None if reference is None else reference.get("Id")
    found = [one for one in root.iterfind(_OBJECTIVES) if wanted in (None, one.get("Id"))]
    if len(found) != 1:
        return None, index
    (objective,) = found
    index = index or index_of_immersion(objective.findtext("Immersion"))
    return positive_number(objective.findtext("LensNA")), index

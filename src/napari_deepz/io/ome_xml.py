"""OME-XML, read without trusting it: which images it describes, and where their planes lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from napari_deepz.images import ImageFileError
from napari_deepz.io.careful_xml import careful_tree
from napari_deepz.io.ome_optics import ome_optics
from napari_deepz.io.stated_optics import StatedOptics

_SAMPLES_AXIS = "C"


@dataclass(frozen=True)
class FileReference:
    """How OME-XML names a file of the set; None where it does not say."""

    name: str | None
    uuid: str | None


@dataclass(frozen=True)
class PlaneRange:
    """Planes that follow one another in a file.

    Attributes
    ----------
    file : FileReference or None
        None is the file in which the description lies.
    page : int
        The first one's page in the file.
    count : int or None
        None means all pages that are left.
    first : dict
        Where the first one belongs on the axes Z, C and T.
    """

    file: FileReference | None
    page: int
    count: int | None
    first: dict[str, int]


@dataclass(frozen=True)
class OmeImage:
    """One Image element.

    Attributes
    ----------
    axes : str
        Of its planes, the slowest first, such as "TCZ".
    lengths : tuple of int
        Along those axes.
    plane_shape : tuple of int
        (Y, X).
    samples : int
        Of every pixel: 3 in a colour image, which count as one channel here.
    sizes : dict
        "X", "Y", "Z", "T": number and unit as they are stored.
    channel_names : tuple of str
        One for each channel, "" where it has none.
    optics : StatedOptics
        Its objective, and a wavelength for each channel.
    planes : tuple of PlaneRange
        Where its planes lie; none for an image without pixels.
    annotations : frozenset of str
        Identifiers of what is annotated to it.
    """

    axes: str
    lengths: tuple[int, ...]
    plane_shape: tuple[int, int]
    samples: int
    sizes: dict[str, tuple[str | None, str]]
    channel_names: tuple[str, ...]
    optics: StatedOptics
    planes: tuple[PlaneRange, ...]
    annotations: frozenset[str]


@dataclass(frozen=True)
class OmeDescription:
    """What an OME-XML says.

    Attributes
    ----------
    uuid : str or None
        Of the file in which it lies.
    elsewhere : str or None
        Name of the file that has the description instead, of an element BinaryOnly.
    images : tuple of OmeImage
        In their order.
    map_annotations : dict
        From identifier to (namespace, {key: value}).
    divided_axes : frozenset of str
        Identifiers of annotations that divide an axis into two.
    """

    uuid: str | None
    elsewhere: str | None
    images: tuple[OmeImage, ...]
    map_annotations: dict[str, tuple[str, dict[str, str]]]
    divided_axes: frozenset[str]


def parse_ome(xml: str, name: str) -> OmeDescription:
    """Read an OME-XML.

    Parameters
    ----------
    xml : str
        The text.
    name : str
        The file, for messages.

    Raises
    ------
    ImageFileError
        If it is no XML, makes no sense, or defines a document type: OME-XML has none, and one can
        blow up a few bytes to any size.
    """
    try:
        root = careful_tree(xml)
        only = root.find("{*}BinaryOnly")
        annotations = root.findall("{*}StructuredAnnotations/*")
        return OmeDescription(
            _uuid(root.get("UUID") if only is None else only.get("UUID", root.get("UUID"))),
            None if only is None else only.get("MetadataFile"),
            tuple(_images(root)),
            {note.get("ID", ""): _map(note) for note in annotations if _is(note, "MapAnnotation")},
            frozenset(note.get("ID", "") for note in annotations if _divides_an_axis(note)),
        )
    except (ElementTree.ParseError, ValueError, KeyError) as error:
        raise ImageFileError(
            f"The OME-XML that describes '{name}' is damaged: copy or export the image again."
        ) from error


def _images(root: ElementTree.Element) -> Iterator[OmeImage]:
    for image in root.iterfind("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is None:
            continue
        channels = pixels.findall("{*}Channel")
        samples = {_number(channel.get("SamplesPerPixel", "1")) for channel in channels} or {1}
        if len(samples) != 1:
            raise ValueError("channels of different kinds")
        (per_pixel,) = samples
        axes = pixels.attrib["DimensionOrder"][:1:-1]
        if sorted(axes) != ["C", "T", "Z"]:
            raise ValueError(axes)
        lengths = {axis: _number(pixels.attrib[f"Size{axis}"], least=1) for axis in "XYZCT"}
        lengths[_SAMPLES_AXIS] = max(lengths[_SAMPLES_AXIS] // per_pixel, 1)
        sizes = {
            axis: (pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
            for axis in "XYZ"
        }
        sizes["T"] = (pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s"))
        names = tuple(channel.get("Name", "") for channel in channels)
        references = image.findall("{*}AnnotationRef") + pixels.findall("{*}AnnotationRef")
        yield OmeImage(
            axes,
            tuple(lengths[axis] for axis in axes),
            (lengths["Y"], lengths["X"]),
            per_pixel,
            sizes,
            names if any(names) and len(names) == lengths["C"] else (),
            ome_optics(root, image, channels),
            tuple(map(_plane_range, pixels.iterfind("{*}TiffData"))),
            frozenset(reference.get("ID", "") for reference in references),
        )


def _plane_range(data: ElementTree.Element) -> PlaneRange:
    uuid = data.find("{*}UUID")
    file = None
    if uuid is not None:
        file = FileReference(uuid.get("FileName"), _uuid(uuid.text))
    page, count = data.get("IFD"), data.get("PlaneCount", data.get("NumPlanes"))
    if count is None and page is not None:
        count = "1"
    return PlaneRange(
        file,
        _number(page or "0"),
        None if count is None else _number(count),
        {axis: _number(data.get(f"First{axis}", "0")) for axis in "ZCT"},
    )


def _uuid(text: str | None) -> str | None:
    """One spelling for an identifier, which is written in upper and lower case."""
    return (text or "").strip().casefold() or None


def _number(text: str, *, least: int = 0) -> int:
    number = int(text)
    if number < least:
        raise ValueError(text)
    return number


def _is(element: ElementTree.Element, tag: str) -> bool:
    return element.tag.rpartition("}")[2] == tag


def _map(annotation: ElementTree.Element) -> tuple[str, dict[str, str]]:
    entries = annotation.iterfind("{*}Value/{*}M")
    return (
        annotation.get("Namespace", ""),
        {entry.get("K", ""): entry.text or "" for entry in entries},
    )


def _divides_an_axis(annotation: ElementTree.Element) -> bool:
    if not annotation.get("Namespace", "").casefold().endswith("modulo"):
        return False
    return any("ModuloAlong" in str(element.tag) for element in annotation.iter())

"""What the file behind a layer says, whoever has opened it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from napari.layers import Layer

from napari_deepz.images import ImageSeries
from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.provenance import Provenance
from napari_deepz.widgets.shared.layers import READER

PROVENANCE = "provenance"
"""Where the layers of files and differences keep their record, in their metadata."""


DIFFERENCE = "napari-deepz difference"
"""In the metadata of a layer of differences: what was subtracted from what."""


@dataclass(frozen=True, eq=False)
class LayerFile:
    """Header of the file behind a layer.

    Attributes
    ----------
    record : Provenance or None
        How this package made it.
    series : ImageSeries or None
        Axes and sizes; None where the layer holds something else of the file than all of it.
    """

    record: Provenance | None = None
    series: ImageSeries | None = None


_NOTHING = LayerFile()
_KNOWN: WeakKeyDictionary[Layer, tuple[str | None, LayerFile]] = WeakKeyDictionary()


def file_of(layer: Layer) -> LayerFile:
    """Read the header of a layer's file, once; nothing is said where there is none, or it fails.

    What this package's own reader has opened says it in its metadata and is not read again.
    """
    path = layer.source.path
    known = _KNOWN.get(layer)
    if known is None or known[0] != path:
        known = _KNOWN[layer] = path, _header(layer, path)
    return known[1]


def is_of_inferred_file(layer: Layer) -> bool:
    """Whether a network made what is in the file of a layer."""
    kept = layer.metadata.get(PROVENANCE)
    record = _record(kept) if isinstance(kept, str) else file_of(layer).record
    return record is not None and record.kind == "inferred"


def _header(layer: Layer, path: str | None) -> LayerFile:
    if path is None or layer.source.reader_plugin == READER:
        return _NOTHING
    try:
        record = read_provenance(Path(path))
    except (ValueError, OSError):
        record = None
    try:
        series = read_image(path)
    except (ValueError, OSError):
        return LayerFile(record)
    same = not getattr(layer, "rgb", False) and series.data.shape == layer.data.shape
    return LayerFile(record, series if same else None)


def _record(text: str) -> Provenance | None:
    try:
        return Provenance.from_json(text)
    except ValueError:
        return None

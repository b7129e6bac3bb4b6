"""Opening images in napari with their sizes, which its own readers lose."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_deepz.images import ImageFileError, ImageSeries
from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.provenance import Provenance
from napari_deepz.widgets.shared.layer_files import PROVENANCE
from napari_deepz.widgets.shared.layers import CHANNEL, OPTICS, layer_arguments
from napari_deepz.widgets.shared.plain_text import harmless, layer_name, show_warning

LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[str | os.PathLike[str]], list[LayerData]]


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Offer to read what `read_image` reads; several files as one stack are left to others."""
    return _read_shown if isinstance(path, str) else None


def _read_shown(path: str | os.PathLike[str]) -> list[LayerData]:
    """Read layers for napari, whose window takes what it is told for HTML if it looks like it."""
    try:
        layers, notes = _read(Path(path))
    except ImageFileError as error:
        raise ImageFileError(harmless(str(error))) from error
    for note in notes:
        show_warning(note)
    return [
        (data, arguments | {"name": layer_name(arguments["name"])}, kind)
        for data, arguments, kind in layers
    ]


def read_layers(path: str | os.PathLike[str]) -> list[LayerData]:
    """Read an image as one layer per channel, with scale, units, axis labels and depth.

    Raises
    ------
    ImageFileError
        If the file cannot be used as an image; the message says why.
    """
    return _read(Path(path))[0]


def _read(path: Path) -> tuple[list[LayerData], tuple[str, ...]]:
    """Layers, and what is noticed about them."""
    series = read_image(path)
    provenance, damage = _provenance(path)
    notes = (*series.notes, *damage)
    z_start_um = 0.0
    if provenance is not None and provenance.axial_range_um is not None:
        z_start_um = provenance.axial_range_um[0]
    arguments = layer_arguments(series, z_start_um=z_start_um)
    metadata: dict[str, Any] = {}
    if provenance is not None:
        metadata[PROVENANCE] = provenance.to_json()
    arguments["metadata"] = metadata | _optics(series, 0)
    if "C" not in series.axes:
        return [(series.data, arguments, "image")], notes
    axis = series.axes.index("C")
    for key in ("axis_labels", "scale", "units", "translate"):
        arguments[key] = arguments[key][:axis] + arguments[key][axis + 1 :]
    layers: list[LayerData] = [
        (
            series.data[(slice(None),) * axis + (channel,)],
            arguments
            | {
                "name": f"{series.name}, {_channel(series, channel)}",
                "metadata": metadata | {CHANNEL: channel} | _optics(series, channel),
            },
            "image",
        )
        for channel in range(series.size("C"))
    ]
    return layers, notes


def _optics(series: ImageSeries, channel: int) -> dict[str, Any]:
    """What the file says of the optics of a channel, for a layer's metadata."""
    stated = {
        "na": series.na,
        "immersion_index": series.immersion_index,
        "wavelength_um": series.wavelengths_um[channel] if series.wavelengths_um else None,
    }
    known = {part: value for part, value in stated.items() if value is not None}
    return {OPTICS: known} if known else {}


def _provenance(path: Path) -> tuple[Provenance | None, tuple[str, ...]]:
    """Read the record in a file; the image opens without one that is damaged, which is said."""
    try:
        return read_provenance(path), ()
    except (ValueError, OSError) as error:
        return None, (f"'{path.name}': {error}",)


def _channel(series: ImageSeries, channel: int) -> str:
    named = series.channel_names[channel] if series.channel_names else ""
    return named or f"channel {channel + 1}"

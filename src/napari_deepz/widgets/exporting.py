"""Asking where to save a result, and gathering what is saved with it."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_deepz.surfaces import Flat, Surface
from napari_deepz.widgets.results import ResultRecord, planes_of, record_of
from napari_deepz.widgets.work import ExportRequest, repeat_command

_KINDS = {"OME-TIFF (*.ome.tif)": ".ome.tif", "OME-Zarr (*.ome.zarr)": ".ome.zarr"}
_ENDINGS = (".tif", ".tiff", ".zarr")


def ask_export(parent: QWidget, layer: Image) -> ExportRequest | None:
    """Let the user choose a file for a result.

    Returns
    -------
    ExportRequest or None
        None where the user chose none, or the layer is no result.
    """
    record = record_of(layer)
    if record is None:
        return None
    chosen, kind = QFileDialog.getSaveFileName(
        parent, "Export virtual planes", f"{layer.name}.ome.tif", ";;".join(_KINDS)
    )
    if not chosen:
        return None
    path = Path(chosen)
    if path.suffix.lower() not in _ENDINGS:
        path = path.with_name(path.name + _KINDS.get(kind, ".ome.tif"))
    return export_request(layer, record, path)


def export_request(layer: Image, record: ResultRecord, path: Path) -> ExportRequest:
    """Gather pixels, sizes and provenance of a result, with the command that repeats it."""
    surface = _shown_surface(record)
    simple = surface.kind in ("flat", "tilted")
    surface_file = None if simple else path.with_name(f"{path.name.split('.')[0]}.surface.json")
    command = repeat_command(
        source=record.request.plane.source,
        output=path,
        surface=surface,
        surface_file=surface_file,
        model=record.provenance.model_name or str(record.request.model),
        pixel_size_um=record.request.pixel_size_um,
    )
    return ExportRequest(
        path=path,
        planes=planes_of(layer),
        z_um=record.z_um,
        pixel_size_um=record.request.pixel_size_um,
        name=layer.name,
        provenance=record.provenance.model_copy(update={"command": command}),
        surface=surface,
        surface_file=surface_file,
    )


def _shown_surface(record: ResultRecord) -> Surface:
    """The surface of the planes that are there: of a cancelled run only those that it finished."""
    depths_um = record.z_um
    if len(depths_um) > 1:
        return Flat(depths_um[0], depths_um[-1], depths_um[1] - depths_um[0])
    return Flat(depths_um[0]) if depths_um else record.request.surface

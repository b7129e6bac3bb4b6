"""Asking where to save a result, and gathering what is saved with it."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_deepz.generators.library import list_models
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
    return export_request(layer, record, _with_ending(Path(chosen), _KINDS.get(kind, ".ome.tif")))


def _with_ending(path: Path, wanted: str) -> Path:
    """Give a file name the ending of the chosen format, unless it names another one itself."""
    if path.suffix.lower() not in _ENDINGS:
        return path.with_name(path.name + wanted)
    if wanted == ".ome.zarr" and path.name.endswith(".ome.tif"):
        return path.with_name(path.name.removesuffix(".ome.tif") + wanted)
    return path


def _stem(path: Path) -> str:
    for ending in (".ome.tif", ".ome.tiff", ".ome.zarr", *_ENDINGS):
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.name


def export_request(layer: Image, record: ResultRecord, path: Path) -> ExportRequest:
    """Gather pixels, sizes and provenance of a result, with the command that repeats it."""
    surface = _shown_surface(record)
    simple = surface.kind in ("flat", "tilted")
    surface_file = None if simple else path.with_name(f"{_stem(path)}.surface.json")
    command = repeat_command(
        source=record.request.plane.source,
        output=path,
        surface=surface,
        surface_file=surface_file,
        model=_model_argument(record.request.model),
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


def _model_argument(package: Path) -> str:
    """The name of a model that is found by it, else the path of its package."""
    named = [name for name, found in list_models().items() if found == package]
    return named[0] if named else str(package)


def _shown_surface(record: ResultRecord) -> Surface:
    """The surface of the planes that are there: of a cancelled run only those that it finished."""
    depths_um = record.z_um
    if len(depths_um) > 1:
        return Flat(depths_um[0], depths_um[-1], depths_um[1] - depths_um[0])
    return Flat(depths_um[0]) if depths_um else record.request.surface

"""What is written of a result, in the worker thread and without a window in sight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.atomic_files import written_beside
from napari_deepz.pictures.saving import FlatPlanes, save_picture
from napari_deepz.provenance import Provenance
from napari_deepz.recipes.again import recipe_in
from napari_deepz.recipes.depths import write_depths
from napari_deepz.recipes.recipe import Recipe, Source, depth_files
from napari_deepz.recipes.saving import write_planes
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import FromImage, Surface, load_surface, save_surface
from napari_deepz.watch import Progress, Watch
from napari_deepz.widgets.shared.news import Send


class ExportKind(StrEnum):
    """What can be saved of a result."""

    STACK = "the virtual planes"
    PICTURE = "a picture of the plane"
    PROJECTION = "a depth-coded projection"
    SWEEP = "a focus sweep"
    RECIPE = "the recipe"
    SURFACE = "the surface"
    DPM = "the depths of the surface"


@dataclass(frozen=True, eq=False)
class ExportRequest:
    """A result to be written to a file.

    Attributes
    ----------
    path : Path
        The file; its ending decides the format.
    kind : ExportKind
        What is written.
    planes : ndarray
        (n, Y, X) float32.
    z_um : tuple of float
        Depth of every plane relative to the input image, evenly spaced; empty where not flat.
    sampling : Sampling
        Of the planes.
    name : str
        Of the image in the file.
    provenance : Provenance
        Saved with it.
    surface : Surface
        On which the planes lie.
    surface_file : Path or None
        Where to save the surface beside the planes.
    limits : tuple of float
        Intensities shown black and at full brightness in pictures and movies.
    colours : ndarray
        (focus_sweep.SHADES, 3), red, green and blue from 0 to 1, for what lies between.
    """

    path: Path
    kind: ExportKind
    planes: NDArray[Any]
    z_um: tuple[float, ...]
    sampling: Sampling
    name: str
    provenance: Provenance
    surface: Surface
    surface_file: Path | None
    limits: tuple[float, float]
    colours: NDArray[np.floating]


def written_files(request: ExportRequest) -> tuple[Path, ...]:
    """All files that `export_planes` writes for a request, that of its path first."""
    path = request.path
    if request.kind is ExportKind.SURFACE:
        return (*surface_files(request, path), _record_beside(path))
    if request.kind is ExportKind.RECIPE:
        recipe = Recipe(source=Source(), surfaces=request.surface)
        return (path, *depth_files(recipe, path))
    if request.kind is ExportKind.STACK and request.surface_file is not None:
        return (path, *surface_files(request, request.surface_file))
    return (path,)


def surface_files(request: ExportRequest, path: Path) -> tuple[Path, ...]:
    """All files that `write_surface` writes."""
    return (path, _depths_beside(path)) if _lacks_file(request.surface) else (path,)


def export_planes(request: ExportRequest, send: Send, watch: Watch) -> None:
    """Write what is wanted of a result: sends `Advance`.

    Raises
    ------
    Cancelled
        When asked to stop; nothing is left of the file then.
    ValueError, OSError
        If the file cannot be written; one sentence.
    """

    if request.kind is ExportKind.STACK:
        _write_stack(request, watch)
    elif request.kind in (ExportKind.PICTURE, ExportKind.PROJECTION, ExportKind.SWEEP):
        save_picture(_shown(request), request.path, watch=watch)
    elif request.kind is ExportKind.RECIPE:
        recipe_in(request.provenance, request.path, surfaces=(request.surface,)).save(request.path)
    elif request.kind is ExportKind.SURFACE:
        _write_surface_and_record(request)
    else:
        _write_depths(request, request.path)


def _write_stack(request: ExportRequest, watch: Watch) -> None:
    def watched() -> Iterator[NDArray[Any]]:
        progress = Progress(len(request.planes))
        for plane in request.planes:
            watch.check()
            yield plane
            progress.advance()
            watch.on_progress(progress)

    write_planes(
        request.path,
        watched(),
        count=len(request.planes),
        shape=request.planes.shape[1:],
        z_um=request.z_um or None,
        sampling=request.sampling,
        name=request.name,
        record=request.provenance,
    )
    if request.surface_file is not None:
        write_surface(request, request.surface_file)


def _shown(request: ExportRequest) -> FlatPlanes:
    return FlatPlanes(
        planes=request.planes,
        z_um=request.z_um,
        pixel_size_um=request.sampling.pixel_size_um,
        name=request.name,
        provenance=request.provenance,
        limits=request.limits,
        colours=request.colours,
    )


def _write_surface_and_record(request: ExportRequest) -> None:
    """The file of a surface has no room for its provenance, which gets one of its own."""
    surface = _kept_in_file(request, request.path)
    with written_beside(_record_beside(request.path)) as record_file:
        record_file.write_text(request.provenance.to_json() + "\n", encoding="utf-8")
        save_surface(surface, request.path)


def write_surface(request: ExportRequest, path: Path) -> None:
    """Save the surface of a result as JSON; depths that are in no file yet go to a DPM beside it.

    Raises
    ------
    OSError
        If a file cannot be written; one sentence.
    """
    save_surface(_kept_in_file(request, path), path)


def holds_surface(request: ExportRequest, path: Path) -> bool:
    """Whether a file holds the surface of a result already."""
    try:
        there = load_surface(path)
    except (OSError, ValueError):
        return False
    surface = request.surface
    if isinstance(surface, FromImage) and isinstance(there, FromImage):
        return np.array_equal(there.depths_um, surface.depths_um)
    return there == surface


def _kept_in_file(request: ExportRequest, path: Path) -> Surface:
    """The surface of a result, its depths in a file if they are those of an image."""
    if not _lacks_file(request.surface):
        return request.surface
    depths = _depths_beside(path)
    _write_depths(request, depths)
    return FromImage(depths)


def _lacks_file(surface: Surface) -> bool:
    return isinstance(surface, FromImage) and surface.source is None


def _depths_beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.dpm.tif")


def _record_beside(path: Path) -> Path:
    return path.with_suffix(".provenance.json")


def _write_depths(request: ExportRequest, path: Path) -> None:
    """Save the depths of a surface, in µm for each pixel, as an image that is read as a surface."""
    depths_um = request.surface.dpm(request.planes.shape[1:], request.sampling.pixel_size_um)
    write_depths(
        path,
        depths_um,
        sampling=request.sampling,
        name=request.name,
        record=request.provenance,
    )

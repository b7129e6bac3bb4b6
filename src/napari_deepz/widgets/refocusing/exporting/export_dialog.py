"""Asking where to save a result and as what, and gathering what is saved with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_deepz.io.replacing import require_replaceable
from napari_deepz.io.writing import STACK_SUFFIXES
from napari_deepz.pictures.focus_sweep import SHADES
from napari_deepz.recipes.command import command_of
from napari_deepz.recipes.recipe import RECIPE_SUFFIX, stem_of
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.widgets.refocusing.exporting.export_task import (
    ExportKind,
    ExportRequest,
    written_files,
)
from napari_deepz.widgets.refocusing.exporting.repeating import shown_recipe, shown_surface
from napari_deepz.widgets.shared.plain_text import asked, show_error, visible
from napari_deepz.widgets.shared.results import ResultRecord, planes_of, record_of

_NOT_IN_FILE_NAMES = re.compile(r'[/\\:*?"<>|\n\t]+')


@dataclass(frozen=True)
class _Format:
    kind: ExportKind
    endings: tuple[str, ...]
    name: str

    @property
    def choice(self) -> str:
        return f"{self.name} (*{self.endings[0]})"


_OF_ONE = {ExportKind.DPM, ExportKind.PICTURE}
_OF_SEVERAL = {ExportKind.PROJECTION, ExportKind.SWEEP}
_FORMATS = (
    _Format(ExportKind.STACK, (".ome.tif", ".ome.tiff", ".tif", ".tiff"), "OME-TIFF"),
    _Format(ExportKind.STACK, (".ome.zarr", ".zarr"), "OME-Zarr"),
    _Format(ExportKind.PICTURE, (".png",), "Picture"),
    _Format(ExportKind.PROJECTION, (".png",), "Depth-coded projection"),
    _Format(ExportKind.SWEEP, (".mp4",), "Focus sweep"),
    _Format(ExportKind.SWEEP, (".gif",), "Focus sweep"),
    _Format(ExportKind.RECIPE, (RECIPE_SUFFIX,), "Recipe"),
    _Format(ExportKind.SURFACE, (".json",), "Surface"),
    _Format(ExportKind.DPM, (".dpm.tif", ".dpm.tiff"), "DPM"),
)


@dataclass
class _Last:
    """Where the user has exported to before."""

    folder: Path | None = None


_LAST = _Last()


def _folder(record: ResultRecord) -> Path:
    """Where the user exported to last, or else where the image lies."""
    source = record.request.recipe.source.path
    beside = None if source is None else Path(source).parent
    return next((folder for folder in (_LAST.folder, beside) if folder and folder.is_dir()), Path())


def ask_export(parent: QWidget, layer: Image) -> ExportRequest | None:
    """Let the user choose a file for a result, and what of it is saved.

    Returns
    -------
    ExportRequest or None
        None where the user chose none, or the layer is no result.
    """
    record = record_of(layer)
    if record is None:
        return None
    offered = _offered(record)
    chosen, choice = QFileDialog.getSaveFileName(
        parent,
        "Export",
        str(_folder(record) / file_name(layer.name)),
        ";;".join(form.choice for form in offered),
    )
    if not chosen:
        return None
    _LAST.folder = Path(chosen).parent
    try:
        form, path = _settled(Path(chosen), choice, offered)
        request = export_request(layer, record, path, form.kind)
        may_write = may_replace(parent, written_files(request), record, picked=Path(chosen))
    except ValueError as error:
        show_error(str(error))
        return None
    return request if may_write else None


def _offered(record: ResultRecord) -> tuple[_Format, ...]:
    """Depths need several planes for a projection or a movie, and one for a DPM."""
    senseless = _OF_ONE if len(record.z_um) > 1 else _OF_SEVERAL
    return tuple(form for form in _FORMATS if form.kind not in senseless)


def _settled(path: Path, choice: str, offered: Sequence[_Format]) -> tuple[_Format, Path]:
    """Find the format, which an ending that was typed decides before the menu, and the full name.

    Raises
    ------
    ValueError
        If the name ends as a format that this result cannot be saved in; one sentence.
    """
    wanted = next((form for form in offered if form.choice == choice), offered[0])
    typed = _typed(path.name.lower(), wanted, offered)
    if typed is None:
        return wanted, path.with_name(path.name + wanted.endings[0])
    if typed not in offered:
        several = "only one plane" if typed.kind in _OF_SEVERAL else "several flat planes"
        names = ", ".join(dict.fromkeys(form.endings[0] for form in offered))
        raise ValueError(
            f"'{path.name}' would be {typed.kind}, but this result has {several}: let the name end "
            f"with one of {names}."
        )
    return typed, path


def _typed(name: str, wanted: _Format, offered: Sequence[_Format]) -> _Format | None:
    """The format that a name ends with, the longest ending first; None where it has none."""
    if wanted.kind is ExportKind.DPM and name.endswith((".tif", ".tiff")):
        return wanted if Path(name).suffixes[-2:-1] != [".ome"] else _FORMATS[0]
    endings = {ending: form for form in (*_FORMATS, *offered) for ending in form.endings}
    for ending in sorted(endings, key=len, reverse=True):
        if name.endswith(ending):
            return endings[ending]
    return None


def may_replace(
    parent: QWidget | None, files: Sequence[Path], record: ResultRecord, *, picked: Path
) -> bool:
    """Ask about the files that would be replaced, but for the one the file dialog asked about.

    Raises
    ------
    ValueError
        If the image that was refocused were replaced, or a stack that is no result of this
        package; one sentence.
    """
    for file in files:
        if _is_input(file, record):
            raise ValueError(
                f"'{file.name}' is the image that was refocused, which is never replaced: choose "
                "another name."
            )
        if file.suffix.lower() in STACK_SUFFIXES:
            require_replaceable(file, "inferred")
    there = [f"'{file.name}'" for file in files if file != picked and file.exists()]
    if not there:
        return True
    last = there[-1]
    names = f"{', '.join(there[:-1])} and {last} exist" if len(there) > 1 else f"{last} exists"
    return asked(parent, "Export", f"{names} already. Replace {'them' if there[1:] else 'it'}?")


def _is_input(file: Path, record: ResultRecord) -> bool:
    """Whether writing a file would change the file or folder from which a result was made."""
    source = record.request.recipe.source.path
    if source is None:
        return False
    image, output = Path(source).resolve(), file.resolve()
    if image.exists() and output.exists() and image.samefile(output):
        return True
    return image == output or image in output.parents or output in image.parents


def file_name(layer_name: str) -> str:
    """A name for a file after that of a layer, without what a file's name must not have."""
    return _NOT_IN_FILE_NAMES.sub("_", visible(layer_name)).lstrip(".") or "result"


def export_request(
    layer: Image, record: ResultRecord, path: Path, kind: ExportKind = ExportKind.STACK
) -> ExportRequest:
    """Gather pixels, sizes, colours and provenance of a result, with the command that repeats it.

    The command makes the virtual planes, also where something else is saved of them.
    """
    surface = shown_surface(record)
    output, surface_file = path, None
    if kind is ExportKind.STACK and not isinstance(surface, Flat | Tilted):
        surface_file = path.with_name(f"{stem_of(path)}.surface.json")
    elif kind is not ExportKind.STACK:
        output = path.with_name(f"{stem_of(path)}.ome.tif")
    in_file = path if kind in _SURFACES else surface_file
    command = command_of(shown_recipe(record), output, surface_file=in_file)
    black_to_full = np.linspace(0, 1, SHADES) ** layer.gamma
    return ExportRequest(
        path=path,
        kind=kind,
        planes=planes_of(layer),
        z_um=record.z_um,
        sampling=record.request.sampling,
        name=layer.name,
        provenance=record.provenance.model_copy(update={"command": command}),
        surface=surface,
        surface_file=surface_file,
        limits=(float(layer.contrast_limits[0]), float(layer.contrast_limits[1])),
        colours=layer.colormap.map(black_to_full)[:, :3],
    )


_SURFACES = (ExportKind.SURFACE, ExportKind.DPM)

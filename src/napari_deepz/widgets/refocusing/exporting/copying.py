"""A result on the clipboard: as the command and as the Python script that make it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari.layers import Image
from qtpy.QtWidgets import QApplication, QFileDialog, QMenu, QPushButton, QWidget

from napari_deepz.recipes.command import (
    command_needs_file,
    command_of,
    script_needs_file,
    script_of,
)
from napari_deepz.recipes.recipe import stem_of
from napari_deepz.surfaces import Surface
from napari_deepz.widgets.refocusing.exporting.export_dialog import export_request, may_replace
from napari_deepz.widgets.refocusing.exporting.export_task import (
    ExportKind,
    holds_surface,
    surface_files,
    write_surface,
)
from napari_deepz.widgets.refocusing.exporting.repeating import (
    output_beside,
    shown_recipe,
    shown_surface,
)
from napari_deepz.widgets.shared.plain_text import show_error, show_info
from napari_deepz.widgets.shared.results import ResultRecord, record_of

_Write = Callable[..., str | None]


class CopyButton(QPushButton):  # type: ignore[misc]
    """A button with a menu: copy a result as the command, or as the script, that repeats it.

    Parameters
    ----------
    result : callable
        The result to copy, or None; asked when an entry is chosen.
    """

    def __init__(self, result: Callable[[], Image | None]) -> None:
        super().__init__()
        self._result = result
        self.setText("Copy as…")
        self.setToolTip("Copy what makes the virtual planes again, from the same file.")
        menu = QMenu(self)
        self.command = menu.addAction("Copy as command")
        self.script = menu.addAction("Copy as Python")
        # Methods, because PySide6 never lets go of a function that was connected.
        self.command.triggered.connect(self._copy_command)
        self.script.triggered.connect(self._copy_script)
        self.setMenu(menu)

    def _copy_command(self) -> None:
        layer = self._result()
        if layer is not None:
            copy_command(layer, self)

    def _copy_script(self) -> None:
        layer = self._result()
        if layer is not None:
            copy_script(layer, self)


def copy_command(layer: Image, parent: QWidget | None = None) -> None:
    """Copy the command that repeats a result; asks where to save a surface that it must read."""
    _copy(layer, parent, command_of, command_needs_file, "command")


def copy_script(layer: Image, parent: QWidget | None = None) -> None:
    """Copy the Python script that repeats a result; asks where to save a very large surface."""
    _copy(layer, parent, script_of, script_needs_file, "Python script")


def _copy(
    layer: Image,
    parent: QWidget | None,
    write: _Write,
    needs_file: Callable[[Surface], bool],
    what: str,
) -> None:
    record = record_of(layer)
    if record is None:
        return
    output = output_beside(record)
    if output is None:
        show_error(
            f"The layer '{record.request.plane.name}' is in no file that a {what} could read: save "
            "it as TIFF, open that with the reader of napari-deepz, and refocus it."
        )
        return
    surface_file = None
    if needs_file(shown_surface(record)):
        surface_file = _save_surface(layer, record, output, parent, what)
        if surface_file is None:
            return
    text = write(shown_recipe(record), output, surface_file=surface_file)
    QApplication.clipboard().setText(text)
    show_info(f"The {what} that makes '{layer.name}' again is copied; it writes {output.name}.")


def _save_surface(
    layer: Image, record: ResultRecord, output: Path, parent: QWidget | None, what: str
) -> Path | None:
    """Save the surface where the user wants it; None where that was cancelled or failed."""
    suggested = output.with_name(f"{stem_of(output)}.surface.json")
    chosen, _ = QFileDialog.getSaveFileName(
        parent, f"The {what} reads the surface from a file", str(suggested), "Surface (*.json)"
    )
    if not chosen:
        return None
    path = Path(chosen)
    if path.suffix.lower() != ".json":
        path = path.with_name(f"{path.name}.json")
    request = export_request(layer, record, path, ExportKind.SURFACE)
    try:
        if holds_surface(request, path):  # As after both the command and the script were copied.
            return path
        files = surface_files(request, path)
        if not may_replace(parent, files, record, picked=Path(chosen)):
            return None
        write_surface(request, path)
    except (OSError, ValueError) as error:
        show_error(str(error))
        return None
    return path

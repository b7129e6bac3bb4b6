"""Sections that follow the cursor over the canvas."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.widgets.comparing.pairing import Pairing
from napari_deepz.widgets.comparing.sections import Sections, Volume
from napari_deepz.widgets.shared.placement import length_um
from napari_deepz.widgets.shared.plain_text import PlainLabel

_CUT_EVERY_MS = 60


class CursorSections(QWidget):  # type: ignore[misc]
    """The sections of two stacks through the pixel under the cursor, or the last one that was.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose cursor is followed while it shows y and x.

    Attributes
    ----------
    sections : Sections
        What is drawn.
    position : QLabel
        Where.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._pairing: Pairing | None = None
        self._measured: Image | None = None
        self._read: NDArray[Any] | None = None
        self._at_um: tuple[float, float] | None = None
        self._pixel: tuple[int, int] | None = None
        self.sections = Sections(viewer)
        self.position = PlainLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.sections)
        layout.addWidget(self.position)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._cut)
        viewer.mouse_move_callbacks.append(self._on_move)

    def follow(
        self, pairing: Pairing | None, measured: Image | None, read: NDArray[Any] | None
    ) -> None:
        """Cut other stacks from now on.

        Parameters
        ----------
        pairing : Pairing or None
            The stacks; None clears the sections.
        measured : Image or None
            The measured layer; its contrast limits are those of all sections.
        read : ndarray or None
            (Z, Y, X) measured planes, where they are not in memory otherwise.
        """
        if self._measured is not None:
            self._measured.events.contrast_limits.disconnect(self._cut_soon)
        self._pairing, self._measured, self._read = pairing, measured, read
        if measured is not None:
            measured.events.contrast_limits.connect(self._cut_soon)
        self._cut()

    def leave(self) -> None:
        """Do not follow anything any more."""
        self.follow(None, None, None)
        if self._on_move in self._viewer.mouse_move_callbacks:
            self._viewer.mouse_move_callbacks.remove(self._on_move)

    def _cut_soon(self, _: Any = None) -> None:
        if not self._timer.isActive():
            self._timer.start(_CUT_EVERY_MS)

    def _cut(self) -> None:
        found = self._pairing
        if found is None or self._measured is None:
            self.sections.clear()
            self.position.setText("")
            return
        height, width = found.virtual.shape[-2:]
        pixel = found.pixel_at(*self._at_um) if self._at_um is not None else None
        row, column = pixel or self._pixel or (height // 2, width // 2)
        row, column = self._pixel = min(row, height - 1), min(column, width - 1)
        self._at_um = None
        planes = found.measured.in_memory if self._read is None else self._read
        size_um = found.pixel_size_um
        low, high = self._measured.contrast_limits
        self.sections.show_cuts(
            None if planes is None else Volume(planes, found.measured_um, size_um),
            Volume(found.virtual, found.virtual_um, size_um),
            row=row,
            column=column,
            contrast=(float(low), float(high)),
        )
        text = f"x = {column * size_um:.4g} µm, y = {row * size_um:.4g} µm; dotted: input plane."
        if planes is None:
            text += " The measured stack is shown as soon as Compare has read it."
        self.position.setText(text)

    def _on_move(self, _: Any, event: Any) -> None:
        dims = self._viewer.dims
        y, x = dims.ndim - 2, dims.ndim - 1
        if tuple(dims.displayed) == (y, x) and len(event.position) == dims.ndim:
            self._at_um = (
                float(event.position[y]) * world_unit_um(self._viewer, y),
                float(event.position[x]) * world_unit_um(self._viewer, x),
            )
            self._cut_soon()


def world_unit_um(viewer: Any, axis: int) -> float:
    """How many µm the unit of one of the viewer's axes is; 1 where it is no length."""
    units = viewer.dims.units
    return (length_um(units[axis]) if units else None) or 1.0

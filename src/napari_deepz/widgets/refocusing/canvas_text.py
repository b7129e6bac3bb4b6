"""What is seen on the canvas, said on the canvas: measured, or inferred and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_deepz.widgets.shared.layer_sizes import z_axis_of
from napari_deepz.widgets.shared.placement import View, shown_index
from napari_deepz.widgets.shared.plain_text import ends_of
from napari_deepz.widgets.shared.requests import RefocusRequest
from napari_deepz.widgets.shared.results import (
    lies_at,
    made_of,
    record_of,
    results_in,
    shown_depth_um,
)
from napari_deepz.widgets.shared.room_beside import field_of

_CORNER = "top_left"


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture that is seen.

    Attributes
    ----------
    layer : Image
        Which one.
    what : str
        What its pixels are, such as "INFERRED".
    at : str
        Where it was refocused to.
    input_position : str
        Which plane of a stack it is made from, such as "z 22"; nothing of an image.
    further : int
        How many further input planes there are.
    """

    layer: Image
    what: str
    at: str
    input_position: str
    further: int


class CanvasText:
    """Lines in the corner of the canvas, as long as something inferred is seen.

    They are short: a large font on a small screen leaves a canvas of 260 pixels.

    It is written from the event loop: napari draws in the middle of adding a layer, and does not
    survive a text that changes there.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose canvas it is; a text of somebody else's stays.
    parent : QObject
        With whose destruction nothing is written any more.
    """

    def __init__(self, viewer: Any, parent: QObject) -> None:
        self._viewer = viewer
        self._said = self._wanted = ""
        self._timer = QTimer(parent, singleShot=True, interval=0)
        self._timer.timeout.connect(self._write)

    def show(self, image: Image | None, live: Seen | None) -> None:
        """Say what of an image is seen.

        Parameters
        ----------
        image : Image or None
            The measured one.
        live : Seen or None
            The live picture, where it is seen.
        """
        seen = live or self._of_result(image)
        self._wanted = ""
        if image is not None and seen is not None:
            beside = self._viewer.canvas.grid.enabled
            beside |= not field_of(seen.layer).overlaps(field_of(image))
            place = "right" if beside else "over the image"
            source = ", ".join(filter(None, (ends_of(image.name), seen.input_position)))
            source += f" and {seen.further} more" if seen.further else ""
            self._wanted = f"{seen.what} ({place})\n{seen.at}\nfrom {source}"
            shown = self._shown_plane(image)
            if beside and image.visible and shown and shown not in seen.input_position.split(", "):
                self._wanted += f"\nmeasured (left): {shown}"
        if self._wanted != self._said:
            self._timer.start()

    def clear(self) -> None:
        """Write nothing any more: nobody is there to keep it true."""
        self._wanted = ""
        self._timer.stop()
        self._write()

    def _write(self) -> None:
        overlay, text = self._viewer.canvas.overlays.text, self._wanted
        if text == self._said or (overlay.visible and overlay.text != self._said):
            return
        self._said = text
        if not text:
            overlay.visible = False
            return
        overlay.position, overlay.text = _CORNER, text
        overlay.visible = True

    def _shown_plane(self, image: Image) -> str:
        """Which plane of a stack napari shows, such as "z 19"; nothing of an image."""
        axis = z_axis_of(image)
        if axis is None:
            return ""
        return f"z {shown_index(image, View.of(self._viewer))[axis]}"

    def _of_result(self, image: Image | None) -> Seen | None:
        """What the newest result of an image shows, if it can be seen."""
        if image is None:
            return None
        own = made_of(self._viewer, image)
        view = View.of(self._viewer)
        seen = [
            layer
            for layer in results_in(self._viewer)
            if layer in own and layer.visible and lies_at(layer, view)
        ]
        record = record_of(seen[-1]) if seen else None
        if record is None:
            return None
        return seen_of(seen[-1], record.request, shown_of(seen[-1], view))


def seen_of(layer: Image, request: RefocusRequest, at: str) -> Seen:
    """What is seen of a request in a layer."""
    return Seen(layer, request.headline, at, request.plane.position, len(request.further))


def shown_of(layer: Image, view: View) -> str:
    """At which depth a result is shown; nothing of what is no result."""
    record = record_of(layer)
    if record is None:
        return ""
    only_um = record.z_um[0] if len(record.z_um) == 1 else None
    return depth_in_words(only_um if only_um is not None else shown_depth_um(layer, view))


def depth_in_words(depth_um: float | None) -> str:
    """A depth relative to the input, or where it differs from pixel to pixel that it does."""
    return "on the surface" if depth_um is None else f"{depth_um:+g} µm"

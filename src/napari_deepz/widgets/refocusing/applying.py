"""Asking with which other planes, time points and channels of a layer the same is done."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import psutil
from magicgui.widgets import SpinBox
from napari.layers import Image
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from napari_deepz.widgets.refocusing.resolving import Resolved
from napari_deepz.widgets.refocusing.texts import in_words, result_bytes
from napari_deepz.widgets.shared.forms import Rows, side_by_side
from napari_deepz.widgets.shared.layers import axis_names
from napari_deepz.widgets.shared.placement import axis_lengths
from napari_deepz.widgets.shared.plain_text import PlainLabel

_FREE_PART = 0.8


def others_in(layer: Image | None) -> dict[int, str]:
    """Axes before y and x along which a layer has several images, and what they are called."""
    if layer is None or getattr(layer, "rgb", False):
        return {}
    lengths = axis_lengths(layer)
    return {axis: name for axis, name in enumerate(axis_names(layer)) if lengths[axis] > 1}


class ApplyDialog(QDialog):  # type: ignore[misc]
    """The first and the last input along each axis, and how much comes of it.

    Parameters
    ----------
    layer : Image
        That of the inputs.
    at : tuple of int
        Where the present input lies on its axes.
    each_bytes : int
        Memory for the result of one input.
    parent : QWidget
        The window it belongs to.
    """

    def __init__(
        self, layer: Image, at: tuple[int, ...], each_bytes: int, parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Apply to")
        self._each_bytes = each_bytes
        lengths = axis_lengths(layer)
        self.ranges: dict[int, tuple[SpinBox, SpinBox]] = {}
        rows = []
        for axis, name in others_in(layer).items():
            ends = tuple(
                SpinBox(
                    label=f"{name}, {which}",
                    min=0,
                    max=lengths[axis] - 1,
                    value=at[axis],
                    tooltip=f"Position along {name}, counted from 0 to {lengths[axis] - 1}.",
                )
                for which in ("from", "to")
            )
            self.ranges[axis] = ends[0], ends[1]
            row = side_by_side(*ends)
            row.label, row.tooltip = f"{name}, from and to", ends[0].tooltip
            rows.append(row)
            for end in ends:
                end.changed.connect(self._review)
        self.text = PlainLabel()
        ok, cancel = QDialogButtonBox.StandardButton.Ok, QDialogButtonBox.StandardButton.Cancel
        self.buttons = QDialogButtonBox(ok | cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(Rows(*rows))
        layout.addWidget(self.text)
        layout.addWidget(self.buttons)
        self._review()

    def inputs(self) -> list[Mapping[int, int]]:
        """Index by axis of each input."""
        along = [
            range(min(first.value, last.value), max(first.value, last.value) + 1)
            for first, last in self.ranges.values()
        ]
        return [dict(zip(self.ranges, at, strict=True)) for at in product(*along)]

    def _review(self) -> None:
        count = len(self.inputs())
        needed = count * self._each_bytes
        fits = needed <= psutil.virtual_memory().available * _FREE_PART
        images = "1 image" if count == 1 else f"{count} images, each into a layer of its own"
        too_much = "" if fits else ", more than is free: choose fewer, or fewer planes"
        self.text.setText(f"{images}: {in_words(needed)}{too_much}")
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(fits)


def ask_inputs(parent: QWidget, resolved: Resolved, at: tuple[int, ...]) -> list[Mapping[int, int]]:
    """Let the user choose the inputs; none where the user chose none."""
    layer, request = resolved.layer, resolved.request
    if layer is None or request is None:
        return []
    each = result_bytes(request.surface, request.plane.shape)
    dialog = ApplyDialog(layer, at, each, parent)
    return dialog.inputs() if dialog.exec() == QDialog.DialogCode.Accepted else []

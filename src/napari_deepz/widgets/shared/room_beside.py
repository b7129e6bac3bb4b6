"""Where beside an image there is room for what is made of it, so that it covers no other image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from napari.layers import Image, Layer

from napari_deepz.widgets.shared.placement import Frame, length_um


class Field(NamedTuple):
    """A rectangle of the world, µm."""

    top: float
    bottom: float
    left: float
    right: float

    def overlaps(self, other: Field) -> bool:
        """Whether some of both is at the same place."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def moved(self, right_um: float) -> Field:
        """The same, further to the right."""
        return self._replace(left=self.left + right_um, right=self.right + right_um)


def room_beside_um(viewer: Any, own: set[Layer], frame: Frame, shape: tuple[int, int]) -> float:
    """How far to the right of an image what is made of it can lie and cover no other image.

    Parameters
    ----------
    viewer : napari.Viewer
        With all the images.
    own : set of Layer
        The image, and what else was made of it: these may lie over each other.
    frame : Frame
        Where the image lies.
    shape : tuple of int
        Its (Y, X) in pixels.

    Returns
    -------
    float
        At least `Frame.beside_um`.
    """
    step_um = frame.beside_um(shape)
    corners = np.array([(0, 0), (0, shape[1]), (shape[0], 0), shape], float) * frame.pixel_size_um
    y, x = (frame.world(corners) * [length.um for length in frame.units[1:]]).T
    field = Field(y.min(), y.max(), x.min(), x.max())
    others = [field_of(layer) for layer in viewer.layers if _counts(layer) and layer not in own]
    right_um = step_um
    while in_the_way := [other for other in others if field.moved(right_um).overlaps(other)]:
        gap_um = step_um - (field.right - field.left)
        right_um = max(other.right for other in in_the_way) - field.left + max(gap_um, 0.0)
    return right_um


def field_of(layer: Layer) -> Field:
    """Where a layer lies, µm; numbers without a unit of length count as µm."""
    (y0, x0), (y1, x1) = layer.extent.world[:, -2:]
    y_um, x_um = (length_um(unit) or 1.0 for unit in layer.units[-2:])
    half_y, half_x = (abs(float(step)) / 2 for step in layer.scale[-2:])
    return Field(
        (y0 - half_y) * y_um, (y1 + half_y) * y_um, (x0 - half_x) * x_um, (x1 + half_x) * x_um
    )


def _counts(layer: Layer) -> bool:
    return isinstance(layer, Image) and layer.visible and 0 not in layer.data.shape

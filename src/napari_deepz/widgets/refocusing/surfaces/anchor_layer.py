"""The points layer that shows anchors: what is read from it and written into it."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Points

from napari_deepz.widgets.refocusing.surfaces.anchor_ground import Ground
from napari_deepz.widgets.refocusing.surfaces.anchor_history import Rows
from napari_deepz.widgets.shared.placement import lay

NAME = "Anchors"
Z = "z_um"
"""The feature in which each anchor keeps its depth."""

_MARKER_LIMITS_PX = (14, 28)
_BORDER = 0.06
"""Width of the ring of an anchor, as a part of its diameter."""
_TEXT_SIZE = 10
_LABEL_PX = (16.0, 84.0)
"""Height and width on the canvas that a depth of `_TEXT_SIZE` takes, with some room."""


def add_layer(viewer: Any, ground: Ground, *, visible: bool) -> Points:
    """Add the layer, without anchors, to a viewer."""
    units = _across(viewer)
    layer = viewer.add_points(
        np.empty((0, 2)),
        ndim=2,
        name=NAME,
        features={Z: np.empty(0)},
        feature_defaults={Z: 0.0},
        face_color="transparent",  # What is marked is to be seen.
        border_width=_BORDER,
        border_color=Z,
        border_colormap="turbo",
        border_contrast_limits=ground.range_um,
        canvas_size_limits=_MARKER_LIMITS_PX,
        text={
            "string": {"array": []},
            "size": _TEXT_SIZE,
            "color": "white",
            "anchor": "lower_left",
        },
        visible=visible,
        **ground.placing(),
    )
    dress(layer, ground)
    if _across(viewer) != units:
        viewer.reset_view()
    return layer


def _across(viewer: Any) -> Any:
    """Units in which y and x are shown; None where layers have units of different kinds."""
    units = viewer.layers.units
    return None if units is None else units[-2:]


def dress(layer: Points, ground: Ground) -> None:
    """Put the layer over an image, in the size and the colours that go with it."""
    lay(layer, ground.placing())
    layer.border_contrast_limits = ground.range_um
    layer.size = layer.current_size = ground.marker_um


def read(layer: Points) -> Rows:
    """(N, 3) y, x and z in µm; z is NaN where the layer does not say it."""
    features = layer.features
    z_um = features[Z].to_numpy(float) if Z in features else np.full(len(layer.data), np.nan)
    return np.column_stack([np.asarray(layer.data, np.float64), z_um])


def write(layer: Points, rows: Rows) -> None:
    """Show other anchors; what is selected stays so."""
    layer.selected_data = {at for at in layer.selected_data if at < len(rows)}
    layer.data = rows[:, :2].copy()
    features = layer.features.copy()
    features[Z] = rows[:, 2]
    layer.features = features
    if layer.border_color_mode != "colormap":
        layer.border_color = Z


def label(layer: Points, zoom: float) -> None:
    """Write depths beside anchors, but none over another: closer up there are more.

    Parameters
    ----------
    layer : Points
        The anchors.
    zoom : float
        Pixels of the canvas for each unit of the world.
    """
    rows = read(layer)
    corners_px = rows[:, :2] * np.abs(layer.scale[-2:]) * zoom
    written: list[int] = []
    for at, corner_px in enumerate(corners_px):
        apart_px = np.abs(corners_px[written] - corner_px)
        if (apart_px >= _LABEL_PX).any(axis=1).all():
            written.append(at)
    texts = [f"  {z_um:+z.1f} µm" if at in written else "" for at, z_um in enumerate(rows[:, 2])]
    if texts != list(layer.text.values):
        layer.text.string = {"array": texts}

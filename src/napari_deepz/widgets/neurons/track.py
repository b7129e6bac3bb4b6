"""The track of the selected neuron alone: those of all would make every step in time slow."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from napari.layers import Tracks

from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.widgets.shared.movie_layers import LayerMovie

_STILL_UM = 0.3
_TAIL = 30
_COLORMAP = "hsv"
"""Of one track only the first colour is seen: red."""


class SelectedTrack:
    """A layer with the way of one neuron, where that moves.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.layer: Tracks | None = None

    def show(self, movie: LayerMovie, found: NeuronTraces | None, ids: Collection[int]) -> None:
        """Show the way of a neuron; nothing of several, or where it does not move."""
        if found is None or len(ids) != 1 or len(movie.frame.leading) != 1:
            self.remove()
            return
        (one,) = ids
        way_um = found.tracks_um[:, found.neurons.row(one)]
        if np.ptp(way_um, axis=0).max() < _STILL_UM:
            self.remove()
            return
        times = np.arange(len(way_um))
        columns = [np.full(len(way_um), one), times]
        if movie.has_z:
            columns.append(way_um[:, 0])
        rows = np.column_stack([*columns, way_um[:, 1:] / movie.movie.pixel_um])
        if self.layer is not None and self.layer in self._viewer.layers:
            self.layer.data = rows
            return
        placing = movie.frame.over_z(movie.z_world_um(0.0), 1.0)
        if not movie.has_z:  # Tracks begin with time; z, which is before it here, is left out.
            placing = {
                name: _last_axes(placing[name])
                for name in ("axis_labels", "units", "scale", "translate", "rotate", "shear")
            }
        active = self._viewer.layers.selection.active
        self.layer = self._viewer.add_tracks(
            rows,
            name="Track of the selected neuron",
            tail_length=_TAIL,
            colormap=_COLORMAP,
            **placing,
        )
        self._viewer.layers.selection.active = active

    def remove(self) -> None:
        """Take the layer away."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None


def _last_axes(given: Any) -> Any:
    """The part of an argument that is about all axes but the first."""
    if isinstance(given[0], tuple):
        return tuple(row[1:] for row in given[1:])
    return given[1:]

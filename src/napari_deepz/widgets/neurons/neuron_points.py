"""The points layer of the neurons: where they are at the time that is shown, and edits in it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray
from psygnal import Signal

from napari_deepz.neurons.editing import Neurons
from napari_deepz.widgets.shared.movie_layers import LayerMovie
from napari_deepz.widgets.shared.plain_text import layer_name

Array = NDArray[np.float64]

NEURONS = "napari-deepz neurons"
"""In the metadata of the layer."""

_ID, _DEPTH = "neuron", "z_um"
_SIZE_UM, _LIMITS_PX = 3.0, (8, 40)
_MARKED = 1.6
"""How much larger the rings of those are that are selected."""
_MOVED_UM = 1e-3
_ALL_DEPTHS_UM = 1e4


class NeuronPoints:
    """A ring around each neuron, coloured by depth; those of one time, so that sliders stay quick.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer.
    movie : LayerMovie
        Where it lies.

    Attributes
    ----------
    edited : Signal
        Emitted with the neurons as they are after the user has added, moved or deleted some.
    selected : Signal
        Emitted with the ids of those that the user has selected.
    """

    edited = Signal(Neurons)
    selected = Signal(tuple)

    def __init__(self, viewer: Any, movie: LayerMovie) -> None:
        self._viewer, self._movie = viewer, movie
        self._neurons, self._moved_um = Neurons.found(np.empty((0, 3))), np.zeros(3)
        self._t, self._writing = 0, False
        self._size_px = _SIZE_UM / movie.movie.pixel_um
        axes = len(movie.frame.leading) + 3
        placing = movie.frame.over_z(movie.z_world_um(0.0), 1.0)
        self.layer: Points = viewer.add_points(
            np.empty((0, axes)),
            ndim=axes,
            name=layer_name(f"{movie.movie.name} (neurons)"),
            features={_ID: np.empty(0, int), _DEPTH: np.empty(0)},
            feature_defaults={_ID: 0, _DEPTH: 0.0},
            face_color="transparent",
            border_color=_DEPTH,
            border_colormap="turbo",
            border_width=0.08,
            size=self._size_px,
            text={"string": {"array": []}, "size": 10, "color": "white", "anchor": "upper_left"},
            canvas_size_limits=_LIMITS_PX,
            metadata={NEURONS: True},
            projection_mode="all",
            **placing,
        )
        self.layer.current_size = self._size_px
        self.layer.events.data.connect(self._on_data)
        self.layer.selected_data.events.items_changed.connect(self._on_selected)

    @property
    def is_lost(self) -> bool:
        """Whether the user has deleted the layer."""
        return self.layer not in self._viewer.layers

    def show(self, neurons: Neurons, t: int, places_um: Array) -> None:
        """Show neurons where they are, (N, 3), in a frame."""
        if self.is_lost:
            return
        ids = self.selected_ids()
        self._neurons, self._t = neurons, t
        self._moved_um = places_um - neurons.places_um
        rows = self._rows(places_um, t)
        self._writing = True
        try:
            self.layer.selected_data = set()
            self.layer.data = rows
            self.layer.features = {_ID: neurons.ids, _DEPTH: neurons.places_um[:, 0]}
            if len(neurons):
                low, high = neurons.places_um[:, 0].min(), neurons.places_um[:, 0].max()
                self.layer.border_contrast_limits = low - 1.0, high + 1.0
                self.layer.border_color = _DEPTH
        finally:
            self._writing = False
        self.select(ids)

    def select(self, ids: Collection[int]) -> None:
        """Mark neurons, without telling."""
        if len(self.layer.data) != len(self._neurons):
            return  # napari is taking some away, and will tell.
        self._writing = True
        try:
            marked = np.isin(self._neurons.ids, list(ids))
            self.layer.selected_data = set(np.flatnonzero(marked).tolist())
            self.layer.size = np.where(marked, _MARKED, 1.0) * self._size_px
            names = np.where(marked, self._neurons.ids.astype(str), "")
            self.layer.text.string = {"array": names.tolist()}
        finally:
            self._writing = False

    def selected_ids(self) -> tuple[int, ...]:
        """Those that are marked."""
        marked = sorted(row for row in self.layer.selected_data if row < len(self._neurons))
        return tuple(int(self._neurons.ids[row]) for row in marked)

    def show_all_depths(self, wanted: bool) -> None:
        """Show neurons at whatever depth the slider stands, or those at its depth alone."""
        self._set_margin(_ALL_DEPTHS_UM if wanted else _SIZE_UM / 2)

    def remove(self) -> None:
        """Take the layer away, and let the viewer slice as before."""
        self._set_margin(0.0)
        if not self.is_lost:
            self._viewer.layers.remove(self.layer)

    def _set_margin(self, margin_um: float) -> None:
        """How far above and below the z slider points are shown; images are sliced thin."""
        dims, frame = self._viewer.dims, self._movie.frame
        axis = dims.ndim - self.layer.ndim + frame.z_axis
        if axis < 0:  # Other layers have gone, and their axes with them.
            return
        for name in ("margin_left", "margin_right"):
            margins = list(getattr(dims, name))
            margins[axis] = margin_um / frame.units[0].um
            setattr(dims, name, margins)

    def _rows(self, places_um: Array, t: int) -> Array:
        """(N, D) places in the layer's own coordinates."""
        frame = self._movie.frame
        leading = np.zeros((len(places_um), len(frame.leading)))
        leading[:, self._movie.t_axis] = t
        before = np.insert(leading, frame.z_axis, places_um[:, 0], axis=1)
        return np.hstack([before, places_um[:, 1:] / self._movie.movie.pixel_um])

    def _places_um(self, rows: Array) -> Array:
        across_um = rows[:, -2:] * self._movie.movie.pixel_um
        return np.column_stack([rows[:, self._movie.frame.z_axis], across_um])

    def _on_data(self, event: Any) -> None:
        action = str(getattr(event, "action", "")).lower().rsplit(".", 1)[-1]
        if self._writing or action not in ("added", "removed", "changed"):
            return
        rows = np.asarray(self.layer.data, np.float64)
        ids = self.layer.features[_ID].to_numpy()
        if len(ids) != len(rows):
            return
        places_um, neurons = self._places_um(rows), self._neurons
        known = {int(one): row for row, one in enumerate(neurons.ids)}
        seen: set[int] = set()
        new: list[Array] = []
        for place_um, one in zip(places_um, ids.tolist(), strict=True):
            row = known.get(int(one)) if int(one) not in seen else None
            if row is None:
                new.append(place_um - self._moved_beside_um(place_um))
                continue
            seen.add(int(one))
            home_um = place_um - self._moved_um[row]
            if np.abs(home_um - neurons.places_um[row]).max() > _MOVED_UM:
                neurons = neurons.moved(int(one), home_um)
        gone = [one for one in known if one not in seen]
        if gone:
            neurons = neurons.without(gone)
        for place_um in new:
            neurons = neurons.added(place_um)
        if neurons is not self._neurons:
            self.edited.emit(neurons)

    def _moved_beside_um(self, place_um: Array) -> Array:
        """How the nearest neuron lies in this frame, against where it is in most."""
        if not len(self._neurons):
            return np.zeros(3)
        away_um = self._neurons.places_um + self._moved_um - place_um
        return np.asarray(self._moved_um[np.linalg.norm(away_um, axis=1).argmin()])

    def _on_selected(self, _: Any = None) -> None:
        if not self._writing:
            self.selected.emit(self.selected_ids())

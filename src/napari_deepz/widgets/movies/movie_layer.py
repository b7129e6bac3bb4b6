"""The layers of a 3D movie: that of its file, which fills, and one frame as it will be."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_deepz.provenance import Provenance
from napari_deepz.widgets.shared.contrast import link_contrast
from napari_deepz.widgets.shared.layer_files import PROVENANCE
from napari_deepz.widgets.shared.layer_sizes import z_axis_of
from napari_deepz.widgets.shared.movie_layers import LayerMovie, t_axis_of
from napari_deepz.widgets.shared.placement import View, shown_index
from napari_deepz.widgets.shared.plain_text import layer_name
from napari_deepz.widgets.shared.results import LIVE

_COLORMAP = "viridis"
_CORNER = "top_left"


class FilledLayer:
    """A layer over the file of a 3D movie, which says at times that are not there yet.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer.
    source : Image
        The measured movie; contrast is shared with it.
    movie : LayerMovie
        Where it lies.
    volumes : array
        (T, Z, Y, X) of the file, read when they are asked for.
    z_um : tuple of float
        Depth of each plane; nothing where they are not flat.
    """

    def __init__(
        self,
        viewer: Any,
        source: Image,
        movie: LayerMovie,
        volumes: Any,
        z_um: tuple[float, ...],
    ) -> None:
        self._viewer, self.z_um = viewer, z_um
        self.times: frozenset[int] = frozenset()
        data, placing = movie.over(volumes, z_um)
        record = Provenance(kind="inferred", input_name=movie.movie.name)
        z_before = _z_of(viewer)
        self.layer: Image = viewer.add_image(
            data,
            name=layer_name(f"{movie.movie.name} (3D movie)"),
            colormap=_COLORMAP,
            contrast_limits=tuple(source.contrast_limits),
            metadata={PROVENANCE: record.to_json()},
            cache=False,  # What was not there is to be read again.
            **placing,
        )
        link_contrast(viewer, source, self.layer)
        if z_before is None and z_um:
            _go_to_z(viewer, movie, self.layer)

    @property
    def is_lost(self) -> bool:
        """Whether the user has deleted it."""
        return self.layer not in self._viewer.layers

    @property
    def shown_t(self) -> int:
        """Which time the viewer shows of it."""
        axis = t_axis_of(self.layer)
        assert axis is not None
        return shown_index(self.layer, View.of(self._viewer))[axis]

    @property
    def shown_plane(self) -> int:
        """Which plane the viewer shows of it; 0 where there is but one."""
        axis = z_axis_of(self.layer)
        return 0 if axis is None else shown_index(self.layer, View.of(self._viewer))[axis]

    def take(self, times: frozenset[int]) -> None:
        """Show the present time, if it has come."""
        came = not self.is_lost and self.shown_t in times - self.times
        self.times = times
        if came:
            self.layer.refresh(thumbnail=False, extent=False, highlight=False)

    def says(self) -> str:
        """What is to be known about the time that is shown; nothing where it is there."""
        if self.is_lost or not self.layer.visible or self.shown_t in self.times:
            return ""
        return f"Frame {self.shown_t} of the 3D movie is not made yet."


class FrameLayer:
    """One frame of the 3D movie as it will be, at the time that is shown.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer with the first frame.
    source : Image
        The measured movie.
    """

    def __init__(self, viewer: Any, source: Image) -> None:
        self._viewer, self._source = viewer, source
        self.layer: Image | None = None
        self.t: int | None = None

    def show(
        self, movie: LayerMovie, t: int, planes: NDArray[np.float32], z_um: tuple[float, ...]
    ) -> None:
        """Show a frame, (Z, Y, X), where and when it belongs."""
        step_um = z_um[1] - z_um[0] if len(z_um) > 1 else 1.0
        frame = movie.at_time(t)
        if z_um or movie.has_z:
            start_um = movie.z_world_um(z_um[0]) if z_um else 0.0
            data, placing = frame.stack(planes, start_um, step_um)
        else:
            lengths = [1] * len(frame.leading)
            data = planes.reshape(*lengths, *planes.shape[1:])
            _, placing = movie.over(np.zeros((2, *planes.shape[1:]), np.float32), z_um)
            places = [at for *_, at in frame.leading]
            placing["translate"] = (*places, *placing["translate"][len(places) :])
        self.t = t
        if self.layer is None or self.layer not in self._viewer.layers:
            z_before = _z_of(self._viewer)
            self.layer = self._viewer.add_image(
                data,
                name=layer_name(f"{movie.movie.name} (preview)"),
                colormap=_COLORMAP,
                contrast_limits=tuple(self._source.contrast_limits),
                metadata={LIVE: True},
                **placing,
            )
            if z_before is None and z_um:
                _go_to_z(self._viewer, movie, self.layer)
        elif self.layer.data.shape == data.shape:
            self.layer.translate = placing["translate"]
            self.layer.scale = placing["scale"]
            self.layer.data = data
        else:
            self.remove()
            self.show(movie, t, planes, z_um)

    def remove(self) -> None:
        """Take it out of the viewer."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = self.t = None


class CanvasSaying:
    """A line in the corner of the canvas; a text of somebody else's stays."""

    def __init__(self, viewer: Any) -> None:
        self._viewer, self._said = viewer, ""

    def say(self, text: str) -> None:
        """Write it; nothing takes it away."""
        overlay = self._viewer.canvas.overlays.text
        if text == self._said or (overlay.visible and overlay.text != self._said):
            return
        self._said = text
        if text:
            overlay.position, overlay.text = _CORNER, text
        overlay.visible = bool(text)


def _z_of(viewer: Any) -> int | None:
    """Axis of the viewer's sliders that is called z."""
    labels = [label.lower() for label in viewer.dims.axis_labels]
    return labels.index("z") if "z" in labels else None


def _go_to_z(viewer: Any, movie: LayerMovie, layer: Image) -> None:
    """Stand at the input plane along z, which is new to the viewer."""
    axis = viewer.dims.ndim - layer.ndim + movie.frame.z_axis
    unit_um = movie.frame.units[0].um
    if axis in viewer.dims.not_displayed:
        viewer.dims.set_point(axis, (movie.frame.z_um + movie.z_world_um(0.0)) / unit_um)

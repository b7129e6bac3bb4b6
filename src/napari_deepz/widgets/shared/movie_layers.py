"""Movies in napari's layers: what of a layer is a frame, and where a movie made of it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from napari.layers import Image, Layer

from napari_deepz.images import ImageSeries, in_axis_order
from napari_deepz.movies.movie import Movie
from napari_deepz.sampling import Sampling
from napari_deepz.widgets.shared.layer_sizes import said_z_step_um, z_axis_of
from napari_deepz.widgets.shared.layers import CHANNEL, READER, frame_of
from napari_deepz.widgets.shared.placement import (
    Frame,
    LayerError,
    View,
    axis_lengths,
    placing_of,
    shown_index,
)
from napari_deepz.widgets.shared.results import is_inferred

_FRAMES_NDIM = 3
_TIME = ("t", "time", "frame", "frames")


@dataclass(frozen=True, eq=False)
class LayerMovie:
    """A movie that is to be worked on, and where it lies.

    Attributes
    ----------
    movie : Movie
        Its frames.
    paths : tuple of str
        Files that it is in, or the names of its layers.
    c : int
        Which channel of these files it is.
    frame : Frame
        Where the first input plane of the first frame lies.
    t_axis : int
        Which of the axes of the layer, without z, is time.
    has_z : bool
        Whether the layer has an axis of depth.
    """

    movie: Movie
    paths: tuple[str, ...]
    c: int
    frame: Frame
    t_axis: int
    has_z: bool

    def at_time(self, t: int) -> Frame:
        """Where a later frame lies."""
        leading = [*self.frame.leading]
        label, unit, step, start = leading[self.t_axis]
        leading[self.t_axis] = label, unit, step, start + t * step
        return replace(self.frame, leading=tuple(leading))

    def z_world_um(self, z_um: float) -> float:
        """A depth as the movie counts it, relative to its first input plane."""
        return z_um - self.movie.at_um[0]

    def over(self, volumes: Any, z_um: tuple[float, ...]) -> tuple[Any, dict[str, Any]]:
        """Place planes of all frames on the axes of the movie's layer: data and arguments of one.

        napari counts axes from the last one: beside a movie (T, Y, X), planes over z are
        (Z, T, Y, X).

        Parameters
        ----------
        volumes : array
            (T, Z, Y, X), without Z where there is one plane of a frame.
        z_um : tuple of float
            Depth of each plane; nothing where they are not flat.
        """
        others = [axis for axis in range(len(self.frame.leading)) if axis != self.t_axis]
        placed = da.asarray(volumes)
        if placed.ndim == _FRAMES_NDIM and (z_um or self.has_z):
            placed = placed[:, np.newaxis]
        if placed.ndim == _FRAMES_NDIM:
            for axis in others:
                placed = da.expand_dims(placed, axis)
            leading = zip(*self.frame.leading, strict=True)
            labels, units, scale, translate = leading
            flat = self.frame.flat()
            return placed, {
                "axis_labels": (*labels, *flat["axis_labels"]),
                "units": (*units, *flat["units"]),
                "scale": (*scale, *flat["scale"]),
                "translate": (*translate, *flat["translate"]),
            }
        placed = da.moveaxis(placed, 1, 0)
        for axis in others:
            placed = da.expand_dims(placed, 1 + axis)
        start_um = self.z_world_um(z_um[0]) if z_um else 0.0
        step_um = z_um[1] - z_um[0] if len(z_um) > 1 else 1.0
        arguments = self.frame.over_z(start_um, step_um)
        return da.moveaxis(placed, 0, self.frame.z_axis), arguments


def t_axis_of(layer: Layer) -> int | None:
    """Axis of time: the one called so, or the first where axes have no names."""
    lengths = axis_lengths(layer)
    labels = [label.lower() for label in layer.axis_labels[:-2]]
    for axis, label in enumerate(labels):
        if label in _TIME:
            return axis if lengths[axis] > 1 else None
    unnamed = bool(labels) and labels[0].lstrip("-").isdigit()
    return 0 if unnamed and lengths[0] > 1 else None


def can_be_movie(layer: Layer) -> bool:
    """Whether a layer has frames that no network made."""
    return (
        isinstance(layer, Image)
        and not layer.rgb
        and not is_inferred(layer)
        and t_axis_of(layer) is not None
    )


def rate_hz_of(layer: Layer) -> float | None:
    """Frames per second; None where the axis of time has no unit of time."""
    axis = t_axis_of(layer)
    if axis is None or not layer.units[axis].is_compatible_with("second"):
        return None
    step_s = abs(placing_of(layer).steps[axis]) * float((1.0 * layer.units[axis]).m_as("second"))
    return 1 / step_s if step_s else None


def layer_movie(
    layers: Sequence[Image],
    view: View,
    *,
    sampling: Sampling,
    at_um: Sequence[float] | None,
    rate_hz: float | None,
) -> LayerMovie:
    """Take a movie, or one of each input plane, from layers whose axes have names.

    Parameters
    ----------
    layers : sequence of Image
        One, or one of each input plane.
    view : View
        Which channel, and whatever else there is besides time and depth, is looked at.
    sampling : Sampling
        Pixels and optics.
    at_um : sequence of float or None
        Where the input planes were taken; as the layer says where None.
    rate_hz : float or None
        Frames per second; None where unknown.

    Raises
    ------
    LayerError, ValueError
        If layers are no movie that can be used; one sentence.
    """
    first = layers[0]
    movie = Movie.of(
        [_series(layer, view) for layer in layers],
        sampling,
        at_um=at_um,
        rate_hz=rate_hz,
    )
    in_files = all(_file_of(layer) is not None for layer in layers)
    paths = tuple(str(_file_of(layer) if in_files else layer.name) for layer in layers)
    t_axis = t_axis_of(first)
    assert t_axis is not None
    return LayerMovie(
        replace(movie, t_step_s=None if rate_hz is None else 1 / rate_hz),
        paths,
        int(first.metadata.get(CHANNEL, 0)) if in_files else 0,
        _frame_at_start(first, view, t_axis),
        _without_z(first, t_axis),
        z_axis_of(first) is not None,
    )


def _series(layer: Image, view: View) -> ImageSeries:
    """The frames of a layer, with its depths where they are input planes."""
    if layer.rgb:
        raise LayerError(f"'{layer.name}' is a colour image; split its channels first.")
    t_axis = t_axis_of(layer)
    if t_axis is None:
        raise LayerError(
            f"'{layer.name}' is no movie: it has no axis of time; if it has, call that t in the "
            "layer's axis labels."
        )
    data = layer.data[0] if layer.multiscale else layer.data
    z_axis = z_axis_of(layer)
    index = shown_index(layer, view)
    kept = {t_axis: "T"} | ({} if z_axis is None else {z_axis: "Z"})
    at = tuple(slice(None) if axis in kept else where for axis, where in enumerate(index))
    axes = "".join(kept[axis] for axis in sorted(kept)) + "YX"
    pixels, axes = in_axis_order(data[at], axes, layer.name)
    return ImageSeries(
        pixels,
        axes,
        None,
        said_z_step_um(layer) if "Z" in axes else None,
        name=layer.name,
    )


def _file_of(layer: Image) -> Path | None:
    source = layer.source
    if source.path is None or source.reader_plugin != READER:
        return None
    return Path(source.path).absolute()


def _without_z(layer: Image, axis: int) -> int:
    """Number of an axis among those before y and x that are not z."""
    z_axis = z_axis_of(layer)
    return axis - (z_axis is not None and z_axis < axis)


def _frame_at_start(layer: Image, view: View, t_axis: int) -> Frame:
    """Where the first frame lies; depths count from the first input plane."""
    z_axis = z_axis_of(layer)
    pins = {t_axis: 0} | ({} if z_axis is None else {z_axis: 0})
    return frame_of(layer, view.pinned(layer, pins))


def name_axes(layer: Layer) -> None:
    """Call the axes of a layer that has no names for them what they are, if it is a movie."""
    labels = [label.lower() for label in layer.axis_labels[:-2]]
    if t_axis_of(layer) != 0 or not labels or not labels[0].lstrip("-").isdigit():
        return
    names = ("t", "z") if len(labels) == 2 else ("t", *labels[1:])
    layer.axis_labels = (*names[: len(labels)], "y", "x")

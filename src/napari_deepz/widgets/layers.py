"""The only translation between napari's layers and this package's images, surfaces and µm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_deepz.images import ImageSeries
from napari_deepz.surfaces import FromImage, FromPoints, Surface
from napari_deepz.widgets.session import InputPlane

_SQUARE_TOLERANCE = 0.01
_NAMES_OF_Z = ("z", "depth", "plane")
_OPTIONS = {"t": "--time", "z": "--plane", "c": "--channel"}

READER = "napari-deepz"
"""Name under which napari knows the reader that labels the axes of files."""

CHANNEL = "channel"
"""Where a layer's metadata say which channel of its file it is."""


class LayerError(ValueError):
    """A layer that cannot be used as wanted; the message is one sentence for the user."""


@dataclass(frozen=True)
class View:
    """What the viewer shows: the position of its sliders and the units in which they count."""

    point: tuple[float, ...]
    units: tuple[Any, ...] | None

    @classmethod
    def of(cls, viewer: Any) -> View:
        """Take the present view of a napari viewer."""
        return cls(tuple(viewer.dims.point), viewer.layers.units)


@dataclass(frozen=True)
class Frame:
    """Where an input plane lies in the world, in µm, and on the axes that it was cut from.

    Attributes
    ----------
    pixel_size_um : float
        Along y and x.
    origin_um : tuple of float
        (y, x) of the first pixel's centre.
    z_um : float
        Of the plane; 0 where its layer has no depth.
    leading : tuple of (label, unit, scale, position)
        The layer's axes before y and x, without z.
    z_axis : int
        Where z belongs among those axes.
    """

    pixel_size_um: float
    origin_um: tuple[float, float]
    z_um: float
    leading: tuple[tuple[str, Any, float, float], ...]
    z_axis: int

    def stack(
        self, planes: NDArray[np.float32], z_start_um: float, z_step_um: float
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Place (n, Y, X) planes at depths relative to the input: data and arguments of a layer."""
        axes = [(label, unit, scale, at, 1) for label, unit, scale, at in self.leading]
        axes.insert(self.z_axis, ("z", "um", z_step_um, self.z_um + z_start_um, len(planes)))
        labels, units, scale, translate, lengths = zip(*axes, strict=True)
        flat = self.flat()
        data = planes.reshape(*lengths, *planes.shape[1:])
        return data, {
            "axis_labels": (*labels, *flat["axis_labels"]),
            "units": (*units, *flat["units"]),
            "scale": (*scale, *flat["scale"]),
            "translate": (*translate, *flat["translate"]),
        }

    def flat(self) -> dict[str, Any]:
        """Arguments of a 2D layer over the input plane."""
        return {
            "axis_labels": ("y", "x"),
            "units": ("um", "um"),
            "scale": (self.pixel_size_um, self.pixel_size_um),
            "translate": self.origin_um,
        }


def length_um(unit: Any) -> float | None:
    """Say how many µm a pint unit is; None where it is no length, such as a pixel."""
    if not unit.is_compatible_with("micrometer"):
        return None
    return float((1.0 * unit).m_as("micrometer"))


def pixel_size_um(layer: Layer) -> float | None:
    """Read a layer's pixel size in µm; None where its units are pixels.

    Raises
    ------
    LayerError
        If its pixels are not square.
    """
    unit_um = [length_um(unit) for unit in layer.units[-2:]]
    if unit_um[0] is None or unit_um[1] is None:
        return None
    y_um, x_um = (float(s) * u for s, u in zip(layer.scale[-2:], unit_um, strict=True) if u)
    if abs(y_um / x_um - 1) > _SQUARE_TOLERANCE:
        raise LayerError(
            f"The pixels of '{layer.name}' are {y_um:g} µm high and {x_um:g} µm wide; refocusing "
            "needs square pixels, so correct the layer's scale or resample the image."
        )
    return y_um


def likely_pixel_size_um(layer: Layer) -> float | None:
    """Guess the pixel size of a layer without units: a scale other than 1 was surely in µm."""
    scale = float(layer.scale[-1])
    return None if scale == 1 else scale


def set_pixel_size(layer: Layer, pixel_size_um: float) -> None:
    """Write a pixel size into a layer that has none; it stays where it is in pixels."""
    ratio = pixel_size_um / np.asarray(layer.scale[-2:])
    layer.translate = (*layer.translate[:-2], *(np.asarray(layer.translate[-2:]) * ratio))
    layer.scale = (*layer.scale[:-2], pixel_size_um, pixel_size_um)
    layer.units = (*layer.units[:-2], "um", "um")


def input_plane(layer: Image, view: View) -> InputPlane:
    """Take the plane of an image layer that the viewer shows, without loading its pixels.

    Raises
    ------
    LayerError
        If it is a colour image or its pixels are not square.
    """
    if layer.rgb:
        raise LayerError(
            f"'{layer.name}' is a colour image; split its channels (right-click the layer) and "
            "choose one of them."
        )
    data = layer.data[0] if layer.multiscale else layer.data
    index = shown_index(layer, view)
    return InputPlane(
        name=layer.name,
        shape=(int(data.shape[-2]), int(data.shape[-1])),
        pixel_size_um=pixel_size_um(layer),
        read=partial(_read, data, index),
        source=_source(layer, index),
        origin=None if isinstance(data, np.ndarray) else (data, index),
    )


def _source(layer: Image, index: tuple[int, ...]) -> tuple[str, ...] | None:
    """Arguments with which the command line finds this plane; None where that is not certain."""
    source = layer.source
    if source.path is None or (index and source.reader_plugin != READER):
        return None
    chosen = [
        f"{_OPTIONS[label]}={at}"
        for label, at in zip(layer.axis_labels[:-2], index, strict=True)
        if label in _OPTIONS
    ]
    if CHANNEL in layer.metadata:
        chosen.append(f"{_OPTIONS['c']}={layer.metadata[CHANNEL]}")
    return (str(source.path), *chosen)


def _read(data: Any, index: tuple[int, ...]) -> NDArray[Any]:
    return np.array(data[index])


def shown_index(layer: Layer, view: View) -> tuple[int, ...]:
    """Find the indices along the axes before y and x that the viewer shows, or the nearest ones."""
    leading = layer.ndim - 2
    if leading == 0:
        return ()
    lengths = layer.data.shape[:leading]
    point = view.point[-layer.ndim :][:leading]
    units = (view.units or layer.units)[-layer.ndim :][:leading]
    position = [
        at * _factor(unit, own) for at, unit, own in zip(point, units, layer.units, strict=False)
    ]
    steps = (np.array(position) - layer.translate[:leading]) / layer.scale[:leading]
    return tuple(int(i) for i in np.clip(np.rint(steps), 0, np.array(lengths) - 1))


def _factor(unit: Any, wanted: Any) -> float:
    return float((1.0 * unit).m_as(wanted)) if unit.is_compatible_with(wanted) else 1.0


def frame_of(layer: Layer, view: View) -> Frame:
    """Find where the shown plane of a layer lies; the layer must have a pixel size in µm."""
    size_um = pixel_size_um(layer)
    if size_um is None:
        raise LayerError(f"The pixel size of '{layer.name}' is not known; enter it.")
    y_um, x_um = (
        float(at) * (length_um(unit) or 1.0)
        for at, unit in zip(layer.translate[-2:], layer.units[-2:], strict=True)
    )
    z_axis = z_axis_of(layer)
    leading, z_um = [], 0.0
    for axis, step in enumerate(shown_index(layer, view)):
        at = float(layer.translate[axis] + step * layer.scale[axis])
        if axis == z_axis:
            z_um = at * (length_um(layer.units[axis]) or 1.0)
        else:
            scale = float(layer.scale[axis])
            leading.append((layer.axis_labels[axis], layer.units[axis], scale, at))
    return Frame(size_um, (y_um, x_um), z_um, tuple(leading), z_axis or 0)


def z_axis_of(layer: Layer) -> int | None:
    """Axis of depth: the one called z, or the third from the end where axes have no names."""
    labels = [label.lower() for label in layer.axis_labels[:-2]]
    for axis, label in enumerate(labels):
        if label in _NAMES_OF_Z:
            return axis
    unnamed = bool(labels) and labels[-1] == "-3"
    return len(labels) - 1 if unnamed else None


def surface_from_layer(layer: Layer, view: View, frame: Frame | None) -> Surface:
    """Make a surface from an image layer of depths in µm, or through the points of a layer.

    Depths of an image are relative to the input plane; points lie where they are in the world, in
    µm unless their layer has another length as its unit. `frame` is where the input plane lies,
    None while its pixel size is not known.

    Raises
    ------
    LayerError
        If the layer cannot be such a surface.
    ValueError
        As `FromImage` and `FromPoints`.
    """
    if isinstance(layer, Image):
        return FromImage(input_plane(layer, view).read())
    if not isinstance(layer, Points):
        raise LayerError(f"'{layer.name}' is neither an image of depths nor points.")
    if frame is None:
        raise LayerError(
            f"The points of '{layer.name}' can only be placed on an image with a pixel size; enter "
            "it and press Write to layer."
        )
    if layer.ndim < 3:
        raise LayerError(
            f"The points of '{layer.name}' have no depth; add them while the viewer shows a stack, "
            "or make a points layer with three dimensions (z, y, x)."
        )
    if len(layer.data) < 3:
        raise LayerError(
            f"'{layer.name}' has {len(layer.data)} point(s); place at least three on the surface."
        )
    world = np.array([layer.data_to_world(position)[-3:] for position in layer.data])
    world_um = world * [length_um(unit) or 1.0 for unit in layer.units[-3:]]
    z_um, y_um, x_um = world_um.T
    relative = (y_um - frame.origin_um[0], x_um - frame.origin_um[1], z_um - frame.z_um)
    return FromPoints(np.stack(relative, axis=-1))


def layer_arguments(series: ImageSeries, *, z_start_um: float = 0.0) -> dict[str, Any]:
    """Scale, units, axis labels and position of a layer that shows an image series.

    Axes of unknown size keep napari's unit, the pixel. What the series says of its position counts,
    `z_start_um` where it says nothing.
    """
    y_um, x_um = series.origin_um or (0.0, 0.0)
    start_um = z_start_um if series.z_start_um is None else series.z_start_um
    positions = {"Z": start_um, "Y": y_um, "X": x_um}
    sizes: dict[str, tuple[float | None, str]] = {
        "T": (series.t_step_s, "s"),
        "C": (None, ""),
        "Z": (series.z_step_um, "um"),
        "Y": (series.pixel_size_um, "um"),
        "X": (series.pixel_size_um, "um"),
    }
    known = [sizes[axis] for axis in series.axes]
    return {
        "name": series.name,
        "axis_labels": tuple(series.axes.lower()),
        "scale": tuple(1.0 if size is None else size for size, _ in known),
        "units": tuple("pixel" if size is None else unit for size, unit in known),
        "translate": tuple(
            positions.get(axis, 0.0) if sizes[axis][0] is not None else 0.0 for axis in series.axes
        ),
    }


def names_of(layers: Sequence[Layer], wanted: Callable[[Layer], bool]) -> list[tuple[str, Layer]]:
    """Choices of a menu of layers: visible before hidden ones, the topmost first."""
    found = [layer for layer in reversed(layers) if wanted(layer)]
    return [(layer.name, layer) for layer in sorted(found, key=lambda layer: not layer.visible)]

"""The only translation between napari's layers and this package's images and surfaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_deepz.images import ImageSeries
from napari_deepz.recipes.recipe import Source
from napari_deepz.surfaces import FromImage, FromPoints, Surface
from napari_deepz.widgets.shared.input_plane import InputPlane
from napari_deepz.widgets.shared.layer_sizes import (
    TYPED,
    is_plausible,
    is_step,
    lacks_z_step,
    pixel_size_um,
    said_pixel_size_um,
    said_z_step_um,
    z_axis_of,
)
from napari_deepz.widgets.shared.placement import (
    MICROMETRE,
    Frame,
    LayerError,
    Length,
    View,
    axis_lengths,
    length_um,
    placing_of,
    shown_index,
)
from napari_deepz.widgets.shared.plain_text import distinct

_TURN_TOLERANCE = 0.01
_INDICES = ("t", "c", "z")

READER = "napari-deepz"
"""Name under which napari knows the reader that labels the axes of files."""

CHANNEL = "channel"
"""Where a layer's metadata say which channel of its file it is."""

OPTICS = "napari-deepz optics"
"""Where a layer's metadata keep what its file says of the optics."""


def stated_optics(layer: Layer) -> Mapping[str, float | None]:
    """What the file of a layer says of its optics, as in `Sampling`."""
    stated = layer.metadata.get(OPTICS)
    return stated if isinstance(stated, Mapping) else {}


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
    if 0 in data.shape:
        raise LayerError(f"'{layer.name}' is empty: there is nothing to refocus in it.")
    index = shown_index(layer, view)
    typed = TYPED in layer.metadata
    said_um = layer.metadata[TYPED] if typed else said_pixel_size_um(layer)
    z_step_um = said_z_step_um(layer)
    return InputPlane(
        name=layer.name,
        shape=(int(data.shape[-2]), int(data.shape[-1])),
        pixel_size_um=pixel_size_um(layer),
        is_size_typed=typed,
        lacks_z_step=lacks_z_step(layer),
        doubtful_pixel_um=None if said_um is None or is_plausible(said_um) else said_um,
        doubtful_z_step_um=None if z_step_um is None or is_step(z_step_um) else z_step_um,
        read=partial(_read, data, index),
        source=_source(layer, index),
        position=_position(layer, index),
        origin=None if isinstance(data, np.ndarray) else (data, index),
    )


def _position(layer: Image, index: tuple[int, ...]) -> str:
    """Such as "t 3 z 20"; axes along which there is nothing to choose are left out."""
    named = zip(axis_names(layer), index, axis_lengths(layer), strict=True)
    return " ".join(f"{name} {at}" for name, at, length in named if length > 1)


def _source(layer: Image, index: tuple[int, ...]) -> Source:
    """Where a recipe finds this plane; in no file where that is not certain."""
    source = layer.source
    if source.path is None or (index and source.reader_plugin != READER):
        return Source(name=" ".join(filter(None, (layer.name, _position(layer, index)))))
    chosen = {
        label: at
        for label, at in zip(layer.axis_labels[:-2], index, strict=True)
        if label in _INDICES
    }
    if CHANNEL in layer.metadata:
        chosen["c"] = layer.metadata[CHANNEL]
    return Source(path=str(Path(source.path).absolute()), name=layer.name, **chosen)


def _read(data: Any, index: tuple[int, ...]) -> NDArray[Any]:
    return np.array(data[index])


def frame_of(layer: Layer, view: View) -> Frame:
    """Find where the shown plane of a layer lies; the layer must have a pixel size in µm.

    Raises
    ------
    LayerError
        If that is not known, or its transform is one that results cannot follow.
    """
    size_um = pixel_size_um(layer)
    if size_um is None:
        raise LayerError("The pixel size of the image is not known: enter it below its name.")
    placing, z_axis = placing_of(layer), z_axis_of(layer)
    leading, z_um, z_length = [], 0.0, MICROMETRE
    for axis, step in enumerate(shown_index(layer, view)):
        at = placing.starts[axis] + step * placing.steps[axis]
        unit = layer.units[axis]
        if axis == z_axis:
            # napari shows no layers together whose units are of different kinds.
            z_length = Length(unit, length_um(unit) or 1.0)
            z_um = at * z_length.um
        else:
            leading.append((layer.axis_labels[axis], unit, placing.steps[axis], at))
    y_length, x_length = (Length(unit, length_um(unit) or 1.0) for unit in layer.units[-2:])
    return Frame(
        size_um,
        placing.grid.origin_um,
        z_um,
        tuple(leading),
        z_axis or 0,
        placing.grid.turn,
        (z_length, y_length, x_length),
    )


def slice_again(viewer: Any, *layers: Layer) -> None:
    """Show the plane at which the sliders stand, after the units of layers have changed.

    napari slices a layer before its sliders have the new units, far outside, and stays there where
    the sliders need not move.
    """
    viewer.dims.events.point()
    for layer in layers:
        layer.refresh()


def axis_names(layer: Layer) -> tuple[str, ...]:
    """How people call the axes before y and x: by their labels, or by their numbers."""
    z_axis = z_axis_of(layer)
    return tuple(
        "z" if axis == z_axis else f"axis {axis}" if label.lstrip("-").isdigit() else label
        for axis, label in enumerate(layer.axis_labels[:-2])
    )


def surface_from_layer(
    layer: Layer, view: View, frame: Frame | None
) -> tuple[Surface, tuple[str, ...]]:
    """Make a surface from an image layer of depths in µm, or through the points of a layer.

    Depths of an image are relative to the input plane; points lie where they are in the world, in
    µm unless their layer has another length as its unit. `frame` is where the input plane lies,
    None while its pixel size is not known. What is noticed comes with the surface, a sentence each.

    Raises
    ------
    LayerError
        If the layer cannot be such a surface.
    ValueError
        As `FromImage` and `FromPoints`.
    """
    if isinstance(layer, Image):
        depths = input_plane(layer, view)
        notes: tuple[str, ...] = ()
        if frame is not None and depths.pixel_size_um is not None:
            notes = _notes_of_place(layer, frame)
        return FromImage(depths.read()), notes
    if not isinstance(layer, Points):
        raise LayerError(f"'{layer.name}' is neither an image of depths nor points.")
    if frame is None:
        raise LayerError(
            f"The points of '{layer.name}' can only be placed on an image with a pixel size: enter "
            "it below the image's name."
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
    on_image_um = frame.on_image_um(world_um[:, 1:])
    surface = FromPoints(np.column_stack([on_image_um, world_um[:, 0] - frame.z_um]))
    return surface, surface.notes


def _notes_of_place(layer: Layer, frame: Frame) -> tuple[str, ...]:
    """Say where an image of depths is seen elsewhere than the image, or turned against it."""
    grid = placing_of(layer).grid
    away_um = np.subtract(grid.origin_um, frame.origin_um)
    turned = np.abs(np.subtract(grid.turn, frame.turn)).max() > _TURN_TOLERANCE
    if not turned and np.abs(away_um).max() <= frame.pixel_size_um / 2:
        return ()
    return (
        f"The depths of '{layer.name}' do not lie over the image; they are taken pixel by pixel "
        "all the same.",
    )


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
    in_order = sorted(found, key=lambda layer: not layer.visible)
    return [*distinct((layer.name, layer) for layer in in_order)]

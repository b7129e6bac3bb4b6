"""Sizes of layers: what they say of pixels and planes, and writing it where they say nothing."""

from __future__ import annotations

import math

import numpy as np
from napari.layers import Layer

from napari_deepz.images import ImageSeries
from napari_deepz.optics import PLAUSIBLE_PIXELS_UM, PLAUSIBLE_Z_STEPS_UM
from napari_deepz.widgets.shared.placement import (
    LayerError,
    length_um,
    placing_of,
    square_grid_of,
)

TYPED = "napari-deepz pixel size typed"
"""In the metadata of a layer whose pixel size the user has entered: what it said itself, µm, which
no microscope has, or None where it said nothing."""

_NAMES_OF_Z, _TIME = ("z", "depth", "plane"), "t"


def z_axis_of(layer: Layer) -> int | None:
    """Axis of depth: the one called z, or the third from the end where axes have no names."""
    labels = [label.lower() for label in layer.axis_labels[:-2]]
    for axis, label in enumerate(labels):
        if label in _NAMES_OF_Z:
            return axis
    unnamed = bool(labels) and labels[-1] == "-3"
    return len(labels) - 1 if unnamed else None


def drive_axis_of(layer: Layer) -> int | None:
    """Axis along which the focus was moved: that of depth, or of time where there is none."""
    axis = z_axis_of(layer)
    labels = [label.lower() for label in layer.axis_labels[:-2]]
    return labels.index(_TIME) if axis is None and _TIME in labels else axis


def pixel_size_um(layer: Layer) -> float | None:
    """Read a layer's pixel size in µm; None where it has none that a microscope can have.

    Raises
    ------
    LayerError
        If its pixels are not square, or its planes are mixed with other axes.
    """
    size_um = said_pixel_size_um(layer)
    return size_um if size_um is not None and is_plausible(size_um) else None


def said_pixel_size_um(layer: Layer) -> float | None:
    """The pixel size of a layer whose units are lengths, whatever it is."""
    size_um = square_grid_of(layer).pixel_size_um[0]
    return size_um if None not in map(length_um, layer.units[-2:]) else None


def said_z_step_um(layer: Layer) -> float | None:
    """The distance of a layer's planes where it has a unit, whatever it is."""
    axis = z_axis_of(layer)
    unit_um = length_um(layer.units[axis]) if axis is not None else None
    if axis is None or unit_um is None:
        return None
    return abs(placing_of(layer).steps[axis]) * unit_um


def is_plausible(pixel_size_um: float) -> bool:
    """Whether a microscope can have such pixels in the sample."""
    smallest_um, largest_um = PLAUSIBLE_PIXELS_UM
    return smallest_um <= pixel_size_um <= largest_um


def is_step(z_step_um: float) -> bool:
    """Whether a microscope can take planes at such a distance."""
    smallest_um, largest_um = PLAUSIBLE_Z_STEPS_UM
    return smallest_um <= abs(z_step_um) <= largest_um


def likely_pixel_size_um(layer: Layer) -> float | None:
    """Guess the pixel size of a layer: a scale other than 1 without a unit was surely in µm."""
    try:
        sizes_um = square_grid_of(layer).pixel_size_um
    except LayerError:
        return None
    known_um = [
        size_um
        for size_um, unit in zip(sizes_um, layer.units[-2:], strict=True)
        if length_um(unit) is not None
    ]
    size_um = (known_um or sizes_um)[-1]
    return size_um if (known_um or size_um != 1) and is_plausible(size_um) else None


def lacks_z_step(layer: Layer) -> bool:
    """Whether a layer has planes of which nobody knows how far apart they are."""
    axis = z_axis_of(layer)
    return axis is not None and layer.data.shape[axis] > 1 and said_z_step_um(layer) is None


def adopt_is_due(layer: Layer, series: ImageSeries) -> bool:
    """Whether a layer lacks sizes that its file says."""
    try:
        lacks_pixel = pixel_size_um(layer) is None
    except LayerError:
        return False
    says_pixel = series.pixel_size_um is not None and is_plausible(series.pixel_size_um)
    return (lacks_pixel and says_pixel) or (lacks_z_step(layer) and series.z_step_um is not None)


def adopt_sizes(layer: Layer, series: ImageSeries) -> None:
    """Give a layer the axes and sizes of its file that whoever opened it has left out."""
    layer.axis_labels = tuple(series.axes.lower())
    scale, units = list(layer.scale), list(layer.units)
    for axis, step, unit in (("T", series.t_step_s, "s"), ("Z", series.z_step_um, "um")):
        if axis in series.axes and step is not None:
            scale[series.axes.index(axis)], units[series.axes.index(axis)] = step, unit
    layer.scale, layer.units = scale, units
    if pixel_size_um(layer) is None and series.pixel_size_um is not None:
        set_pixel_size(layer, series.pixel_size_um)


def count_z_in_um(layer: Layer) -> None:
    """Say of a result that its z is in µm; it had the unit of a stack that says none."""
    axis = z_axis_of(layer)
    if axis is not None:
        layer.units = (*layer.units[:axis], "um", *layer.units[axis + 1 :])


def set_pixel_size(layer: Layer, pixel_size_um: float) -> None:
    """Write a pixel size into a layer that has none; it stays where it is in pixels."""
    said = np.array(placing_of(layer).grid.pixel_size_um)
    said /= [length_um(unit) or 1.0 for unit in layer.units[-2:]]
    ratio = pixel_size_um / said
    if np.any(moved := layer.affine.translate[-2:]):
        affine = np.array(layer.affine)
        affine[-3:-1, -1] = moved * ratio
        layer.affine = affine
    layer.translate = (*layer.translate[:-2], *(np.asarray(layer.translate[-2:]) * ratio))
    layer.scale = (*layer.scale[:-2], *(np.asarray(layer.scale[-2:]) * ratio))
    layer.units = (*layer.units[:-2], "um", "um")


def set_z_step(layer: Layer, z_step_um: float, *, fixed_um: float) -> None:
    """Write the distance of its planes into a layer that has none; the plane at `fixed_um` stays.

    Parameters
    ----------
    layer : Layer
        Its scale along z is 1, without a unit, or none that a microscope has.
    z_step_um : float
        Distance of its planes.
    fixed_um : float
        Where the input plane lies in the world, which is now counted as before.
    """
    axis = z_axis_of(layer)
    assert axis is not None
    placing, unit_um = placing_of(layer), length_um(layer.units[axis]) or 1.0
    start, step = placing.starts[axis], placing.steps[axis]
    plane = (fixed_um / unit_um - start) / step
    scale, translate, units = list(layer.scale), list(layer.translate), list(layer.units)
    scale[axis] *= math.copysign(z_step_um, step) / step
    layer.scale = scale
    moved = placing_of(layer)
    away = fixed_um - plane * moved.steps[axis] - moved.starts[axis]
    translate[axis] += away / layer.affine.linear_matrix[axis, axis]
    units[axis] = "um"
    layer.translate, layer.units = translate, units

"""Where layers lie: the one translation between pixels, sliders and places of the world in µm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Layer
from napari.utils.transforms import Affine
from numpy.typing import ArrayLike, NDArray

_SQUARE_TOLERANCE = 0.01
_MIXING_TOLERANCE = 1e-6
_GAP = 0.04

Numbers = NDArray[np.float64]
Matrix = tuple[tuple[float, float], tuple[float, float]]
UPRIGHT: Matrix = ((1.0, 0.0), (0.0, 1.0))


class LayerError(ValueError):
    """A layer that cannot be used as wanted; the message is one sentence for the user."""


class Length(NamedTuple):
    """A unit of length, and how many µm it is."""

    unit: Any
    um: float


MICROMETRE = Length("um", 1.0)


@dataclass(frozen=True)
class View:
    """What the viewer shows: the position of its sliders and the units in which they count."""

    point: tuple[float, ...]
    units: tuple[Any, ...] | None

    @classmethod
    def of(cls, viewer: Any) -> View:
        """Take the present view of a napari viewer."""
        return cls(tuple(viewer.dims.point), viewer.layers.units)

    def pinned(self, layer: Layer, pins: Mapping[int, int]) -> View:
        """The view in which a layer shows what is pinned of it, whatever the sliders do.

        Parameters
        ----------
        layer : Layer
            One that has been put into the viewer.
        pins : mapping of int to int
            Index by axis before y and x; others stay as the sliders stand.
        """
        linear, at = _to_world(layer)
        point = [0.0] * (layer.ndim - len(self.point)) + list(self.point)
        units = (self.units or layer.units)[-layer.ndim :]
        for axis, index in pins.items():
            unit = units[axis - layer.ndim] if layer.ndim - axis <= len(units) else None
            own = layer.units[axis]
            factor = _factor(own, unit) if unit is not None else 1.0
            point[axis - layer.ndim] = (at[axis] + index * linear[axis, axis]) * factor
        return View(tuple(point), self.units)

    def position(self, layer: Layer) -> list[float]:
        """Where the sliders stand on the axes of a layer, in its units; 0 where there is none."""
        point = (*(0.0,) * layer.ndim, *self.point)[-layer.ndim :]
        units = (self.units or layer.units)[-layer.ndim :]
        units = (*layer.units[: layer.ndim - len(units)], *units)
        return [
            at * _factor(unit, own) for at, unit, own in zip(point, units, layer.units, strict=True)
        ]


@dataclass(frozen=True)
class Grid:
    """The pixels of a plane in the world.

    Attributes
    ----------
    origin_um : tuple of float
        (y, x) of the first pixel's centre.
    steps_um : tuple of tuple of float
        From a pixel to the next: the columns are the step down a column of pixels and along a row,
        each as (y, x) in the world.
    """

    origin_um: tuple[float, float]
    steps_um: Matrix

    @property
    def pixel_size_um(self) -> tuple[float, float]:
        """Height and width of a pixel."""
        (down_y, along_y), (down_x, along_x) = self.steps_um
        return math.hypot(down_y, down_x), math.hypot(along_y, along_x)

    @property
    def turn(self) -> Matrix:
        """The steps, in heights of a pixel."""
        (a, b), (c, d) = (np.array(self.steps_um) / self.pixel_size_um[0]).tolist()
        return (a, b), (c, d)

    @property
    def directions(self) -> Numbers:
        """The steps, (2, 2), each of the length 1."""
        return np.array(self.steps_um) / self.pixel_size_um

    @property
    def is_right_angled(self) -> bool:
        """Whether rows and columns of pixels are at right angles."""
        down, along = self.directions.T
        return bool(abs(down @ along) <= _SQUARE_TOLERANCE)

    def pixels_at(self, places_um: ArrayLike) -> Numbers:
        """Row and column, (N, 2), of (N, 2) places (y, x) of the world."""
        away_um = np.asarray(places_um, np.float64) - self.origin_um
        rows: Numbers = np.linalg.solve(np.array(self.steps_um), away_um.T).T
        return rows


@dataclass(frozen=True)
class Placing:
    """Where a layer lies whose planes are not mixed with its other axes.

    Attributes
    ----------
    starts, steps : tuple of float
        Of the axes before y and x: position of the first plane, and to the next one, in the
        layer's units.
    grid : Grid
        Of each plane; numbers without a unit of length count as µm.
    """

    starts: tuple[float, ...]
    steps: tuple[float, ...]
    grid: Grid


@dataclass(frozen=True)
class Frame:
    """Where an input plane lies in the world, in µm, and on the axes that it was cut from.

    Positions on the image are (y, x) in µm along its columns and rows from the first pixel's
    centre; they differ from those in the world where the image is moved, turned or mirrored.

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
    turn : tuple of tuple of float
        How the image is turned or mirrored: the columns are a step of 1 µm along y and along x on
        the image, each as (y, x) in the world.
    units : tuple of Length
        In which z, y and x count on layers over the image: the same as on the image's own layer, so
        that they coincide also where napari compares the bare numbers.
    """

    pixel_size_um: float
    origin_um: tuple[float, float]
    z_um: float
    leading: tuple[tuple[str, Any, float, float], ...]
    z_axis: int
    turn: Matrix = UPRIGHT
    units: tuple[Length, Length, Length] = (MICROMETRE,) * 3

    def stack(
        self,
        planes: NDArray[np.float32],
        z_start_um: float,
        z_step_um: float,
        *,
        right_um: float = 0.0,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Place (n, Y, X) planes at depths relative to the input: data and arguments of a layer."""
        lengths = [1] * len(self.leading)
        lengths.insert(self.z_axis, len(planes))
        data = planes.reshape(*lengths, *planes.shape[1:])
        return data, self.over_z(z_start_um, z_step_um, right_um=right_um)

    def over_z(
        self, z_start_um: float, z_step_um: float, *, right_um: float = 0.0
    ) -> dict[str, Any]:
        """Arguments of a layer with planes at depths relative to the input, on all its axes."""
        unit, unit_um = self.units[0]
        axes = [*self.leading]
        axes.insert(
            self.z_axis, ("z", unit, z_step_um / unit_um, (self.z_um + z_start_um) / unit_um)
        )
        labels, units, scale, translate = zip(*axes, strict=True)
        flat = self.flat(right_um=right_um)
        return {
            "axis_labels": (*labels, *flat["axis_labels"]),
            "units": (*units, *flat["units"]),
            "scale": (*scale, *flat["scale"]),
            "translate": (*translate, *flat["translate"]),
            "rotate": _widened(flat["rotate"], len(axes)),
            "shear": _widened(flat["shear"], len(axes)),
        }

    def flat(self, *, step_um: float | None = None, right_um: float = 0.0) -> dict[str, Any]:
        """Arguments of a 2D layer over the input plane.

        Parameters
        ----------
        step_um : float, optional
            Size of the layer's data unit on the image; that of a pixel by default.
        right_um : float, optional
            How far to the right of the image the layer lies.
        """
        (y_unit, y_unit_um), (x_unit, x_unit_um) = self.units[1:]
        step_um = self.pixel_size_um if step_um is None else step_um
        steps = np.array(self.turn) * step_um / [[y_unit_um], [x_unit_um]]
        rotate, shear, scale = _taken_apart(steps)
        y_um, x_um = self.origin_um
        return {
            "axis_labels": ("y", "x"),
            "units": (y_unit, x_unit),
            "scale": scale,
            "translate": (y_um / y_unit_um, (x_um + right_um) / x_unit_um),
            "rotate": rotate,
            "shear": shear,
        }

    def on_image_um(self, places_um: ArrayLike) -> Numbers:
        """Positions on the image, (N, 2), of (N, 2) places (y, x) of the world."""
        return self.along_image_um(np.asarray(places_um, np.float64) - self.origin_um)

    def along_image_um(self, steps_um: ArrayLike) -> Numbers:
        """(N, 2) steps (y, x) of the world, along the image's columns and rows."""
        found: Numbers = np.linalg.solve(np.array(self.turn), np.asarray(steps_um, np.float64).T).T
        return found

    def world(self, positions_um: ArrayLike) -> Numbers:
        """Places (y, x) of the world, in the units of y and x, of (N, 2) positions on the image."""
        places_um = np.asarray(positions_um, np.float64) @ np.array(self.turn).T + self.origin_um
        found: Numbers = places_um / [length.um for length in self.units[1:]]
        return found

    def beside_um(self, shape: tuple[int, int]) -> float:
        """How far to the right of an image of (Y, X) pixels its virtual copy stands beside it."""
        height, width = shape
        across = abs(self.turn[1][1]) * width + abs(self.turn[1][0]) * height
        return across * self.pixel_size_um * (1 + _GAP)


def placing_of(layer: Layer) -> Placing:
    """Find where a layer lies, with its scale, rotation, shear, position and affine transform.

    Raises
    ------
    LayerError
        If its transform has no inverse, or mixes y and x with the other axes, or those.
    """
    linear, at = _to_world(layer)
    axes = len(linear) - 2
    if not (np.isfinite(linear).all() and np.isfinite(at).all()) or not np.linalg.det(linear):
        raise LayerError(
            f"The scale or affine transform of '{layer.name}' is zero, infinite or not a number: "
            "correct it."
        )
    mixed = linear.copy()
    mixed[-2:, -2:] = 0
    np.fill_diagonal(mixed, 0)
    largest = np.abs(linear).max(axis=1, keepdims=True)
    if (np.abs(mixed) > _MIXING_TOLERANCE * largest).any():
        raise LayerError(
            f"'{layer.name}' is turned or sheared out of its planes: its transform mixes y and x "
            "with another axis, so reset it (right-click the layer) or resample the image."
        )
    unit_um = [length_um(unit) or 1.0 for unit in layer.units[-2:]]
    steps_um = linear[-2:, -2:] * np.array(unit_um)[:, np.newaxis]
    origin_um = at[-2:] * unit_um
    (a, b), (c, d) = steps_um.tolist()
    grid = Grid((float(origin_um[0]), float(origin_um[1])), ((a, b), (c, d)))
    return Placing(tuple(at[:axes].tolist()), tuple(linear.diagonal()[:axes].tolist()), grid)


def square_grid_of(layer: Layer) -> Grid:
    """Find where the planes of a layer lie, whose pixels must be squares in the world.

    Raises
    ------
    LayerError
        If they are none, or the planes are mixed with other axes.
    """
    grid = placing_of(layer).grid
    if not grid.is_right_angled:
        raise LayerError(
            f"'{layer.name}' is sheared, so its pixels are no squares: reset the layer's shear and "
            "affine transform, or resample the image."
        )
    y_um, x_um = grid.pixel_size_um
    comparable = layer.units[-2] == layer.units[-1] or None not in map(length_um, layer.units[-2:])
    if comparable and abs(y_um / x_um - 1) > _SQUARE_TOLERANCE:
        unit = "µm" if length_um(layer.units[-1]) else str(layer.units[-1])
        raise LayerError(
            f"The pixels of '{layer.name}' are {y_um:g} {unit} high and {x_um:g} {unit} wide; "
            "refocusing needs square pixels, so correct the layer's scale or resample the image."
        )
    return grid


def shown_index(layer: Layer, view: View) -> tuple[int, ...]:
    """Find the indices along the axes before y and x that the viewer shows, or the nearest ones.

    This never fails: it is asked while napari changes a layer, or when that is gone already.
    """
    axes = layer.ndim - 2
    if axes <= 0:
        return ()
    linear, at = _to_world(layer)
    position = np.array(view.position(layer)[:axes])
    with np.errstate(all="ignore"):
        planes = np.nan_to_num((position - at[:axes]) / linear.diagonal()[:axes])
    lengths = np.array(axis_lengths(layer))
    return tuple(int(index) for index in np.clip(np.rint(planes), 0, np.maximum(lengths, 1) - 1))


def axis_lengths(layer: Layer) -> tuple[int, ...]:
    """Lengths of a layer's axes before y and x."""
    return tuple(int(length) for length in layer.data.shape[: layer.ndim - 2])


def lay(layer: Layer, placing: dict[str, Any]) -> None:
    """Put a layer elsewhere, with the arguments that `Frame.flat` or `Frame.stack` gives."""
    for name in ("units", "scale", "rotate", "shear", "translate"):
        setattr(layer, name, placing[name])


def length_um(unit: Any) -> float | None:
    """Say how many µm a pint unit is; None where it is no length, such as a pixel."""
    if not unit.is_compatible_with("micrometer"):
        return None
    return float((1.0 * unit).m_as("micrometer"))


def _factor(unit: Any, wanted: Any) -> float:
    return float((1.0 * unit).m_as(wanted)) if unit.is_compatible_with(wanted) else 1.0


def _to_world(layer: Layer) -> tuple[Numbers, Numbers]:
    """Matrix and position of a layer in the world, in its units; exact where nothing is turned."""
    own = Affine(
        layer.scale, layer.translate, rotate=layer.rotate, shear=layer.shear, ndim=layer.ndim
    )
    with np.errstate(all="ignore"):
        whole = np.array(layer.affine) @ own.affine_matrix
    return whole[:-1, :-1], whole[:-1, -1]


def _taken_apart(steps: Numbers) -> tuple[Matrix, Matrix, tuple[float, float]]:
    """Rotation, shear and scale whose product are the steps of a grid."""
    (a, b), (c, d) = steps.tolist()
    if b == c == 0:
        return UPRIGHT, UPRIGHT, (a, d)
    down = math.hypot(a, c)
    along = (a * d - b * c) / down
    shear = (a * b + c * d) / down / along
    cosine, sine = a / down, c / down
    return ((cosine, -sine), (sine, cosine)), ((1.0, shear), (0.0, 1.0)), (down, along)


def _widened(matrix: Matrix, axes: int) -> tuple[tuple[float, ...], ...]:
    """A matrix for y and x that leaves further axes before them as they are."""
    wide = np.eye(axes + 2)
    wide[-2:, -2:] = matrix
    return tuple(tuple(row) for row in wide.tolist())

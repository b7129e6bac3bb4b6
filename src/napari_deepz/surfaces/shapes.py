"""Surfaces given by a formula: flat ranges, tilted planes, cylinders, spheres, paraboloids."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from napari_deepz.surfaces.base import Length, Surface
from napari_deepz.surfaces.geometry import (
    Coordinates,
    Depths,
    evaluate_um,
    fit_plane,
    image_centre_um,
)

MAX_PLANES = 10_000
DIVIDES_WITHIN = 1e-3
SMALLEST_RADIUS_UM = 0.01

Angle = Annotated[float, Field(gt=-90, lt=90)]


class Flat(Surface):
    """Level planes, from the first depth to the last with both ends included.

    Plane k lies at ``start + k * step``. Where the step does not divide the span (to within a
    thousandth of a step) the planes go up to the last one before the stop, and the stop follows.

    Parameters
    ----------
    start_um : float
        Depth of the first plane in µm, or of the only one.
    stop_um : float, optional
        Depth of the last plane in µm; smaller than the start to go downwards.
    step_um : float, optional
        Distance from plane to plane in µm, negative to go downwards; needed with a stop.

    Raises
    ------
    ValueError
        If only one of stop and step is given, the step is zero or leads away from the stop, or
        there would be more than 10,000 planes.

    Examples
    --------
    >>> Flat(-1, 1, 0.5).uniform_z_um
    (-1.0, -0.5, 0.0, 0.5, 1.0)
    """

    kind: Literal["flat"] = "flat"
    start_um: Length
    stop_um: Length | None = None
    step_um: Length | None = None

    def __init__(
        self,
        /,
        start_um: float,
        stop_um: float | None = None,
        step_um: float | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(start_um=start_um, stop_um=stop_um, step_um=step_um, **settings)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a range written as START:STOP:STEP, or a single depth, in µm.

        Raises
        ------
        ValueError
            If the text is not of this form or the range is not valid.
        """
        try:
            numbers = [float(part) for part in text.split(":")]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 3:
            raise ValueError(
                f"The range of depths '{text}' is not understood; "
                "write START:STOP:STEP in µm, such as -10:10:0.5."
            )
        return cls(*numbers)

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.stop_um is None and self.step_um is None:
            return self
        if self.stop_um is None or self.step_um is None:
            raise ValueError(
                "A flat range needs a start, a stop and a step, or only a start; "
                f"the {'stop' if self.stop_um is None else 'step'} is missing."
            )
        span_um = self.stop_um - self.start_um
        if self.step_um == 0 or span_um * math.copysign(1, self.step_um) < 0:
            raise ValueError(
                f"A step of {self.step_um:g} µm never leads from {self.start_um:g} to "
                f"{self.stop_um:g} µm; choose a {'negative' if span_um < 0 else 'positive'} step."
            )
        if span_um / self.step_um >= MAX_PLANES - 1 + DIVIDES_WITHIN:
            raise ValueError(
                f"A flat range from {self.start_um:g} to {self.stop_um:g} µm in steps of "
                f"{self.step_um:g} µm has more than {MAX_PLANES} planes; choose a larger step."
            )
        return self

    @cached_property
    def _planes_um(self) -> tuple[float, ...]:
        if self.stop_um is None or self.step_um is None or self.stop_um == self.start_um:
            return (self.start_um,)
        span_um = self.stop_um - self.start_um
        steps = span_um / self.step_um
        whole = round(steps)
        divides = whole > 0 and abs(steps - whole) < DIVIDES_WITHIN
        step_um = span_um / whole if divides else self.step_um
        inner = range(1, whole if divides else math.floor(steps) + 1)
        between = (round(self.start_um + k * step_um, 9) for k in inner)
        return (self.start_um, *between, self.stop_um)

    def __len__(self) -> int:
        """Count the planes."""
        return len(self._planes_um)

    @property
    def uniform_z_um(self) -> tuple[float, ...]:
        """Depth of every plane in µm, in the order of the range."""
        return self._planes_um

    def range_um(self, shape: tuple[int, int], pixel_size_um: float) -> tuple[float, float]:
        """Smallest and largest depth in µm; the same for every image."""
        return min(self._planes_um), max(self._planes_um)

    def describe(self) -> str:
        """Say the range, such as 'flat, -10 to 10 µm in steps of 0.5 µm'."""
        if self.step_um is None or len(self) == 1:
            return f"flat, {self.start_um:g} µm"
        return (
            f"flat, {self.start_um:g} to {self.stop_um:g} µm in steps of {abs(self.step_um):g} µm"
        )

    def _depths_um(self, shape: tuple[int, int], pixel_size_um: float, index: int) -> Depths:
        return np.full(shape, self._planes_um[index], np.float32)


class Tilted(Surface):
    """A tilted plane: z = offset + tan(tilt_x) x + tan(tilt_y) y from the centre of the image.

    Parameters
    ----------
    tilt_x_deg : float
        Slope along x in degrees; positive rises towards larger x.
    tilt_y_deg : float
        Slope along y in degrees; positive rises towards larger y (downwards on the screen).
    offset_um : float, optional
        Depth at the centre of the image in µm.

    Raises
    ------
    ValueError
        If an angle is not between -90 and 90 degrees.
    """

    kind: Literal["tilted"] = "tilted"
    tilt_x_deg: Angle
    tilt_y_deg: Angle
    offset_um: Length = 0.0

    def __init__(
        self,
        /,
        tilt_x_deg: float,
        tilt_y_deg: float,
        offset_um: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(
            tilt_x_deg=tilt_x_deg, tilt_y_deg=tilt_y_deg, offset_um=offset_um, **settings
        )

    @classmethod
    def through_points(
        cls, points_um: ArrayLike, shape: tuple[int, int], pixel_size_um: float
    ) -> Self:
        """Build the plane through three points.

        Parameters
        ----------
        points_um : array-like
            (3, 3), one row (y, x, z) in µm for each point, y and x from the first pixel's centre.
        shape : tuple of int
            (Y, X) of the image in pixels.
        pixel_size_um : float
            Size of a pixel in µm.

        Raises
        ------
        ValueError
            If there are not three finite points or they lie on one line.
        """
        points = np.asarray(points_um, float)
        if points.shape != (3, 3) or not np.isfinite(points).all():
            raise ValueError("A plane needs three points of finite y, x and z in µm.")
        plane = fit_plane(points)
        if plane.on_one_line:
            raise ValueError(
                "The three points of the plane lie on one line; move one of them to the side."
            )
        centre_y, centre_x = image_centre_um(shape, pixel_size_um)
        return cls(
            tilt_x_deg=math.degrees(math.atan(plane.slope_x)),
            tilt_y_deg=math.degrees(math.atan(plane.slope_y)),
            offset_um=plane.depth_um(centre_y, centre_x),
        )

    def range_um(self, shape: tuple[int, int], pixel_size_um: float) -> tuple[float, float]:
        """Smallest and largest depth in µm, which a plane has in two corners."""
        reach_um = sum(
            abs(math.tan(math.radians(tilt_deg))) * centre_um
            for tilt_deg, centre_um in zip(
                (self.tilt_y_deg, self.tilt_x_deg),
                image_centre_um(shape, pixel_size_um),
                strict=True,
            )
        )
        return self.offset_um - reach_um, self.offset_um + reach_um

    def describe(self) -> str:
        """Say the angles, such as 'tilted by 2° along x and 0° along y, 1 µm at the centre'."""
        return (
            f"tilted by {_short(self.tilt_x_deg)}° along x and {_short(self.tilt_y_deg)}° along y, "
            f"{_short(self.offset_um)} µm at the centre"
        )

    def _depths_um(self, shape: tuple[int, int], pixel_size_um: float, index: int) -> Depths:
        centre_y, centre_x = image_centre_um(shape, pixel_size_um)
        slope_y = math.tan(math.radians(self.tilt_y_deg))
        slope_x = math.tan(math.radians(self.tilt_x_deg))
        return evaluate_um(
            shape,
            pixel_size_um,
            lambda y, x: self.offset_um + slope_x * (x - centre_x) + slope_y * (y - centre_y),
        )


class Curved(Surface):
    """A cylinder, a sphere or a paraboloid; a positive radius rises to +z away from the vertex.

    With r the distance to the centre (cylinder: to its axis) and R the radius, sphere and cylinder
    are z = offset + sign(R) (|R| - sqrt(R² - r²)), held at the rim beyond |R|; the paraboloid,
    which is their limit near the vertex, is z = offset + r² / (2 R).

    Parameters
    ----------
    form : {"cylinder", "sphere", "paraboloid"}
        The shape.
    radius_um : float
        Radius of curvature at the vertex in µm; its sign is the direction of bending.
    centre_um : tuple of float, optional
        (y, x) of the vertex in µm from the first pixel's centre; the image's centre if None.
    offset_um : float, optional
        Depth of the vertex in µm.
    axis_deg : float, optional
        Direction of a cylinder's axis in the image, in degrees from +x towards +y.

    Raises
    ------
    ValueError
        If the form is unknown or the radius is zero.
    """

    kind: Literal["curved"] = "curved"
    form: Literal["cylinder", "sphere", "paraboloid"]
    radius_um: Length
    centre_um: tuple[Length, Length] | None = None
    offset_um: Length = 0.0
    axis_deg: Annotated[float, Field(ge=-360, le=360)] = 0.0

    @model_validator(mode="after")
    def _check_radius(self) -> Self:
        if abs(self.radius_um) < SMALLEST_RADIUS_UM:
            raise ValueError(
                f"The radius of a curved surface is {self.radius_um:g} µm; "
                "give the radius of curvature in µm, negative to bend towards -z."
            )
        return self

    def describe(self) -> str:
        """Say form and radius, such as 'sphere of radius 500 µm, 0 µm at its vertex'."""
        axis = f" along {self.axis_deg:g}°" if self.form == "cylinder" else ""
        form = f"{self.form}{axis} of radius {self.radius_um:g} µm"
        return f"{form}, {self.offset_um:g} µm at its vertex"

    def _depths_um(self, shape: tuple[int, int], pixel_size_um: float, index: int) -> Depths:
        centre_y, centre_x = self.centre_um or image_centre_um(shape, pixel_size_um)
        axis = math.radians(self.axis_deg)
        radius = abs(self.radius_um)

        def depth(y: Coordinates, x: Coordinates) -> Coordinates:
            y, x = y - centre_y, x - centre_x
            if self.form == "cylinder":
                squared = (y * math.cos(axis) - x * math.sin(axis)) ** 2
            else:
                squared = y**2 + x**2
            if self.form == "paraboloid":
                return self.offset_um + squared / (2 * self.radius_um)
            squared = np.minimum(squared, radius**2)
            # |R| - sqrt(R² - r²), written without the difference of two nearly equal numbers
            sag = squared / (radius + np.sqrt(radius**2 - squared))
            return self.offset_um + math.copysign(1.0, self.radius_um) * sag

        return evaluate_um(shape, pixel_size_um, depth)


def _short(value: float) -> str:
    """A number for people, to a hundredth."""
    return f"{round(value, 2) + 0.0:g}"

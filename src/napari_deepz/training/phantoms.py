"""Objects to simulate, each a cloud of glowing points in µm.

Axes are (z, y, x) from the centre of the field, z growing deeper into the sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Kind = Literal[
    "beads",
    "tilted-beads",
    "curved-beads",
    "sparse-beads",
    "dense-beads",
    "neurons",
    "head",
    "worm",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_BEADS_IN_83_UM = {"sparse-beads": (4, 25), "dense-beads": (160, 500)}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Phantom:
    """A cloud of glowing points.

    Parameters
    ----------
    points_um : ndarray
        (N, 3) positions as (z, y, x).
    brightness : ndarray
        (N,) relative photons of each point.
    centres_um : ndarray
        (M, 3) positions of the compact objects (beads, nuclei): the truth to compare with.
    """

    points_um: Array
    brightness: Array
    centres_um: Array

    def __add__(self, other: Phantom) -> Phantom:
        return Phantom(
            np.concatenate([self.points_um, other.points_um]),
            np.concatenate([self.brightness, other.brightness]),
            np.concatenate([self.centres_um, other.centres_um]),
        )


def draw_phantom(
    kind: Kind,
    rng: np.random.Generator,
    *,
    field_um: float,
    half_depth_um: float,
    tilt_span_um: float | None = None,
) -> Phantom:
    """Draw one object.

    Parameters
    ----------
    kind : str
        What to draw, one of `KINDS`. Tilted and curved beads lie on a surface, all others anywhere
        in the volume; a head has all its neurons labelled.
    rng : numpy.random.Generator
        Source of all randomness.
    field_um : float
        Side of the square field that the object fills, µm.
    half_depth_um : float
        Objects lie within plus and minus this depth, µm.
    tilt_span_um : float, optional
        For tilted beads: rise of the plane from the left edge of the field to the right one,
        instead of a random tilt.

    Returns
    -------
    Phantom
    """
    if kind == "neurons":
        return _neurons(rng, field_um, half_depth_um)
    if kind == "worm":
        return _worm(rng, field_um, half_depth_um)
    if kind == "head":
        return _head(rng, half_depth_um)
    few, many = _BEADS_IN_83_UM.get(kind, (25, 160))
    count = max(1, round(np.exp(rng.uniform(*np.log((few, many)))) * (field_um / 83.2) ** 2))
    centres = np.empty((count, 3))
    centres[:, 1:] = rng.uniform(-field_um / 2, field_um / 2, (count, 2))
    centres[:, 0] = _bead_depth(kind, rng, centres[:, 1:], field_um, half_depth_um, tilt_span_um)
    diameter = rng.uniform(0.3, 1.2)
    brightness = np.exp(rng.normal(0, rng.uniform(0.05, 0.7), count))
    return _balls(rng, centres, np.full(count, diameter / 2), brightness, 60)


def _bead_depth(
    kind: Kind,
    rng: np.random.Generator,
    yx_um: Array,
    field_um: float,
    half_depth_um: float,
    tilt_span_um: float | None,
) -> Array:
    count = len(yx_um)
    if kind in ("beads", "sparse-beads", "dense-beads"):
        return np.asarray(rng.uniform(-half_depth_um, half_depth_um, count))
    if kind == "tilted-beads":
        if tilt_span_um is not None:
            return np.asarray(yx_um[:, 1] / field_um * tilt_span_um)
        angle = rng.uniform(0, 2 * np.pi)
        along = yx_um @ np.array([np.sin(angle), np.cos(angle)])
        return np.asarray(along / field_um * rng.uniform(0, 2 * half_depth_um))
    radius_um = rng.uniform(60, 400) * rng.choice([-1, 1])
    vertex = rng.uniform(-field_um / 4, field_um / 4, 2)
    sag = ((yx_um - vertex) ** 2).sum(1) / (2 * radius_um)
    depth = sag + rng.uniform(-half_depth_um, half_depth_um) / 2
    return np.asarray(np.clip(depth, -half_depth_um, half_depth_um))


def _balls(
    rng: np.random.Generator, centres: Array, radii_um: Array, brightness: Array, points_each: int
) -> Phantom:
    """Solid balls, each of evenly scattered points."""
    direction = rng.normal(size=(len(centres), points_each, 3))
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    distance = np.cbrt(rng.uniform(size=(len(centres), points_each, 1)))
    points = centres[:, None] + direction * distance * radii_um[:, None, None]
    share = np.repeat(brightness / points_each, points_each)
    return Phantom(points.reshape(-1, 3), share, centres)


def _tubes(
    rng: np.random.Generator, paths: list[Array], radius_um: float, brightness_per_um: float
) -> Phantom:
    """Thin tubes along smooth curves, lit evenly."""
    clouds, shares = [], []
    for path in paths:
        length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
        samples = max(2, round(length / 0.15))
        curve = CubicSpline(np.linspace(0, 1, len(path)), path)(np.linspace(0, 1, samples))
        clouds.append(curve + rng.normal(0, radius_um / 2, curve.shape))
        shares.append(np.full(samples, brightness_per_um * length / samples))
    return Phantom(np.concatenate(clouds), np.concatenate(shares), np.empty((0, 3)))


def _neurons(rng: np.random.Generator, field_um: float, half_depth_um: float) -> Phantom:
    """Cell nuclei, and processes that wander between them."""
    count = max(1, round(np.exp(rng.uniform(*np.log((10, 50)))) * (field_um / 83.2) ** 2))
    centres = rng.uniform(-1, 1, (count, 3)) * [half_depth_um, field_um / 2, field_um / 2]
    radii = rng.uniform(0.8, 2.2, count)
    brightness = np.exp(rng.normal(0, 0.5, count)) * 6
    nuclei = _balls(rng, centres, radii, brightness, 250)
    paths = []
    for start in centres[: max(2, count // 2)]:
        steps = rng.normal(0, 1, (6, 3)) * [1.5, 8, 8]
        path = start + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
        path[:, 0] = np.clip(path[:, 0], -half_depth_um, half_depth_um)
        paths.append(path)
    return nuclei + _tubes(rng, paths, rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.3))


def _worm(rng: np.random.Generator, field_um: float, half_depth_um: float) -> Phantom:
    """A curved body with a diffuse glow, nuclei along it and bright granules in the gut."""
    axis = _body_axis(rng, field_um, half_depth_um)
    radius_um = rng.uniform(8, 18)
    glow_points = 60_000
    glow = _inside_body(rng, axis, radius_um, glow_points, 1.0)
    nuclei_centres = _inside_body(rng, axis, radius_um, int(rng.integers(30, 90)), 0.9)
    nuclei = _balls(
        rng,
        nuclei_centres,
        rng.uniform(0.8, 2.0, len(nuclei_centres)),
        np.exp(rng.normal(0, 0.5, len(nuclei_centres))) * 5,
        250,
    )
    granule_centres = _inside_body(rng, axis, radius_um, int(rng.integers(20, 150)), 0.4)
    granules = _balls(
        rng,
        granule_centres,
        rng.uniform(0.3, 0.8, len(granule_centres)),
        np.exp(rng.normal(0, 0.6, len(granule_centres))),
        60,
    )
    total_glow = nuclei.brightness.sum() * rng.uniform(0.3, 3.0)
    body = Phantom(glow, np.full(glow_points, total_glow / glow_points), np.empty((0, 3)))
    cord = _tubes(rng, [axis + np.array([0, 0.8 * radius_um, 0])], 0.4, rng.uniform(0.1, 0.6))
    return _within(body + nuclei + granules + cord, half_depth_um)


def _head(rng: np.random.Generator, half_depth_um: float) -> Phantom:
    """A head with all neurons labelled: crowded ganglia about a nerve ring, and a dim gut."""
    count = int(rng.integers(80, 200))
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]])
    radius_um = rng.uniform(8, 14)
    along = rng.normal(rng.choice([-14, 0, 16], count), 5)
    around = rng.uniform(0, 2 * np.pi, count)
    ring = radius_um * rng.uniform(0.45, 0.95, count)
    centres = np.empty((count, 3))
    centres[:, 0] = ring * np.sin(around) + rng.uniform(-0.3, 0.3) * half_depth_um
    centres[:, 1:] = np.stack([along, ring * np.cos(around)], axis=1) @ turn
    brightness = np.exp(rng.normal(0, 0.7, count)) * 6
    nuclei = _balls(rng, centres, rng.uniform(0.8, 1.7, count), brightness, 200)
    turns = np.linspace(0, 2 * np.pi, 30)
    loop = np.stack([np.zeros(30), radius_um * 0.6 * np.cos(turns)], axis=1) @ turn
    nerve_ring = np.column_stack([radius_um * 0.6 * np.sin(turns), loop])
    nerves = _tubes(rng, [nerve_ring], rng.uniform(0.8, 2), rng.uniform(0.5, 4))
    gut_points = 20_000
    gut = rng.normal(0, 1, (gut_points, 3)) * [radius_um / 3, 14, radius_um / 3]
    gut[:, 1:] = (gut[:, 1:] + [50, 0]) @ turn
    glow = np.full(gut_points, nuclei.brightness.sum() * rng.uniform(0.05, 0.6) / gut_points)
    return _within(nuclei + nerves + Phantom(gut, glow, np.empty((0, 3))), half_depth_um)


def _body_axis(rng: np.random.Generator, field_um: float, half_depth_um: float) -> Array:
    """A smooth curve across the field, (20, 3)."""
    along = np.linspace(-0.6, 0.6, 20) * field_um
    wave = rng.uniform(0.05, 0.2) * field_um
    bend = wave * np.sin(2 * np.pi * along / (rng.uniform(0.8, 2) * field_um) + rng.uniform(0, 6))
    depth = (
        rng.uniform(-0.4, 0.4) * half_depth_um * np.sin(along / field_um * 4 + rng.uniform(0, 6))
    )
    angle = rng.uniform(0, 2 * np.pi)
    y = along * np.sin(angle) + bend * np.cos(angle)
    x = along * np.cos(angle) - bend * np.sin(angle)
    return np.stack([depth, y, x], axis=1)


def _inside_body(
    rng: np.random.Generator, axis: Array, radius_um: float, count: int, fill: float
) -> Array:
    """Points within `fill` times the radius of the body's axis."""
    curve = CubicSpline(np.linspace(0, 1, len(axis)), axis)
    offset = rng.normal(size=(count, 3))
    offset /= np.linalg.norm(offset, axis=1, keepdims=True)
    offset *= np.cbrt(rng.uniform(size=(count, 1))) * radius_um * fill
    points: Array = curve(rng.uniform(0, 1, count)) + offset
    return points


def _within(phantom: Phantom, half_depth_um: float) -> Phantom:
    """Leave out what lies deeper than the simulated volume."""
    keep = np.abs(phantom.points_um[:, 0]) <= half_depth_um
    centres = phantom.centres_um
    return Phantom(
        phantom.points_um[keep],
        phantom.brightness[keep],
        centres[np.abs(centres[:, 0]) <= half_depth_um],
    )

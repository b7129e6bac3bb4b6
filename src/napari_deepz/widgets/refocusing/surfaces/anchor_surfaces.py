"""The surface that anchors stand for, and what is still missing."""

from __future__ import annotations

import math

import numpy as np

from napari_deepz.surfaces import AlongPath, FromPoints, Surface, Tilted
from napari_deepz.surfaces.geometry import fit_plane, image_centre_um
from napari_deepz.widgets.refocusing.surfaces.anchor_history import Rows

PLANE, SMOOTH, ALONG = "Plane", "Smooth surface", "Along the line"

EXACT_UM = 10.0
"""A smooth surface that is smoothed over this length, or less, passes through every anchor."""

_NEEDED = {PLANE: 3, SMOOTH: 3, ALONG: 2}
_RESULT = {
    PLANE: "3 anchors make a plane",
    SMOOTH: "3 anchors make a plane, more a smooth surface",
    ALONG: "Go on along the body: 2 anchors make a line",
}


def surface_through(
    form: str, rows_um: Rows, shape: tuple[int, int], pixel_size_um: float, *, smooth_um: float
) -> Surface:
    """Make the surface that anchors stand for.

    Parameters
    ----------
    form : str
        `PLANE`, `SMOOTH` or `ALONG`.
    rows_um : ndarray
        (N, 3) y, x and z of the anchors in µm from the image's first pixel.
    shape : tuple of int
        (Y, X) of the image in pixels.
    pixel_size_um : float
        Size of a pixel in µm.
    smooth_um : float
        Of a smooth surface: what is narrower is smoothed away, see `smoothing_over`.

    Returns
    -------
    Surface
        The `Tilted` plane that fits best, a `FromPoints` or an `AlongPath`.

    Raises
    ------
    ValueError
        If the anchors do not suffice; one sentence.
    """
    if len(rows_um) < _NEEDED[form]:
        raise ValueError(_too_few(form, len(rows_um)))
    if form == ALONG:
        return AlongPath(rows_um)
    if fit_plane(rows_um).on_one_line:
        raise ValueError(_on_one_line(len(rows_um)))
    if form == PLANE:
        return plane_through(rows_um, shape, pixel_size_um)
    area_um2 = math.prod(shape) * pixel_size_um**2
    return FromPoints(rows_um, smoothing=smoothing_over(smooth_um, len(rows_um) / area_um2))


def plane_through(rows_um: Rows, shape: tuple[int, int], pixel_size_um: float) -> Tilted:
    """Fit a tilted plane to (N, 3) anchors by least squares of their depths."""
    plane = fit_plane(rows_um)
    return Tilted(
        math.degrees(math.atan(plane.slope_x)),
        math.degrees(math.atan(plane.slope_y)),
        float(plane.depth_um(*image_centre_um(shape, pixel_size_um))),
    )


def smoothing_over(length_um: float, anchors_per_um2: float) -> float:
    """Find the smoothing of `FromPoints` that halves waves of one length.

    A thin plate through n anchors per µm² with the smoothing λ minimises the squared distance from
    the anchors plus λ / 8π times the bending energy (Wahba 1990, doi:10.1137/1.9781611970128,
    chapter 2.4, with the kernel r² log r). Waves of the length w then keep the part
    1 / (1 + λ (2π / w)⁴ / (8π n)) of their height.

    Parameters
    ----------
    length_um : float
        Length of the waves; up to `EXACT_UM` nothing is smoothed.
    anchors_per_um2 : float
        How dense the anchors are.

    Returns
    -------
    float
        The smoothing, 0 or larger.
    """
    if length_um <= EXACT_UM:
        return 0.0
    return 8 * math.pi * anchors_per_um2 * (length_um / (2 * math.pi)) ** 4


def what_next(form: str, rows_um: Rows) -> str:
    """Say in one line how many anchors there are, or what to do to get a surface."""
    count = len(rows_um)
    if count == 0:
        return f"Move the focus until a cell is sharp, then click it. {_RESULT[form]}."
    if count < _NEEDED[form]:
        return _too_few(form, count)
    if form == ALONG:
        length_um = np.linalg.norm(np.diff(rows_um[:, :2], axis=0), axis=1).sum()
        return f"{count} anchors along {length_um:.0f} µm"
    plane = fit_plane(rows_um)
    if plane.on_one_line:
        return _on_one_line(count)
    if count == _NEEDED[form]:
        return f"{count} anchors"
    away_um = rows_um[:, 2] - plane.depth_um(rows_um[:, 0], rows_um[:, 1])
    return f"{count} anchors, {np.sqrt(np.mean(away_um**2)):.1f} µm rms from the plane"


def _too_few(form: str, count: int) -> str:
    return f"{count} of {_NEEDED[form]} anchors: click another cell where it is sharp."


def _on_one_line(count: int) -> str:
    return f"The {count} anchors lie on one line: set one to the side of it."

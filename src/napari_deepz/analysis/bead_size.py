"""How wide a bead looks, across and in depth: full widths at half maximum."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares

FWHM_OF_SIGMA = 2 * math.sqrt(2 * math.log(2))
RING_RADII = (1.0, 1.5)
NOISE_THRESHOLD = 3.0
WIDEST_SHARE = 0.8
FINE_STEPS = 50

_SMALLEST_SIGMA_PX = 0.2
_CORE_PX = 1.5

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Spot:
    """A round Gaussian on an even background, fitted to an image.

    Parameters
    ----------
    centre_px : tuple of float
        (y, x) in pixels.
    fwhm_px : float
        Full width at half maximum in pixels, the camera's pixel included.
    amplitude, background : float
        Height above the background, and the background, in the unit of the pixels.
    """

    centre_px: tuple[float, float]
    fwhm_px: float
    amplitude: float
    background: float


def fit_spot(image: ArrayLike, position_px: ArrayLike, radius_px: float) -> Spot | None:
    """Fit a round Gaussian on an even background to one bead by least squares.

    Parameters
    ----------
    image : array-like
        (Y, X) finite numbers.
    position_px : array-like
        (y, x) of the bead in pixels, to within half the radius.
    radius_px : float
        Radius of the circle that is fitted, in pixels, at least 3; the first guess of the
        background comes from the ring between it and half as much again.

    Returns
    -------
    Spot or None
        None where no spot stands out from the ring, where it is wider than 0.8 of the circle's
        diameter, or where the circle leaves the image.

    Raises
    ------
    ValueError
        If the image is not 2D or not finite, or the radius is too small.
    """
    pixels = np.asarray(image, np.float64)
    if pixels.ndim != 2 or not np.isfinite(pixels).all():
        raise ValueError("A spot is fitted to a 2D image (Y, X) of finite numbers.")
    if not radius_px >= 3:
        raise ValueError(f"A circle of {radius_px} pixels radius is too small; choose at least 3.")
    at = np.asarray(position_px, np.float64)
    if (at < radius_px).any() or (at > np.array(pixels.shape) - 1 - radius_px).any():
        return None
    y, x, distance = _around(pixels.shape, at, RING_RADII[1] * radius_px)
    values = pixels[y, x]
    ring = values[distance >= radius_px]
    background = float(np.median(ring))
    noise = 1.4826 * float(np.median(np.abs(ring - background)))
    height = float(values[distance <= _CORE_PX].max()) - background
    if height <= NOISE_THRESHOLD * noise or height <= 0:
        return None
    inside = distance <= radius_px
    y, x, scaled = y[inside] - at[0], x[inside] - at[1], (values[inside] - background) / height

    def misses(p: Values) -> Values:
        squared = (y - p[0]) ** 2 + (x - p[1]) ** 2
        gaussian: Values = p[3] * np.exp(-squared / (2 * p[2] ** 2)) + p[4] - scaled
        return gaussian

    fitted = least_squares(
        misses,
        [0.0, 0.0, 1.2, 1.0, 0.0],
        bounds=(
            [-radius_px / 2, -radius_px / 2, _SMALLEST_SIGMA_PX, 0.0, -10.0],
            [radius_px / 2, radius_px / 2, 2 * radius_px, 10.0, 10.0],
        ),
    )
    dy, dx, sigma, amplitude, offset = (float(value) for value in fitted.x)
    fwhm_px = FWHM_OF_SIGMA * sigma
    if fwhm_px > WIDEST_SHARE * 2 * radius_px or amplitude * height <= NOISE_THRESHOLD * noise:
        return None
    return Spot(
        centre_px=(float(at[0]) + dy, float(at[1]) + dx),
        fwhm_px=fwhm_px,
        amplitude=amplitude * height,
        background=background + offset * height,
    )


def lateral_fwhm_um(
    image: ArrayLike,
    position_px: ArrayLike,
    pixel_size_um: float,
    *,
    window_radius_um: float = 2.0,
) -> Values:
    """Measure the full width at half maximum of each bead across the image, by `fit_spot`.

    Parameters
    ----------
    image : array-like
        (Y, X) finite numbers.
    position_px : array-like
        (N, 2) position (y, x) of each bead in pixels.
    pixel_size_um : float
        Size of a pixel in µm.
    window_radius_um : float, optional
        Radius in µm of the circle that is fitted; it should hold one bead alone.

    Returns
    -------
    ndarray
        (N,) float64 in µm; NaN where there is no spot, as `fit_spot` says.

    Raises
    ------
    ValueError
        As for `fit_spot`.
    """
    radius_px = window_radius_um / pixel_size_um
    spots = [fit_spot(image, at, radius_px) for at in np.asarray(position_px, np.float64)]
    widths_px = [math.nan if spot is None else spot.fwhm_px for spot in spots]
    return np.array(widths_px, np.float64) * pixel_size_um


def axial_fwhm_um(
    stack: ArrayLike,
    z_um: ArrayLike,
    position_px: ArrayLike,
    pixel_size_um: float,
    *,
    window_radius_um: float = 2.0,
) -> Values:
    """Measure the full width at half maximum of each bead along z.

    The profile is the intensity at the bead's position in every plane, interpolated between
    pixels, less the background: the median of the ring from one to one and a half window radii in
    the same plane. A cubic spline through the profile gives its peak and where it has fallen to
    half on either side. Spots that are hardly wider than a pixel come out a little too long, as
    their peak falls between pixels.

    Parameters
    ----------
    stack : array-like
        (Z, Y, X) focal stack of finite numbers, Z >= 4.
    z_um : array-like
        (Z,) depth of each plane in µm, rising.
    position_px : array-like
        (N, 2) position (y, x) of each bead in pixels, to within a fraction of a pixel.
    pixel_size_um : float
        Size of a pixel in µm.
    window_radius_um : float, optional
        Where the ring begins, µm.

    Returns
    -------
    ndarray
        (N,) float64 in µm; NaN where the profile does not fall to half within the stack, or is
        nowhere above its background.

    Raises
    ------
    ValueError
        If the stack and the depths do not go together.
    """
    planes = np.asarray(stack)
    depths = np.asarray(z_um, np.float64)
    if planes.ndim != 3 or len(planes) < 4 or depths.shape != planes.shape[:1]:
        raise ValueError(
            "A width along z needs a stack (Z, Y, X) of at least 4 planes and one depth for each."
        )
    if not (np.diff(depths) > 0).all():
        raise ValueError("The depths of the planes must rise from plane to plane.")
    radius_px = window_radius_um / pixel_size_um
    widths = [
        _half_maximum_width(depths, _profile(planes, at, radius_px))
        for at in np.asarray(position_px, np.float64)
    ]
    return np.array(widths, np.float64)


def _around(
    shape: tuple[int, ...], at: Values, radius_px: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], Values]:
    """Pixels within a radius of a position, (N,) y and x, and their distances."""
    first = np.maximum(np.floor(at - radius_px), 0).astype(int)
    last = np.minimum(np.ceil(at + radius_px) + 1, shape).astype(int)
    y, x = np.mgrid[first[0] : last[0], first[1] : last[1]]
    distance = np.hypot(y - at[0], x - at[1])
    near = distance <= radius_px
    return y[near], x[near], distance[near]


def _profile(planes: NDArray[np.generic], at: Values, radius_px: float) -> Values:
    y, x, distance = _around(planes.shape[1:], at, RING_RADII[1] * radius_px)
    ring = distance >= RING_RADII[0] * radius_px
    background = np.median(planes[:, y[ring], x[ring]].astype(np.float64), axis=1)
    low = np.array([y.min(), x.min()])
    crop = planes[:, low[0] : y.max() + 1, low[1] : x.max() + 1].astype(np.float64)
    point = (at - low)[:, np.newaxis]
    centre = [map_coordinates(plane, point, order=3, mode="nearest")[0] for plane in crop]
    return np.array(centre) - background


def _half_maximum_width(z_um: Values, profile: Values) -> float:
    fine_um = np.interp(
        np.linspace(0, len(z_um) - 1, FINE_STEPS * (len(z_um) - 1) + 1), np.arange(len(z_um)), z_um
    )
    curve = CubicSpline(z_um, profile)(fine_um)
    top = int(np.argmax(curve))
    half = curve[top] / 2
    if half <= 0:
        return math.nan
    below, above = (np.flatnonzero(part < half) for part in (curve[: top + 1], curve[top:]))
    if not (below.size and above.size):
        return math.nan
    left, right = int(below[-1]), top + int(above[0])
    # Linear between two points of the fine curve
    start = np.interp(half, curve[[left, left + 1]], fine_um[[left, left + 1]])
    stop = np.interp(half, curve[[right, right - 1]], fine_um[[right, right - 1]])
    return float(stop - start)

"""Measures of how close a virtual image is to the truth, and of how well beads are in focus."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates
from skimage.metrics import (
    mean_squared_error,
    peak_signal_noise_ratio,
    structural_similarity,
)

SSIM_WINDOW_PX = 11
RING_RADII = (4.0, 8.0)
NOISE_THRESHOLD = 3.0
CENTROID_PASSES = 4
POLAR_STEP_PX = 0.05
POLAR_ANGLES = 64

Values = NDArray[np.float64]


def rmse(image: ArrayLike, truth: ArrayLike) -> float:
    """Compute the root mean square error, in the unit of the pixels.

    Parameters
    ----------
    image, truth : array-like
        (Y, X), finite numbers of any type.

    Raises
    ------
    ValueError
        If the images differ in shape, are not 2D, are empty or hold pixels that are not finite.
    """
    return math.sqrt(mean_squared_error(*_pair(image, truth)))


def psnr(image: ArrayLike, truth: ArrayLike, *, data_range: float) -> float:
    """Compute the peak signal-to-noise ratio, 20 log10(data_range / RMSE), in dB.

    Parameters
    ----------
    image, truth : array-like
        (Y, X), finite numbers of any type.
    data_range : float
        Span of intensities that counts as full scale, in the unit of the pixels.

    Returns
    -------
    float
        In dB; infinite for equal images.

    Raises
    ------
    ValueError
        As for `rmse`, or if the data range is not positive.
    """
    image, truth = _pair(image, truth)
    _check_data_range(data_range)
    if mean_squared_error(truth, image) == 0:
        return math.inf
    return float(peak_signal_noise_ratio(truth, image, data_range=data_range))


def ssim(image: ArrayLike, truth: ArrayLike, *, data_range: float) -> float:
    """Compute the mean structural similarity with a Gaussian window of 1.5 pixels.

    Wang et al., 2004, doi:10.1109/TIP.2003.819861, with the constants given there.

    Parameters
    ----------
    image, truth : array-like
        (Y, X), finite numbers of any type, at least 11 x 11 pixels.
    data_range : float
        Span of intensities that counts as full scale, in the unit of the pixels.

    Returns
    -------
    float
        1 for equal images, constant ones included; never above 1.

    Raises
    ------
    ValueError
        As for `psnr`, or if the images are smaller than the window.
    """
    image, truth = _pair(image, truth)
    _check_data_range(data_range)
    if min(truth.shape) < SSIM_WINDOW_PX:
        raise ValueError(
            f"The structural similarity needs images of at least {SSIM_WINDOW_PX} x "
            f"{SSIM_WINDOW_PX} pixels, not {truth.shape[0]} x {truth.shape[1]}."
        )
    return float(
        structural_similarity(
            truth,
            image,
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def correlation(image: ArrayLike, truth: ArrayLike) -> float:
    """Compute Pearson's correlation coefficient over all pixels.

    Parameters
    ----------
    image, truth : array-like
        (Y, X), finite numbers of any type.

    Returns
    -------
    float
        From -1 to 1; NaN where one of the images is constant, as it is then undefined.

    Raises
    ------
    ValueError
        As for `rmse`.
    """
    image, truth = _pair(image, truth)
    spans = np.ptp(image), np.ptp(truth)
    if min(spans) == 0:
        return math.nan
    a = (image - image.mean()) / spans[0]
    b = (truth - truth.mean()) / spans[1]
    coefficient = float(np.sum(a * b) / math.sqrt(np.sum(a**2) * np.sum(b**2)))
    return min(1.0, max(-1.0, coefficient))


def best_focus_um(
    stack: ArrayLike, z_um: ArrayLike, position_px: ArrayLike, *, radius_px: float = 2.0
) -> Values:
    """Find the depth at which most of each bead's light lies within a small circle.

    The light is the sum inside the circle less the background, the median of the ring from four
    to eight radii in the same plane. A parabola through the brightest plane and its two
    neighbours gives the depth between planes.

    Parameters
    ----------
    stack : array-like
        (Z, Y, X) focal stack of finite numbers, Z >= 3.
    z_um : array-like
        (Z,) depth of each plane in µm, rising or falling throughout.
    position_px : array-like
        (N, 2) position (y, x) of each bead in pixels.
    radius_px : float, optional
        Radius of the circle in pixels, at least 1.

    Returns
    -------
    ndarray
        (N,) float64 in µm; NaN where the first or last plane is the brightest, so that the focus
        may lie beyond the stack, or where no plane is brighter than its background.

    Raises
    ------
    ValueError
        If the stack, the depths, the positions or the radius are not as described above.
    """
    planes = np.asarray(stack)
    depths = np.asarray(z_um, float)
    if planes.ndim != 3 or len(planes) < 3:
        raise ValueError(
            f"The best focus needs a stack (Z, Y, X) of at least 3 planes, not {planes.shape}."
        )
    steps = np.diff(depths)
    if depths.shape != planes.shape[:1] or not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError(
            f"The {len(planes)} planes of the stack need one depth each, all rising or all falling."
        )
    if not np.isfinite(planes).all():
        raise ValueError(
            "The stack holds pixels that are not finite (NaN or infinite); replace them first."
        )
    if not radius_px >= 1:
        raise ValueError(
            f"The radius of the circle is {radius_px} pixels; choose at least one pixel."
        )
    positions = _positions(position_px, planes.shape[1:])
    return np.array(
        [_peak_um(depths, _light_in_circle(planes, at, radius_px)) for at in positions], float
    )


def half_light_diameter_um(
    image: ArrayLike,
    position_px: ArrayLike,
    pixel_size_um: float,
    *,
    search_radius_um: float = 5.0,
) -> Values:
    """Measure the circle about each bead's centroid that holds half of its light.

    The background is the median of the ring from one to one and a half search radii. The centroid
    is that of the light which stands out from the noise there, the total that of the circle of
    the search radius about the centroid; light is integrated over circles of growing radius on a
    cubic interpolation of the pixels. For a Gaussian spot the result is 2.355 sigma.

    Parameters
    ----------
    image : array-like
        (Y, X) image of beads.
    position_px : array-like
        (N, 2) position (y, x) of each bead in pixels, to within about half the search radius.
    pixel_size_um : float
        Size of a pixel in µm.
    search_radius_um : float, optional
        Radius in µm of the circle taken to hold all light of a bead and of no other.

    Returns
    -------
    ndarray
        (N,) float64 in µm; NaN where the search circle leaves the image, or where no light stands
        out from the background.

    Raises
    ------
    ValueError
        If the image is not 2D, a position lies outside it, the pixel size is not positive, or the
        search radius is less than two pixels.
    """
    pixels = _image(image)
    if not (math.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise ValueError(
            f"The pixel size is {pixel_size_um} µm; give a positive number of micrometres."
        )
    radius_px = search_radius_um / pixel_size_um
    if not radius_px >= 2:
        raise ValueError(
            f"The search radius of {search_radius_um} µm is less than two pixels of "
            f"{pixel_size_um} µm; choose a larger one."
        )
    positions = _positions(position_px, pixels.shape)
    diameters_px = [_half_light_diameter_px(pixels, at, radius_px) for at in positions]
    return np.array(diameters_px, float) * pixel_size_um


def _light_in_circle(planes: NDArray[Any], at: Values, radius_px: float) -> Values:
    window, distance = _window(planes.shape[1:], at, RING_RADII[1] * radius_px)
    crop = planes[(slice(None), *window)].astype(float)
    circle = distance <= radius_px
    ring = distance >= RING_RADII[0] * radius_px
    if not ring.any():
        raise ValueError(
            f"The image of {planes.shape[1]} x {planes.shape[2]} pixels is too small for a circle "
            f"of {radius_px} pixels radius with its background; choose a smaller radius."
        )
    background = np.median(crop[:, ring], axis=1)
    light: Values = crop[:, circle].sum(axis=1) - background * np.count_nonzero(circle)
    return light


def _peak_um(z_um: Values, light: Values) -> float:
    top = int(np.argmax(light))
    if not 0 < top < len(light) - 1 or light[top] <= 0:
        return math.nan
    below, above = z_um[[top - 1, top + 1]] - z_um[top]
    drop_below, drop_above = light[top] - light[[top - 1, top + 1]]
    # Apex of the parabola through three points, the middle one at the origin
    denominator = drop_below * above - drop_above * below
    if denominator == 0:
        return float(z_um[top])
    offset = (drop_below * above**2 - drop_above * below**2) / (2 * denominator)
    return float(z_um[top] + offset)


def _half_light_diameter_px(image: Values, at: Values, radius_px: float) -> float:
    centre = at
    for _ in range(CENTROID_PASSES):
        window, distance = _window(image.shape, centre, 1.5 * radius_px)
        crop = image[window]
        ring = crop[(distance >= radius_px) & (distance <= 1.5 * radius_px)]
        if ring.size == 0:
            return math.nan
        background = float(np.median(ring))
        noise = 1.4826 * float(np.median(np.abs(ring - background)))
        light = crop - background
        weight = np.where((distance <= radius_px) & (light > NOISE_THRESHOLD * noise), light, 0.0)
        if weight.sum() <= 0:
            return math.nan
        y, x = np.indices(crop.shape)
        corner = np.array([window[0].start, window[1].start])
        centroid = np.array([np.average(y, weights=weight), np.average(x, weights=weight)])
        centre = corner + centroid
        if (centre < radius_px).any() or (centre > np.array(image.shape) - 1 - radius_px).any():
            return math.nan
    radii = np.arange(0, radius_px + POLAR_STEP_PX, POLAR_STEP_PX)
    angles = np.arange(POLAR_ANGLES) * (2 * math.pi / POLAR_ANGLES)
    rays = np.stack([np.sin(angles), np.cos(angles)])[:, np.newaxis, :] * radii[:, np.newaxis]
    sampled = map_coordinates(light, rays + centroid[:, np.newaxis, np.newaxis], order=3)
    density = sampled.mean(axis=1) * radii
    enclosed = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    half = enclosed[-1] / 2
    if half <= 0:
        return math.nan
    first = int(np.argmax(enclosed >= half))
    share = (half - enclosed[first - 1]) / (enclosed[first] - enclosed[first - 1])
    return float(2 * (radii[first - 1] + share * POLAR_STEP_PX))


def _window(
    shape: tuple[int, ...], at: Values, radius_px: float
) -> tuple[tuple[slice, slice], Values]:
    """Cut a square about a position, clipped to the image, and measure distances to the latter."""
    first = np.maximum(np.floor(at - radius_px), 0).astype(int)
    last = np.minimum(np.ceil(at + radius_px) + 1, shape).astype(int)
    y = np.arange(first[0], last[0])[:, np.newaxis] - at[0]
    x = np.arange(first[1], last[1])[np.newaxis] - at[1]
    return (slice(first[0], last[0]), slice(first[1], last[1])), np.hypot(y, x)


def _pair(image: ArrayLike, truth: ArrayLike) -> tuple[Values, Values]:
    a, b = _image(image), _image(truth)
    if a.shape != b.shape:
        raise ValueError(
            f"Two images can only be compared at the same size, not {a.shape[0]} x {a.shape[1]} "
            f"with {b.shape[0]} x {b.shape[1]} pixels."
        )
    return a, b


def _image(pixels: ArrayLike) -> Values:
    image = np.asarray(pixels, np.float64)
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"A 2D image (Y, X) is needed, not an array of shape {image.shape}.")
    if not np.isfinite(image).all():
        raise ValueError(
            "The image holds pixels that are not finite (NaN or infinite); replace them first."
        )
    return image


def _positions(position_px: ArrayLike, shape: tuple[int, ...]) -> Values:
    positions = np.asarray(position_px, np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ValueError(
            f"Bead positions are rows of (y, x) in pixels, not an array of {positions.shape}."
        )
    inside = (positions >= -0.5) & (positions <= np.array(shape) - 0.5)
    if not inside.all():
        raise ValueError(
            f"{np.count_nonzero(~inside.all(axis=1))} bead(s) lie outside the image of "
            f"{shape[0]} x {shape[1]} pixels; give positions (y, x) inside it."
        )
    return positions


def _check_data_range(data_range: float) -> None:
    if not (math.isfinite(data_range) and data_range > 0):
        raise ValueError(
            f"The data range is {data_range}; give the positive span of intensities from black to "
            "full scale."
        )

"""A whole stack in one picture: brightness from the brightest plane, colour from its depth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from napari_deepz.atomic_files import written_beside
from napari_deepz.names import plain_name
from napari_deepz.provenance import RECORD_KEY, Provenance

COLOURS = "turbo"
_LONGER_SIDE_INCHES = 6.0
_SMALLEST_INCHES = (5.0, 3.6)
_DPI = (150, 700)
_PIXELS_PER_DOT = 0.85
_SHOWN_PERCENTILES = (50.0, 99.8)


def depth_coded_projection(
    planes: Iterable[ArrayLike],
    z_um: Sequence[float],
    *,
    limits: tuple[float, float] | None = None,
) -> NDArray[np.float32]:
    """Project a stack onto its brightest values, coloured by the depth where they are.

    Parameters
    ----------
    planes : iterable of array-like
        (Y, X) finite intensities, one after the other: a stack (Z, Y, X), or what makes its planes.
    z_um : sequence of float
        Depth of each plane in µm; the lowest and the highest are the ends of the colours.
    limits : tuple of float, optional
        Intensities shown black and at full brightness; by default the median and the 99.8th
        percentile of the brightest values.

    Returns
    -------
    ndarray
        (Y, X, 3) float32 from 0 to 1. Where planes are equally bright, the first has the colour.

    Raises
    ------
    ValueError
        If the planes do not have one depth each.
    """
    value, brightest = _brightest(planes, len(z_um))
    depths = np.asarray(z_um, np.float64)
    low, high = projection_limits(value) if limits is None else limits
    brightness = ((value - low) / (high - low if high > low else 1)).clip(0, 1)
    projection: NDArray[np.float32] = depth_shades(depths, z_um)[brightest] * brightness[..., None]
    return projection


def depth_shades(depths_um: ArrayLike, z_um: Sequence[float]) -> NDArray[np.float32]:
    """Colours (n, 3), from 0 to 1, of n depths, where those of a stack go through all colours."""
    scale = _scale(np.asarray(z_um, np.float64))
    shades: NDArray[np.float32] = colormaps[COLOURS](scale(np.asarray(depths_um)))[:, :3]
    return shades.astype(np.float32)


def projection_limits(values: ArrayLike) -> tuple[float, float]:
    """Intensities shown black and at full brightness, of brightest values."""
    low, high = np.percentile(np.asarray(values), _SHOWN_PERCENTILES)
    return float(low), float(high)


def _brightest(
    planes: Iterable[ArrayLike], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Brightest values (Y, X), and in which plane they are."""
    value, index, seen = np.empty(0, np.float32), np.empty(0, np.int64), 0
    for plane in planes:
        pixels = np.asarray(plane, np.float32)
        if pixels.ndim != 2:
            break
        if seen == 0:
            value, index = pixels.copy(), np.zeros(pixels.shape, np.int64)
        brighter = pixels > value
        value[brighter], index[brighter] = pixels[brighter], seen
        seen += 1
    if seen == 0 or seen != count:
        raise ValueError("A depth-coded projection needs a stack with one depth for each plane.")
    return value, index


def write_depth_coded_projection(
    path: Path,
    planes: Iterable[ArrayLike],
    z_um: Sequence[float],
    *,
    pixel_size_um: float,
    caption: str,
    provenance: Provenance,
    limits: tuple[float, float] | None = None,
) -> None:
    """Save a depth-coded projection as a PNG, with axes and a colour bar in µm.

    Parameters
    ----------
    path : Path
        The file, replaced if it is there, and only when the picture is complete.
    planes, z_um, limits
        As for `depth_coded_projection`.
    pixel_size_um : float
        Size of a pixel in µm.
    caption : str
        Written above: what made the stack, and that it is inferred where it is.
    provenance : Provenance
        Of the stack: in the file's text as JSON, and in words as its description.

    Raises
    ------
    ValueError
        As `depth_coded_projection`.
    OSError
        If the file cannot be written; one sentence.
    """
    projection = depth_coded_projection(planes, z_um, limits=limits)
    figure, dpi = _drawn(projection, z_um, pixel_size_um, caption)
    text = {"Description": provenance.describe(), RECORD_KEY: provenance.to_json()}
    with written_beside(path) as beside:
        figure.savefig(beside, dpi=dpi, format="png", metadata=text)


def _drawn(
    projection: NDArray[np.float32], z_um: Sequence[float], pixel_size_um: float, caption: str
) -> tuple[Figure, float]:
    """The picture, and dots per inch that keep pixels apart, of images up to 3500 pixels wide."""
    height, width = projection.shape[:2]
    inches = _LONGER_SIDE_INCHES * np.array([width, height]) / max(width, height) + (1.8, 1.6)
    figure = Figure(figsize=np.maximum(inches, _SMALLEST_INCHES), layout="constrained")
    axes = figure.add_subplot()
    extent = (0, width * pixel_size_um, height * pixel_size_um, 0)
    axes.imshow(projection, extent=extent, interpolation="antialiased")
    axes.set_xlabel("x (µm)")
    axes.set_ylabel("y (µm)")
    figure.suptitle(
        "\n".join(map(plain_name, caption.splitlines())), fontsize=9, wrap=True, parse_math=False
    )
    scale = ScalarMappable(_scale(np.asarray(z_um, np.float64)), COLOURS)
    figure.colorbar(scale, ax=axes, label="distance from the input plane (µm)", shrink=0.85)
    wanted = max(width, height) / (_PIXELS_PER_DOT * _LONGER_SIDE_INCHES)
    return figure, float(np.clip(wanted, *_DPI))


def _scale(depths: NDArray[np.float64]) -> Normalize:
    low, high = float(depths.min()), float(depths.max())
    return Normalize(low, high if high > low else low + 1)

"""A whole stack in one picture: brightness from the brightest plane, colour from its depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

COLOURS = "turbo"
_DPI = 150
_SHOWN_PERCENTILES = (50.0, 99.8)


def depth_coded_projection(
    stack: ArrayLike, z_um: Sequence[float], *, limits: tuple[float, float] | None = None
) -> NDArray[np.float32]:
    """Project a stack onto its brightest values, coloured by the depth where they are.

    Parameters
    ----------
    stack : array-like
        (Z, Y, X) finite intensities.
    z_um : sequence of float
        Depth of each plane in µm; the lowest and the highest are the ends of the colours.
    limits : tuple of float, optional
        Intensities shown black and at full brightness; by default the median and the 99.8th
        percentile of the brightest values.

    Returns
    -------
    ndarray
        (Y, X, 3) float32 from 0 to 1.

    Raises
    ------
    ValueError
        If the planes do not have one depth each.
    """
    planes, depths = np.asarray(stack), np.asarray(z_um, np.float64)
    if planes.ndim != 3 or depths.shape != planes.shape[:1]:
        raise ValueError("A depth-coded projection needs a stack with one depth for each plane.")
    brightest = planes.argmax(axis=0)
    value = np.take_along_axis(planes, brightest[None], axis=0)[0].astype(np.float32)
    low, high = limits if limits is not None else np.percentile(value, _SHOWN_PERCENTILES)
    brightness = ((value - low) / (high - low if high > low else 1)).clip(0, 1)
    shades = colormaps[COLOURS](_scale(depths)(depths))[:, :3].astype(np.float32)
    projection: NDArray[np.float32] = shades[brightest] * brightness[..., None]
    return projection


def write_depth_coded_projection(
    path: Path,
    stack: ArrayLike,
    z_um: Sequence[float],
    *,
    pixel_size_um: float,
    caption: str,
    limits: tuple[float, float] | None = None,
) -> None:
    """Save a depth-coded projection as a PNG, with axes and a colour bar in µm.

    Parameters
    ----------
    path : Path
        The file, replaced if it is there, and only when the picture is complete.
    stack, z_um, limits
        As for `depth_coded_projection`.
    pixel_size_um : float
        Size of a pixel in µm.
    caption : str
        Written above: what made the stack, and that it is inferred where it is.
    """
    projection = depth_coded_projection(stack, z_um, limits=limits)
    height, width = projection.shape[:2]
    inches = 6.0 * np.array([width, height]) / max(width, height)
    figure = Figure(figsize=(inches[0] + 1.8, inches[1] + 1.2), layout="constrained")
    axes = figure.add_subplot()
    extent = (0, width * pixel_size_um, height * pixel_size_um, 0)
    axes.imshow(projection, extent=extent, interpolation="nearest")
    axes.set_xlabel("x (µm)")
    axes.set_ylabel("y (µm)")
    axes.set_title(caption, fontsize=9, wrap=True)
    scale = ScalarMappable(_scale(np.asarray(z_um, np.float64)), COLOURS)
    figure.colorbar(scale, ax=axes, label="distance from the input plane (µm)", shrink=0.85)
    beside = path.with_name(f".partial-{path.name}")
    try:
        figure.savefig(beside, dpi=_DPI, format="png", metadata={"Description": caption})
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _scale(depths: NDArray[np.float64]) -> Normalize:
    low, high = float(depths.min()), float(depths.max())
    return Normalize(low, high if high > low else low + 1)

"""Invertible intensity normalisations, the same ones in training and in inference.

A generator sees ``f((image - offset) / gain)``: the offset and the gain are measured once on the
whole image, so that all tiles and all planes of it share them, and the output goes back through
the exact inverse into the image's own units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_triangle

Method = Literal["signed-sqrt", "median-p99"]
METHODS: tuple[str, ...] = get_args(Method)

_SAMPLE_PIXELS = 1 << 22


@dataclass(frozen=True)
class Intensity:
    """A normalisation fitted to one image.

    Parameters
    ----------
    method : {"signed-sqrt", "median-p99"}
        ``signed-sqrt`` takes the square root of the magnitude and keeps the sign: photon noise
        becomes even, bright focused and faint defocused light come closer together.
        ``median-p99`` is linear.
    offset : float
        Intensity that becomes zero, in the image's units.
    gain : float
        Intensity above the offset that becomes one, in the image's units.
    """

    method: Method
    offset: float
    gain: float

    def apply(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """Normalise an image of any shape and real dtype to float32."""
        scaled = np.asarray(image).astype(np.float32)
        scaled -= np.float32(self.offset)
        scaled /= np.float32(self.gain)
        if self.method == "signed-sqrt":
            root = np.sqrt(np.abs(scaled))
            np.copysign(root, scaled, out=scaled)
        return scaled

    def invert(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring normalised values back to the image's units, float32."""
        if self.method == "signed-sqrt":
            restored = np.abs(values)
            restored *= values
        else:
            restored = values.copy()
        restored *= np.float32(self.gain)
        restored += np.float32(self.offset)
        return restored.astype(np.float32, copy=False)


def fit_intensity(method: str, image: NDArray[np.generic]) -> Intensity:
    """Measure offset and gain of a normalisation on one image.

    Parameters
    ----------
    method : str
        One of `METHODS`. ``signed-sqrt``: offset = median, gain = 99.5th percentile - median.
        ``median-p99``: offset = median, gain = 99th percentile of the pixels above the Triangle
        threshold (Zack, Rogers & Latt 1977, doi:10.1177/25.7.70454), as Wu et al. 2019
        (doi:10.1038/s41592-019-0622-5) normalise.
    image : ndarray
        (Y, X), finite. Above four million pixels a regular grid of them is measured.

    Returns
    -------
    Intensity
        Where the percentile is no higher than the median, as with a few spots on an empty
        background, the gain is the range from the median to the maximum; one if there is none.

    Raises
    ------
    ValueError
        If the method is not known.
    """
    stride = max(1, int(np.ceil(np.sqrt(image.size / _SAMPLE_PIXELS))))
    sample = np.asarray(image[::stride, ::stride], dtype=np.float32)
    offset = float(np.median(sample))
    if method == "signed-sqrt":
        gain = float(np.percentile(sample, 99.5)) - offset
        return Intensity("signed-sqrt", offset, gain if gain > 0 else _highest(image, offset))
    if method == "median-p99":
        foreground = sample[sample > threshold_triangle(sample)] if np.ptp(sample) > 0 else sample
        gain = float(np.percentile(foreground, 99)) if foreground.size else 0.0
        return Intensity("median-p99", offset, gain if gain > 0 else _highest(image, offset))
    known = " or ".join(f"'{name}'" for name in METHODS)
    raise ValueError(f"The normalisation '{method}' is not known; use {known}.")


def _highest(image: NDArray[np.generic], offset: float) -> float:
    """Contrast of the brightest pixel, or one."""
    contrast = float(image.max()) - offset
    return contrast if contrast > 0 else 1.0

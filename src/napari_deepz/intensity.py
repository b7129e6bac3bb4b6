"""Invertible intensity normalisations, the same ones in training and in inference.

A generator sees ``f((image - offset) / gain)``: the offset and the gain are measured once on the
whole image, so that all tiles and all planes of it share them, and the output goes back through
the exact inverse into the image's own units.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_triangle

Method = Literal["signed-sqrt", "median-p99", "mean-std", "as-is"]
METHODS: tuple[str, ...] = get_args(Method)

Pixels = TypeVar("Pixels", bound=Any)

_PERCENTILES = re.compile(r"percentiles-(\d{1,2}(?:\.\d+)?)-(\d{1,3}(?:\.\d+)?)")
_SAMPLE_PIXELS = 1 << 22
_GREY_LEVELS = 256


@dataclass(frozen=True)
class Intensity:
    """A normalisation fitted to one image.

    Parameters
    ----------
    method : str
        ``signed-sqrt`` takes the square root of the magnitude and keeps the sign: photon noise
        becomes even, bright focused and faint defocused light come closer together. All others
        are linear.
    offset : float
        Intensity that becomes zero, in the image's units.
    gain : float
        Intensity above the offset that becomes one, in the image's units.
    """

    method: str
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

    def at_light(self, light: float, dark: float) -> Intensity:
        """Give that of the same scene under more or less light.

        Parameters
        ----------
        light : float
            As a share of that of the image to which this one was fitted.
        dark : float
            Counts of the camera without light.
        """
        if self.method == "as-is":
            return self
        return Intensity(self.method, dark + (self.offset - dark) * light, self.gain * light)

    def invert(self, values: Pixels) -> Pixels:
        """Bring normalised values back to the image's units; a float32 array or tensor."""
        restored: Pixels
        if self.method == "signed-sqrt":
            restored = abs(values)
            restored *= values
        else:
            restored = values * 1.0
        restored *= self.gain
        restored += self.offset
        return restored


def is_method(name: str) -> bool:
    """Whether a normalisation is known: one of `METHODS`, or "percentiles-LOW-HIGH"."""
    return name in METHODS or _percentiles(name) is not None


def fit_intensity(
    method: str, image: NDArray[np.generic], measured: NDArray[np.bool_] | None = None
) -> Intensity:
    """Measure offset and gain of a normalisation on one image.

    Parameters
    ----------
    method : str
        What becomes zero (offset) and what becomes one (offset + gain):

        - ``signed-sqrt``: the median; the 99.5th percentile.
        - ``median-p99``, that of Wu et al. 2019 (doi:10.1038/s41592-019-0622-5): the median; the
          median + the 99th percentile of the pixels above the Triangle threshold.
        - ``mean-std``: the mean; the mean + the standard deviation.
        - ``percentiles-LOW-HIGH``, such as ``percentiles-1-99.8``: these two percentiles.
        - ``as-is``: zero; one.
    image : ndarray
        (Y, X), finite. Above four million pixels a regular grid of them is measured.
    measured : ndarray, optional
        (Y, X) bool, the pixels to measure on; all where None.

    Returns
    -------
    Intensity
        Where the gain would not be positive, as with a few spots on an empty background, it is
        the range from the offset to the maximum; one if there is none.

    Raises
    ------
    ValueError
        If the method is not known.
    """
    stride = max(1, int(np.ceil(np.sqrt(image.size / _SAMPLE_PIXELS))))
    sample = np.asarray(image[::stride, ::stride], dtype=np.float32)
    if measured is not None:
        image = image[measured]
        kept = measured[::stride, ::stride]
        sample = sample[kept] if kept.any() else image.astype(np.float32)
    if method == "as-is":
        return Intensity(method, 0.0, 1.0)
    if method == "signed-sqrt":
        offset = float(np.median(sample))
        gain = float(np.percentile(sample, 99.5)) - offset
    elif method == "median-p99":
        offset = float(np.median(sample))
        foreground = sample[sample > triangle_threshold(sample)]
        gain = float(np.percentile(foreground, 99)) if foreground.size else 0.0
    elif method == "mean-std":
        offset, gain = float(sample.mean(dtype=np.float64)), float(sample.std(dtype=np.float64))
    elif (percentages := _percentiles(method)) is not None:
        offset, highest = (float(value) for value in np.percentile(sample, percentages))
        gain = highest - offset
    else:
        known = ", ".join(f"'{name}'" for name in METHODS)
        raise ValueError(
            f"The normalisation '{method}' is not known; use {known} or 'percentiles-LOW-HIGH'."
        )
    return Intensity(method, offset, gain if gain > 0 else _highest(image, offset))


def fit_series_intensity(method: str, frames: Sequence[NDArray[np.generic]]) -> Intensity:
    """Measure offset and gain once for a series, so that no frame changes those beside it.

    Fitted frame by frame, one cell that lights up changes the gain and with it all others.

    Parameters
    ----------
    method : str
        As for `fit_intensity`.
    frames : sequence of ndarray
        (Y, X) each, finite and of the same shape. They are read one after the other; above four
        million pixels in all a regular grid of each is measured.

    Returns
    -------
    Intensity
        For every frame of the series.

    Raises
    ------
    ValueError
        If the method is not known, or there is no frame.
    """
    if not len(frames):
        raise ValueError("There is no frame to measure intensities on.")
    pixels = frames[0].size * len(frames)
    stride = max(1, int(np.ceil(np.sqrt(pixels / _SAMPLE_PIXELS))))
    return fit_intensity(method, np.concatenate([frame[::stride, ::stride] for frame in frames]))


def triangle_threshold(image: NDArray[np.generic]) -> float:
    """Find the Triangle threshold as ImageJ does, on a histogram of 256 grey levels.

    The method is that of Zack, Rogers & Latt 1977 (doi:10.1177/25.7.70454), in scikit-image's
    implementation. Like ImageJ's "Auto Threshold", an image of 8-bit numbers is binned by them,
    and any other between its minimum and maximum. Two conventions of ImageJ's differ: its line
    begins at the empty bin beyond the last filled one, and the bin that is found counts as
    background together with its neighbour on the far side of the peak. The thresholds then differ
    by a bin or two, and by more where many bins lie nearly as far from the line, as in a noisy or
    flat histogram.

    Parameters
    ----------
    image : ndarray
        Any shape, finite.

    Returns
    -------
    float
        Pixels above it are foreground; for a constant image none is.
    """
    lowest, highest = float(image.min()), float(image.max())
    if lowest == highest:
        return highest
    if lowest >= 0 and highest < _GREY_LEVELS and (image == np.rint(image)).all():
        image = image.astype(np.uint8)
    else:
        image = image.astype(np.float32)
    return float(threshold_triangle(image, nbins=_GREY_LEVELS))


def _percentiles(method: str) -> tuple[float, float] | None:
    found = _PERCENTILES.fullmatch(method)
    low, high = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    return (low, high) if low < high <= 100 else None


def _highest(image: NDArray[np.generic], offset: float) -> float:
    """Contrast of the brightest pixel, or one."""
    contrast = float(image.max()) - offset
    return contrast if contrast > 0 else 1.0

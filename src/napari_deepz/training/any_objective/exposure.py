"""One exposure of a simulated plane: background, camera, and what files do to a picture.

The same light gives another picture each time, so that a network never sees one twice.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

Pixels = NDArray[np.float32]

_PHOTONS = (15.0, 8000.0)
_READ_NOISE_PHOTONS = (0.5, 4.0)
_OFFSET = (0.0, 500.0)


@dataclass(frozen=True, eq=False)
class Exposure:
    """How light becomes the numbers of a file.

    Parameters
    ----------
    photons : float
        Of light one.
    background : ndarray
        (Y, X) float32 light that is the same at every focus: from far outside the stack, and from
        the glass.
    vignette : ndarray
        (Y, X) float32, one where all light arrives.
    read_noise_photons, gain, offset : float
        Of the camera; the gain in counts per photon.
    full_photons : float
        Beyond this the camera saturates.
    noise_blur_px : float
        Standard deviation over which noise is correlated, as interpolation leaves it.
    hot_share : float
        Share of hot pixels.
    grey_levels : int
        Steps of the file between the darkest and the brightest pixel.
    jpeg_quality : int or None
        Of a lossy file; None for all others.
    """

    photons: float
    background: Pixels
    vignette: Pixels
    read_noise_photons: float
    gain: float
    offset: float
    full_photons: float
    noise_blur_px: float
    hot_share: float
    grey_levels: int
    jpeg_quality: int | None

    def expected(self, light: NDArray[np.generic]) -> Pixels:
        """Counts without noise of (..., Y, X) light."""
        photons = (light.astype(np.float32) + self.background) * self.vignette
        photons *= np.float32(self.photons)
        np.minimum(photons, np.float32(self.full_photons), out=photons)
        photons *= np.float32(self.gain)
        photons += np.float32(self.offset)
        return photons

    def record(self, light: NDArray[np.generic], rng: np.random.Generator) -> Pixels:
        """Counts of one exposure of (Y, X) light, as they lie in the file."""
        photons = (light.astype(np.float32) + self.background) * self.vignette
        noisy = rng.poisson(photons * self.photons).astype(np.float32)
        noisy += rng.standard_normal(noisy.shape, np.float32) * np.float32(self.read_noise_photons)
        if self.noise_blur_px:
            noisy = gaussian_filter(noisy, self.noise_blur_px, mode="wrap")
        if self.hot_share:
            hot = rng.uniform(size=noisy.shape) < self.hot_share
            noisy[hot] += rng.exponential(self.photons, int(hot.sum()))
        np.minimum(noisy, np.float32(self.full_photons), out=noisy)
        noisy *= np.float32(self.gain)
        noisy += np.float32(self.offset)
        return self._stored(noisy)

    def _stored(self, counts: Pixels) -> Pixels:
        low, high = float(counts.min()), float(counts.max())
        step = max(high - low, 1e-6) / self.grey_levels
        if self.jpeg_quality is None:
            stepped: Pixels = np.rint((counts - low) / step) * np.float32(step) + np.float32(low)
            return stepped
        stream = io.BytesIO()
        grey = np.rint((counts - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
        Image.fromarray(grey).save(stream, "JPEG", quality=self.jpeg_quality)
        lossy = np.asarray(Image.open(stream), np.float32)
        restored: Pixels = lossy * np.float32((high - low) / 255) + np.float32(low)
        return restored


def draw_exposure(rng: np.random.Generator, shape: tuple[int, int]) -> Exposure:
    """Draw background, camera and file for pictures of (Y, X) `shape`."""
    photons = float(np.exp(rng.uniform(*np.log(_PHOTONS))))
    background = np.full(shape, np.exp(rng.uniform(*np.log((0.003, 0.7)))), np.float32)
    if rng.uniform() < 0.5:
        background += np.float32(rng.uniform(0, 0.6)) * _smooth(rng, shape)
    vignette = np.ones(shape, np.float32)
    if rng.uniform() < 0.4:
        vignette -= np.float32(rng.uniform(0, 0.35)) * _smooth(rng, shape)
    saturated = rng.uniform() < 0.08
    lossy, eight_bit = rng.uniform() < 0.05, rng.uniform() < 0.15
    return Exposure(
        photons=photons,
        background=background,
        vignette=vignette,
        read_noise_photons=float(rng.uniform(*_READ_NOISE_PHOTONS)),
        gain=float(np.exp(rng.uniform(*np.log((0.3, 5.0))))),
        offset=float(rng.uniform(*_OFFSET)),
        full_photons=photons * rng.uniform(0.3, 0.9) if saturated else 1e9,
        noise_blur_px=float(rng.uniform(0.4, 0.8)) if rng.uniform() < 0.15 else 0.0,
        hot_share=float(rng.uniform(0, 3e-4)) if rng.uniform() < 0.1 else 0.0,
        grey_levels=255 if eight_bit else 65535,
        jpeg_quality=int(rng.integers(70, 96)) if lossy else None,
    )


def _smooth(rng: np.random.Generator, shape: tuple[int, int]) -> Pixels:
    """A smooth surface over a picture, from zero to one."""
    coarse = rng.uniform(size=(4, 4)).astype(np.float32)
    surface = zoom(coarse, (shape[0] / 4, shape[1] / 4), order=3, mode="nearest")
    surface -= surface.min()
    surface /= max(float(surface.max()), 1e-6)
    return np.asarray(surface, np.float32)

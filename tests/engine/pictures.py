"""Small pictures as a camera takes them, and what is not one."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import erf


def beads(
    shape: tuple[int, int] = (256, 256),
    *,
    sigma_px: float = 1.5,
    count: int = 60,
    brightness: tuple[float, float] = (2000.0, 20000.0),
    background: float = 190.0,
    seed: int = 0,
) -> np.ndarray:
    """Points of light, each pixel the integral of a Gaussian, with photon noise; float32."""
    rng = np.random.default_rng(seed)
    image = np.full(shape, background)

    def share(length: int, centre: float) -> np.ndarray:
        edges = (np.arange(length + 1) - centre) / (sigma_px * np.sqrt(2))
        return np.diff(erf(edges)) / 2

    for _ in range(count):
        y, x = (rng.uniform(0, length) for length in shape)
        light = rng.uniform(*brightness)
        image += light * np.outer(share(shape[0], y), share(shape[1], x))
    return rng.poisson(image).astype(np.float32)


def tissue(shape: tuple[int, int] = (256, 256), *, seed: int = 0) -> np.ndarray:
    """Cloudy light of all sizes above a background of 100, with photon noise; float32."""
    rng = np.random.default_rng(seed)
    clouds = sum(size * gaussian_filter(rng.normal(size=shape), size) for size in (2, 5, 15))
    return rng.poisson(100 + 800 * clouds.clip(0) ** 2).astype(np.float32)


def framed(image: np.ndarray, value: float, width: int) -> np.ndarray:
    """The image with its outermost pixels overwritten."""
    framed = np.full_like(image, value)
    inner = (slice(width, -width), slice(width, -width))
    framed[inner] = image[inner]
    return framed

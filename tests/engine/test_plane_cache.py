"""Planes are found again, put together rightly, and never take more memory than allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_deepz.engine.plane_cache import PlaneCache

IMAGE, OTHER = ("image",), ("other image",)
SHAPE = (4, 6)


def ramp(z_um: float) -> np.ndarray:
    """Linear in z, so that blending between planes is exact."""
    y, x = np.indices(SHAPE, dtype=np.float32)
    return y + 10 * x + np.float32(z_um) * (x + 1)


@pytest.fixture
def cache() -> PlaneCache:
    cache = PlaneCache()
    for z_um in (3, -1.5, 0, 1.5):
        cache.add(IMAGE, z_um, ramp(z_um))
    return cache


def test_a_plane_is_found_by_image_and_depth(cache: PlaneCache) -> None:
    np.testing.assert_array_equal(cache.get(IMAGE, 1.5), ramp(1.5))
    assert cache.get(IMAGE, 1.4) is None
    assert cache.get(OTHER, 1.5) is None


@pytest.mark.parametrize(("low", "high"), [(-1.5, 3), (-1.2, 2.9), (0.1, 0.2), (1.5, 1.5)])
def test_a_surface_between_planes(cache: PlaneCache, low: float, high: float) -> None:
    dpm_um = np.linspace(low, high, 24, dtype=np.float32).reshape(SHAPE)
    expected = ramp(0) + dpm_um * (np.indices(SHAPE)[1] + 1)
    blended = cache.blend(IMAGE, dpm_um)
    assert blended is not None
    np.testing.assert_allclose(blended, expected, atol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(-2, 0), (0, 3.1), (4, 5), (-9, 9)])
def test_a_surface_beyond_the_planes_is_not_guessed(
    cache: PlaneCache, low: int, high: float
) -> None:
    dpm_um: Any = np.linspace(low, high, 24).reshape(SHAPE)
    assert cache.blend(IMAGE, dpm_um) is None


def test_nor_one_across_a_wide_gap(cache: PlaneCache) -> None:
    cache.add(IMAGE, 5.5, ramp(5.5))
    assert cache.blend(IMAGE, np.full(SHAPE, 4, np.float32)) is None
    assert cache.blend(OTHER, np.zeros(SHAPE, np.float32)) is None


def test_the_plane_not_used_longest_goes_first() -> None:
    cache = PlaneCache(limit_bytes=3 * ramp(0).nbytes)
    for z_um in (0, 1, 2):
        cache.add(IMAGE, z_um, ramp(z_um))
    cache.get(IMAGE, 0)
    cache.add(IMAGE, 3, ramp(3))
    assert [z_um for z_um in range(4) if cache.get(IMAGE, z_um) is not None] == [0, 2, 3]
    assert len(cache) == 3
    assert cache.used_bytes == cache.limit_bytes


def test_the_same_plane_is_counted_once_and_a_huge_one_not_kept() -> None:
    cache = PlaneCache(limit_bytes=ramp(0).nbytes)
    cache.add(IMAGE, 0, ramp(0))
    cache.add(IMAGE, 0, ramp(0))
    assert cache.used_bytes == ramp(0).nbytes
    cache.add(IMAGE, 1, np.zeros((99, 99), np.float32))
    assert len(cache) == 1
    assert cache.get(IMAGE, 0) is not None

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_deepz.tiling import Tile, tile_image

CASES = [
    # shape, tile, halo, multiple, ramp
    ((1024, 1024), 1024, 100, 32, 8),
    ((1000, 700), 256, 37, 32, 8),
    ((257, 1025), 128, 11, 16, 16),
    ((33, 300), 64, 5, 1, 8),
    ((32, 32), 8, 3, 32, 8),
    ((1001, 100), 3, 0, 1, 8),
    ((95, 641), 64, 251, 32, 8),
]


def tiles_of(case: Any) -> tuple[Tile, ...]:
    shape, tile_px, halo_px, multiple, ramp_px = case
    return tile_image(
        shape, tile_px=tile_px, halo_px=halo_px, size_multiple=multiple, ramp_px=ramp_px
    )


@pytest.mark.parametrize("case", CASES)
def test_weights_add_up_to_one_at_every_pixel(case: Any) -> None:
    total = np.zeros(case[0], dtype=np.float32)
    for tile in tiles_of(case):
        tile.add_to(total, np.ones(tile.output_shape, dtype=np.float32))
    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_cores_share_the_padded_image_without_gap_or_overlap(case: Any) -> None:
    shape, _, _, multiple, _ = case
    padded = tuple(-(-size // multiple) * multiple for size in shape)
    seen = np.zeros(padded, dtype=int)
    for tile in tiles_of(case):
        seen[tile.y.core_start : tile.y.core_stop, tile.x.core_start : tile.x.core_stop] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("case", CASES)
def test_windows_are_aligned_and_reach_a_halo_beyond_what_is_kept(case: Any) -> None:
    shape, _, halo_px, multiple, _ = case
    for tile in tiles_of(case):
        for span, size in zip((tile.y, tile.x), shape, strict=True):
            padded = -(-size // multiple) * multiple
            assert span.window_start % multiple == 0
            assert span.window_stop % multiple == 0
            assert span.window_start == 0 or span.window_start <= span.output_start - halo_px
            assert span.window_stop == padded or span.window_stop >= span.output_stop + halo_px


def test_an_image_that_fits_is_one_tile_without_margins() -> None:
    (tile,) = tile_image((1024, 1000), tile_px=1024, halo_px=120, size_multiple=16)
    assert tile.window_shape == (1024, 1008)
    assert tile.output == (slice(0, 1024), slice(0, 1000))
    assert (tile.y.weights() == 1).all()


def test_tiles_are_of_about_equal_size() -> None:
    tiles = tile_image((1056, 1056), tile_px=1024, halo_px=10, size_multiple=32)
    assert sorted({tile.y.core_stop - tile.y.core_start for tile in tiles}) == [512, 544]


@pytest.mark.parametrize("case", CASES)
def test_windows_hold_the_image_reflected_about_its_last_pixels(case: Any) -> None:
    shape, _, _, multiple, _ = case
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    padded = np.pad(image, [(0, -size % multiple) for size in shape], mode="reflect")
    for tile in tiles_of(case):
        expected = padded[
            tile.y.window_start : tile.y.window_stop, tile.x.window_start : tile.x.window_stop
        ]
        np.testing.assert_array_equal(tile.read_window(image), expected)


@pytest.mark.parametrize("case", CASES)
def test_filtering_tile_by_tile_equals_filtering_the_whole_image(case: Any) -> None:
    shape, tile_px, _, multiple, ramp_px = case
    image = np.random.default_rng(1).random(shape, dtype=np.float32)
    padded = np.pad(image, [(0, -size % multiple) for size in shape], mode="reflect")
    expected = gaussian_filter(padded, 2, radius=6, mode="constant")[: shape[0], : shape[1]]
    canvas = np.zeros(shape, dtype=np.float32)
    for tile in tile_image(
        shape, tile_px=tile_px, halo_px=6, size_multiple=multiple, ramp_px=ramp_px
    ):
        window = gaussian_filter(tile.read_window(image), 2, radius=6, mode="constant")
        tile.add_to(canvas, window[tile.crop])
    np.testing.assert_allclose(canvas, expected, atol=1e-6)


def test_neighbours_that_disagree_are_joined_by_a_linear_ramp() -> None:
    left, right = tile_image((40, 200), tile_px=100, halo_px=4, ramp_px=8)
    canvas = np.zeros((40, 200), dtype=np.float32)
    left.add_to(canvas, np.zeros(left.output_shape, dtype=np.float32))
    right.add_to(canvas, np.ones(right.output_shape, dtype=np.float32))
    expected = np.interp(np.arange(200) + 0.5, [96, 104], [0, 1])
    np.testing.assert_allclose(canvas, np.tile(expected, (40, 1)), atol=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"tile_px": 0}, {"halo_px": -1}, {"size_multiple": 0}, {"ramp_px": 3}, {"ramp_px": 0}]
)
def test_impossible_sizes_are_refused(wrong: dict[str, Any]) -> None:
    settings = {"tile_px": 64, "halo_px": 4, "size_multiple": 1, "ramp_px": 8} | wrong
    with pytest.raises(ValueError, match=r"positive|even"):
        tile_image((100, 100), **settings)

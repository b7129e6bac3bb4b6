"""What a focus sweep shows, and in which order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_deepz.pictures.focus_sweep import (
    SHADES,
    sweep_frames,
    sweep_order,
    sweep_palette,
    sweep_speed,
)
from napari_deepz.pictures.lettering import LONGEST_SIDE_PX

Z_UM = (-2.0, 0.0, 3.5)
GREY = np.linspace(0, 1, SHADES)[:, None].repeat(3, axis=1)


def frames(planes: Any, z_um: Any = Z_UM, **changes: Any) -> list[Any]:
    settings: dict[str, Any] = {"pixel_size_um": 0.5, "limits": (0, 100), "note": "inferred (tiny)"}
    return list(sweep_frames(planes, z_um, **(settings | changes)))


def even_planes(shape: tuple[int, ...] = (480, 600)) -> Any:
    return np.ones((3, *shape), np.float32) * np.array([0, 50, 100], np.float32)[:, None, None]


@pytest.mark.parametrize(
    ("count", "order"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2, 1]), (5, [0, 1, 2, 3, 4, 3, 2, 1])]
)
def test_there_and_back_without_a_plane_twice_in_a_row_when_repeated(
    count: int, order: list[int]
) -> None:
    assert sweep_order(count) == order


@pytest.mark.parametrize(("frames", "speed"), [(1, 1), (4, 1), (16, 4), (48, 12), (400, 12)])
def test_twelve_frames_a_second_or_a_sweep_of_four_seconds(frames: int, speed: int) -> None:
    assert sweep_speed(frames) == speed


def test_intensities_go_through_the_limits_and_the_colours() -> None:
    shown = frames(even_planes(), limits=(25, 75))
    assert len(shown) == 4
    assert [int(frame[240, 10]) for frame in shown] == [0, 120, SHADES - 1, 120]
    palette = sweep_palette(GREY * (1, 0.5, 0))
    assert palette.shape == (256, 3)
    np.testing.assert_array_equal(palette[shown[2][240, 10]], (255, 128, 0))
    np.testing.assert_array_equal(palette[[SHADES, 255]], [(0, 0, 0), (255, 255, 255)])


def test_every_depth_has_a_label_of_its_own() -> None:
    down, middle, up, again = frames(even_planes() * 0)
    for frame in (down, middle, up):
        label = frame[:60, :400]
        assert (label == 255).sum() > 100
        assert not (frame[60:400] >= SHADES).any()
    assert not np.array_equal(down, middle)
    assert not np.array_equal(middle, up)
    np.testing.assert_array_equal(middle, again)


@pytest.mark.parametrize(("width", "lines"), [(900, 1), (480, 2)])
def test_the_label_takes_two_lines_where_one_does_not_fit(width: int, lines: int) -> None:
    plane = np.zeros((1, 480, width), np.float32)
    frame = frames(plane, (1.0,), note="inferred (a model with a rather long name)")[0]
    lettered = frame[:200] > SHADES + 8
    rows, columns = lettered.any(axis=1), lettered.any(axis=0)
    assert np.flatnonzero(columns)[-1] < width - 10
    assert np.count_nonzero(np.diff(np.flatnonzero(rows)) > 1) == lines - 1


@pytest.mark.parametrize(
    ("shape", "pixel_size_um", "length_um"),
    [((480, 600), 0.5, 50), ((480, 600), 0.325, 20), ((2048, 1500), 0.1, 20), ((64, 80), 1, 20)],
)
def test_the_scale_bar_is_as_long_as_it_says(
    shape: tuple[int, ...], pixel_size_um: float, length_um: int
) -> None:
    frame = frames(np.zeros((1, *shape), np.float32), (0.0,), pixel_size_um=pixel_size_um)[0]
    below = frame[frame.shape[0] // 2 :]
    longest = max(_longest_run(row == 255) for row in below)
    field_um = shape[1] * pixel_size_um
    assert longest / frame.shape[1] * field_um == pytest.approx(length_um, rel=0.01)


def _longest_run(lit: Any) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lit.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def test_large_planes_are_reduced_by_averaging() -> None:
    rng = np.random.default_rng(0)
    plane = rng.choice([0, 100], (2 * LONGEST_SIDE_PX, 1000)).astype(np.float32)
    frame = frames(plane[None], (0.0,))[0]
    assert frame.shape == (LONGEST_SIDE_PX, 500)
    middle = slice(200, 800)
    blocks = plane.reshape(LONGEST_SIDE_PX, 2, 500, 2).mean(axis=(1, 3))
    expected = np.rint(blocks[middle] / 100 * (SHADES - 1))
    assert np.abs(frame[middle].astype(int) - expected).max() <= 1


def test_small_planes_are_enlarged_by_a_whole_number() -> None:
    plane = np.arange(64 * 80, dtype=np.float32).reshape(64, 80) % 100
    frame = frames(plane[None], (0.0,))[0]
    assert frame.shape == (384, 480)
    expected = np.rint(plane / 100 * (SHADES - 1)).repeat(6, 0).repeat(6, 1)
    np.testing.assert_array_equal(frame[100:300], expected[100:300])


@pytest.mark.parametrize("shape", [(3, 2000), (2000, 3), (1, 1)])
def test_strange_shapes_are_drawn_without_a_fault(shape: tuple[int, ...]) -> None:
    frame = frames(np.zeros((1, *shape), np.float32), (0.0,))[0]
    assert max(frame.shape) <= LONGEST_SIDE_PX


@pytest.mark.parametrize("z_um", [(), (0.0, 1.0)])
def test_planes_and_depths_must_match(z_um: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="one depth for each plane"):
        frames(even_planes(), z_um)

"""Surfaces that follow a sample through a movie."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_deepz.surfaces import (
    AlongPath,
    Flat,
    FromImage,
    FromPoints,
    OverTime,
    Surface,
    Tilted,
    load_movie_surface,
    surface_at,
)

SHAPE, PIXEL_UM = (20, 30), 0.5


def test_numbers_between_two_frames_are_interpolated() -> None:
    tilted = OverTime(frames=(10, 20), surfaces=(Tilted(2, 0, 1), Tilted(4, -2, 3)))
    assert [tilted.at(t) for t in (0, 10, 15, 20, 99)] == [
        *(Tilted(2, 0, 1), Tilted(2, 0, 1)),
        *(Tilted(3, -1, 2), Tilted(4, -2, 3), Tilted(4, -2, 3)),
    ]
    stack = OverTime(frames=(0, 4), surfaces=(Flat(-5, 5, 0.5), Flat(-3, 7, 0.5)))
    assert stack.at(1).uniform_z_um == pytest.approx(np.arange(-4.5, 5.51, 0.5))
    assert len(stack) == 21
    assert surface_at(Flat(3), 7) == Flat(3)


def test_points_move_with_what_they_lie_on() -> None:
    first = np.array([[1.0, 2, 0], [8, 3, 1], [4, 12, 2]])
    moved = first + np.array([2, -1, 4])
    over = OverTime(frames=(0, 8), surfaces=(FromPoints(first), FromPoints(moved)))
    for t, share in ((2, 0.25), (6, 0.75)):
        expected = FromPoints(first + share * np.array([2, -1, 4]))
        found = over.at(t).dpm(SHAPE, PIXEL_UM)
        np.testing.assert_allclose(found, expected.dpm(SHAPE, PIXEL_UM), atol=1e-5)
    path = [(2.0, 3.0, 0.0), (6.0, 9.0, 2.0)]
    body = OverTime(
        frames=(0, 1), surfaces=(AlongPath(path), AlongPath([(y, x + 4, z) for y, x, z in path]))
    )
    assert isinstance(body.at(0), AlongPath)


def test_images_of_depths_are_interpolated_too(rng: np.random.Generator) -> None:
    one, other = rng.normal(0, 3, (2, *SHAPE)).astype("f4")
    over = OverTime(frames=(0, 2), surfaces=(FromImage(one), FromImage(other)))
    np.testing.assert_allclose(over.at(1).dpm(SHAPE, PIXEL_UM), (one + other) / 2, atol=1e-5)


@pytest.mark.parametrize(
    ("frames", "surfaces", "words"),
    [
        ((0,), (Flat(0), Flat(1)), "1 frames and 2 surfaces"),
        ((3, 3), (Flat(0), Flat(1)), "must rise"),
        ((0, 3), (Flat(0), Tilted(1, 2)), "of one kind"),
        ((0, 3), (Flat(0, 2, 1), Flat(0, 4, 1)), "as many planes at every frame"),
        ((), (), "frames"),
        (
            (0, 1),
            (FromPoints([(0, 0, 0), (1, 0, 0), (0, 1, 0)]), FromPoints(np.eye(4)[:, :3])),
            "as many points",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    frames: tuple[int, ...], surfaces: tuple[Surface, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        OverTime(frames=frames, surfaces=surfaces)


def test_files_give_surfaces_of_both_kinds(tmp_path: Path) -> None:
    over = OverTime(frames=(0, 5), surfaces=(Tilted(1, 0), Tilted(3, 0)))
    (tmp_path / "over.json").write_text(over.model_dump_json())
    assert load_movie_surface(tmp_path / "over.json") == over
    (tmp_path / "flat.json").write_text(json.dumps({"kind": "flat", "start_um": 2}))
    assert load_movie_surface(tmp_path / "flat.json") == Flat(2)
    for settings, words in (
        ({"kind": "over-time", "frames": [0]}, "list of 'surfaces'"),
        ({"kind": "over-time", "frames": [0], "surfaces": [{"kind": "wave"}]}, "unknown kind"),
        ({"kind": "over-time", "frames": [-1], "surfaces": [{"kind": "flat", "start_um": 1}]}, "0"),
    ):
        (tmp_path / "wrong.json").write_text(json.dumps(settings))
        with pytest.raises(ValueError, match=words):
            load_movie_surface(tmp_path / "wrong.json")

"""How a sample bends, as the truth says: spots whose places are known in each frame."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_deepz.movies.bending import Bending, measure_bending
from napari_deepz.movies.brightness import measure_brightness
from napari_deepz.movies.motion import measure_motion
from napari_deepz.movies.movie import Movie
from napari_deepz.movies.sheet import Sheet
from napari_deepz.watch import Cancelled, Watch
from tests.conftest import shared_file
from tests.movies.test_brightness import movie_of

SIDE, FRAMES = 160, 16
PIXEL_UM = 0.325
Array = NDArray[np.float64]


def places_of(bend_um: float) -> Array:
    """(T, N, 2) spots that shift to and fro, turn by up to 3 degrees, and bend as a wave."""
    rng = np.random.default_rng(3)
    start = rng.uniform(8, SIDE * PIXEL_UM - 8, (60, 2))
    middle = SIDE * PIXEL_UM / 2
    frames = []
    for t in range(FRAMES):
        angle = 2 * np.pi * t / FRAMES
        shift = np.array([2.0 * np.sin(angle), 1.5 * np.cos(angle)])
        wave = np.sin(2 * np.pi * start[:, 1] / 60 - angle)
        moved = start + shift
        moved[:, 0] += bend_um * wave
        if bend_um:
            turn = np.deg2rad(3) * np.sin(angle)
            moved += turn * (start - middle)[:, ::-1] * [1, -1]
        frames.append(moved)
    return np.array(frames)


def movie_with(places_um: Array, seed: int = 1) -> Movie:
    """Spots of 0.8 µm, a third of which light up at times, with shot noise."""
    rng = np.random.default_rng(seed)
    axis = np.arange(SIDE) * PIXEL_UM
    frames = []
    for places in places_um:
        y, x = (np.exp(-((axis - side[:, None]) ** 2) / (2 * 0.8**2)) for side in places.T)
        light = np.where(rng.uniform(size=len(places)) < 0.3, 1200.0, 400.0)
        frames.append(rng.poisson(np.einsum("n,ny,nx->yx", light, y, x) + 50) + 100)
    return movie_of(np.array(frames, np.uint16)[:, None])


def bending_of(movie: Movie) -> tuple[Bending, Array]:
    brightness = measure_brightness(movie, 100.0)
    motion = measure_motion(movie, brightness)
    return measure_bending(movie, brightness, motion), -motion.shift_px * PIXEL_UM


def errors_um(moved_um: Array, truth_um: Array) -> Array:
    """(T, N) but for where the template lies, which is a matter of taste."""
    off = moved_um - truth_um
    return np.asarray(np.linalg.norm(off - np.median(off, axis=0), axis=2))


def test_a_plate_that_is_tilted_costs_nothing_and_a_bent_one_what_it_should() -> None:
    sheet = Sheet((96, 160), PIXEL_UM)
    y_um, x_um = np.linspace(0, 95 * PIXEL_UM, 50), np.linspace(0, 159 * PIXEL_UM, 60)
    design = np.kron(sheet.along(0, y_um), sheet.along(1, x_um))
    y, x = (each.ravel() for each in np.meshgrid(y_um, x_um, indexing="ij"))
    area = y_um[-1] * x_um[-1]
    for values, energy in ((3 + 0.2 * y - 0.1 * x, 0.0), (y**2, 4.0), (y * x, 2.0)):
        coefficients = np.linalg.lstsq(design, values)[0]
        np.testing.assert_allclose(design @ coefficients, values, atol=1e-6)
        found = coefficients @ sheet.energy() @ coefficients
        assert found == pytest.approx(energy * area, rel=0.03, abs=1e-6)


def test_a_sample_that_bends_and_turns_is_followed() -> None:
    truth = places_of(1.5)
    bending, shift_um = bending_of(movie_with(truth))
    places = np.median(truth, axis=0)
    moved = np.array([bending.moved_at(places, t) for t in range(FRAMES)])
    found = errors_um(moved, truth)
    assert np.median(found) < 0.1
    assert np.percentile(found, 95) < 0.35
    assert np.percentile(errors_um(np.repeat(shift_um[:, None], 60, axis=1), truth), 95) > 1.0
    # The template lies where the sample is in most frames.
    assert np.abs(np.median(moved, axis=0)).max() < 0.7


def test_what_moves_as_a_whole_does_not_bend() -> None:
    truth = places_of(0.0)
    bending, _ = bending_of(movie_with(truth))
    moved = np.array([bending.moved_at(truth[0], t) for t in range(FRAMES)])
    assert np.percentile(errors_um(moved, truth), 95) < 0.12


def test_straightened_frames_are_alike_and_can_be_bent_again() -> None:
    movie = movie_with(places_of(1.5))
    bending, _ = bending_of(movie)
    inner = (0, slice(24, -24), slice(24, -24))
    sharp = movie_with(places_of(1.5), seed=2).frame(3)
    again = bending.bent(bending.straightened(sharp, 3), 3)
    np.testing.assert_allclose(again[inner], sharp[inner], atol=0.15 * float(np.ptp(sharp)))
    for t in (0, 5, 10):
        straight = bending.straightened(movie.frame(t), t)
        alike = np.corrcoef(straight[inner].ravel(), bending.template[inner].ravel())[0, 1]
        as_is = np.corrcoef(movie.frame(t)[inner].ravel(), bending.template[inner].ravel())[0, 1]
        assert alike > max(0.75, as_is + 0.1)


def test_a_dark_frame_stays_where_the_one_before_it_was() -> None:
    movie = movie_with(places_of(0.0))
    frames = np.array([movie.frame(t) for t in range(FRAMES)])
    frames[12] = 100
    bending, _ = bending_of(movie_of(frames.astype(np.uint16)))
    assert np.isfinite(bending.coefficients_um).all()
    middle = np.full((1, 2), SIDE * PIXEL_UM / 2)
    assert np.abs(bending.moved_at(middle, 12) - bending.moved_at(middle, 11)).max() < 0.1
    brightness = measure_brightness(movie, 100.0)
    motion = measure_motion(movie, brightness)
    with pytest.raises(Cancelled):
        measure_bending(movie, brightness, motion, Watch(lambda: True))


@pytest.mark.parametrize("channel", [0, 1])
def test_a_pose_that_is_nothing_alike_does_not_lead_astray(channel: int) -> None:
    """Of a real head at two times far apart, whose neurons have names."""
    volumes, points = (
        [np.load(shared_file(f"data/worm_heads/pair_{one}_{what}.npy")) for one in "ab"]
        for what in ("volumes", "points")
    )
    places = np.stack([one[:, :2] * PIXEL_UM for one in points])
    named = np.isfinite(places).all(axis=(0, 2))
    first, second = (np.asarray(one, np.float64)[named] for one in places)
    sums = [one[channel].sum(axis=2, dtype=np.uint16) for one in volumes]
    movie = movie_of(np.stack(sums)[:, None])
    bending, shifts = bending_of(movie)
    usual = first.copy()
    for _ in range(20):
        usual = first - bending.moved_at(usual, 0)
    off = np.linalg.norm(usual + bending.moved_at(usual, 1) - second, axis=1)
    shifted = np.linalg.norm(first + shifts[1] - shifts[0] - second, axis=1)
    assert np.median(off) < 1.1 * np.median(shifted)
    assert np.percentile(off, 90) < 1.1 * np.percentile(shifted, 90)

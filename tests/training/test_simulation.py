"""Simulated stacks: light is where the phantom is, noise is what the camera says."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.training.phantoms import KINDS, Phantom, draw_phantom
from napari_deepz.training.psf import Aberrations
from napari_deepz.training.simulation import (
    Camera,
    Microscope,
    StackSettings,
    draw_aberrations,
    simulate,
    simulate_stack,
    splat,
)

pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")

SMALL = StackSettings(size_px=64, half_range_um=4.0)


@pytest.fixture(scope="module")
def microscope() -> Microscope:
    return Microscope(SMALL, Aberrations(spherical=0.1))


def points(*positions: tuple[float, float, float]) -> Phantom:
    array = np.array(positions, float)
    return Phantom(array, np.ones(len(array)), array)


def test_splat_keeps_light_and_position():
    volume = splat(points((0.3, -1.1, 2.2)), (9, 21, 21), (0.5, 0.325, 0.325))
    assert volume.sum() == pytest.approx(1)
    grid = np.indices(volume.shape).reshape(3, -1)
    centroid = (grid * volume.ravel()).sum(1)
    expected = np.array([0.3 / 0.5 + 4, -1.1 / 0.325 + 10, 2.2 / 0.325 + 10])
    np.testing.assert_allclose(centroid, expected, atol=1e-6)


def test_splat_leaves_out_what_lies_outside():
    volume = splat(points((50, 0, 0), (0, 0, 0)), (9, 21, 21), (0.5, 0.325, 0.325))
    assert volume.sum() == pytest.approx(1)


def test_a_bead_is_sharpest_in_the_plane_of_its_depth(microscope: Microscope):
    for z_um in (-3.0, 0.0, 2.5):
        light = microscope.expose(points((z_um, 0, 0)))
        brightest = SMALL.z_um[light.max((1, 2)).argmax()]
        assert brightest == pytest.approx(z_um, abs=0.5)


def test_light_adds_up(microscope: Microscope):
    first, second = points((-1, 3, 3)), points((2, -4, 1))
    together = microscope.expose(first + second)
    apart = microscope.expose(first) + microscope.expose(second)
    np.testing.assert_allclose(together, apart, atol=1e-6 * together.max())


def test_nothing_wraps_around_in_z(microscope: Microscope):
    light = microscope.expose(points((-5.0, 0, 0)))
    # The object lies above the stack: the plane furthest from it is the most blurred.
    assert light.max((1, 2)).argmin() > len(light) * 3 // 4


def test_camera_noise_is_poisson_plus_read_noise(rng: np.random.Generator):
    camera = Camera(gain_adu_per_photon=2, offset_adu=100, read_noise_photons=3)
    photons = np.full((300, 300), 50, np.float32)
    counts = camera.record(photons, rng).astype(float)
    assert counts.mean() == pytest.approx(200, rel=0.005)
    assert counts.var() == pytest.approx(4 * (50 + 9), rel=0.03)
    assert camera.expected(photons).mean() == pytest.approx(200)


def test_camera_saturates(rng: np.random.Generator):
    counts = Camera().record(np.full((4, 4), 1e6, np.float32), rng)
    assert counts.dtype == np.uint16
    assert (counts == 65535).all()


def test_depth_aberration_has_one_sign():
    drawn = [draw_aberrations(SMALL, np.random.default_rng(k)) for k in range(50)]
    assert min(a.spherical for a in drawn) > 0.05
    assert max(a.spherical for a in drawn) < 0.45
    assert np.std([a.coma_x for a in drawn]) > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_every_phantom_gives_a_stack(microscope: Microscope, kind):
    stack = simulate_stack(microscope, kind, np.random.default_rng(3))
    assert stack.measured.shape == stack.expected.shape == (17, 64, 64)
    assert stack.measured.dtype == np.uint16
    assert np.isfinite(stack.expected).all()
    assert stack.measured.astype(float).std() > 5
    residual = (stack.measured - stack.expected).mean()
    assert abs(residual) < 1


def test_tilted_beads_lie_on_the_plane_asked_for(microscope: Microscope):
    stack = simulate_stack(microscope, "tilted-beads", np.random.default_rng(5), tilt_span_um=8.0)
    z_um, x_px = stack.centres[:, 0], stack.centres[:, 2]
    np.testing.assert_allclose(z_um, (x_px - 31.5) / 64 * 8.0, atol=1e-9)


def test_beads_are_where_the_truth_says(microscope: Microscope):
    stack = simulate_stack(microscope, "tilted-beads", np.random.default_rng(5), tilt_span_um=1.0)
    middle = stack.expected[8]
    background = np.median(middle)
    hits = [
        middle[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].max() > 2 * background
        for _, y, x in stack.centres
        if 2 < y < 61 and 2 < x < 61
    ]
    assert np.mean(hits) > 0.9


def test_the_same_seed_gives_the_same_stacks():
    def drawn(seed: int) -> list[np.ndarray]:
        return [stack.measured for stack in simulate(2, seed, SMALL, kinds=("beads",))]

    first, again, other = drawn(1), drawn(1), drawn(2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])


def test_worms_stay_within_the_volume():
    phantom = draw_phantom("worm", np.random.default_rng(0), field_um=60, half_depth_um=5)
    assert np.abs(phantom.points_um[:, 0]).max() <= 5
    assert np.abs(phantom.centres_um[:, 0]).max() <= 5

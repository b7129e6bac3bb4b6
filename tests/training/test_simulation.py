"""Simulated stacks: light is where the phantom is, noise is what the camera says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_deepz.optics import Optics
from napari_deepz.pupil import Aberrations
from napari_deepz.samples import WORM
from napari_deepz.training.phantoms import KINDS, Phantom
from napari_deepz.training.simulation import (
    Camera,
    CameraSettings,
    Microscope,
    SimulatedStack,
    StackSettings,
    draw_aberrations,
    draw_microscope,
    simulate,
    simulate_stack,
    splat,
)

pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")

SMALL = StackSettings(size_px=64, half_range_um=4.0)
SHALLOW = replace(SMALL, half_range_um=0.5)


@pytest.fixture(scope="module")
def microscope() -> Microscope:
    return Microscope(SMALL, Aberrations(spherical=0.1))


def points(*positions: tuple[float, float, float]) -> Phantom:
    array = np.array(positions, float)
    return Phantom(array, np.ones(len(array)), array)


def test_splat_keeps_light_and_position() -> None:
    volume = splat(points((0.3, -1.1, 2.2)), (9, 21, 21), (0.5, 0.325, 0.325))
    assert volume.sum() == pytest.approx(1)
    grid = np.indices(volume.shape).reshape(3, -1)
    centroid = (grid * volume.ravel()).sum(1)
    expected = np.array([0.3 / 0.5 + 4, -1.1 / 0.325 + 10, 2.2 / 0.325 + 10])
    np.testing.assert_allclose(centroid, expected, atol=1e-6)


def test_splat_leaves_out_what_lies_outside() -> None:
    volume = splat(points((50, 0, 0), (0, 0, 0)), (9, 21, 21), (0.5, 0.325, 0.325))
    assert volume.sum() == pytest.approx(1)


def test_a_bead_is_sharpest_in_the_plane_of_its_depth(microscope: Microscope) -> None:
    for z_um in (-3.0, 0.0, 2.5):
        light = microscope.expose(points((z_um, 0, 0)))
        brightest = SMALL.z_um[light.max((1, 2)).argmax()]
        assert brightest == pytest.approx(z_um, abs=0.5)


def test_light_adds_up(microscope: Microscope) -> None:
    first, second = points((-1, 3, 3)), points((2, -4, 1))
    together = microscope.expose(first + second)
    apart = microscope.expose(first) + microscope.expose(second)
    np.testing.assert_allclose(together, apart, atol=1e-6 * together.max())


def test_nothing_wraps_around_in_z(microscope: Microscope) -> None:
    light = microscope.expose(points((-5.0, 0, 0)))
    # The object lies above the stack: the plane furthest from it is the most blurred.
    assert light.max((1, 2)).argmin() > len(light) * 3 // 4


def test_camera_noise_is_poisson_plus_read_noise(rng: np.random.Generator) -> None:
    camera = Camera(gain_adu_per_photon=2, offset_adu=100, read_noise_photons=3)
    photons = np.full((300, 300), 50, np.float32)
    counts = camera.record(photons, rng).astype(float)
    assert counts.mean() == pytest.approx(200, rel=0.005)
    assert counts.var() == pytest.approx(4 * (50 + 9), rel=0.03)
    assert camera.expected(photons).mean() == pytest.approx(200)


def test_camera_saturates(rng: np.random.Generator) -> None:
    counts = Camera().record(np.full((4, 4), 1e6, np.float32), rng)
    assert counts.dtype == np.uint16
    assert (counts == 65535).all()


ANY_CAMERA = CameraSettings(
    gain_adu_per_photon=(0.5, 5), offset_adu=(0, 500), read_noise_photons=(1, 4)
)


def test_drawn_cameras_keep_within_their_ranges_and_16_bit(rng: np.random.Generator) -> None:
    for _ in range(300):
        photons, background = np.exp(rng.uniform(np.log(30), np.log(1e5))), rng.uniform(2, 60)
        camera = ANY_CAMERA.draw(photons, background, rng)
        brightest = np.array([photons + background])
        most = (65535 - camera.offset_adu) / brightest[0]
        assert min(0.5, most) <= camera.gain_adu_per_photon <= 5
        assert 0 <= camera.offset_adu <= 500
        assert 1 <= camera.read_noise_photons <= 4
        assert camera.highest_adu == 65535
        assert brightest[0] * camera.gain_adu_per_photon + camera.offset_adu <= 65535 + 1e-6
        assert camera.record(10 * brightest, rng).max() <= 65535


def test_the_share_of_saturated_stacks_is_as_asked_for(rng: np.random.Generator) -> None:
    some = replace(ANY_CAMERA, saturated_share=0.25)
    drawn = [some.draw(1000, 20, rng).highest_adu < 65535 for _ in range(2000)]
    # Four standard deviations of a binomial share.
    assert np.mean(drawn) == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 2000))


def test_a_saturating_camera_clips_measured_and_expected_alike(rng: np.random.Generator) -> None:
    always = replace(ANY_CAMERA, saturated_share=1)
    for _ in range(50):
        camera = always.draw(5000, 40, rng)
        photons = np.full((64, 64), 40, np.float32)
        photons[:32] = 5040
        measured, expected = camera.record(photons, rng), camera.expected(photons)
        assert expected.max() == measured.max() == camera.highest_adu
        assert (measured[:32] == measured.max()).all()
        # What lies outside is as without saturation, and well below.
        np.testing.assert_array_equal(
            expected[32:], replace(camera, highest_adu=65535).expected(photons)[32:]
        )
        unclipped = 5000 * camera.gain_adu_per_photon
        height = camera.highest_adu - camera.expected(photons[32:]).max()
        assert 0.3 * unclipped - 1 <= height <= 0.9 * unclipped + 1


def test_drawn_microscopes_keep_within_their_ranges_and_see_the_same_field() -> None:
    settings = StackSettings(na=(0.70, 0.80), pixel_size_um=(0.25, 0.5))
    field_um = settings.size_px * settings.optics.pixel_size_um
    drawn = [draw_microscope(settings, np.random.default_rng(k)) for k in range(300)]
    for one in drawn:
        pixel_um = one.optics.pixel_size_um
        assert 0.70 <= one.optics.na <= 0.80
        assert 0.25 <= pixel_um <= 0.5
        assert one.size_px * pixel_um == pytest.approx(field_um, abs=pixel_um)
        assert one.optics.wavelength_um == settings.optics.wavelength_um
    nas = [one.optics.na for one in drawn]
    assert np.mean(nas) == pytest.approx(0.75, abs=0.01)
    kept = np.mean([one.optics.pixel_size_um == 0.325 for one in drawn])
    assert kept == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 300))


def test_an_even_plane_of_light_is_as_bright_at_every_focus() -> None:
    """The microscope passes no contrast in z at the lateral frequency zero."""
    optics = Optics(na=0.8, wavelength_um=0.52, pixel_size_um=0.25)
    settings = StackSettings(optics, size_px=192, half_range_um=11.0, z_step_um=1.0)
    widest = Microscope(settings, Aberrations())
    y, x = np.mgrid[:320, :320].reshape(2, -1) * 0.25 - 319 / 2 * 0.25
    plane = np.column_stack([np.full(y.size, 12.0), y, x])
    light = widest.expose(Phantom(plane, np.ones(len(plane)), plane[:0])).mean((1, 2))
    np.testing.assert_allclose(light, light[-1], rtol=0.05)


def test_depth_aberration_has_one_sign() -> None:
    drawn = [draw_aberrations(SMALL, np.random.default_rng(k)) for k in range(50)]
    assert min(a.spherical for a in drawn) > 0.05
    assert max(a.spherical for a in drawn) < 0.45
    assert np.std([a.coma_x for a in drawn]) > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_every_phantom_gives_a_stack(microscope: Microscope, kind: Any) -> None:
    stack = simulate_stack(microscope, kind, np.random.default_rng(3))
    assert stack.measured.shape == stack.expected.shape == (17, 64, 64)
    assert stack.measured.dtype == np.uint16
    assert np.isfinite(stack.expected).all()
    assert stack.measured.astype(float).std() > 5
    residual = (stack.measured - stack.expected).mean()
    assert abs(residual) < 1


def test_tilted_beads_lie_on_the_plane_asked_for(microscope: Microscope) -> None:
    stack = simulate_stack(microscope, "tilted-beads", np.random.default_rng(5), tilt_span_um=8.0)
    z_um, x_px = stack.centres[:, 0], stack.centres[:, 2]
    np.testing.assert_allclose(z_um, (x_px - 31.5) / 64 * 8.0, atol=1e-9)


def test_beads_are_where_the_truth_says(microscope: Microscope) -> None:
    stack = simulate_stack(microscope, "tilted-beads", np.random.default_rng(5), tilt_span_um=1.0)
    middle = stack.expected[8]
    background = np.median(middle)
    hits = [
        middle[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].max() > 2 * background
        for _, y, x in stack.centres
        if 2 < y < 61 and 2 < x < 61
    ]
    assert np.mean(hits) > 0.9


def test_the_same_seed_gives_the_same_stacks() -> None:
    def drawn(seed: int) -> list[np.ndarray]:
        return [stack.measured for stack in simulate(2, seed, SHALLOW, kinds=("beads",))]

    first, again, other = drawn(1), drawn(1), drawn(2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])


def test_the_same_seed_gives_the_same_microscopes_and_cameras() -> None:
    broad = replace(
        SHALLOW,
        na=(0.70, 0.80),
        pixel_size_um=(0.25, 0.5),
        camera=replace(ANY_CAMERA, saturated_share=0.5),
    )

    def drawn(seed: int) -> list[SimulatedStack]:
        return list(simulate(3, seed, broad, kinds=("beads",), pupils=2))

    first, again = drawn(1), drawn(1)
    for stack, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(stack.measured, other.measured)
        np.testing.assert_array_equal(stack.expected, other.expected)
        assert stack.optics == other.optics
    assert first[0].optics == first[1].optics != first[2].optics
    # Two stacks of one microscope, but not of one camera.
    assert first[0].expected.min() != pytest.approx(first[1].expected.min(), abs=1)


def test_there_is_one_microscope_and_one_camera_unless_ranges_are_given(
    rng: np.random.Generator,
) -> None:
    assert draw_microscope(SMALL, rng) == SMALL
    assert CameraSettings().draw(12_000, 60, rng) == Camera()


@pytest.mark.slow
def test_the_sample_is_still_what_the_simulation_gives() -> None:
    """But for photon counts that another processor's rounding draws anew, 3 % on one of them.

    The smallest change of the simulation leaves fewer: one of the NA by 1e-5 leaves 4 %.
    """
    settings = StackSettings(half_range_um=10.0, z_step_um=1.0)
    (stack,) = simulate(1, 103, settings, kinds=("worm",))
    sample = tifffile.imread(WORM)
    assert np.mean(stack.measured == sample) > 0.9
    np.testing.assert_allclose(stack.measured.mean((1, 2)), sample.mean((1, 2)), rtol=1e-3)

"""Deconvolution of one plane, and the held-out stacks, against beads whose place is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from benchmarks.fidelity.methods import RichardsonLucy, Unrefocused, deconvolved
from benchmarks.fidelity.sets import HELD_OUT, PIXEL_UM, TRAINING, HeldOut, as_trained, limits
from napari_deepz.optics import Optics
from napari_deepz.training.config import read_config
from napari_deepz.training.phantoms import Phantom
from napari_deepz.training.simulation import (
    Camera,
    Microscope,
    SimulatedStack,
    StackSettings,
    draw_aberrations,
)

pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")


def one_bead(depth_um: float, pixel_um: float = PIXEL_UM, place_um: tuple = (0, 0)) -> HeldOut:
    """A point under a microscope with the aberrations of depth, without noise."""
    settings = StackSettings(
        optics=Optics(na=0.75, wavelength_um=0.52, pixel_size_um=pixel_um),
        size_px=round(96 * PIXEL_UM / pixel_um),
        half_range_um=6,
        z_step_um=2,
        coma_waves=0,
        astigmatism_waves=0,
    )
    aberrations = draw_aberrations(settings, np.random.default_rng(1))
    microscope = Microscope(settings, aberrations)
    points = np.array([[depth_um, *place_um]])
    light = microscope.expose(Phantom(points, np.ones(1), points)) * np.float32(2e5) + 20
    expected = Camera().expected(light)
    centres = points.copy()
    centres[:, 1:] = centres[:, 1:] / pixel_um + (settings.size_px - 1) / 2
    return HeldOut.from_simulation(
        SimulatedStack(
            measured=np.rint(expected).astype(np.uint16),
            expected=expected,
            z_um=settings.z_um,
            centres=centres,
            kind="beads",
            aberrations=aberrations,
            optics=settings.optics,
        )
    )


@pytest.mark.parametrize("depth_um", [4.0, -4.0])
def test_deconvolution_knows_the_two_sides_of_focus_apart(depth_um: float) -> None:
    stack = one_bead(depth_um)
    right, wrong = RichardsonLucy().planes(stack, [depth_um, -depth_um])
    offset = Camera().expected(np.array(20, np.float32))
    assert right.max() - offset > 1.5 * (wrong.max() - offset)
    assert right.max() - offset > 2 * (stack.image.max() - offset)
    peak = np.unravel_index(right.argmax(), right.shape)
    np.testing.assert_allclose(peak, stack.centres[0, 1:], atol=0.51)


def test_deconvolution_with_the_same_psf_changes_nothing_where_there_is_nothing() -> None:
    psf = np.zeros((9, 9), np.float32)
    psf[4, 4] = 1
    image = np.full((32, 40), 7, np.uint16)
    np.testing.assert_array_equal(deconvolved(image, psf, psf), image)
    image[10, 12] = 90
    np.testing.assert_allclose(deconvolved(image, psf, psf), image, atol=0.01)


def test_deconvolution_keeps_the_light() -> None:
    stack = one_bead(2.0)
    refocused = RichardsonLucy().planes(stack, [2.0])[0]
    assert refocused.sum() == pytest.approx(stack.image.sum(), rel=0.01)


def test_unrefocused_is_the_input() -> None:
    stack = one_bead(0.0)
    np.testing.assert_array_equal(Unrefocused().planes(stack, [-2.0, 5.0])[1], stack.image)


def test_objects_are_where_they_are_said_to_be_on_another_pixel_grid() -> None:
    stack = one_bead(0.0, pixel_um=0.26, place_um=(3.1, -5.2))
    light = stack.image - np.median(stack.image)
    found = center_of_mass(np.where(light > 0.2 * light.max(), light, 0))
    np.testing.assert_allclose(found, stack.centres[0, 1:], atol=0.15)


def test_truth_is_free_of_noise_and_at_the_distance_asked_for() -> None:
    stack = one_bead(4.0)
    peaks = stack.truth(np.array([-4.0, 0.0, 4.0])).max(axis=(1, 2))
    assert peaks.argmax() == 2
    with pytest.raises(ValueError, match="no planes at some"):
        stack.truth(np.array([1.0]))


def test_sets_are_held_out() -> None:
    seeds = {set_of.seed for set_of in HELD_OUT}
    assert len(seeds) == len(HELD_OUT)
    for path in TRAINING.parent.glob("*.toml"):
        data = read_config(path).data
        assert not seeds & {data.seed, data.validation_seed}


def test_limits_are_what_they_are_called() -> None:
    found = {limit.what.split(":")[0]: limit.settings for limit in limits()}
    assert found["Low light"].photons == (30, 100)
    assert found["Far out of range"].half_range_um == 16
    assert as_trained().half_range_um == 11
    water = next(limit.settings for limit in limits() if "water" in limit.what)
    assert water.optics.depth_aberration_waves(40) == pytest.approx((0, 0), abs=1e-9)
    assert water.na is None

"""Widths of beads whose width is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_deepz.analysis.bead_size import (
    FWHM_OF_SIGMA,
    axial_fwhm_um,
    fit_spot,
    lateral_fwhm_um,
)
from napari_deepz.io.reading import read_image
from tests.analysis.test_metrics import gaussian
from tests.conftest import shared_file

PIXEL_UM = 0.325
Z_UM = np.arange(-10, 10.5, 0.5)


class TestAcross:
    @pytest.mark.parametrize("sigma_px", [0.6, 1.0, 1.7, 2.4])
    @pytest.mark.parametrize("centre", [(20.0, 24.0), (20.4, 23.7)])
    def test_gaussian(self, sigma_px: float, centre: tuple[float, float]) -> None:
        image = 500 + 3e4 * gaussian((48, 52), centre, sigma_px)
        found = lateral_fwhm_um(image, [(20.5, 24.2)], PIXEL_UM)
        assert found == pytest.approx([FWHM_OF_SIGMA * sigma_px * PIXEL_UM], rel=0.02)

    def test_spot_has_all_that_made_it(self) -> None:
        image = 500 + 3e4 * gaussian((48, 52), (20.4, 23.7), 1.5)
        spot = fit_spot(image, (21, 23), 6)
        assert spot is not None
        assert spot.centre_px == pytest.approx((20.4, 23.7), abs=0.01)
        assert spot.background == pytest.approx(500, abs=1)
        assert spot.amplitude == pytest.approx(3e4 / (2 * math.pi * 1.5**2), rel=0.01)

    def test_noise(self) -> None:
        places = np.array([(y, x) for y in range(16, 200, 24) for x in range(16, 200, 24)])
        image = np.full((210, 210), 50.0)
        for place in places:
            image += 2e4 * gaussian(image.shape, tuple(place), 1.3)
        counts = np.random.default_rng(4).poisson(image).astype(np.uint16)
        found = lateral_fwhm_um(counts, places, PIXEL_UM)
        assert np.median(found) == pytest.approx(FWHM_OF_SIGMA * 1.3 * PIXEL_UM, rel=0.02)
        assert np.std(found) < 0.05 * np.median(found)

    def test_nothing_there(self) -> None:
        noise = np.random.default_rng(5).normal(100, 5, (48, 48))
        wide = 100 + 3e4 * gaussian((48, 48), (24, 24), 9)
        ring = 100.0 + (np.hypot(*(np.indices((48, 48)) - 24.0)) > 5)
        for image in (noise, wide, ring, np.full((48, 48), 3.0)):
            assert fit_spot(image, (24, 24), 6) is None

    def test_at_the_border(self) -> None:
        image = 3e4 * gaussian((48, 48), (3, 24), 1)
        assert np.isnan(lateral_fwhm_um(image, [(3, 24)], PIXEL_UM)).all()

    def test_what_cannot_be_measured(self) -> None:
        with pytest.raises(ValueError, match="a 2D image"):
            fit_spot(np.zeros((3, 16, 16)), (8, 8), 4)
        with pytest.raises(ValueError, match="a 2D image"):
            fit_spot(np.full((16, 16), math.nan), (8, 8), 4)
        with pytest.raises(ValueError, match="at least 3"):
            fit_spot(np.zeros((16, 16)), (8, 8), 2)


class TestAlongZ:
    @pytest.mark.parametrize("sigma_um", [0.6, 1.0, 2.5])
    @pytest.mark.parametrize("depth_um", [0.0, 3.2, -4.7])
    def test_gaussian(self, sigma_um: float, depth_um: float) -> None:
        height = np.exp(-((Z_UM - depth_um) ** 2) / (2 * sigma_um**2))
        spot = gaussian((48, 52), (20.4, 23.7), 1.2)
        stack = 100 + 10 * Z_UM[:, None, None] + 1e4 * height[:, None, None] * spot
        found = axial_fwhm_um(stack, Z_UM, [(20.4, 23.7)], PIXEL_UM)
        assert found == pytest.approx([FWHM_OF_SIGMA * sigma_um], rel=0.02)

    def test_gaussian_beam(self) -> None:
        # On the axis of a beam of sigma² = s² + (k z)² the intensity falls to half at z = s / k.
        sigma_px = np.sqrt(1.5**2 + (0.75 * Z_UM) ** 2)
        stack = 1e4 * gaussian((128, 128), (60.3, 66.6), sigma_px)
        found = axial_fwhm_um(stack, Z_UM, [(60.3, 66.6)], PIXEL_UM, window_radius_um=8)
        assert found == pytest.approx([4.0], rel=0.02)

    def test_uneven_depths(self) -> None:
        z_um = np.sort(np.append(Z_UM, [0.2, 0.8, 3.3]))
        height = np.exp(-((z_um - 0.7) ** 2) / 2)
        stack = height[:, None, None] * gaussian((40, 40), (20, 20), 1.2)
        found = axial_fwhm_um(stack, z_um, [(20, 20)], PIXEL_UM)
        assert found == pytest.approx([FWHM_OF_SIGMA], rel=0.02)

    def test_not_within_the_stack(self) -> None:
        height = np.exp(-((Z_UM - 9.8) ** 2) / 2)
        stack = height[:, None, None] * gaussian((40, 40), (20, 20), 1.2)
        assert np.isnan(axial_fwhm_um(stack, Z_UM, [(20, 20)], PIXEL_UM)).all()
        assert np.isnan(axial_fwhm_um(0 * stack, Z_UM, [(20, 20)], PIXEL_UM)).all()

    def test_what_cannot_be_measured(self) -> None:
        stack = np.zeros((5, 16, 16))
        with pytest.raises(ValueError, match="one depth for each"):
            axial_fwhm_um(stack, Z_UM, [(8, 8)], PIXEL_UM)
        with pytest.raises(ValueError, match="must rise"):
            axial_fwhm_um(stack, np.arange(5)[::-1], [(8, 8)], PIXEL_UM)


def test_a_measured_bead() -> None:
    # Its owners' own fit: 0.41 and 0.42 µm across, 1.37 µm along z.
    image = read_image(shared_file("data/bead_na085.ome.tif"))
    stack = image.stack()
    assert image.pixel_size_um is not None
    assert image.z_step_um is not None
    spot = fit_spot(stack[12], np.unravel_index(stack[12].argmax(), stack[12].shape), 15)
    assert spot is not None
    assert spot.fwhm_px * image.pixel_size_um == pytest.approx(0.415, rel=0.1)
    z_um = np.arange(len(stack)) * image.z_step_um
    along = axial_fwhm_um(stack, z_um, [spot.centre_px], image.pixel_size_um)
    assert along == pytest.approx([1.37], rel=0.1)

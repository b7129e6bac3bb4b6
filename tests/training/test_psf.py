"""The simulated PSF against closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import j1

from napari_deepz.optics import Optics
from napari_deepz.pupil import Aberrations
from napari_deepz.training.psf import focal_psf

pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")

LOW = Optics(na=0.15, wavelength_um=0.52, pixel_size_um=0.2)
DRY = Optics(na=0.75, wavelength_um=0.52, pixel_size_um=0.325)


def test_in_focus_it_is_the_airy_pattern() -> None:
    psf = focal_psf(LOW, Aberrations(), half_range_um=1, z_step_um=1, half_width_px=24)[1]
    fine = (np.arange(49 * 2) - 48.5) * 0.1
    radius = np.hypot(*np.meshgrid(fine, fine))
    v = 2 * np.pi * LOW.na / LOW.wavelength_um * radius
    airy = (2 * j1(v) / v) ** 2
    airy = airy.reshape(49, 2, 49, 2).sum((1, 3))
    np.testing.assert_allclose(psf / psf.max(), airy / airy.max(), atol=5e-3)


def test_on_axis_it_follows_the_defocus_formula() -> None:
    # Born & Wolf 8.8: I(z) = (sin(u/4) / (u/4))² with u = 2π NA² z / λ for a small aperture.
    psf = focal_psf(LOW, Aberrations(), half_range_um=20, z_step_um=4, half_width_px=24)
    z_um = np.arange(-5, 6) * 4.0
    quarter_u = np.pi / 2 * LOW.na**2 * z_um / LOW.wavelength_um
    expected = np.sinc(quarter_u / np.pi) ** 2
    # The central camera pixel is small beside the Airy disk.
    np.testing.assert_allclose(psf[:, 24, 24] / psf[5, 24, 24], expected, atol=0.02)


def test_no_light_is_lost_through_focus() -> None:
    psf = focal_psf(DRY, Aberrations(), half_range_um=6, z_step_um=1, half_width_px=64)
    np.testing.assert_allclose(psf.sum((1, 2)), 1, atol=0.01)


def test_only_aberration_tells_the_two_sides_apart() -> None:
    options: dict[str, Any] = {"half_range_um": 6.0, "z_step_um": 1.0, "half_width_px": 32}
    perfect = focal_psf(DRY, Aberrations(), **options)
    np.testing.assert_allclose(perfect, perfect[::-1], atol=1e-5 * perfect.max())
    watery = focal_psf(DRY, Aberrations(spherical=0.2), **options)
    above, below = watery[3], watery[9]
    # With the focus above the object (negative z) the light lies in a ring, below in a core.
    assert above.max() < 0.6 * below.max()
    centre = (32, 32)
    assert below[centre] > 5 * above[centre]


def test_coma_shifts_light_to_one_side_only_in_x() -> None:
    psf = focal_psf(DRY, Aberrations(coma_x=0.3), half_range_um=1, z_step_um=1, half_width_px=16)[1]
    np.testing.assert_allclose(psf, psf[::-1], atol=1e-5 * psf.max())
    assert np.abs(psf - psf[:, ::-1]).max() > 0.05 * psf.max()

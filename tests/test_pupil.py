from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.fft

from napari_deepz.optics import Optics
from napari_deepz.pupil import Aberrations, Pupil
from napari_deepz.training.psf import focal_psf

SIZE_PX = 128


def spread(pupil: Pupil, waves: list[float], size_px: int = SIZE_PX) -> np.ndarray:
    """Intensity that a point leaves at each defocus, its centre in the middle."""
    transfer = pupil.transfer(np.array(waves), size_px)
    planes = scipy.fft.irfft2(transfer, s=(size_px, size_px))
    return np.asarray(np.fft.fftshift(planes, axes=(1, 2)))


@pytest.mark.parametrize("na", [0.3, 0.75])
def test_it_is_the_psf_of_the_reference(na: float) -> None:
    """psf-generator's integral, aberrations and the direction of z included."""
    pytest.importorskip("psf_generator", reason="needs napari-deepz[train]")
    optics = Optics(na=na, wavelength_um=0.52, pixel_size_um=0.4 * 0.52 / na)
    aberrations = Aberrations(0.3, 0.05, coma_x=0.1, astigmatism=0.08, astigmatism_oblique=-0.05)
    wave_um = 0.52 / (1 - math.sqrt(1 - na**2))
    reference = focal_psf(
        optics, aberrations, half_range_um=4 * wave_um, z_step_um=2 * wave_um, half_width_px=48
    )
    planes = spread(Pupil(na, 0.4, aberrations), [-4.0, -2.0, 0.0, 2.0, 4.0])[:, 16:113, 16:113]
    for plane, expected in zip(planes, reference, strict=True):
        assert np.corrcoef(plane.ravel(), expected.ravel())[0, 1] > 0.998
    mirrored = np.corrcoef(planes[1].ravel(), reference[3].ravel())[0, 1]
    assert mirrored < 0.95


def test_the_spot_in_focus_is_airys() -> None:
    """Its first dark ring lies 0.61 λ/NA from the centre (Born & Wolf, 8.5.2)."""
    (plane,) = spread(Pupil(0.1, 0.05), [0.0], 256)
    profile = plane[128, 128:160]
    dark = int(np.argmax(np.diff(profile) > 0))
    assert dark * 0.05 == pytest.approx(0.61, abs=0.03)


def test_light_is_conserved() -> None:
    transfer = Pupil(0.9, 0.3, Aberrations(0.4), vectorial=True).transfer(
        np.array([-6.0, 0.0, 6.0]), SIZE_PX
    )
    np.testing.assert_allclose(transfer[:, 0, 0], 1, atol=1e-5)


@pytest.mark.parametrize("vectorial", [False, True])
def test_the_other_sign_of_aberration_is_the_other_side_of_focus(vectorial: bool) -> None:
    ahead = spread(Pupil(0.8, 0.4, Aberrations(0.3, coma_y=0.1), vectorial), [3.0])
    behind = spread(Pupil(0.8, 0.4, Aberrations(-0.3, coma_y=-0.1), vectorial), [-3.0])
    # A conjugated pupil gives the same spot, turned by half a turn.
    turned = np.roll(behind[0, ::-1, ::-1], (1, 1), (0, 1))
    np.testing.assert_allclose(ahead[0], turned, atol=1e-6)


def test_polarisation_widens_the_focus_of_steep_rays_only() -> None:
    def width(aperture: float, vectorial: bool) -> float:
        (plane,) = spread(Pupil(aperture, 0.1, vectorial=vectorial), [0.0])
        return float((plane / plane.max() > 0.5).sum())

    assert width(0.92, True) > 1.1 * width(0.92, False)
    assert width(0.2, True) == pytest.approx(width(0.2, False), rel=0.03)


@pytest.mark.parametrize(("aperture", "sampling"), [(0.0, 0.3), (1.0, 0.3), (0.5, 0.0), (0.5, 1.0)])
def test_what_no_microscope_has_is_refused(aperture: float, sampling: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Pupil(aperture, sampling)

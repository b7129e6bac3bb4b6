"""Wide-field point spread functions through focus, aberrations included."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_deepz.optics import Optics
from napari_deepz.pupil import Aberrations

_PUPIL_SAMPLES = 257
_OVERSAMPLING = 2
_OSA_ORDER = {
    "astigmatism_oblique": 3,
    "astigmatism": 5,
    "coma_y": 7,
    "coma_x": 8,
    "spherical": 12,
    "secondary_spherical": 24,
}


def focal_psf(
    optics: Optics,
    aberrations: Aberrations,
    *,
    half_range_um: float,
    z_step_um: float,
    half_width_px: int,
) -> NDArray[np.float32]:
    """Intensity that a point leaves on the camera while the focus moves through it.

    The scalar field comes from psf-generator's Cartesian propagator (Richards-Wolf integral) at
    half the camera's pixel, and is summed over the pixel.

    Parameters
    ----------
    optics : Optics
        The microscope.
    aberrations : Aberrations
        Its pupil's phase.
    half_range_um, z_step_um : float
        Focus goes from minus to plus the half range, µm; positive is deeper into the sample.
    half_width_px : int
        The PSF is ``2 * half_width_px + 1`` camera pixels wide.

    Returns
    -------
    ndarray
        (Z, Y, X) float32; the plane in focus sums to one.

    Raises
    ------
    ModuleNotFoundError
        If psf-generator is not installed.
    """
    try:
        from psf_generator import ScalarCartesianPropagator
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Simulating focal stacks needs psf-generator; install it with "
            "pip install 'napari-deepz[train]'."
        ) from error

    count = 2 * round(half_range_um / z_step_um) + 1
    width = (2 * half_width_px + 1) * _OVERSAMPLING
    nm = 1000.0
    # The propagator spreads n samples over n steps, both ends included: hence the (n - 1) / n.
    fine_pixel_nm = optics.pixel_size_um * nm / _OVERSAMPLING * (width - 1) / width
    propagator = ScalarCartesianPropagator(
        n_pix_pupil=_PUPIL_SAMPLES,
        n_pix_psf=width,
        zernike_coefficients=_osa_radians(aberrations),
        wavelength=optics.wavelength_um * nm,
        na=optics.na,
        pix_size=fine_pixel_nm,
        defocus_step=2 * half_range_um * nm / count,
        n_defocus=count,
        n_i=optics.n_immersion,
        n_i0=optics.n_immersion,
        apod_factor=True,
    )
    field = propagator.compute_focus_field()
    fine = (field.real**2 + field.imag**2)[:, 0].numpy()
    # Focusing deeper shortens the path in the immersion: the propagator's z runs the other way.
    fine = fine[::-1]
    coarse = fine.reshape(count, width // 2, 2, width // 2, 2).sum(axis=(2, 4))
    psf: NDArray[np.float32] = (coarse / coarse[count // 2].sum()).astype(np.float32)
    return psf


def _osa_radians(aberrations: Aberrations) -> list[float]:
    """Coefficients by OSA index, in radians, as psf-generator takes them."""
    coefficients = [0.0] * (max(_OSA_ORDER.values()) + 1)
    for name, index in _OSA_ORDER.items():
        coefficients[index] = 2 * math.pi * getattr(aberrations, name)
    return coefficients

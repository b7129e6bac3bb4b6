"""The microscope in numbers, and the aberration that depth in the sample brings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PLAUSIBLE_PIXELS_UM = (0.005, 20.0)
"""Pixels in the sample: from super-resolved reconstructions to a macroscope's binned camera."""

PLAUSIBLE_Z_STEPS_UM = (0.005, 200.0)
"""Distances between planes: from a piezo's smallest steps to light sheets through an organ."""


@dataclass(frozen=True)
class Optics:
    """A wide-field fluorescence microscope.

    Parameters
    ----------
    na : float
        Numerical aperture of the objective.
    wavelength_um : float
        Emission wavelength in vacuum, µm.
    pixel_size_um : float
        Camera pixel in the sample plane, µm.
    n_immersion, n_sample : float
        Refractive indices of the immersion medium and of the sample.

    Raises
    ------
    ValueError
        If a value cannot be that of a microscope.
    """

    na: float
    wavelength_um: float
    pixel_size_um: float
    n_immersion: float = 1.0
    n_sample: float = 1.33

    def __post_init__(self) -> None:
        if not 0 < self.na < min(self.n_immersion, self.n_sample):
            raise ValueError(
                f"A numerical aperture of {self.na:g} does not go with refractive indices of "
                f"{self.n_immersion:g} (immersion) and {self.n_sample:g} (sample); "
                "give one that is positive and below both."
            )
        if self.wavelength_um <= 0 or self.pixel_size_um <= 0:
            raise ValueError("Wavelength and pixel size must be positive numbers of µm.")

    def depth_aberration_waves(self, depth_um: float) -> tuple[float, float]:
        """Spherical aberration of a source below the cover glass, by the Gibson-Lanni model.

        Gibson & Lanni 1992 (doi:10.1364/JOSAA.9.000154): the optical path of a source at depth d
        differs from the design by ``d sqrt(n_s² - NA² ρ²) - Δ sqrt(n_i² - NA² ρ²)`` with the
        stage at Δ. The stage position that leaves the smallest rms path difference is taken.

        Parameters
        ----------
        depth_um : float
            Distance between cover glass and source, µm.

        Returns
        -------
        primary, secondary : float
            Coefficients of Z(4,0) = 6ρ⁴-6ρ²+1 and Z(6,0) = 20ρ⁶-30ρ⁴+12ρ²-1, in waves. Positive
            where the sample's index exceeds that of the immersion.
        """
        rho, weight = _radial_nodes()
        path = depth_um * np.sqrt(self.n_sample**2 - (self.na * rho) ** 2)
        focus = np.sqrt(self.n_immersion**2 - (self.na * rho) ** 2)
        design = np.stack([np.ones_like(rho), focus], axis=1) * np.sqrt(weight)[:, None]
        fit = np.linalg.lstsq(design, path * np.sqrt(weight), rcond=None)[0]
        residual = path - fit[0] - fit[1] * focus
        primary = 6 * rho**4 - 6 * rho**2 + 1
        secondary = 20 * rho**6 - 30 * rho**4 + 12 * rho**2 - 1
        return (
            _projection(residual, primary, weight) / self.wavelength_um,
            _projection(residual, secondary, weight) / self.wavelength_um,
        )


def _radial_nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre nodes in ρ on (0, 1) and their weights for the area ρ dρ."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    rho = (nodes + 1) / 2
    return rho, weights * rho


def _projection(
    values: NDArray[np.float64], mode: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    return float((values * mode * weight).sum() / (mode * mode * weight).sum())

"""Wide-field imaging in optical units: what a pupil leaves of an object through focus.

Lengths are counted as the optics count them: across the image in λ/NA, along the axis in waves of
defocus, z (n - sqrt(n² - NA²)) / λ. In these units microscopes of all objectives are alike but for
NA/n, so that one network can know them all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import scipy.fft
from numpy.typing import NDArray

VECTORIAL_FROM_NA = 0.9
"""Above it, polarisation and the steep rays matter."""


@dataclass(frozen=True)
class Aberrations:
    """Zernike coefficients of the pupil's phase in waves (modes with unit amplitude at the rim).

    Positive spherical aberration is that of a dry objective looking into a watery sample
    (`Optics.depth_aberration_waves`). It is what makes the two sides of focus differ.
    """

    spherical: float = 0.0
    secondary_spherical: float = 0.0
    coma_x: float = 0.0
    coma_y: float = 0.0
    astigmatism: float = 0.0
    astigmatism_oblique: float = 0.0


@dataclass(frozen=True)
class Pupil:
    """The optics of one image in optical units.

    Parameters
    ----------
    aperture : float
        NA/n, the sine of the steepest ray's angle in the immersion.
    sampling : float
        Pixels of the camera in λ/NA.
    aberrations : Aberrations
        The pupil's phase, in waves.
    vectorial : bool
        Whether light is a vector, summed over dipoles of all directions, or a scalar.
    """

    aperture: float
    sampling: float
    aberrations: Aberrations = field(default_factory=Aberrations)
    vectorial: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.aperture < 1 and 0 < self.sampling < 1):
            raise ValueError(
                "NA/n and the pixels in λ/NA of a simulated microscope lie between 0 and 1, not "
                f"{self.aperture:g} and {self.sampling:g}."
            )

    def transfer(self, defocus_waves: NDArray[np.float64], size_px: int) -> NDArray[np.complex64]:
        """Optical transfer function at each defocus, on a field whose borders meet.

        The intensity of a point is that of the Richards-Wolf integral (Richards & Wolf 1959,
        doi:10.1098/rspa.1959.0200) with the apodisation of an aplanatic objective, averaged over
        the pixel. Light is conserved: the transfer at zero frequency is one in every plane.

        Parameters
        ----------
        defocus_waves : ndarray
            (Z,) waves of defocus; positive is deeper into the sample, as in `Aberrations`.
        size_px : int
            Height and width of the field in camera pixels.

        Returns
        -------
        ndarray
            (Z, Y, X // 2 + 1) complex64, for `scipy.fft.rfft2` of an image.
        """
        # The intensity's band is twice the amplitude's: pixels of at most a quarter of λ/NA.
        finer = max(1, math.ceil(4 * self.sampling))
        grid_px = size_px * finer
        frequency = scipy.fft.fftfreq(grid_px, self.sampling / finer)
        inside, amplitudes, phase, depth = self._pupil(frequency)
        pixel = np.sinc(frequency * self.sampling).astype(np.float32)
        transfer = np.empty((len(defocus_waves), size_px, size_px // 2 + 1), np.complex64)
        wave = np.zeros((grid_px, grid_px), np.complex64)
        for plane, waves in enumerate(defocus_waves):
            turned = np.exp(2j * np.pi * (phase + waves * depth)).astype(np.complex64)
            intensity = np.zeros((grid_px, grid_px), np.float32)
            for amplitude in amplitudes:
                wave[inside] = amplitude * turned
                spread = scipy.fft.ifft2(wave, workers=-1)
                intensity += spread.real**2 + spread.imag**2
            spectrum = scipy.fft.fft2(intensity, workers=-1)
            spectrum *= pixel[:, None] * pixel
            light = spectrum[0, 0].real
            # A camera that samples coarsely sees fine detail as coarse: frequencies fold.
            folded = spectrum.reshape(finer, size_px, finer, size_px).sum(axis=(0, 2))
            transfer[plane] = folded[:, : size_px // 2 + 1] / light
        return transfer

    def _pupil(
        self, frequency: NDArray[np.float64]
    ) -> tuple[
        NDArray[np.bool_], list[NDArray[np.float32]], NDArray[np.float64], NDArray[np.float64]
    ]:
        """Where the pupil is, its field components there, its phase and what defocus adds."""
        y, x = frequency[:, None], frequency[None, :]  # In NA/λ: the pupil's radius is one.
        rho = np.hypot(y, x)
        inside = rho < 1
        rho, azimuth = (
            rho[inside],
            np.arctan2(
                np.broadcast_to(y, inside.shape)[inside], np.broadcast_to(x, inside.shape)[inside]
            ),
        )
        sine = self.aperture * rho
        cosine = np.sqrt(1 - sine**2)
        # One wave of defocus at the rim; focusing deeper shortens the path in the immersion.
        depth = (1 - cosine) / (1 - math.sqrt(1 - self.aperture**2))
        apodised = 1 / np.sqrt(cosine)
        if self.vectorial:
            across, along = np.cos(azimuth), np.sin(azimuth)
            parts = [
                cosine * across**2 + along**2,
                cosine * along**2 + across**2,
                math.sqrt(2) * (cosine - 1) * across * along,
                sine * across,
                sine * along,
            ]
        else:
            parts = [np.ones_like(rho)]
        amplitudes = [(apodised * part).astype(np.float32) for part in parts]
        return inside, amplitudes, self._phase(rho, azimuth), depth

    def _phase(self, rho: NDArray[np.float64], azimuth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Zernike terms of unit amplitude at the rim, in waves.

        See Noll 1976 (doi:10.1364/JOSA.66.000207).
        """
        a = self.aberrations
        square = rho**2
        coma = (3 * square - 2) * rho
        return np.asarray(
            a.spherical * (6 * square**2 - 6 * square + 1)
            + a.secondary_spherical * (20 * square**3 - 30 * square**2 + 12 * square - 1)
            + coma * (a.coma_x * np.cos(azimuth) + a.coma_y * np.sin(azimuth))
            + square
            * (a.astigmatism * np.cos(2 * azimuth) + a.astigmatism_oblique * np.sin(2 * azimuth))
        )

"""What a neuron leaves in the frames as they were taken: the point spread function at its depth."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import sparse

from napari_deepz.optics import Optics
from napari_deepz.pupil import VECTORIAL_FROM_NA, Aberrations, Pupil
from napari_deepz.sampling import Sampling

Array = NDArray[np.float64]

NUCLEUS_RADIUS_UM = 0.7
"""Of the neurons of a movie of which nothing is known."""
_STEP_WAVES = 0.125
_BEYOND_PX, _MOST_HALF_PX = 12, 128


class FootprintError(ValueError):
    """The optics of the movie are not known."""


@dataclass(frozen=True)
class FootprintOptics:
    """Through what neurons are seen.

    Parameters
    ----------
    sampling : Sampling
        With numerical aperture, immersion and wavelength.
    spherical_waves : float
        Signed primary spherical aberration; positive is that of a dry objective looking into a
        watery sample.
    """

    sampling: Sampling
    spherical_waves: float = 0.0

    def __post_init__(self) -> None:
        if self.sampling.axial_unit_um is None:
            known = {
                "the numerical aperture": self.sampling.na,
                "the immersion": self.sampling.immersion_index,
                "the emission wavelength": self.sampling.wavelength_um,
            }
            missing = [name for name, value in known.items() if value is None]
            them = "it" if len(missing) == 1 else "them"
            raise FootprintError(
                "Traces are measured with the point spread function, which needs "
                f"{' and '.join(missing)} of the movie: say {them}."
            )
        try:
            self.pupil  # noqa: B018
        except ValueError as error:
            raise FootprintError(
                f"Pixels of {self.sampling.pixel_size_um:g} µm are too large to measure traces "
                f"through an NA of {self.sampling.na:g}, or one of these is mistyped."
            ) from error

    @classmethod
    def in_sample(
        cls, sampling: Sampling, depth_um: float
    ) -> tuple[FootprintOptics, tuple[str, ...]]:
        """With the aberration of a watery sample, and what cannot be known of it.

        Parameters
        ----------
        sampling : Sampling
            Pixels and optics.
        depth_um : float
            Of the sample below the cover glass.
        """
        na, index, wavelength_um = sampling.na, sampling.immersion_index, sampling.wavelength_um
        if na is None or index is None or wavelength_um is None:
            return cls(sampling), ()
        try:
            optics = Optics(na, wavelength_um, sampling.pixel_size_um, index)
        except ValueError:
            return cls(sampling), (
                f"The aberration of a watery sample at NA {na:g} is not known, none is taken.",
            )
        return cls(sampling, optics.depth_aberration_waves(depth_um)[0]), ()

    @property
    def pupil(self) -> Pupil:
        """The same in optical units."""
        na, index = self.sampling.na, self.sampling.immersion_index
        unit_um = self.sampling.lateral_unit_um
        assert na is not None
        assert index is not None
        assert unit_um is not None
        return Pupil(
            aperture=na / index,
            sampling=self.sampling.pixel_size_um / unit_um,
            aberrations=Aberrations(spherical=self.spherical_waves),
            vectorial=na > VECTORIAL_FROM_NA,
        )

    @property
    def wave_um(self) -> float:
        """One wave of defocus."""
        unit_um = self.sampling.axial_unit_um
        assert unit_um is not None
        return unit_um


class Footprints:
    """Point spread functions of a microscope, at any place within some depth of the input planes.

    Those at evenly spaced depths are made once; others lie linearly between them.

    Parameters
    ----------
    optics : FootprintOptics
        The microscope.
    at_um : sequence of float
        Where the input planes of a frame were taken.
    reach_um : float
        How far from any input plane a neuron may lie.
    """

    def __init__(self, optics: FootprintOptics, at_um: Sequence[float], reach_um: float) -> None:
        self.optics, self.at_um, self.reach_um = optics, tuple(at_um), reach_um
        self._pixel_um = optics.sampling.pixel_size_um
        pupil = optics.pupil
        slope = pupil.aperture / math.sqrt(1 - pupil.aperture**2)
        half = min(math.ceil(reach_um * slope / self._pixel_um) + _BEYOND_PX, _MOST_HALF_PX)
        self.side_px = scipy.fft.next_fast_len(2 * half, real=True)
        self.side_px += self.side_px % 2
        self._step_um = _STEP_WAVES * optics.wave_um
        self._middle = math.ceil(reach_um / self._step_um) + 1
        waves = np.arange(-self._middle, self._middle + 1, dtype=np.float64) * _STEP_WAVES
        self._focal = pupil.transfer(waves, self.side_px)
        self._give(NUCLEUS_RADIUS_UM)
        self._y = scipy.fft.fftfreq(self.side_px)[:, None]
        self._x = scipy.fft.rfftfreq(self.side_px)[None]

    def of_radius(self, radius_um: float) -> Footprints:
        """Give the same of neurons of another radius."""
        other = copy.copy(self)
        other._give(radius_um)
        return other

    def _give(self, radius_um: float) -> None:
        self.radius_um = radius_um
        self._transfer = self._focal * self._ball()

    def _ball(self) -> NDArray[np.float32]:
        """Transform of a ball of unit light, seen along z."""
        y = scipy.fft.fftfreq(self.side_px, self._pixel_um)[:, None]
        x = scipy.fft.rfftfreq(self.side_px, self._pixel_um)[None]
        v = 2 * np.pi * np.hypot(y, x) * self.radius_um
        safe = np.maximum(v, 1e-3)
        found = np.where(v > 1e-3, 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3, 1.0)
        return found.astype(np.float32)

    def patches(
        self, places_um: Array, plane: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Footprints in one input plane.

        Parameters
        ----------
        places_um : ndarray
            (N, 3) z, y and x from the centre of the first pixel.
        plane : int
            Which of the input planes.

        Returns
        -------
        patches : ndarray
            (N, P, P) float32, one in sum but for what lies outside of the patch.
        corners : ndarray
            (N, 2) row and column of their first pixel in the image.
        """
        yx = places_um[:, 1:] / self._pixel_um
        whole = np.rint(yx).astype(np.int64)
        rest = yx - whole
        half = self.side_px // 2
        along_y = np.exp(-2j * np.pi * self._y[None] * (rest[:, 0, None, None] + half))
        along_x = np.exp(-2j * np.pi * self._x[None] * (rest[:, 1, None, None] + half))
        shift = along_y.astype(np.complex64) * along_x.astype(np.complex64)
        # Focusing deeper by dz is as if the object were shallower by dz.
        away = (self.at_um[plane] - places_um[:, 0]) / self._step_um + self._middle
        away = np.clip(away, 0, len(self._transfer) - 1)
        below = np.minimum(away.astype(np.int64), len(self._transfer) - 2)
        share = (away - below).astype(np.float32)[:, None, None]
        transfer = self._transfer[below] * (1 - share) + self._transfer[below + 1] * share
        side = (self.side_px, self.side_px)
        found = scipy.fft.irfft2(transfer * shift, s=side, workers=-1)
        return found.astype(np.float32), whole - half

    def matrix(self, places_um: Array, shape: tuple[int, int]) -> sparse.csr_array:
        """(K * Y * X, N) footprints in all input planes, one column for each neuron."""
        height, width = shape
        rows, columns, values = [], [], []
        inside_patch = np.arange(self.side_px)
        for plane in range(len(self.at_um)):
            patches, corners = self.patches(places_um, plane)
            y = corners[:, :1] + inside_patch
            x = corners[:, 1:] + inside_patch
            inside = (((y >= 0) & (y < height))[:, :, None]) & (((x >= 0) & (x < width))[:, None])
            index = (plane * height + y)[:, :, None] * width + x[:, None]
            numbers = np.broadcast_to(np.arange(len(places_um))[:, None, None], index.shape)
            rows.append(index[inside])
            columns.append(numbers[inside])
            values.append(patches[inside])
        size = (len(self.at_um) * height * width, len(places_um))
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        return sparse.csr_array(sparse.coo_array(entries, shape=size))

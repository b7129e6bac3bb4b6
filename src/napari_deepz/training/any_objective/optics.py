"""Objectives, cameras and aberrations to simulate, in µm and in optical units."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_deepz.pupil import VECTORIAL_FROM_NA, Aberrations, Pupil

STEP_WAVES = 0.325
"""Distance of the planes: 0.5 µm at 20x/0.75."""

SAMPLING = (0.18, 0.8)
"""Smallest and largest pixel in λ/NA."""

_SHARES = {1.0: 0.45, 1.33: 0.15, 1.406: 0.07, 1.47: 0.07, 1.515: 0.26}
_NA = {1.0: (0.25, 0.95), 1.33: (0.5, 1.25), 1.406: (0.6, 1.33), 1.47: (0.8, 1.38)}
_NA_OIL = (0.8, 1.47)
_WAVELENGTH_UM = (0.45, 0.7)


@dataclass(frozen=True)
class Objective:
    """An objective, a colour and a camera.

    Parameters
    ----------
    na, immersion_index, wavelength_um : float
        As in `Sampling`; an NA that the sample's index cuts is already cut.
    pupil : Pupil
        The same in optical units, with its aberrations.
    """

    na: float
    immersion_index: float
    wavelength_um: float
    pupil: Pupil

    @property
    def voxel_um(self) -> tuple[float, float, float]:
        """(z, y, x) of the simulated volume, µm."""
        wave_um = self.wavelength_um / (
            self.immersion_index - math.sqrt(self.immersion_index**2 - self.na**2)
        )
        pixel_um = self.pupil.sampling * self.wavelength_um / self.na
        return STEP_WAVES * wave_um, pixel_um, pixel_um


def draw_optics(rng: np.random.Generator) -> Objective:
    """Draw an objective of NA 0.25 to 1.47 with its aberrations."""
    index = float(rng.choice(list(_SHARES), p=list(_SHARES.values())))
    na = float(rng.uniform(*_NA.get(index, _NA_OIL)))
    sample_index = float(rng.choice([rng.uniform(1.33, 1.38), rng.uniform(1.42, 1.52)]))
    na = min(na, 0.985 * sample_index)
    sampling = float(np.exp(rng.uniform(*np.log(SAMPLING))))
    spherical = rng.normal(0, 0.06) if rng.uniform() < 0.55 else rng.uniform(-0.6, 0.6)
    coma, direction = rng.uniform(0, 0.3) * rng.uniform(), rng.uniform(0, 2 * np.pi)
    astigmatism = rng.uniform(-1, 1, 2) * 0.12 * rng.uniform()
    aberrations = Aberrations(
        spherical=spherical,
        secondary_spherical=spherical * rng.uniform(-0.05, 0.3),
        coma_x=coma * np.cos(direction),
        coma_y=coma * np.sin(direction),
        astigmatism=astigmatism[0],
        astigmatism_oblique=astigmatism[1],
    )
    pupil = Pupil(na / index, sampling, aberrations, vectorial=na > VECTORIAL_FROM_NA)
    return Objective(na, index, float(rng.uniform(*_WAVELENGTH_UM)), pupil)

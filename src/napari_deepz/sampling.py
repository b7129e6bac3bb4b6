"""How finely a microscope samples what it shows: its pixels, and the optics that blur them."""

from __future__ import annotations

import math
import re
from typing import Any

from pydantic import Field

from napari_deepz.settings import Settings

IMMERSION_INDICES = {"air": 1.0, "water": 1.33, "silicone": 1.406, "glycerol": 1.47, "oil": 1.515}
"""Refractive indices of what objectives are made for."""

OBJECTIVES = (
    *("10x/0.3 air", "20x/0.75 air", "20x/0.8 air", "25x/1.1 water", "40x/0.95 air"),
    *("40x/1.3 oil", "60x/1.2 water", "60x/1.3 silicone", "63x/1.4 oil", "100x/1.45 oil"),
)
"""Those that people are offered, as `parse_objective` reads them."""

# Pixels in λ/NA: from super-resolved reconstructions to cameras that miss half of the detail.
_FINEST, _COARSEST = 0.03, 1.2

_MEDIA = {"dry": "air", "w": "water", "sil": "silicone", "gly": "glycerol", "glyc": "glycerol"}
_NUMERICAL_APERTURE = re.compile(r"/\s*([01](?:[.,]\d+)?)(?![.,]?\d)")


class Sampling(Settings):
    """Pixels and optics of an image; all but the pixel size may be unknown.

    Parameters
    ----------
    pixel_size_um : float
        Width and height of a pixel in the sample, µm.
    na : float or None, optional
        Numerical aperture of the objective.
    immersion_index : float or None, optional
        Refractive index of what lies between objective and cover glass.
    wavelength_um : float or None, optional
        Emission wavelength in vacuum, µm.

    Raises
    ------
    ValueError
        If a value cannot be that of a microscope; one sentence.
    """

    called = "a sampling"

    pixel_size_um: float = Field(gt=0)
    na: float | None = Field(None, gt=0, lt=1.7)
    immersion_index: float | None = Field(None, ge=1, le=1.8)
    wavelength_um: float | None = Field(None, ge=0.2, le=2)

    def __init__(self, /, **settings: Any) -> None:
        super().__init__(**settings)
        if self.na and self.immersion_index and self.na >= self.immersion_index:
            raise ValueError(
                f"A numerical aperture of {self.na:g} is not possible in an immersion of index "
                f"{self.immersion_index:g}: correct one of the two."
            )

    @property
    def lateral_unit_um(self) -> float | None:
        """λ/NA in µm, in which lateral detail is counted; None where unknown.

        The finest period that a wide-field microscope passes is half of it (Abbe 1873,
        doi:10.1007/BF02956173).
        """
        if self.na is None or self.wavelength_um is None:
            return None
        return self.wavelength_um / self.na

    @property
    def axial_unit_um(self) -> float | None:
        """λ / (n - sqrt(n² - NA²)) in µm, one wave of defocus at the edge of the pupil.

        Defocus by z adds the phase 2π z sqrt(n² - NA² ρ²) / λ over the pupil; see equation 2 of
        Hanser et al. 2004 (doi:10.1111/j.0022-2720.2004.01393.x). None where unknown.
        """
        if self.na is None or self.wavelength_um is None or self.immersion_index is None:
            return None
        n = self.immersion_index
        return self.wavelength_um / (n - math.sqrt(n**2 - self.na**2))

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what does not go together, a sentence each."""
        unit_um = self.lateral_unit_um
        if unit_um is None or _FINEST <= self.pixel_size_um / unit_um <= _COARSEST:
            return ()
        return (
            f"Pixels of {self.pixel_size_um:g} µm do not go with NA {self.na:g} at "
            f"{self.wavelength_um:g} µm, which shows details of {unit_um / 2:.2g} µm: check pixel "
            "size, objective and wavelength.",
        )

    def describe(self) -> str:
        """Say what is known, such as '0.325 µm pixels, NA 0.75, immersion 1, emission 0.52 µm'."""
        known = [f"{self.pixel_size_um:g} µm pixels"]
        for value, called, unit in (
            (self.na, "NA", ""),
            (self.immersion_index, "immersion", ""),
            (self.wavelength_um, "emission", " µm"),
        ):
            known.append(f"{called} unknown" if value is None else f"{called} {value:g}{unit}")
        return ", ".join(known)


def as_sampling(sampling: Sampling | None, pixel_size_um: float | None) -> Sampling | None:
    """Take what a caller says of an image, all of it or its pixel size alone.

    Raises
    ------
    ValueError
        If both are given, or the pixel size is not positive.
    """
    if pixel_size_um is None:
        return sampling
    if sampling is not None:
        raise ValueError("Give either a sampling or a pixel size: the sampling has one in it.")
    return Sampling(pixel_size_um=pixel_size_um)


def parse_objective(text: str) -> tuple[float | None, float | None]:
    """Read numerical aperture and immersion index off an objective's name.

    Parameters
    ----------
    text : str
        Such as "63x/1.4 oil".

    Returns
    -------
    na, immersion_index : float or None
        None for what the name does not say.
    """
    found = _NUMERICAL_APERTURE.search(text)
    na = float(found[1].replace(",", ".")) if found else None
    for word in re.findall(r"[a-z]+", text.lower()):
        medium = _MEDIA.get(word, word)
        if medium in IMMERSION_INDICES:
            return na, IMMERSION_INDICES[medium]
    return na, None

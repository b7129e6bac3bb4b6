"""What a generator of any objective knows, and how the optics of one image lie in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from napari_deepz.sampling import IMMERSION_INDICES, Sampling

_HIGHEST_DRY_NA = 0.96
_MOST_ROUNDED = 1.005


class OpticalRange(BaseModel):
    """The range of a generator that counts lengths as the optics do.

    Across the image in λ/NA, along the axis in waves of defocus, z (n - sqrt(n² - NA²)) / λ; in
    these units all objectives are alike but for NA/n.

    Parameters
    ----------
    reach_waves : float
        Defocus of the outermost planes.
    aperture : tuple of float
        Smallest and largest NA/n.
    sampling : tuple of float
        Smallest and largest pixel in λ/NA.
    immersion_index : float
        Assumed for images that do not say their objective.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    reach_waves: float = Field(gt=0)
    aperture: tuple[float, float]
    sampling: tuple[float, float]
    immersion_index: float = Field(1.0, ge=1, le=1.8)

    def place(self, image: Sampling | None, assumed: Sampling) -> PlacedOptics:
        """Find the optics of an image in the range.

        Parameters
        ----------
        image : Sampling or None
            What is known of the image.
        assumed : Sampling
            Taken for what is not known; says NA and wavelength.

        Returns
        -------
        PlacedOptics
        """
        known = image or assumed
        na = known.na or assumed.na
        wavelength_um = known.wavelength_um or assumed.wavelength_um
        assert na is not None
        assert wavelength_um is not None
        index = known.immersion_index
        if index is None:
            index = self.immersion_index if known.na in (None, assumed.na) else _usual_index(na)
        complete = Sampling(
            pixel_size_um=known.pixel_size_um,
            na=na,
            immersion_index=index,
            wavelength_um=wavelength_um,
        )
        unit_um, wave_um = complete.lateral_unit_um, complete.axial_unit_um
        assert unit_um is not None
        assert wave_um is not None
        low, high = self.sampling
        pixels = min(max(complete.pixel_size_um / unit_um, low), high)
        says_na = image is not None and image.na is not None
        says_units = says_na and image is not None and image.wavelength_um is not None
        return PlacedOptics(
            range=self.model_copy(update={"immersion_index": index}),
            sampling=complete,
            pixel_size_um=pixels * unit_um,
            reach_um=self.reach_waves * wave_um,
            range_um=_rounded(self.reach_waves * wave_um),
            told=(na / index if says_na else None, pixels if says_units else None, None),
            missing=tuple(
                name
                for name, value in (
                    ("numerical aperture", known.na),
                    ("immersion", known.immersion_index),
                    ("emission wavelength", known.wavelength_um),
                )
                if image is None or value is None
            ),
            is_known=self.aperture[0] <= na / index <= self.aperture[1],
        )


@dataclass(frozen=True)
class PlacedOptics:
    """The optics of one image, as a generator of any objective takes them.

    Attributes
    ----------
    range : OpticalRange
        What the generator knows, with the immersion of the image.
    sampling : Sampling
        Of the image, completed.
    pixel_size_um : float
        Of the grid that the generator works on: the image's own, where it knows such pixels.
    reach_um : float
        Distance of the outermost planes.
    range_um : float
        How far the generator is trusted: as far, to three digits.
    told : tuple of float or None
        The conditions of a `ToldZBasis`; None for what the image does not say.
    missing : tuple of str
        What the image does not say and had to be assumed.
    is_known : bool
        Whether the generator was trained on such an aperture.
    """

    range: OpticalRange
    sampling: Sampling
    pixel_size_um: float
    reach_um: float
    range_um: float
    told: tuple[float | None, float | None, float | None]
    missing: tuple[str, ...]
    is_known: bool


def _rounded(reach_um: float) -> float:
    """10 µm instead of 9.984 µm, as people take planes at round numbers; else three digits."""
    step_um = 10.0 ** math.floor(math.log10(reach_um) - 1)
    up_um = math.ceil(reach_um / step_um) * step_um
    return float(f"{up_um if up_um <= _MOST_ROUNDED * reach_um else reach_um:.3g}")


def _usual_index(na: float) -> float:
    """Immersion that an objective most likely has."""
    if na < _HIGHEST_DRY_NA:
        return IMMERSION_INDICES["air"]
    indices = sorted(IMMERSION_INDICES.values())
    likely = IMMERSION_INDICES["water"] if na < 1.25 else IMMERSION_INDICES["oil"]
    return next(index for index in indices if index >= likely and index > na)

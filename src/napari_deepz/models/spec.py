"""What a model is: everything about a generator that its weights do not say."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from napari_deepz.intensity import METHODS, is_method
from napari_deepz.models.errors import quoted
from napari_deepz.models.optical_range import OpticalRange, PlacedOptics
from napari_deepz.networks.base import Generator
from napari_deepz.networks.deepz_unet import DeepZUNet
from napari_deepz.networks.encode_once import EncodeOnce
from napari_deepz.networks.several_planes import SeveralPlanes
from napari_deepz.networks.told_z_basis import ToldZBasis
from napari_deepz.networks.z_basis import ZBasis
from napari_deepz.sampling import Sampling

UNKNOWN_OBJECTIVE = "unknown objective"

_PIXEL_SIZE_TOLERANCE = 0.02
# Control characters, which a terminal obeys, broken ones, and line breaks that no editor shows.
_FORBIDDEN = {"Cc", "Cs", "Zl", "Zp"}

Architecture = Literal["deepz-unet", "encode-once", "z-basis", "told-z-basis", "several-planes"]


class DeepZUNetParameters(BaseModel):
    """Size of the published U-Net."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: int = Field(48, ge=2, le=256)
    levels: int = Field(6, ge=2, le=8)


class EncodeOnceParameters(BaseModel):
    """Size and planes of the encode-once generator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: int = Field(32, ge=2, le=256)
    levels: int = Field(4, ge=1, le=8)
    planes: int = Field(41, ge=2, le=512)


class ZBasisParameters(BaseModel):
    """Size and planes of the generator with a learned basis in z."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: int = Field(32, ge=2, le=256)
    widest: int = Field(128, ge=2, le=4096)
    levels: int = Field(4, ge=1, le=8)
    functions: int = Field(16, ge=1, le=512)
    planes: int = Field(41, ge=2, le=512)


class ToldZBasisParameters(ZBasisParameters):
    """Size and planes of the generator of any objective."""


class SeveralPlanesParameters(ToldZBasisParameters):
    """Size and planes of the generator that takes several input planes."""

    doubts: int = Field(8, ge=1, le=512)


Parameters = DeepZUNetParameters | EncodeOnceParameters | ZBasisParameters

_PARAMETERS: dict[Architecture, type[Parameters]] = {
    "deepz-unet": DeepZUNetParameters,
    "encode-once": EncodeOnceParameters,
    "z-basis": ZBasisParameters,
    "told-z-basis": ToldZBasisParameters,
    "several-planes": SeveralPlanesParameters,
}


_OF_PARAMETERS: dict[type[Parameters], Callable[..., Generator]] = {
    EncodeOnceParameters: EncodeOnce,
    ZBasisParameters: ZBasis,
    ToldZBasisParameters: ToldZBasis,
    SeveralPlanesParameters: SeveralPlanes,
}


def _known_normalisation(name: str) -> str:
    if not is_method(name):
        known = ", ".join((*METHODS, "percentiles-LOW-HIGH"))
        raise ValueError(f"'{quoted(name)}' is no known normalisation ({known})")
    return name


def _texts_in(value: Any) -> Iterator[str]:
    """All texts in what JSON can hold."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts_in(key)
            yield from _texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_in(inner)


class ModelSpec(BaseModel):
    """A model's card, saved as ``model.json`` beside its weights.

    Lengths are in µm. `axial_range_um` is the range of distances that the generator was trained
    on; outside it a refocused image must not be trusted. `objective`, `na` and `pixel_size_um`
    may be unknown for models from elsewhere: an image is then never resampled for the model.

    Models with an `optical` range know any objective: their other fields are those of the optics
    that are assumed where an image does not say its own, and `for_image` gives the card for those
    of one image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
    version: str = Field(min_length=1, max_length=40)
    description: str = ""
    architecture: Architecture
    parameters: dict[str, int] = {}
    objective: str = UNKNOWN_OBJECTIVE
    na: float | None = Field(None, gt=0, lt=1.7)
    excitation_wavelength_um: float | None = Field(None, gt=0.1, lt=3)
    emission_wavelength_um: float | None = Field(None, gt=0.1, lt=3)
    pixel_size_um: float | None = Field(None, gt=0)
    axial_range_um: tuple[float, float]
    optical: OpticalRange | None = None
    dpm_scale_um: float = Field(10.0, gt=0)
    normalisation: Annotated[str, AfterValidator(_known_normalisation)]
    modality_in: str = "wide-field fluorescence"
    modality_out: str = "wide-field fluorescence"
    sample: str = ""
    training: dict[str, Any] = {}
    licence: str
    citation: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.axial_range_um
        if not low < high:
            raise ValueError("the axial range must go from a smaller to a larger number")
        try:
            json.dumps(self.training, allow_nan=False)
        except ValueError as error:
            raise ValueError("'training' holds a number that is not finite") from error
        self._check_texts()
        parameters = self._checked_parameters()
        if isinstance(parameters, ToldZBasisParameters) != (self.optical is not None):
            raise ValueError(
                "an 'optical' range goes with the architectures 'told-z-basis' and "
                "'several-planes' alone"
            )
        if self.optical is not None and self._assumed().lateral_unit_um is None:
            raise ValueError(
                "a model with an 'optical' range needs the 'na' and 'emission_wavelength_um' that "
                "are assumed where an image does not say its own"
            )
        return self

    def _assumed(self) -> Sampling:
        return Sampling(
            pixel_size_um=self.pixel_size_um or 1.0,
            na=self.na,
            wavelength_um=self.emission_wavelength_um,
        )

    def placed(self, sampling: Sampling | None) -> PlacedOptics | None:
        """Find the optics of an image in those that the model knows; None for all other models."""
        return None if self.optical is None else self.optical.place(sampling, self._assumed())

    def for_image(self, sampling: Sampling | None) -> Self:
        """Give the card for the optics of one image; this one, for models of one objective.

        Parameters
        ----------
        sampling : Sampling or None
            Of the image, as far as it is known.
        """
        placed = self.placed(sampling)
        if placed is None:
            return self
        optics = placed.sampling
        return self.model_copy(
            update={
                "na": optics.na,
                "emission_wavelength_um": optics.wavelength_um,
                "objective": f"any, here NA {optics.na:g} at index {optics.immersion_index:g}",
                "pixel_size_um": placed.pixel_size_um,
                "axial_range_um": (-placed.range_um, placed.range_um),
                "optical": placed.range,
            }
        )

    @property
    def merges(self) -> bool:
        """Whether its network has learned to merge input planes."""
        return self.architecture == "several-planes"

    def require_merging(self) -> None:
        """Refuse a model that has not learned to merge input planes.

        Raises
        ------
        ValueError
            One sentence.
        """
        if not self.merges:
            raise ValueError(
                f"The model '{self.name}' has not learned to merge input planes; use the merge "
                "'distance'."
            )

    @property
    def made_for(self) -> str:
        """Through what its training images were taken, in the words that everybody uses for it.

        A range of numerical apertures and pixel sizes is read off the record of the training.
        """
        na, pixels_um = self.trained_na, self.trained_pixels_um
        said = []
        if na is not None:
            said.append(f"NA {na[0]:g} to {na[1]:g}")
        elif self.na is not None and self.optical is None:
            said.append(f"NA {self.na:g}")
        if pixels_um is not None:
            said.append(f"pixels of {pixels_um[0]:g} to {pixels_um[1]:g} µm")
        return f"{self.objective} ({', '.join(said)})" if said else self.objective

    @property
    def trained_na(self) -> tuple[float, float] | None:
        """Smallest and largest numerical aperture of the training, where a range is on record."""
        return self._trained_range("na")

    @property
    def trained_pixels_um(self) -> tuple[float, float] | None:
        """Smallest and largest pixel size of the training, likewise."""
        return self._trained_range("pixel_size_um")

    def _trained_range(self, key: str) -> tuple[float, float] | None:
        found: Any = self.training
        for part in ("data_settings", "breadth", key):
            found = found.get(part) if isinstance(found, dict) else None
        if self.optical is not None or not isinstance(found, list) or len(found) != 2:
            return None
        if not all(isinstance(end, int | float) and end > 0 for end in found):
            return None
        return float(found[0]), float(found[1])

    def _check_texts(self) -> None:
        for field, value in self:
            allowed = "\n\t" if field in ("description", "citation") else ""
            for character in "".join(_texts_in(value)):
                if character not in allowed and unicodedata.category(character) in _FORBIDDEN:
                    raise ValueError(f"'{field}' holds a control character, {character!a}")

    def _checked_parameters(self) -> Parameters:
        return _PARAMETERS[self.architecture].model_validate(self.parameters)

    def resamples(self, pixel_size_um: float) -> bool:
        """Whether an image must be resampled for the model: above 2 % from its pixel size."""
        model_um = self.pixel_size_um
        return model_um is not None and abs(pixel_size_um / model_um - 1) > _PIXEL_SIZE_TOLERANCE

    def build(self) -> Generator:
        """Make the generator, with untrained weights."""
        parameters = self._checked_parameters()
        if isinstance(parameters, DeepZUNetParameters):
            return DeepZUNet(**parameters.model_dump(), dpm_scale_um=self.dpm_scale_um)
        low, high = self.axial_range_um
        return _OF_PARAMETERS[type(parameters)](
            **parameters.model_dump(), z_min_um=low, z_max_um=high
        )

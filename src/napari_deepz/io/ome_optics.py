"""The optics in an OME-XML: the objective of an image, and what its channels emit."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from napari_deepz.io.stated_optics import StatedOptics
from napari_deepz.io.units import length_um, positive_number
from napari_deepz.sampling import IMMERSION_INDICES

# "Multi" and "Other" say nothing of the index.
_INDICES = IMMERSION_INDICES | {"waterdipping": IMMERSION_INDICES["water"]}

# Finer than any spectrum, coarse enough that 461 nm become 0.461 µm.
_DIGITS_UM = 9


def ome_optics(root: Element, image: Element, channels: Iterable[Element]) -> StatedOptics:
    """Read the optics of one image.

    Parameters
    ----------
    root : Element
        The element OME, which has the instruments.
    image : Element
        One of its elements Image.
    channels : iterable of Element
        The elements Channel of the image.

    Returns
    -------
    StatedOptics
        A refractive index counts more than the name of the immersion.
    """
    settings = image.find("{*}ObjectiveSettings")
    index = None if settings is None else positive_number(settings.get("RefractiveIndex"))
    objective = _objective(root, image, settings)
    na = None
    if objective is not None:
        na = positive_number(objective.get("LensNA"))
        index = index or index_of_immersion(objective.get("Immersion"))
    return StatedOptics(na, index, tuple(map(_wavelength_um, channels)))


def index_of_immersion(name: str | None) -> float | None:
    """Refractive index of an immersion by its name; None where that says nothing."""
    return _INDICES.get((name or "").strip().casefold())


def emission_um(wavelength: str | float | None, unit: str = "nm") -> float | None:
    """Emission wavelength in µm; None where the number or its unit says nothing."""
    wavelength_um = length_um(wavelength, unit)
    return None if wavelength_um is None else round(wavelength_um, _DIGITS_UM)


def _objective(root: Element, image: Element, settings: Element | None) -> Element | None:
    """Find the objective that an image refers to, or the only one of its instrument."""
    wanted = None if settings is None else settings.get("ID")
    instrument = image.find("{*}InstrumentRef")
    objectives = [
        objective
        for candidate in root.iterfind("{*}Instrument")
        if wanted or instrument is None or candidate.get("ID") == instrument.get("ID")
        for objective in candidate.iterfind("{*}Objective")
        if not wanted or objective.get("ID") == wanted
    ]
    return objectives[0] if len(objectives) == 1 else None


def _wavelength_um(channel: Element) -> float | None:
    unit = channel.get("EmissionWavelengthUnit", "nm")
    return emission_um(channel.get("EmissionWavelength"), unit)

"""What people read about a model: its card, and what they may say about one from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_deepz.models.spec import ModelSpec
from napari_deepz.sampling import Sampling, parse_objective

_WELL_KNOWN = ("10x/0.3 air", "20x/0.75 air", "40x/1.3 oil", "63x/1.4 oil")


@dataclass(frozen=True)
class CardFields:
    """What a user knows about a model that comes without a card, or with half of one.

    Attributes
    ----------
    name : str or None
        Under which it is to be kept.
    objective : str or None
        Such as "20x/0.75 dry"; the numerical aperture is read off it.
    pixel_size_um : float or None
        Of the images that it was trained on.
    axial_range_um : tuple of float or None
        Distances that it was trained on.
    """

    name: str | None = None
    objective: str | None = None
    pixel_size_um: float | None = None
    axial_range_um: tuple[float, float] | None = None

    def given(self) -> dict[str, Any]:
        """Fields of a `ModelSpec` that have been said."""
        said: dict[str, Any] = {
            key: value for key, value in vars(self).items() if value is not None
        }
        if self.objective is not None and (na := parse_objective(self.objective)[0]) is not None:
            said["na"] = na
        return said


def model_card(spec: ModelSpec) -> list[tuple[str, str]]:
    """Say what a model is and what it was made for, as labels and texts.

    Parameters
    ----------
    spec : ModelSpec
        What is known about it.

    Returns
    -------
    list of (str, str)
        In the order in which people want to know; unknown things are named as such.
    """
    rows = [
        ("Model", f"{spec.name}, version {spec.version}"),
        ("", spec.description),
        ("Objective", spec.made_for),
        *(_of_any_objective(spec) if spec.optical else _of_one_objective(spec)),
        ("From", spec.modality_in),
        ("To", spec.modality_out),
        ("Sample", spec.sample or "not said"),
        ("Network", _network(spec)),
        ("Intensities", spec.normalisation),
        *(
            (f"Training: {key.replace('_', ' ')}", _text(value))
            for key, value in spec.training.items()
        ),
        ("Licence", spec.licence),
        ("Cite", spec.citation),
    ]
    return [(label, text) for label, text in rows if text]


def _of_one_objective(spec: ModelSpec) -> list[tuple[str, str]]:
    low_um, high_um = spec.axial_range_um
    return [
        ("NA", _number(spec.na)),
        ("Pixel size", _number(spec.pixel_size_um, " µm")),
        ("Range", f"{low_um:g} to {high_um:g} µm from the image's plane"),
        ("Emission", _number(spec.emission_wavelength_um, " µm")),
    ]


def _of_any_objective(spec: ModelSpec) -> list[tuple[str, str]]:
    assert spec.optical is not None
    low, high = spec.optical.aperture
    finest, coarsest = spec.optical.sampling
    return [
        ("NA", f"{low:g} to {high:g} times the immersion's index"),
        ("Pixel size", f"{finest:g} to {coarsest:g} λ/NA; others are resampled"),
        ("Range", f"{spec.optical.reach_waves:g} waves of defocus either way: {_reaches(spec)}"),
    ]


def _reaches(spec: ModelSpec) -> str:
    """The range through some objectives, which users know in µm."""
    reaches = []
    for objective in _WELL_KNOWN:
        na, index = parse_objective(objective)
        optics = Sampling(
            pixel_size_um=1.0,
            na=na,
            immersion_index=index,
            wavelength_um=spec.emission_wavelength_um,
        )
        reaches.append(f"{spec.for_image(optics).axial_range_um[1]:.2g} µm at {objective}")
    return ", ".join(reaches)


def _number(value: float | None, unit: str = "") -> str:
    return "not said" if value is None else f"{value:g}{unit}"


def _network(spec: ModelSpec) -> str:
    sizes = ", ".join(f"{key} {value}" for key, value in spec.parameters.items())
    return f"{spec.architecture} ({sizes})" if sizes else spec.architecture


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{str(key).replace('_', ' ')} "
            + (f"({_text(part)})" if isinstance(part, dict) else _text(part))
            for key, part in value.items()
        )
    if isinstance(value, list):
        return "; ".join(map(_text, value)) or "none"
    return "not said" if value is None else str(value)

"""Where a stack comes from: enough to make it again and never to mistake it for a measurement."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import metadata
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from napari_deepz.sampling import Sampling

RECORD_KEY = "napari-deepz/provenance"
"""Under which the record lies in a picture's text and in the annotations of an OME-TIFF."""


def _without_lone_surrogates(value: Any) -> Any:
    """File names that are not valid Unicode reach Python with surrogates, which no file holds."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        clean = _without_lone_surrogates
        return {clean(key): clean(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_lone_surrogates(entry) for entry in value]
    return value


_Text = Annotated[str, BeforeValidator(_without_lone_surrogates)]
_Surface = Annotated[dict[str, Any], BeforeValidator(_without_lone_surrogates)]


class Provenance(BaseModel):
    """Saved with every stack that this package writes.

    Parameters
    ----------
    kind : {"inferred", "simulated", "measured"}
        Whether a network, a simulation or a microscope made the pixels.
    software, version : str, optional
        The program that wrote the stack: this package unless given.
    created : str, optional
        ISO 8601 time, UTC; now unless given.
    input_name : str or None, optional
        Name of the image that was refocused.
    further_inputs : tuple of str, optional
        Further input planes, and where they were taken.
    merge : str or None, optional
        How several input planes were put together; "linear" without a network.
    spread : bool, optional
        Whether the planes say how far virtual ones may be off.
    model_name, model_version, model_sha256 : str or None, optional
        The generator and the checksum of its weights.
    surfaces : list of dict or None, optional
        The surfaces refocused onto, in the form in which they are saved as JSON.
    axial_range_um : tuple of float or None, optional
        Lowest and highest axial distance in the stack, in µm.
    sampling : Sampling or None, optional
        Of the input.
    recipe : dict or None, optional
        What else of the recipe it takes to make the stack again: source, model and computation.
    frames : dict or None, optional
        What was found of each frame of a movie: its brightness, and how it was moved.
    device : str or None, optional
        What the computation ran on.
    command : str or None, optional
        The command that repeats it.
    notes : tuple of str, optional
        Warnings given while the stack was made.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    kind: Literal["inferred", "simulated", "measured"]
    software: _Text = "napari-deepz"
    version: _Text = Field(default_factory=lambda: metadata.version("napari-deepz"))
    created: _Text = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    input_name: _Text | None = None
    further_inputs: tuple[_Text, ...] = ()
    merge: _Text | None = None
    spread: bool = False
    model_name: _Text | None = None
    model_version: _Text | None = None
    model_sha256: _Text | None = None
    surfaces: list[_Surface] | None = None
    axial_range_um: tuple[float, float] | None = None
    sampling: Sampling | None = None
    recipe: dict[str, Any] | None = None
    frames: dict[str, Any] | None = None
    device: _Text | None = None
    command: _Text | None = None
    notes: tuple[_Text, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_version_0_1(cls, given: Any) -> Any:
        """Records once said the pixel size alone."""
        if isinstance(given, dict) and given.get("pixel_size_um") and not given.get("sampling"):
            return given | {"sampling": {"pixel_size_um": given["pixel_size_um"]}}
        return given

    def to_json(self) -> str:
        """One line of ASCII JSON, safe inside XML and any text encoding."""
        return json.dumps(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Read what `to_json` wrote; entries that this version does not know are ignored.

        Raises
        ------
        ValueError
            If the text is not a provenance record.
        """
        try:
            return cls.model_validate(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise ValueError(
                "The record of how this stack was made cannot be read: it is damaged, or a newer "
                "version of napari-deepz wrote it."
            ) from error

    def describe(self) -> str:
        """Say it in a few sentences for people who open the file in other software."""
        sentences = [self._headline()]
        if self.model_name:
            label = " ".join(filter(None, (self.model_name, self.model_version)))
            sentences.append(f"Model {label}.")
        if self.further_inputs:
            planes = "; ".join(filter(None, (self.input_name, *self.further_inputs)))
            sentences.append(f"Input planes {planes}; merge {self.merge}.")
        elif self.input_name:
            sentences.append(f"Input image {self.input_name}.")
        if self.surfaces:
            sentences.append(f"Surface {'; '.join(map(_describe_surface, self.surfaces))}.")
        if self.axial_range_um:
            low_um, high_um = self.axial_range_um
            sentences.append(f"Axial range {low_um:g} to {high_um:g} µm.")
        sentences += [f"Note: {note}" for note in self.notes]
        sentences.append(f"Written by {self.software} {self.version}, {self.created}.")
        if self.command:
            sentences.append(f"Repeat with: {self.command}")
        elif self.recipe and self.frames is None:
            sentences.append("Repeat with: napari-deepz refocus --again and the name of this file")
        return " ".join(sentences)

    def _headline(self) -> str:
        if self.kind != "inferred" or not self.further_inputs:
            return _HEADLINES[self.kind]
        count = len(self.further_inputs) + 1
        if self.merge == "linear":
            return f"INTERPOLATED between {count} measured planes, not measured."
        if self.spread:
            return f"HOW FAR virtual planes of {count} images may be off, INFERRED, not measured."
        return f"INFERRED by a neural network from {count} images, not measured."


_HEADLINES = {
    "inferred": "INFERRED by a neural network from a single image, not measured.",
    "simulated": "SIMULATED, not measured.",
    "measured": "Measured.",
}

_LONGEST_VALUE = 40


def _describe_surface(surface: dict[str, Any]) -> str:
    details = []
    for key, value in surface.items():
        if key == "kind" or value is None:
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        details.append(f"{key} {text if len(text) <= _LONGEST_VALUE else '(see the full record)'}")
    kind = str(surface.get("kind", "of unknown kind"))
    return f"{kind} ({', '.join(details)})" if details else kind

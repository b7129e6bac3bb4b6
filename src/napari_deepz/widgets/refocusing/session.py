"""A run of the dock without its windows: what the user wants, what to say about it, its state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from napari_deepz.engine.cautions import notes_on
from napari_deepz.models.library import name_of
from napari_deepz.models.spec import ModelSpec
from napari_deepz.optics import PLAUSIBLE_PIXELS_UM
from napari_deepz.recipes.recipe import Recipe
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat, FromImage, Surface
from napari_deepz.widgets.shared.input_plane import InputPlane

_FLOAT_BYTES = 4
_LARGE_BYTES = 4_000_000_000
_LIVE_GRID_PX = 256


@dataclass(frozen=True, eq=False)
class RefocusRequest:
    """All that a run needs; nothing that the user changes later can reach it.

    Attributes
    ----------
    plane : InputPlane
        What is refocused.
    recipe : Recipe
        With which model, and onto which one surface.
    package : Path
        Where the model lies.
    notes : tuple of str
        What the user must know about the settings, a sentence each.
    """

    plane: InputPlane
    recipe: Recipe
    package: Path
    notes: tuple[str, ...]

    @property
    def surface(self) -> Surface:
        """Onto what."""
        return self.recipe.surfaces[0]

    @property
    def sampling(self) -> Sampling:
        """Of the image: its own, or what the user said."""
        assert self.recipe.sampling is not None
        return self.recipe.sampling


def make_request(
    plane: InputPlane,
    surface: Surface,
    package: Path,
    *,
    typed_pixel_size_um: float,
    notes: tuple[str, ...] = (),
) -> RefocusRequest:
    """Settle a run.

    Parameters
    ----------
    plane : InputPlane
        The image.
    surface : Surface
        Flat ranges must have whole steps, see `whole_steps`.
    package : Path
        The model package.
    typed_pixel_size_um : float
        Taken where the image does not know its own, which the notes then say.
    notes : tuple of str, optional
        What else the user must know.

    Raises
    ------
    ValueError
        If the surface does not suit the image; one sentence.
    """
    pixel_size_um = plane.pixel_size_um
    if pixel_size_um is None:
        pixel_size_um = typed_pixel_size_um
        smallest_um, largest_um = PLAUSIBLE_PIXELS_UM
        if not smallest_um <= pixel_size_um <= largest_um:
            raise ValueError(
                f"A pixel size of {pixel_size_um:g} µm is entered, which no microscope has: enter "
                f"one from {smallest_um:g} to {largest_um:g} µm."
            )
        notes += (f"{_about_pixel_size(plane)}; {pixel_size_um:g} µm was entered by hand.",)
    depth_range_um(surface, plane.shape, pixel_size_um)
    recipe = Recipe(
        source=plane.source,
        surfaces=surface,
        sampling=Sampling(pixel_size_um=pixel_size_um),
        model=name_of(package),
    )
    return RefocusRequest(plane, recipe, package, notes)


def _about_pixel_size(plane: InputPlane) -> str:
    if plane.doubtful_pixel_um is None:
        return "The image does not say its pixel size"
    return (
        f"The image says that its pixels are {plane.doubtful_pixel_um:g} µm wide, which no "
        "microscope's are"
    )


def model_facts(spec: ModelSpec) -> str:
    """Tell what a model was made for, one fact a line."""
    low_um, high_um = spec.axial_range_um
    na = f", NA {spec.na:g}" if spec.na is not None else ""
    pixels = f"{spec.pixel_size_um:g} µm" if spec.pixel_size_um is not None else "unknown size"
    lines = [
        f"{spec.objective}{na}, pixels of {pixels}",
        f"{low_um:g} to {high_um:g} µm from the image's plane",
    ]
    if spec.sample:
        lines.append(f"For {spec.sample}")
    if spec.modality_in != spec.modality_out:
        lines.append(f"From {spec.modality_in} to {spec.modality_out}")
    if "data" in spec.training:
        lines.append(f"Trained on {spec.training['data']}")
    return "\n".join(lines)


def whole_steps(flat: Flat) -> Flat:
    """Make the planes of a flat range evenly spaced, by ending it before a last shorter step."""
    depths_um = flat.uniform_z_um
    if flat.step_um is None or len(depths_um) < 3:
        return flat
    step_um = depths_um[1] - depths_um[0]
    even = math.isclose(depths_um[-1] - depths_um[-2], step_um, rel_tol=1e-6)
    return flat if even else Flat(depths_um[0], depths_um[-2], flat.step_um)


def depth_range_um(
    surface: Surface, shape: tuple[int, int], pixel_size_um: float
) -> tuple[float, float]:
    """Smallest and largest depth in µm, quickly: formulas are evaluated on a coarse grid.

    Raises
    ------
    ValueError
        If the surface does not suit an image of this (Y, X) shape.
    """
    if isinstance(surface, FromImage):
        if surface.depths_um.shape != shape:
            return surface.range_um(shape, pixel_size_um)
        return float(surface.depths_um.min()), float(surface.depths_um.max())
    coarser = math.ceil(max(shape) / _LIVE_GRID_PX)
    coarse_shape = (math.ceil(shape[0] / coarser), math.ceil(shape[1] / coarser))
    return surface.range_um(coarse_shape, pixel_size_um * coarser)


def image_facts(plane: InputPlane) -> str:
    """Tell the size of the input plane."""
    height, width = plane.shape
    size = f"{width} × {height} pixels"
    return f"{size} of {plane.pixel_size_um:g} µm" if plane.pixel_size_um else size


def result_facts(surface: Surface, shape: tuple[int, int]) -> str:
    """Tell what a run will make."""
    planes = "1 plane" if len(surface) == 1 else f"{len(surface)} planes"
    return f"{surface.describe()}: {planes}, {_bytes(surface, shape) / 1e6:.3g} MB"


def _bytes(surface: Surface, shape: tuple[int, int]) -> int:
    return len(surface) * math.prod(shape) * _FLOAT_BYTES


def cautions_for(
    surface: Surface, plane: InputPlane, pixel_size_um: float, spec: ModelSpec
) -> list[str]:
    """Say what the user should know before a run, a sentence each.

    Raises
    ------
    ValueError
        If the surface does not suit the image.
    """
    found = []
    if plane.pixel_size_um is None:
        found.append(
            f"{_about_pixel_size(plane)}: check the one entered above; it is written to the layer "
            "when you refocus."
        )
    if plane.doubtful_z_step_um is not None:
        found.append(
            f"The image says that its planes are {plane.doubtful_z_step_um:g} µm apart, which no "
            "microscope's are: correct the layer's scale along z, or do not trust where in z its "
            "results are shown."
        )
    sampling = Sampling(pixel_size_um=pixel_size_um)
    found += notes_on(plane.shape, [surface], spec, sampling=sampling, range_um=depth_range_um)
    size_bytes = _bytes(surface, plane.shape)
    if size_bytes > _LARGE_BYTES:
        found.append(
            f"The result takes {size_bytes / 1e9:.1f} GB of memory: choose fewer planes, or use "
            "the command napari-deepz refocus, which writes it to a file plane by plane."
        )
    return found

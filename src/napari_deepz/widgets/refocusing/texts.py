"""What the dock says about image, model and result."""

from __future__ import annotations

import math

from napari_deepz.engine.cautions import notes_on
from napari_deepz.engine.planes.interpolated import NO_NETWORK
from napari_deepz.engine.planes.spreading import NO_PERCENTAGE
from napari_deepz.models.spec import ModelSpec
from napari_deepz.surfaces import Surface
from napari_deepz.widgets.refocusing.resolving import Resolved, depth_range_um
from napari_deepz.widgets.shared.input_plane import InputPlane
from napari_deepz.widgets.shared.requests import RefocusRequest

_FLOAT_BYTES = 4
_LARGE_BYTES = 4_000_000_000


def model_facts(spec: ModelSpec) -> str:
    """Tell what a model was made for, one fact a line."""
    low_um, high_um = spec.axial_range_um
    pixels = f"{spec.pixel_size_um:g} µm" if spec.pixel_size_um is not None else "unknown size"
    lines = [
        f"{spec.made_for}; works at pixels of {pixels}",
        f"{low_um:g} to {high_um:g} µm from the image's plane",
    ]
    if spec.sample:
        lines.append(f"For {spec.sample}")
    if spec.modality_in != spec.modality_out:
        lines.append(f"From {spec.modality_in} to {spec.modality_out}")
    if "data" in spec.training:
        lines.append(f"Trained on {spec.training['data']}")
    return "\n".join(lines)


def image_facts(plane: InputPlane) -> str:
    """Tell which plane is the input, and its size."""
    height, width = plane.shape
    size = f"{plane.title}: {width} × {height} pixels"
    return f"{size} of {plane.pixel_size_um:g} µm" if plane.pixel_size_um else size


def inputs_facts(request: RefocusRequest) -> str:
    """Tell from which planes it is refocused; nothing for one."""
    if not request.further:
        return ""
    depths = ", ".join(f"{z_um:+g}" for z_um in request.at_um[1:])
    which = "the other" if len(request.further) == 1 else "the others"
    return f"From {len(request.inputs)} planes, {which} at {depths} µm"


def result_facts(surface: Surface, shape: tuple[int, int]) -> str:
    """Tell what a run will make."""
    planes = "1 plane" if len(surface) == 1 else f"{len(surface)} planes"
    return f"{surface.describe()}: {planes}, {in_words(result_bytes(surface, shape))}"


def stack_facts(request: RefocusRequest) -> str:
    """Tell how many planes a stack will have and how large it will be; nothing for one plane."""
    count = len(request.surface)
    size_bytes = result_bytes(request.surface, request.plane.shape)
    return f"{count} planes, {in_words(size_bytes)}" if count > 1 else ""


def in_words(size_bytes: int) -> str:
    """In MB, or in GB where that is easier to read."""
    megabytes = size_bytes / 1e6
    return f"{megabytes / 1e3:.2f} GB" if megabytes >= 1e3 else f"{megabytes:.3g} MB"


def result_bytes(surface: Surface, shape: tuple[int, int]) -> int:
    """Memory that a result takes."""
    return len(surface) * math.prod(shape) * _FLOAT_BYTES


def cautions_for(resolved: Resolved, request: RefocusRequest | None = None) -> list[str]:
    """Say what the user should know before a run, a sentence each: what the record will say too.

    Parameters
    ----------
    resolved : Resolved
        What the settings mean.
    request : RefocusRequest, optional
        The run; that of the whole surface where None.

    Raises
    ------
    ValueError
        If the image cannot be worked with.
    """
    plane, model, request = resolved.plane, resolved.model, request or resolved.request
    if resolved.layer is None or model is None:
        return []
    if plane is None or request is None:
        return [resolved.problem]
    found = [*request.notes]
    if plane.lacks_z_step:
        found.append(
            "The stack does not say how far apart its planes are, so it lies in z by their numbers "
            "and its results by µm: enter the z step to see both where they are."
        )
    if plane.doubtful_z_step_um is not None:
        found.append(
            f"The image says that its planes are {plane.doubtful_z_step_um:g} µm apart, which no "
            "microscope's are: correct the layer's scale along z, or do not trust where in z its "
            "results are shown."
        )
    if request.recipe.merge == "linear":
        found.append(NO_NETWORK)
    else:
        found += notes_on(
            plane.shape,
            [request.surface],
            model.spec,
            sampling=request.sampling,
            range_um=depth_range_um,
            at_um=request.at_um,
        )
    if request.recipe.spread:
        found.append(NO_PERCENTAGE)
    found = [*dict.fromkeys(found)]
    size_bytes = result_bytes(request.surface, plane.shape)
    if size_bytes > _LARGE_BYTES:
        found.append(
            f"The result takes {size_bytes / 1e9:.1f} GB of memory: choose fewer planes, or use "
            "the command napari-deepz refocus, which writes it to a file plane by plane."
        )
    return found

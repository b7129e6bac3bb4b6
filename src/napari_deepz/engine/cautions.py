"""What the user must know about a run, from the image's sizes and the model's card alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.inputs import SMALLEST_PX
from napari_deepz.models.optical_range import PlacedOptics
from napari_deepz.models.spec import ModelSpec
from napari_deepz.sampling import Sampling, parse_objective
from napari_deepz.surfaces import Surface, out_of_range_mask

RangeOf = Callable[[Surface, tuple[int, int], float], tuple[float, float]]

DISTRUST = "do not trust"
"""In every sentence about something that the model does not know."""

_NA_TOLERANCE = 0.1
_NA_ROUNDING = 0.02
_INDEX_TOLERANCE = 0.05
_MOST_RESAMPLED_PIXELS = 1 << 28


def notes_on(
    shape: tuple[int, int],
    surfaces: Sequence[Surface],
    spec: ModelSpec,
    *,
    sampling: Sampling | None = None,
    range_um: RangeOf = Surface.range_um,
    at_um: Sequence[float] = (0.0,),
) -> tuple[str, ...]:
    """Say what the user must know about a run, a sentence each, from the model's card alone.

    Parameters
    ----------
    shape, surfaces, sampling
        As for `plan_refocus`.
    spec : ModelSpec
        The card of the model.
    range_um : callable
        Smallest and largest depth of a surface over an image of this shape and pixel size.
    at_um : sequence of float, optional
        Where the input planes lie, on the axis of the surfaces.

    Raises
    ------
    ValueError
        If the image or its pixel size cannot be worked with.
    """
    spec = spec.for_image(sampling)
    pixel_um = pixel_size_of(sampling, spec)
    notes = _pixel_notes(shape, working_shape_of(shape, pixel_um, spec), sampling, spec)
    notes += _optics_notes(sampling, spec)
    for surface in surfaces:
        notes += surface.notes
    for surface in surfaces:
        notes += _range_notes(surface, lambda one: range_um(one, shape, pixel_um), spec, at_um)
    return tuple(dict.fromkeys(notes))


def pixel_size_of(sampling: Sampling | None, spec: ModelSpec) -> float:
    """Pixel size of an image in µm; the model's where it is not known.

    Raises
    ------
    ValueError
        If neither says it.
    """
    if sampling is not None:
        return sampling.pixel_size_um
    if spec.pixel_size_um is None:
        raise ValueError(
            f"Neither the image nor the model '{spec.name}' says its pixel size; say how many µm a "
            "pixel of the image is wide."
        )
    return spec.pixel_size_um


def working_shape_of(shape: tuple[int, int], pixel_um: float, spec: ModelSpec) -> tuple[int, int]:
    """(Y, X) of an image on the model's pixel grid.

    Raises
    ------
    ValueError
        If the image would be too small or too large there.
    """
    if not spec.resamples(pixel_um):
        return shape
    ratio = pixel_um / (spec.pixel_size_um or pixel_um)
    height, width = round(shape[0] * ratio), round(shape[1] * ratio)
    if min(height, width) < SMALLEST_PX or height * width > _MOST_RESAMPLED_PIXELS:
        problem = "too small" if min(height, width) < SMALLEST_PX else "too large"
        raise ValueError(
            f"The image has {pixel_um:g} µm pixels and the model '{spec.name}' works at "
            f"{spec.pixel_size_um:g} µm, where the image would be {height} × {width} pixels, "
            f"{problem} to refocus; check the pixel size or choose another model."
        )
    return height, width


def _pixel_notes(
    shape: tuple[int, int],
    working_shape: tuple[int, int],
    sampling: Sampling | None,
    spec: ModelSpec,
) -> list[str]:
    name, model_um = spec.name, spec.pixel_size_um
    if model_um is None:
        return [
            f"The model '{name}' does not say for which pixel size it was made, so the image is "
            "not resampled; trust the result only where image and model come from the same "
            f"microscope ({spec.made_for})."
        ]
    if sampling is None:
        return [
            f"The image's pixel size is not known, so that of the model '{name}', {model_um:g} µm, "
            "is assumed."
        ]
    if working_shape == shape:
        return []
    before, after = (f"{height} × {width}" for height, width in (shape, working_shape))
    if spec.optical is not None:
        return [
            f"The model '{name}' knows pixels from {spec.optical.sampling[0]:g} to "
            f"{spec.optical.sampling[1]:g} λ/NA, so the image is resampled from {before} to "
            f"{after} pixels and every plane back."
        ]
    resampled = (
        f"The image has {sampling.pixel_size_um:g} µm pixels and the model '{name}' works at "
        f"{model_um:g} µm, so the image is resampled from {before} to {after} pixels and every "
        "plane back"
    )
    low_um, high_um = spec.trained_pixels_um or (model_um, model_um)
    if low_um <= sampling.pixel_size_um <= high_um:
        return [f"{resampled}."]
    return [f"{resampled}; the model knows {spec.made_for}, {DISTRUST} it with another objective."]


def _optics_notes(sampling: Sampling | None, spec: ModelSpec) -> list[str]:
    placed = spec.placed(sampling)
    if placed is not None:
        return [*(sampling.notes if sampling else ()), *_any_objective_notes(placed, spec)]
    if sampling is None:
        return []
    notes, na = list(sampling.notes), spec.na
    index, made_for = sampling.immersion_index, parse_objective(spec.objective)[1]
    if sampling.na and na and not _knows_na(sampling.na, spec):
        notes.append(
            f"The image was taken at NA {sampling.na:g} and the model '{spec.name}' was made for "
            f"{spec.made_for}, where focus is lost over other distances; {DISTRUST} the result."
        )
    elif index and made_for and abs(index - made_for) > _INDEX_TOLERANCE:
        notes.append(
            f"The image was taken through an immersion of index {index:g} and the model "
            f"'{spec.name}' was made for {made_for:g} ({spec.made_for}), where focus is lost over "
            f"other distances; {DISTRUST} the result."
        )
    return notes


def _knows_na(na: float, spec: ModelSpec) -> bool:
    if spec.trained_na is not None:
        low, high = spec.trained_na
        return low * (1 - _NA_ROUNDING) <= na <= high * (1 + _NA_ROUNDING)
    return spec.na is None or abs(na / spec.na - 1) <= _NA_TOLERANCE


def _any_objective_notes(placed: PlacedOptics, spec: ModelSpec) -> Iterator[str]:
    optics = placed.sampling
    if placed.missing:
        yield (
            f"The image does not say its {', '.join(placed.missing)}: NA {optics.na:g}, index "
            f"{optics.immersion_index:g} and {optics.wavelength_um:g} µm are taken, and distances "
            "in µm hold for these only; say the objective."
        )
    if not placed.is_known:
        yield (
            f"The model '{spec.name}' was not trained on objectives of NA {optics.na:g} at index "
            f"{optics.immersion_index:g}; {DISTRUST} the result."
        )


def beyond_all(
    depths_um: NDArray[np.floating], at_um: Sequence[float], axial_range_um: tuple[float, float]
) -> NDArray[np.bool_]:
    """Find depths that lie beyond the axial range of a model from every input plane.

    Parameters
    ----------
    depths_um : ndarray
        Of any shape.
    at_um : sequence of float
        Where the input planes lie.
    axial_range_um : tuple of float
        What the model knows, relative to an input plane.
    """
    beyond = np.ones(depths_um.shape, np.bool_)
    for z_um in at_um:
        outside = out_of_range_mask(depths_um - z_um, axial_range_um)
        if outside is None:
            return np.zeros_like(beyond)
        beyond &= outside
    return beyond


def _range_notes(
    surface: Surface,
    range_um: Callable[[Surface], tuple[float, float]],
    spec: ModelSpec,
    at_um: Sequence[float],
) -> Iterator[str]:
    lowest, highest = spec.axial_range_um
    beyond = f"beyond the axial range of the model '{spec.name}', {lowest:g} to {highest:g} µm"
    if len(at_um) > 1:
        beyond += " from every input plane"
    if surface.uniform_z_um is not None:
        count = int(beyond_all(np.array(surface.uniform_z_um), at_um, spec.axial_range_um).sum())
        if count:
            lies = "planes lies" if count == 1 else "planes lie"
            which = "The plane lies" if len(surface) == 1 else f"{count} of {len(surface)} {lies}"
            yield f"{which} {beyond} ({surface.describe()}); {DISTRUST} what is shown there."
        return
    nearest, farthest = (round(z_um, 3) for z_um in range_um(surface))
    reached_um = (min(at_um) + lowest, max(at_um) + highest)
    if out_of_range_mask(np.array([nearest, farthest]), reached_um) is not None:
        yield (
            f"The surface reaches from {nearest:g} to {farthest:g} µm, {beyond} "
            f"({surface.describe()}); {DISTRUST} what is shown there."
        )

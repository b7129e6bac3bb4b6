"""Everything about a run that can be decided before the first pixel is computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np

from napari_deepz.engine.inputs import SMALLEST_PX, check_shape
from napari_deepz.models.package import Model
from napari_deepz.models.spec import ModelSpec
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Surface, out_of_range_mask
from napari_deepz.tiling import RAMP_PX, Tile, ceil_to_multiple, tile_image

RangeOf = Callable[[Surface, tuple[int, int], float], tuple[float, float]]
Strategy = Literal["hold codes", "encode again", "spool to memory", "spool to disk"]

_GIB = 1 << 30
_FLOAT_BYTES = 4
_WINDOW_PX = 1152
_LARGEST_WINDOW_PX = 2304
_WINDOW_CODE_BYTES = 7 * _GIB // 8
_MOST_CODE_BYTES = 13 * _GIB // 4
_SMALLEST_DEFAULT_TILE_PX = 256
_SMALLEST_TILE_PX = 64
_MOST_RESAMPLED_PIXELS = 1 << 28
_NA_TOLERANCE = 0.1


class ResourceError(ValueError):
    """This machine has too little memory or disk space for a run."""


@dataclass(frozen=True)
class Budget:
    """How much a run may keep at once, in bytes.

    Attributes
    ----------
    code_bytes : int
        Encoded tiles held in memory.
    memory_bytes : int
        Finished tiles and non-uniform DPMs held in memory.
    scratch_bytes : int
        Size of the scratch file.
    """

    code_bytes: int = _GIB
    memory_bytes: int = _GIB
    scratch_bytes: int = 32 * _GIB

    @classmethod
    def of(cls, memory_gb: float | None, free_bytes: int) -> Budget:
        """Take what the user allows, or for the codes a quarter of the memory that is free.

        For the codes at most 3.25 GiB then, which is enough for the bundled generator's of
        4096 x 4096 pixels.
        """
        if memory_gb is not None:
            allowed = int(memory_gb * 1e9)
            return cls(code_bytes=allowed, memory_bytes=allowed)
        return cls(code_bytes=max(cls.code_bytes, min(free_bytes // 4, _MOST_CODE_BYTES)))

    def with_free_scratch(self, free_bytes: int) -> Budget:
        """Lower the scratch file's limit to what is free on the disk."""
        return replace(self, scratch_bytes=min(self.scratch_bytes, free_bytes))


@dataclass(frozen=True)
class PlannedPlane:
    """One plane of a run.

    Attributes
    ----------
    index : int
        Position in the run, from 0.
    surface : Surface
        The surface that it lies on.
    dpm_index : int
        Which of the surface's DPMs.
    z_um : float or None
        Axial distance from the input image where it is the same for all pixels.
    """

    index: int
    surface: Surface
    dpm_index: int
    z_um: float | None


Pass = tuple[PlannedPlane, ...]


@dataclass(frozen=True)
class RefocusPlan:
    """How a run will be carried out.

    Attributes
    ----------
    image_shape : tuple of int
        (Y, X) of the image and of every plane.
    working_shape : tuple of int
        (Y, X) on the model's pixel grid; differs from `image_shape` where it is resampled.
    pixel_size_um : float
        Of the image; the model's where the caller did not know.
    planes : tuple of PlannedPlane
        In the order in which they come out.
    tiles : tuple of Tile
        On the model's pixel grid.
    strategy : str
        "hold codes": encode every tile once and keep the codes, then decode plane after plane.
        "encode again": the same, but encode every tile anew for every plane; for generators that
        do all their work in `decode`. "spool to memory", "spool to disk": for the planes of a
        pass, encode and decode tile after tile and keep the outputs, then assemble the planes;
        for images whose codes do not fit in memory.
    passes : tuple of tuple of PlannedPlane
        Planes that are finished together; a single pass unless they do not all fit.
    notes : tuple of str
        What the user must know, a sentence each.
    """

    image_shape: tuple[int, int]
    working_shape: tuple[int, int]
    pixel_size_um: float
    planes: tuple[PlannedPlane, ...]
    tiles: tuple[Tile, ...]
    strategy: Strategy
    passes: tuple[Pass, ...]
    notes: tuple[str, ...]

    @property
    def resampled(self) -> bool:
        """Whether the model works on another pixel grid than the image's."""
        return self.image_shape != self.working_shape

    @property
    def smaller_tile_px(self) -> int | None:
        """Half of the present tile size, or None where tiles get no smaller."""
        half = max(tile.core_px for tile in self.tiles) // 2
        return half if half >= _SMALLEST_TILE_PX else None


def plan_refocus(
    image_shape: tuple[int, ...],
    surfaces: Sequence[Surface],
    model: Model,
    *,
    sampling: Sampling | None = None,
    tile_px: int | None = None,
    budget: Budget | None = None,
) -> RefocusPlan:
    """Decide grid, tiles and memory strategy of a run, and what to tell the user about it.

    Parameters
    ----------
    image_shape : tuple of int
        (Y, X).
    surfaces : sequence of Surface
        In the order in which their planes shall come out.
    model : Model
        The generator and what it was trained on.
    sampling : Sampling, optional
        Of the image; the model's pixel size is assumed where it is None.
    tile_px : int, optional
        Largest side of a tile without its halo; chosen from the generator's halo where None.
    budget : Budget, optional
        Limits of memory and scratch space; `Budget()` where None.

    Returns
    -------
    RefocusPlan
        A pure function of the arguments.

    Raises
    ------
    ValueError
        If the image or its pixel size cannot be worked with.
    ResourceError
        If not even one plane fits into the budget.
    """
    shape = check_shape(image_shape)
    budget = budget or Budget()
    pixel_um = pixel_size_of(sampling, model.spec)
    working_shape = _working_shape(shape, pixel_um, model.spec)
    tiles = _tiles(working_shape, model, tile_px)
    planes = tuple(_planes(surfaces))
    strategy, passes = _strategy(planes, tiles, working_shape, model, budget)
    return RefocusPlan(
        image_shape=shape,
        working_shape=working_shape,
        pixel_size_um=pixel_um,
        planes=planes,
        tiles=tiles,
        strategy=strategy,
        passes=passes,
        notes=notes_on(shape, surfaces, model.spec, sampling=sampling),
    )


def notes_on(
    shape: tuple[int, int],
    surfaces: Sequence[Surface],
    spec: ModelSpec,
    *,
    sampling: Sampling | None = None,
    range_um: RangeOf = Surface.range_um,
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

    Raises
    ------
    ValueError
        If the image or its pixel size cannot be worked with.
    """
    pixel_um = pixel_size_of(sampling, spec)
    notes = _pixel_notes(shape, _working_shape(shape, pixel_um, spec), sampling, spec)
    notes += _optics_notes(sampling, spec)
    for surface in surfaces:
        notes += surface.notes
    for surface in surfaces:
        notes += _range_notes(surface, lambda one: range_um(one, shape, pixel_um), spec)
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


def _working_shape(shape: tuple[int, int], pixel_um: float, spec: ModelSpec) -> tuple[int, int]:
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
            f"microscope ({spec.objective})."
        ]
    if sampling is None:
        return [
            f"The image's pixel size is not known, so that of the model '{name}', {model_um:g} µm, "
            "is assumed."
        ]
    if working_shape == shape:
        return []
    before, after = (f"{height} × {width}" for height, width in (shape, working_shape))
    return [
        f"The image has {sampling.pixel_size_um:g} µm pixels and the model '{name}' works at "
        f"{model_um:g} µm, so the image is resampled from {before} to {after} pixels and every "
        f"plane back; the model knows the objective {spec.objective} only, do not trust it "
        "with another."
    ]


def _optics_notes(sampling: Sampling | None, spec: ModelSpec) -> list[str]:
    if sampling is None:
        return []
    notes, na = list(sampling.notes), spec.na
    if sampling.na and na and abs(sampling.na / na - 1) > _NA_TOLERANCE:
        notes.append(
            f"The image was taken at NA {sampling.na:g} and the model '{spec.name}' was made for "
            f"{na:g} ({spec.objective}), where focus is lost over other distances; do not trust "
            "the result."
        )
    return notes


def _range_notes(
    surface: Surface, range_um: Callable[[Surface], tuple[float, float]], spec: ModelSpec
) -> Iterator[str]:
    axial_range_um = lowest, highest = spec.axial_range_um
    beyond = f"beyond the axial range of the model '{spec.name}', {lowest:g} to {highest:g} µm"
    if surface.uniform_z_um is not None:
        outside = out_of_range_mask(np.array(surface.uniform_z_um), axial_range_um)
        if outside is not None:
            count = int(np.count_nonzero(outside))
            lies = "planes lies" if count == 1 else "planes lie"
            which = "The plane lies" if len(surface) == 1 else f"{count} of {len(surface)} {lies}"
            yield f"{which} {beyond} ({surface.describe()}); do not trust what is shown there."
        return
    nearest, farthest = (round(z_um, 3) for z_um in range_um(surface))
    if out_of_range_mask(np.array([nearest, farthest]), axial_range_um) is not None:
        yield (
            f"The surface reaches from {nearest:g} to {farthest:g} µm, {beyond} "
            f"({surface.describe()}); do not trust what is shown there."
        )


def _tiles(shape: tuple[int, int], model: Model, tile_px: int | None) -> tuple[Tile, ...]:
    network = model.network
    if tile_px is None:
        tile_px = window_px = _window_px(network.code_channels)
        if max(shape) > window_px:
            margin_px = ceil_to_multiple(network.halo_px + RAMP_PX // 2, network.size_multiple)
            halves = max(shape) <= 2 * (window_px - margin_px)  # Each has one margin only.
            tile_px = window_px - (1 if halves else 2) * margin_px
            tile_px = max(_SMALLEST_DEFAULT_TILE_PX, tile_px)
    elif tile_px < 1:
        raise ValueError(f"The tile size must be a positive number of pixels, not {tile_px}.")
    return tile_image(
        shape, tile_px=tile_px, halo_px=network.halo_px, size_multiple=network.size_multiple
    )


def _window_px(code_channels: int) -> int:
    """Side of what a network sees at once, its halo included.

    Larger windows have less halo, and an image of one window can stay encoded; but networks that
    do all their work in `decode` take much memory for each pixel.
    """
    if code_channels == 1:
        return _WINDOW_PX
    side_px = math.isqrt(_WINDOW_CODE_BYTES // (_FLOAT_BYTES * code_channels))
    return min(max(side_px, _WINDOW_PX), _LARGEST_WINDOW_PX)


def _planes(surfaces: Sequence[Surface]) -> Iterator[PlannedPlane]:
    index = 0
    for surface in surfaces:
        for dpm_index in range(len(surface)):
            z_um = surface.uniform_z_um
            yield PlannedPlane(index, surface, dpm_index, z_um[dpm_index] if z_um else None)
            index += 1


def _strategy(
    planes: Pass,
    tiles: Sequence[Tile],
    shape: tuple[int, int],
    model: Model,
    budget: Budget,
) -> tuple[Strategy, tuple[Pass, ...]]:
    if model.network.code_channels == 1:
        return "encode again", (planes,)
    window_pixels = sum(prod(tile.window_shape) for tile in tiles)
    if model.network.code_channels * _FLOAT_BYTES * window_pixels <= budget.code_bytes:
        return "hold codes", (planes,)
    plane_bytes = _FLOAT_BYTES * sum(prod(tile.output_shape) for tile in tiles)
    dpm_bytes = (_FLOAT_BYTES + 1) * prod(shape)  # with its mask
    options: list[tuple[Strategy, tuple[Pass, ...]]] = []
    if plane_bytes <= budget.memory_bytes:
        passes = _passes(planes, budget, plane_bytes + dpm_bytes, plane_bytes, 0)
        options.append(("spool to memory", passes))
    if plane_bytes <= budget.scratch_bytes:
        passes = _passes(planes, budget, dpm_bytes, 0, plane_bytes)
        options.append(("spool to disk", passes))
    if not options:
        raise ResourceError(
            f"Refocusing this image of {shape[0]} × {shape[1]} pixels needs "
            f"{plane_bytes / 1e9:.2g} GB of temporary disk space, of which only "
            f"{budget.scratch_bytes / 1e9:.2g} GB can be used; free some space, or set TMPDIR to a "
            "folder on a larger disk."
        )
    return min(options, key=lambda option: len(option[1]))


def _passes(
    planes: Pass,
    budget: Budget,
    non_uniform_memory_bytes: int,
    uniform_memory_bytes: int,
    scratch_bytes: int,
) -> tuple[Pass, ...]:
    """Group planes so that each group keeps within the budget; at least one plane in each."""
    passes: list[list[PlannedPlane]] = [[]]
    memory = scratch = 0
    for plane in planes:
        needed = non_uniform_memory_bytes if plane.z_um is None else uniform_memory_bytes
        full = memory + needed > budget.memory_bytes
        if passes[-1] and (full or scratch + scratch_bytes > budget.scratch_bytes):
            passes.append([])
            memory = scratch = 0
        passes[-1].append(plane)
        memory += needed
        scratch += scratch_bytes
    return tuple(map(tuple, passes))

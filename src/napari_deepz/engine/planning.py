"""Everything about a run that can be decided before the first pixel is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.cautions import notes_on, pixel_size_of, working_shape_of
from napari_deepz.engine.inputs import check_shape
from napari_deepz.models.package import Model
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Surface
from napari_deepz.tiling import RAMP_PX, Tile, ceil_to_multiple, tile_image

Strategy = Literal["hold codes", "encode again", "spool to memory", "spool to disk"]

_GIB = 1 << 30
_FLOAT_BYTES = 4
_WINDOW_PX = 1152
_LARGEST_WINDOW_PX = 2304
_WINDOW_CODE_BYTES = 7 * _GIB // 8
_MOST_CODE_BYTES = 13 * _GIB // 4
_SMALLEST_DEFAULT_TILE_PX = 256
_SMALLEST_TILE_PX = 64


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
        Position among the planes of all surfaces, from 0.
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

    def depth_um(self, shape: tuple[int, int], pixel_size_um: float) -> NDArray[np.float64]:
        """Where it lies: one number (0-d), or one for each pixel (Y, X)."""
        if self.z_um is not None:
            return np.asarray(self.z_um, np.float64)
        dpm_um = self.surface.dpm(shape, pixel_size_um, self.dpm_index)
        return np.asarray(dpm_um, np.float64)


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
    outward_from_um: float | None = None,
    at_um: Sequence[float] = (0.0,),
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
    outward_from_um : float, optional
        Depth whose neighbours come out first, for somebody who looks at it; in the order of
        `surfaces` where None. Planes that are not flat come last.
    at_um : sequence of float, optional
        Where the input planes lie, for a model that takes several.

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
    working_shape = working_shape_of(shape, pixel_um, model.spec)
    tiles = _tiles(working_shape, model, tile_px)
    planes = planned_planes(surfaces, outward_from_um)
    strategy, passes = _strategy(planes, tiles, working_shape, model, budget)
    return RefocusPlan(
        image_shape=shape,
        working_shape=working_shape,
        pixel_size_um=pixel_um,
        planes=planes,
        tiles=tiles,
        strategy=strategy,
        passes=passes,
        notes=notes_on(shape, surfaces, model.spec, sampling=sampling, at_um=at_um),
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


def planned_planes(surfaces: Sequence[Surface], outward_from_um: float | None = None) -> Pass:
    """Planes of surfaces in the order in which they come out; see `plan_refocus`."""
    planes = tuple(_planes(surfaces))
    if outward_from_um is None:
        return planes
    return tuple(sorted(planes, key=lambda plane: _distance_um(plane, outward_from_um)))


def _planes(surfaces: Sequence[Surface]) -> Iterator[PlannedPlane]:
    index = 0
    for surface in surfaces:
        for dpm_index in range(len(surface)):
            z_um = surface.uniform_z_um
            yield PlannedPlane(index, surface, dpm_index, z_um[dpm_index] if z_um else None)
            index += 1


def _distance_um(plane: PlannedPlane, depth_um: float) -> float:
    return math.inf if plane.z_um is None else abs(plane.z_um - depth_um)


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

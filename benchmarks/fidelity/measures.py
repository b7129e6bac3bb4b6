"""Scores at each distance, sizes and depths of beads, and what they say about the goals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.fidelity.methods import Method
from benchmarks.fidelity.sets import PIXEL_UM, TILT_RISE_UM, HeldOut
from napari_deepz.analysis.bead_size import axial_fwhm_um, fit_spot, lateral_fwhm_um
from napari_deepz.analysis.metrics import (
    best_focus_um,
    correlation,
    half_light_diameter_um,
    psnr,
    ssim,
)

DECIMALS = {"correlation": 3, "SSIM": 3, "PSNR": 1}
Z_UM = (-10.0, -8.0, -6.0, -4.0, -2.0, -1.0, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0)
STACK_Z_UM = np.arange(-20, 21) * 0.5
APART_PX = 12.0
WINDOW_UM = 6 * PIXEL_UM
CIRCLE_UM = 2 * PIXEL_UM

Table = dict[str, np.ndarray]


def scores(image: np.ndarray, truth: np.ndarray, data_range: float) -> tuple[float, ...]:
    """Measures of one image, in the order of `DECIMALS`."""
    return (
        correlation(image, truth),
        ssim(image, truth, data_range=data_range),
        psnr(image, truth, data_range=data_range),
    )


def mean_scores(
    stacks: Iterable[HeldOut],
    methods: list[Method],
    z_um: tuple[float, ...] = Z_UM,
    *,
    other_side: bool = False,
) -> dict[str, Table]:
    """Compare with the noise-free truth: for each measure and method (n,) means over stacks."""
    return means([stack_scores(stack, methods, z_um, other_side)[0] for stack in stacks])


def stack_scores(
    stack: HeldOut, methods: list[Method], z_um: tuple[float, ...], other_side: bool = False
) -> tuple[Table, Table]:
    """Scores (n, 3) of each method on one stack, and the truth's and each method's images."""
    truth = stack.truth((-1 if other_side else 1) * np.array(z_um))
    images = {"truth": truth} | {method.name: method.planes(stack, z_um) for method in methods}
    found = {
        method.name: np.array(
            [
                scores(*pair, stack.data_range)
                for pair in zip(images[method.name], truth, strict=True)
            ]
        )
        for method in methods
    }
    return found, images


def means(found: list[Table]) -> dict[str, Table]:
    """Means over stacks, by measure and method."""
    average = {name: np.mean([each[name] for each in found], axis=0) for name in found[0]}
    return {
        measure: {name: values[:, column] for name, values in average.items()}
        for column, measure in enumerate(DECIMALS)
    }


def fails_at(
    one: np.ndarray,
    other: np.ndarray,
    z_um: tuple[float, ...],
    decimals: int,
    *,
    or_equal: bool,
    beyond_um: float = 0.0,
) -> list[float]:
    """Distances at which one method is not better than another, at the digits that are printed."""
    a, b = np.round(one, decimals), np.round(other, decimals)
    holds = a >= b if or_equal else a > b
    return [
        z for z, good in zip(z_um, holds, strict=True) if not good and abs(z) >= beyond_um - 1e-9
    ]


def apart(centres: np.ndarray, shape: tuple[int, ...], distance_px: float = APART_PX) -> np.ndarray:
    """Objects with no neighbour nearby, away from the border and within the models' range."""
    position = centres[:, 1:]
    gaps = np.linalg.norm(position[:, None] - position[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    highest = np.array(shape) - 1 - distance_px
    inside = ((position > distance_px) & (position < highest)).all(axis=1)
    in_range = np.abs(centres[:, 0]) <= STACK_Z_UM[-1]
    return centres[inside & in_range & (gaps.min(axis=1, initial=np.inf) > distance_px)]


def bead_sizes_um(
    planes: np.ndarray,
    position_px: np.ndarray,
    z_um: np.ndarray = STACK_Z_UM,
    pixel_um: float = PIXEL_UM,
) -> np.ndarray:
    """Widths (N, 2), lateral in the plane of best focus and axial through the spot there, µm.

    Parameters
    ----------
    planes : ndarray
        (Z, Y, X).
    position_px : ndarray
        (N, 2) y and x.
    z_um, pixel_um
        Of the planes.

    Returns
    -------
    ndarray
        Infinite where a bead has no focus within the stack or no measurable width.
    """
    found = np.full((len(position_px), 2), np.inf)
    depths_um = best_focus_um(planes, z_um, position_px, radius_px=CIRCLE_UM / pixel_um)
    for widths, at, depth_um in zip(found, position_px, depths_um, strict=True):
        if not math.isfinite(depth_um):
            continue
        plane = planes[int(np.argmin(np.abs(z_um - depth_um)))]
        spot = fit_spot(plane, at, WINDOW_UM / pixel_um)
        if spot is None:
            continue
        centre = [spot.centre_px]
        along = axial_fwhm_um(planes, z_um, centre, pixel_um, window_radius_um=WINDOW_UM)[0]
        widths[:] = spot.fwhm_px * pixel_um, np.inf if math.isnan(along) else along
    return found


@dataclass(frozen=True, eq=False)
class BeadSizes:
    """Sizes of the beads that can be measured in the true stacks.

    Parameters
    ----------
    depth_um : ndarray
        (N,) true depth.
    widths_um : dict
        (N, 2) lateral and axial by method, "truth" first; infinite where not measurable, and for
        the unrefocused image the lateral width alone.
    left_out : int
        Isolated beads without a measurable size in the true stack.
    """

    depth_um: np.ndarray
    widths_um: Table
    left_out: int


def bead_sizes(stacks: Iterable[HeldOut], methods: list[Method]) -> BeadSizes:
    """Measure isolated beads in true and virtual stacks, and in the input."""
    depths: list[np.ndarray] = []
    widths: dict[str, list[np.ndarray]] = {}
    left_out = 0
    for stack in stacks:
        beads = apart(stack.centres, stack.image.shape)
        truth = bead_sizes_um(stack.truth(STACK_Z_UM), beads[:, 1:])
        usable = np.isfinite(truth).all(axis=1)
        left_out += int(np.count_nonzero(~usable))
        depths.append(beads[usable, 0])
        widths.setdefault("truth", []).append(truth[usable])
        position = beads[usable, 1:]
        for method in methods:
            planes = method.planes(stack, STACK_Z_UM)
            widths.setdefault(method.name, []).append(bead_sizes_um(planes, position))
        lateral = lateral_fwhm_um(stack.image, position, PIXEL_UM, window_radius_um=WINDOW_UM)
        column = np.where(np.isnan(lateral), np.inf, lateral)
        widths.setdefault("unrefocused", []).append(
            np.stack([column, np.full_like(column, np.inf)], axis=1)
        )
    return BeadSizes(
        np.concatenate(depths),
        {name: np.concatenate(parts) for name, parts in widths.items()},
        left_out,
    )


@dataclass(frozen=True, eq=False)
class Tilted:
    """Beads of tilted fields, each (N,); NaN where no focus or no light is found.

    Parameters
    ----------
    from_plane_um, from_best_um : ndarray
        Depth found less that of the plane, and less that found in the true stack.
    half_light_um : ndarray
        Diameter of the circle with half of a bead's light in the image on the tilted plane.
    """

    from_plane_um: np.ndarray
    from_best_um: np.ndarray
    half_light_um: np.ndarray

    @property
    def half_light_or_inf(self) -> np.ndarray:
        """Diameters, infinite where there is none."""
        return np.where(np.isfinite(self.half_light_um), self.half_light_um, np.inf)


def tilted(stacks: Iterable[HeldOut], methods: list[Method]) -> dict[str, Tilted]:
    """Measure the beads of tilted fields in the true stack, in virtual ones and in the input."""
    parts: dict[str, list[np.ndarray]] = {}
    for stack in stacks:
        beads = apart(stack.centres, stack.image.shape)
        true = stack.truth(STACK_Z_UM)
        best = best_focus_um(true, STACK_Z_UM, beads[:, 1:])

        def add(
            name: str, planes: np.ndarray, beads: np.ndarray = beads, best: np.ndarray = best
        ) -> None:
            depth_um = best_focus_um(planes, STACK_Z_UM, beads[:, 1:])
            light_um = half_light_diameter_um(
                on_tilted_plane(planes), beads[:, 1:], PIXEL_UM, search_radius_um=WINDOW_UM
            )
            found = np.stack([depth_um - beads[:, 0], depth_um - best, light_um])
            parts.setdefault(name, []).append(found)

        add("truth", true)
        for method in methods:
            add(method.name, method.planes(stack, STACK_Z_UM))
    return {name: Tilted(*np.concatenate(found, axis=1)) for name, found in parts.items()}


def on_tilted_plane(planes: np.ndarray) -> np.ndarray:
    """Cut a stack at `STACK_Z_UM` along the plane of the tilted fields, linearly in z."""
    x = np.arange(planes.shape[2])
    depth_um = (x - (len(x) - 1) / 2) * TILT_RISE_UM / len(x)
    place = (depth_um - STACK_Z_UM[0]) / (STACK_Z_UM[1] - STACK_Z_UM[0])
    low = np.floor(place).astype(int)
    share = (place - low).astype(np.float32)
    cut = planes[low, :, x].T * (1 - share) + planes[low + 1, :, x].T * share
    return cut.astype(np.float32)


def rms(values: np.ndarray) -> float:
    """Root mean square of the finite values; NaN if there is none."""
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else math.nan

"""The surface on which a virtual stack is sharpest, found without anybody's help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares

from napari_deepz.surfaces import FromPoints, Surface, Tilted
from napari_deepz.surfaces.geometry import image_centre_um

Form = Literal["plane", "smooth"]
Values = NDArray[np.float64]

_FINE_PX = 1.0
_COARSE_PX = 3.0
_OUTLIER_UM = 1.0
_OUTLIER_SPREADS = 3.0
_PASSES = 10
_LEAST_CONFIDENCE = 0.1
_FEWEST_TILES = 6
_MOST_ANCHORS = 36


@dataclass(frozen=True, eq=False)
class FocusMap:
    """Where each tile of a stack is in focus.

    Attributes
    ----------
    position_px : ndarray
        (Ty, Tx, 2) y and x of each tile's centre of structure, in pixels.
    depth_um : ndarray
        (Ty, Tx) depth of best focus; NaN where the sharpest plane is the first or the last.
    confidence : ndarray
        (Ty, Tx) from 0, where nothing has a focus, to 1: how far the sharpest plane stands out
        from the others, times how much structure there is beside the tile with the most.
    """

    position_px: Values
    depth_um: Values
    confidence: Values


@dataclass(frozen=True, eq=False)
class FoundSurface:
    """A surface through the tiles that are in focus on it.

    Attributes
    ----------
    surface : Surface
        A `Tilted` plane or a `FromPoints`.
    anchors_um : ndarray
        (N, 3) rows of (y, x, z) in µm that it was fitted to, outliers left out.
    confidence : ndarray
        (N,) of each anchor.
    rejected : int
        How many tiles with structure were left out as outliers.
    spread_um : float
        Root mean square distance of the anchors from the surface, weighted by confidence.
    focus : FocusMap
        What the stack says, tile by tile.
    """

    surface: Surface
    anchors_um: Values
    confidence: Values
    rejected: int
    spread_um: float
    focus: FocusMap


def map_focus(stack: ArrayLike, z_um: ArrayLike, *, tile_px: int = 24) -> FocusMap:
    """Find the depth of best focus of every tile.

    Sharpness is the energy of what is finer than a Gaussian of three pixels and coarser than one
    of one pixel, summed over the tile: it is largest where spots are smallest. A parabola through
    the sharpest plane and its neighbours gives the depth between planes.

    Parameters
    ----------
    stack : array-like
        (Z, Y, X) finite, Z >= 3.
    z_um : array-like
        (Z,) depth of each plane in µm, evenly spaced.
    tile_px : int
        Side of a tile.

    Returns
    -------
    FocusMap

    Raises
    ------
    ValueError
        If there are fewer than three planes, or the depths are not theirs.
    """
    planes, depths = np.asarray(stack, np.float32), np.asarray(z_um, np.float64)
    if planes.ndim != 3 or len(planes) < 3:
        raise ValueError(
            "Finding the focus needs a stack of at least three planes; refocus onto a flat range "
            "first."
        )
    if depths.shape != planes.shape[:1] or not np.allclose(np.diff(depths), depths[1] - depths[0]):
        raise ValueError("The depths must be evenly spaced, one for each plane of the stack.")
    energy = np.stack([_fine_structure(plane) ** 2 for plane in planes])
    sharpness = _sums(energy, tile_px)
    top = sharpness.argmax(axis=0)
    inside = np.clip(top, 1, len(planes) - 2)
    below, peak, above = (
        np.take_along_axis(sharpness, inside[None] + step, axis=0)[0] for step in (-1, 0, 1)
    )
    bend = below - 2 * peak + above
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = np.where(bend < 0, 0.5 * (below - above) / bend, 0.0)
    depth_um = depths[inside] + offset * (depths[1] - depths[0])
    depth_um[top != inside] = np.nan
    strongest = sharpness.max(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast = np.where(strongest > 0, 1 - np.median(sharpness, axis=0) / strongest, 0.0)
    amount = np.sqrt(strongest / max(float(strongest.max()), np.finfo(np.float64).tiny))
    return FocusMap(
        _centres(
            np.take_along_axis(energy, _spread(top, energy.shape[1:], tile_px)[None], 0)[0], tile_px
        ),
        depth_um,
        contrast * amount,
    )


def find_surface(
    stack: ArrayLike,
    z_um: ArrayLike,
    pixel_size_um: float,
    *,
    form: Form = "plane",
    smoothing: float = 10.0,
    tile_px: int = 24,
) -> FoundSurface:
    """Fit a surface to the depths of best focus of a stack, leaving out what does not belong.

    Tiles count by their confidence. A tile is an outlier where it lies further from the surface
    than three times the anchors' median distance, and more than 1 µm.

    Parameters
    ----------
    stack, z_um, tile_px
        As for `map_focus`.
    pixel_size_um : float
        Size of a pixel in µm.
    form : {"plane", "smooth"}
        A tilted plane, or a smooth surface through the anchors.
    smoothing : float
        Of the smooth surface, as in `FromPoints`.

    Returns
    -------
    FoundSurface

    Raises
    ------
    ValueError
        As for `map_focus`, or if too few tiles have structure with a focus.
    """
    focus = map_focus(stack, z_um, tile_px=tile_px)
    usable = np.isfinite(focus.depth_um) & (focus.confidence > _LEAST_CONFIDENCE)
    position_um = focus.position_px[usable] * pixel_size_um
    rows = np.column_stack([position_um, focus.depth_um[usable]])
    weight = focus.confidence[usable]
    if len(rows) < _FEWEST_TILES:
        raise ValueError(
            f"Only {len(rows)} places of the stack have structure that comes into focus; a surface "
            f"needs {_FEWEST_TILES}. Set anchors by hand, or choose another image."
        )
    shape = np.shape(stack)[1:]
    keep = np.ones(len(rows), bool)
    for _ in range(_PASSES):
        surface = _fit(rows[keep], weight[keep], form, smoothing, shape, pixel_size_um)
        distance = np.abs(rows[:, 2] - _depths_at(surface, rows, shape, pixel_size_um))
        limit = max(_OUTLIER_UM, _OUTLIER_SPREADS * float(np.median(distance[keep])))
        now = distance <= limit
        if now.sum() < _FEWEST_TILES or (now == keep).all():
            break
        keep = now
    spread = np.sqrt(np.average(distance[keep] ** 2, weights=weight[keep]))
    return FoundSurface(surface, rows[keep], weight[keep], int((~keep).sum()), float(spread), focus)


def few_anchors(
    found: FoundSurface, shape: tuple[int, int], pixel_size_um: float, *, most: int = _MOST_ANCHORS
) -> Values:
    """Thin the anchors of a found surface to a few that a person can look at and move.

    The image is divided into about square fields, at most as many as anchors are wanted. Each
    field keeps the place of its most confident anchor, at the depth of the surface there plus the
    weighted median of how far the field's anchors lie above the surface.

    Parameters
    ----------
    found : FoundSurface
        Of `find_surface`.
    shape : tuple of int
        (Y, X) of the stack's planes.
    pixel_size_um : float
        Size of a pixel in µm.
    most : int
        How many anchors there may be, at least 1.

    Returns
    -------
    ndarray
        (N, 3) float64 rows of (y, x, z) in µm, 1 <= N <= most, row by row through the image.
    """
    rows, weight = found.anchors_um, found.confidence
    away_um = rows[:, 2] - _depths_at(found.surface, rows, shape, pixel_size_um)
    columns = int(np.clip(round(np.sqrt(most * shape[1] / shape[0])), 1, most))
    fields = np.array([most // columns, columns])
    size_um = np.array(shape) * pixel_size_um
    place = np.clip(np.floor(rows[:, :2] / size_um * fields), 0, fields - 1).astype(np.intp)
    label = place[:, 0] * columns + place[:, 1]
    kept = []
    for field in np.unique(label):
        inside = np.flatnonzero(label == field)
        best = inside[weight[inside].argmax()]
        shift_um = _weighted_median(away_um[inside], weight[inside])
        kept.append((*rows[best, :2], rows[best, 2] - away_um[best] + shift_um))
    return np.array(kept)


def confidence_map(focus: FocusMap, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Show how surely the depth of focus is known, between the tiles by linear interpolation.

    Parameters
    ----------
    focus : FocusMap
        Of `map_focus`.
    shape : tuple of int
        (Y, X) of the stack's planes.

    Returns
    -------
    ndarray
        (Y, X) float32 from 0 to 1; 0 at the middle of tiles whose depth is not known.
    """
    known = np.where(np.isfinite(focus.depth_um), focus.confidence, 0.0)
    along_y, along_x = (
        _share_of_tiles(size, count) for size, count in zip(shape, known.shape, strict=True)
    )
    shown: NDArray[np.float32] = (along_y.T @ known @ along_x).astype(np.float32)
    return shown


def _share_of_tiles(size: int, count: int) -> Values:
    """How much of each of ``count`` tiles every pixel of a line gets, (count, size)."""
    edges = np.linspace(0, size, count + 1).astype(np.intp)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    return np.array([np.interp(np.arange(size), middles, tile) for tile in np.eye(count)])


def _weighted_median(values: Values, weight: Values) -> float:
    order = values.argsort()
    passed = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(passed, passed[-1] / 2)])


def _fine_structure(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    fine: NDArray[np.float32] = gaussian_filter(plane, _FINE_PX) - gaussian_filter(
        plane, _COARSE_PX
    )
    return fine


def _edges(size: int, tile_px: int) -> NDArray[np.intp]:
    """First pixels of about equal tiles, none smaller than asked for unless the image is."""
    count = max(1, size // tile_px)
    return np.linspace(0, size, count + 1).astype(np.intp)


def _sums(planes: NDArray[np.float32], tile_px: int) -> Values:
    rows, columns = (_edges(size, tile_px)[:-1] for size in planes.shape[1:])
    summed = np.add.reduceat(planes.astype(np.float64), rows, axis=1)
    return np.add.reduceat(summed, columns, axis=2)


def _spread(values: NDArray[np.intp], shape: tuple[int, ...], tile_px: int) -> NDArray[np.intp]:
    """Give every pixel the value of its tile."""
    y, x = (
        np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        for edges in (_edges(shape[0], tile_px), _edges(shape[1], tile_px))
    )
    spread: NDArray[np.intp] = values[np.ix_(y, x)]
    return spread


def _centres(energy: NDArray[np.float32], tile_px: int) -> Values:
    """Centre of energy of every tile, (Ty, Tx, 2) in pixels."""
    y, x = np.indices(energy.shape, dtype=np.float32)
    total = _sums(energy[None], tile_px)[0]
    weighted = _sums(np.stack([energy * y, energy * x]), tile_px)
    with np.errstate(divide="ignore", invalid="ignore"):
        centres = weighted / total
    middles = [(e[:-1] + e[1:] - 1) / 2 for e in (_edges(size, tile_px) for size in energy.shape)]
    empty = np.stack(np.meshgrid(*middles, indexing="ij"))
    return np.moveaxis(np.where(total > 0, centres, empty), 0, -1)


def _fit(
    rows: Values,
    weight: Values,
    form: Form,
    smoothing: float,
    shape: tuple[int, ...],
    pixel_size_um: float,
) -> Surface:
    if form == "smooth":
        return FromPoints(rows, smoothing=smoothing)
    centre_y, centre_x = image_centre_um((shape[0], shape[1]), pixel_size_um)
    design = np.column_stack([np.ones(len(rows)), rows[:, 0] - centre_y, rows[:, 1] - centre_x])

    def residuals(plane: Values) -> Values:
        away: Values = weight * (design @ plane - rows[:, 2])
        return away

    start = np.array([np.median(rows[:, 2]), 0.0, 0.0])
    offset, slope_y, slope_x = least_squares(residuals, start, loss="soft_l1", f_scale=0.3).x
    return Tilted(np.degrees(np.arctan(slope_x)), np.degrees(np.arctan(slope_y)), offset)


def _depths_at(
    surface: Surface, rows: Values, shape: tuple[int, ...], pixel_size_um: float
) -> Values:
    matrix = surface.dpm((shape[0], shape[1]), pixel_size_um)
    y, x = np.rint(rows[:, :2] / pixel_size_um).astype(np.intp).T
    depths: Values = matrix[y, x].astype(np.float64)
    return depths

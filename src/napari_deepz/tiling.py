"""Tiles of a large image: which pixels to read, which to keep, how to blend neighbours.

One axis of an image cut into two cores, `|` their common boundary::

    pixels    0                          boundary                            end
              +------------ core 0 ---------|--------- core 1 ----------------+
    window 0  [============================================]    read by tile 0
    output 0  [--------------------------------)                kept of tile 0
    weight 0  1111111111111111111111111111\\
                                            \\____                ramp, falls 1 -> 0
    window 1               [==================================================]
    output 1                           (--------------------------------------]
    weight 1                               /11111111111111111111111111111111111
                                      ____/                      ramp, rises 0 -> 1
              half a ramp on each side of the boundary: the two weights add up to 1

The window reaches beyond the output by at least the halo, filled with real pixels, so that
every kept pixel is computed from the same neighbourhood as in the whole image. Windows start
and stop at multiples of `size_multiple`, so that pooling sees the same pixel pairs as in the
whole image; at the far edges they reach past the image by less than one multiple, and
`read_window` fills that strip by reflection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RAMP_PX = 8
"""Width of the strip over which neighbouring tiles are blended."""


@dataclass(frozen=True)
class Span:
    """Where a tile lies along one axis; all values are pixels of the whole image.

    Attributes
    ----------
    window_start, window_stop : int
        Pixels that the tile reads; multiples of the size multiple.
    output_start, output_stop : int
        Pixels that the tile contributes to, half a ramp more than its core.
    core_start, core_stop : int
        The tile's own share of the padded axis; cores neither overlap nor leave gaps.
    ramp_px : int
        Width of the blend at each inner boundary.
    """

    window_start: int
    window_stop: int
    output_start: int
    output_stop: int
    core_start: int
    core_stop: int
    ramp_px: int
    is_first: bool
    is_last: bool

    @property
    def window_px(self) -> int:
        """Number of pixels read."""
        return self.window_stop - self.window_start

    @property
    def output_px(self) -> int:
        """Number of pixels kept."""
        return self.output_stop - self.output_start

    def weights(self) -> NDArray[np.float32]:
        """Blend weight of every kept pixel, 1 inside and linear across each inner boundary."""
        centres = np.arange(self.output_start, self.output_stop, dtype=np.float32) + 0.5
        weights = np.ones(self.output_px, dtype=np.float32)
        if not self.is_first:
            weights *= _rise(centres - self.core_start, self.ramp_px)
        if not self.is_last:
            weights *= 1 - _rise(centres - self.core_stop, self.ramp_px)
        return weights

    def parts(self) -> tuple[slice, slice, slice]:
        """Kept pixels before, in and after the stretch that no neighbour contributes to."""
        first = 0 if self.is_first else min(self.ramp_px, self.output_px)
        last = max(first, self.output_px - (0 if self.is_last else self.ramp_px))
        return slice(0, first), slice(first, last), slice(last, self.output_px)


@dataclass(frozen=True)
class Tile:
    """One rectangle of a tiled image; see the figure at the top of this module."""

    y: Span
    x: Span

    @property
    def window_shape(self) -> tuple[int, int]:
        """(Y, X) of the pixels that the tile reads."""
        return self.y.window_px, self.x.window_px

    @property
    def output(self) -> tuple[slice, slice]:
        """(Y, X) slices of the kept pixels in the whole image."""
        return (
            slice(self.y.output_start, self.y.output_stop),
            slice(self.x.output_start, self.x.output_stop),
        )

    @property
    def output_shape(self) -> tuple[int, int]:
        """(Y, X) of the kept pixels."""
        return self.y.output_px, self.x.output_px

    @property
    def crop(self) -> tuple[slice, slice]:
        """(Y, X) slices of the kept pixels in the tile's own window."""
        first_y = self.y.output_start - self.y.window_start
        first_x = self.x.output_start - self.x.window_start
        return (
            slice(first_y, first_y + self.y.output_px),
            slice(first_x, first_x + self.x.output_px),
        )

    @property
    def core_px(self) -> int:
        """Longer side of the tile's core."""
        return max(span.core_stop - span.core_start for span in (self.y, self.x))

    def read_window(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pixels of the window, reflected about the last row and column beyond the image.

        Parameters
        ----------
        image : ndarray
            (..., Y, X), the whole image.

        Returns
        -------
        ndarray
            (..., `window_shape`); a view where the window lies inside the image.
        """
        height, width = image.shape[-2:]
        if self.y.window_stop <= height and self.x.window_stop <= width:
            return image[
                ...,
                self.y.window_start : self.y.window_stop,
                self.x.window_start : self.x.window_stop,
            ]
        rows = _reflected(self.y.window_start, self.y.window_stop, height)
        columns = _reflected(self.x.window_start, self.x.window_stop, width)
        return image[..., rows[:, None], columns]

    def add_to(self, canvas: NDArray[np.float32], output: NDArray[np.float32]) -> None:
        """Add the tile's kept pixels to the whole image, weighted.

        Parameters
        ----------
        canvas : ndarray
            (Y, X) float32 of the whole image, zero before the first tile; changed in place, where
            no neighbour contributes just by a copy.
        output : ndarray
            `output_shape` float32.
        """
        part = canvas[self.output]
        above, rows, below = self.y.parts()
        left, columns, right = self.x.parts()
        part[rows, columns] = output[rows, columns]
        down, across = self.y.weights()[:, None], self.x.weights()
        every = slice(None)
        for ys, xs in ((above, every), (below, every), (rows, left), (rows, right)):
            part[ys, xs] += output[ys, xs] * (down[ys] * across[xs])


def tile_image(
    shape: tuple[int, int],
    *,
    tile_px: int,
    halo_px: int,
    size_multiple: int = 1,
    ramp_px: int = RAMP_PX,
) -> tuple[Tile, ...]:
    """Cut an image into tiles of about equal size, row by row.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the image.
    tile_px : int
        Largest side of a tile's core; raised to the ramp's width and to a whole multiple of
        `size_multiple` where it is smaller. An image no larger than this is one tile.
    halo_px : int
        Real pixels that an output pixel needs on every side.
    size_multiple : int
        Windows start and stop at multiples of this.
    ramp_px : int
        Even width of the blend between neighbours.

    Returns
    -------
    tuple of Tile
        Their blend weights add up to 1 at every pixel of the image.

    Raises
    ------
    ValueError
        If a size is not positive or the ramp is odd.
    """
    if min(shape) < 1 or tile_px < 1 or size_multiple < 1 or halo_px < 0:
        raise ValueError(
            f"Tiles need positive sizes, not image {shape}, tile {tile_px}, halo {halo_px} "
            f"and multiple {size_multiple}."
        )
    if ramp_px < 2 or ramp_px % 2:
        raise ValueError(
            f"The blend between tiles must be an even number of pixels, not {ramp_px}."
        )
    core_px = ceil_to_multiple(max(tile_px, ramp_px), size_multiple)
    margin_px = ceil_to_multiple(halo_px + ramp_px // 2, size_multiple)
    rows, columns = (_spans(size, core_px, margin_px, size_multiple, ramp_px) for size in shape)
    return tuple(Tile(y, x) for y in rows for x in columns)


def ceil_to_multiple(value: float, multiple: int) -> int:
    """Smallest multiple that is not below the value."""
    return math.ceil(value / multiple) * multiple


def _spans(
    size: int, core_px: int, margin_px: int, size_multiple: int, ramp_px: int
) -> Sequence[Span]:
    padded = ceil_to_multiple(size, size_multiple)
    count = math.ceil(padded / core_px)
    step = ceil_to_multiple(max(padded / count, ramp_px), size_multiple)
    starts = range(0, padded, step)
    return [
        Span(
            window_start=max(0, start - margin_px),
            window_stop=min(padded, start + step + margin_px),
            output_start=max(0, start - ramp_px // 2),
            output_stop=min(size, start + step + ramp_px // 2),
            core_start=start,
            core_stop=min(padded, start + step),
            ramp_px=ramp_px,
            is_first=start == 0,
            is_last=start == starts[-1],
        )
        for start in starts
    ]


def _rise(distance_px: NDArray[np.float32], ramp_px: int) -> NDArray[np.float32]:
    """Rise from 0 to 1 over the ramp centred on distance 0."""
    return (distance_px / ramp_px + 0.5).clip(0, 1)


def _reflected(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Indices start..stop of an axis mirrored about its first and last pixel."""
    if size == 1:
        return np.zeros(stop - start, dtype=np.intp)
    period = 2 * (size - 1)
    indices = np.arange(start, stop) % period
    return np.minimum(indices, period - indices)

"""Intensities as 16-bit whole numbers, with a scale and an offset."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.io.units import positive_number

STORED = np.dtype(np.uint16)
_MOST = int(np.iinfo(STORED).max)

SCALE, OFFSET = "scale_factor", "add_offset"
"""Names of the attributes in the conventions for climate and forecast data (CF 1.11, 8.1)."""


@dataclass(frozen=True)
class Packing:
    """An intensity is a stored number times `scale`, plus `offset`.

    Attributes
    ----------
    scale, offset : float
        In the units of the intensities.
    """

    scale: float
    offset: float

    @classmethod
    def for_range(cls, low: float, high: float) -> Packing:
        """The finest scale, a power of two, in which these intensities can be stored."""
        scale = 2.0 ** math.ceil(math.log2(max(high - low, 1e-6) / _MOST))
        return cls(scale, math.floor(low / scale) * scale)

    @classmethod
    def of_attributes(cls, attributes: Mapping[str, Any]) -> Packing | None:
        """Read how an array is packed; None where it is not."""
        scale, offset = positive_number(attributes.get(SCALE)), attributes.get(OFFSET, 0.0)
        if scale is None or isinstance(offset, bool) or not isinstance(offset, int | float):
            return None
        return cls(scale, float(offset)) if math.isfinite(offset) else None

    @property
    def attributes(self) -> dict[str, float]:
        """What `of_attributes` reads."""
        return {SCALE: self.scale, OFFSET: self.offset}

    def pack(self, values: NDArray[np.floating]) -> tuple[NDArray[np.uint16], int]:
        """Pack intensities; also count those that lie beyond the range, which is what they get."""
        numbers = (values - np.float32(self.offset)).astype(np.float32, copy=False)
        numbers /= np.float32(self.scale)
        np.rint(numbers, out=numbers)
        if numbers.min() >= 0 and numbers.max() <= _MOST:
            return numbers.astype(STORED), 0
        beyond = ~((numbers >= 0) & (numbers <= _MOST))
        within = np.nan_to_num(numbers, nan=0.0).clip(0, _MOST)
        return within.astype(STORED), int(np.count_nonzero(beyond))

    def unpack(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Give the intensities back."""
        values: NDArray[np.float32] = stored.astype(np.float32)
        values *= np.float32(self.scale)
        values += np.float32(self.offset)
        return values

"""Where finished tiles wait until their plane is complete: in memory or in a scratch file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from math import prod
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.planning import ResourceError

_FLOAT_BYTES = 4
_SHARE_OF_FREE = 0.9


class TileStore(Protocol):
    """Keeps one float32 array per plane and tile; everything is gone when it is left."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def write(self, plane: int, tile: int, values: NDArray[np.float32]) -> None:
        """Keep the tile of a plane."""

    def read(self, plane: int, tile: int) -> NDArray[np.float32]:
        """Return what was written."""


class MemoryStore:
    """A `TileStore` in main memory."""

    def __init__(self) -> None:
        self._values: dict[tuple[int, int], NDArray[np.float32]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._values.clear()

    def write(self, plane: int, tile: int, values: NDArray[np.float32]) -> None:
        """Keep the tile of a plane."""
        self._values[plane, tile] = values

    def read(self, plane: int, tile: int) -> NDArray[np.float32]:
        """Return what was written."""
        return self._values[plane, tile]


class ScratchFile:
    """A `TileStore` in one temporary file without a name.

    The file is written and read at offsets and never mapped, since mapped pages would count as
    memory of the process. The operating system removes it as soon as it is closed, also when the
    process is killed.

    Parameters
    ----------
    tile_shapes : sequence of tuple of int
        (Y, X) of every tile.
    """

    def __init__(self, tile_shapes: Sequence[tuple[int, int]]) -> None:
        self._shapes = tuple(tile_shapes)
        sizes = [prod(shape) * _FLOAT_BYTES for shape in self._shapes]
        self._offsets = [sum(sizes[:tile]) for tile in range(len(sizes))]
        self._plane_bytes = sum(sizes)
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed on exit

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def write(self, plane: int, tile: int, values: NDArray[np.float32]) -> None:
        """Keep the tile of a plane.

        Raises
        ------
        ResourceError
            If the disk is full.
        """
        rest = np.ascontiguousarray(values, dtype=np.float32).data.cast("B")
        self._file.seek(self._offset(plane, tile))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise ResourceError(
                f"The temporary folder {tempfile.gettempdir()} could not take the scratch file "
                f"({error.strerror}); free some space, or set TMPDIR to a folder on a larger disk."
            ) from error

    def read(self, plane: int, tile: int) -> NDArray[np.float32]:
        """Return what was written."""
        values = np.empty(self._shapes[tile], dtype=np.float32)
        rest = values.data.cast("B")
        self._file.seek(self._offset(plane, tile))
        while rest:
            count = self._file.readinto(rest)
            if not count:
                raise OSError("The scratch file is shorter than what was written to it.")
            rest = rest[count:]
        return values

    def _offset(self, plane: int, tile: int) -> int:
        return plane * self._plane_bytes + self._offsets[tile]


def free_scratch_bytes() -> int:
    """Space that a scratch file may take in the temporary folder: nine tenths of what is free."""
    return int(shutil.disk_usage(tempfile.gettempdir()).free * _SHARE_OF_FREE)

"""Flat planes that were inferred already, for models that take long for each."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.last_encoding import Key

Plane = NDArray[np.float32]

DEFAULT_LIMIT_BYTES = 500_000_000
WIDEST_GAP_UM = 2.0
_SAME_UM = 1e-6


class PlaneCache:
    """Keeps planes by image, model and depth; the one that was not used longest goes first.

    Safe to be used by several threads.

    Parameters
    ----------
    limit_bytes : int
        Memory that the planes may take.
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._planes: OrderedDict[tuple[Key, float], Plane] = OrderedDict()
        self._used_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Count the planes."""
        return len(self._planes)

    @property
    def used_bytes(self) -> int:
        """Memory that the planes take."""
        return self._used_bytes

    def add(self, key: Key, z_um: float, plane: Plane) -> None:
        """Keep a (Y, X) float32 plane, which must not change afterwards.

        One that is larger than the limit is not kept.
        """
        with self._lock:
            self._remove((key, z_um))
            if plane.nbytes > self.limit_bytes:
                return
            while self._used_bytes + plane.nbytes > self.limit_bytes:
                self._remove(next(iter(self._planes)))
            self._planes[key, z_um] = plane
            self._used_bytes += plane.nbytes

    def get(self, key: Key, z_um: float) -> Plane | None:
        """Find the plane at a depth; None where it was never inferred, or has had to go."""
        with self._lock:
            for known in self._depths_um(key):
                if abs(known - z_um) <= _SAME_UM:
                    return self._use(key, known)
            return None

    def blend(self, key: Key, dpm_um: NDArray[np.float32]) -> Plane | None:
        """Put a surface together from planes, linearly between the two nearest ones.

        Parameters
        ----------
        key : tuple
            Of image and model.
        dpm_um : ndarray
            (Y, X) depths in µm.

        Returns
        -------
        ndarray or None
            (Y, X) float32; None unless there are planes on both sides of every depth, no two of
            them further apart than 2 µm.
        """
        lowest, highest = float(dpm_um.min()), float(dpm_um.max())
        with self._lock:
            depths = self._depths_um(key)
            first = int(np.searchsorted(depths, lowest + _SAME_UM, side="right")) - 1
            last = int(np.searchsorted(depths, highest - _SAME_UM))
            if first < 0 or last == len(depths):
                return None
            used = depths[first : last + 1]
            if len(used) > 1 and np.diff(used).max() > WIDEST_GAP_UM:
                return None
            planes = [self._use(key, z_um) for z_um in used]
        return _between(planes, np.array(used, np.float32), dpm_um)

    def _depths_um(self, key: Key) -> list[float]:
        return sorted(z_um for known, z_um in self._planes if known == key)

    def _use(self, key: Key, z_um: float) -> Plane:
        self._planes.move_to_end((key, z_um))
        return self._planes[key, z_um]

    def _remove(self, name: tuple[Key, float]) -> None:
        removed = self._planes.pop(name, None)
        if removed is not None:
            self._used_bytes -= removed.nbytes


def _between(planes: list[Plane], z_um: Plane, dpm_um: Plane) -> Plane:
    if len(planes) == 1:
        return planes[0].copy()
    blended = np.empty(dpm_um.shape, np.float32)
    interval = np.clip(np.searchsorted(z_um, dpm_um, side="right") - 1, 0, len(planes) - 2)
    for lower in range(len(planes) - 1):
        here = interval == lower
        share = (dpm_um[here] - z_um[lower]) / (z_um[lower + 1] - z_um[lower])
        share = share.clip(0, 1)
        blended[here] = planes[lower][here] * (1 - share) + planes[lower + 1][here] * share
    return blended

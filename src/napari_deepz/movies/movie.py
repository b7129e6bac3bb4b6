"""A movie: frames of one place over time, each of one or several input planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_deepz.images import ImageSeries
from napari_deepz.sampling import Sampling

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Movie:
    """Frames that are read when they are asked for.

    Parameters
    ----------
    series : ImageSeries
        With an axis T, and Z where a frame has several input planes.
    c : int
        Which channel.
    at_um : tuple of float
        Where each plane of a frame was taken; depths of neurons count on this axis.
    sampling : Sampling
        Pixels and optics.

    Raises
    ------
    ValueError
        If it is no movie, or planes and depths do not go together; one sentence.
    """

    series: ImageSeries
    c: int
    at_um: tuple[float, ...]
    sampling: Sampling

    def __post_init__(self) -> None:
        count = self.series.size("Z")
        if self.series.size("T") < 2:
            raise ValueError(f"'{self.series.name}' is no movie: it has one time point only.")
        if len(self.at_um) != count or len(set(self.at_um)) < count:
            raise ValueError(
                f"Say for each input plane of '{self.series.name}' where it was taken, each at a "
                f"depth of its own: it has {count} planes, and there are {len(self.at_um)} depths."
            )

    @classmethod
    def of(
        cls,
        series: ImageSeries,
        sampling: Sampling,
        *,
        c: int = 0,
        at_um: Sequence[float] | None = None,
    ) -> Movie:
        """Take a series; its z step says where the planes lie, the first at 0, unless told.

        Raises
        ------
        ValueError
            If nothing says where several planes lie, or as `Movie`; one sentence.
        """
        count = series.size("Z")
        if at_um is None:
            if count > 1 and series.z_step_um is None:
                raise ValueError(
                    f"'{series.name}' has {count} planes at each time and does not say their z "
                    "step: say where they were taken, such as 0,6 in µm."
                )
            at_um = tuple(round(index * (series.z_step_um or 0.0), 6) for index in range(count))
        return cls(series, c, tuple(at_um), sampling)

    def __len__(self) -> int:
        """Count the frames."""
        return self.series.size("T")

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X)."""
        return self.series.size("Y"), self.series.size("X")

    @property
    def rate_hz(self) -> float | None:
        """Frames per second; None where unknown."""
        step_s = self.series.t_step_s
        return None if step_s is None else 1 / step_s

    @property
    def t_s(self) -> Array:
        """Time of each frame, s; its number where nothing says how far apart they are."""
        return np.arange(len(self), dtype=np.float64) * (self.series.t_step_s or 1.0)

    def frame(self, t: int) -> NDArray[np.float32]:
        """(K, Y, X) one time point.

        Raises
        ------
        ValueError
            If pixels of it are no finite numbers; one sentence.
        """
        planes = [self.series.plane(t=t, c=self.c, z=z) for z in range(len(self.at_um))]
        frame = np.stack(planes).astype(np.float32)
        if not np.isfinite(frame).all():
            raise ValueError(
                f"Frame {t} of '{self.series.name}' has pixels that are no numbers (NaN or "
                "infinite): replace them, or leave that frame out."
            )
        return frame

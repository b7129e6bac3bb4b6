"""A movie: frames of one place over time, each of one or several input planes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_deepz.images import ImageSeries, in_axis_order
from napari_deepz.sampling import Sampling

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Movie:
    """Frames that are read when they are asked for.

    Parameters
    ----------
    planes : tuple of (ImageSeries, int)
        For each input plane of a frame its series, with an axis T, and which plane of that it is.
    c : int
        Which channel.
    at_um : tuple of float
        Where each plane was taken; depths of neurons count on this axis.
    sampling : Sampling or None
        Pixels and optics.
    t_step_s : float or None
        Time from frame to frame.
    notes : tuple of str
        How files that do not say it were understood, a sentence each.
    """

    planes: tuple[tuple[ImageSeries, int], ...]
    c: int
    at_um: tuple[float, ...]
    sampling: Sampling | None
    t_step_s: float | None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        series: ImageSeries | Sequence[ImageSeries],
        sampling: Sampling | None,
        *,
        c: int = 0,
        at_um: Sequence[float] | None = None,
        rate_hz: float | None = None,
    ) -> Movie:
        """Take a movie, or one of each input plane.

        Parameters
        ----------
        series : ImageSeries or sequence of ImageSeries
            What was recorded. Pages that a file does not name are taken as frames.
        sampling : Sampling or None
            Pixels and optics.
        c : int, optional
            Which channel.
        at_um : sequence of float, optional
            Where each input plane was taken; by the z step of the file, the first at 0, unless
            given.
        rate_hz : float, optional
            Frames per second, instead of those in the file.

        Raises
        ------
        ValueError
            If it is no movie, or planes and depths do not go together; one sentence.
        """
        if isinstance(series, ImageSeries):
            series = [series]
        understood = [_with_frames(one) for one in series]
        first = understood[0]
        for one in understood:
            _require_alike(one, first)
        planes = tuple((one, z) for one in understood for z in range(one.size("Z")))
        if at_um is None:
            if len(planes) > 1 and (len(series) > 1 or first.z_step_um is None):
                raise ValueError(
                    f"'{first.name}' has {len(planes)} input planes at each time, and nothing says "
                    "how far apart: say where they were taken, such as 0,6 in µm."
                )
            at_um = [round(index * (first.z_step_um or 0.0), 6) for index in range(len(planes))]
        if len(at_um) != len(planes) or len(set(at_um)) < len(planes):
            raise ValueError(
                f"Say for each input plane of '{first.name}' where it was taken, each at a depth "
                f"of its own: it has {len(planes)} planes, and there are {len(at_um)} depths."
            )
        if rate_hz is not None and not (math.isfinite(rate_hz) and rate_hz > 0):
            raise ValueError(f"A movie cannot have {rate_hz:g} frames per second.")
        notes = (note for one in understood for note in one.notes)
        return cls(
            planes,
            c,
            tuple(at_um),
            sampling,
            first.t_step_s if rate_hz is None else 1 / rate_hz,
            tuple(dict.fromkeys(notes)),
        )

    @property
    def name(self) -> str:
        """How people call it."""
        return self.planes[0][0].name

    def __len__(self) -> int:
        """Count the frames."""
        return self.planes[0][0].size("T")

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X)."""
        series, _ = self.planes[0]
        return series.size("Y"), series.size("X")

    @property
    def pixel_um(self) -> float:
        """Pixel size.

        Raises
        ------
        ValueError
            If nothing says it; one sentence.
        """
        if self.sampling is None:
            raise ValueError(f"'{self.name}' does not say its pixel size: give it in µm.")
        return self.sampling.pixel_size_um

    @property
    def rate_hz(self) -> float | None:
        """Frames per second; None where unknown."""
        return None if self.t_step_s is None else 1 / self.t_step_s

    @property
    def t_s(self) -> Array:
        """Time of each frame, s; its number where nothing says how far apart they are."""
        return np.arange(len(self), dtype=np.float64) * (self.t_step_s or 1.0)

    def frame(self, t: int) -> NDArray[np.float32]:
        """(K, Y, X) one time point.

        Raises
        ------
        ValueError
            If pixels of it are no finite numbers; one sentence.
        """
        planes = [series.plane(t=t, c=self.c, z=z) for series, z in self.planes]
        frame = np.stack(planes).astype(np.float32)
        if not np.isfinite(frame).all():
            raise ValueError(
                f"Frame {t} of '{self.name}' has pixels that are no numbers (NaN or "
                "infinite): replace them, or leave that frame out."
            )
        return frame


def _with_frames(series: ImageSeries) -> ImageSeries:
    """Take pages as frames where a file does not say what they are."""
    if series.size("T") > 1:
        return series
    if series.size("Z") < 2:
        raise ValueError(f"'{series.name}' is no movie: it has one time point only.")
    if series.z_step_um is not None:
        raise ValueError(
            f"'{series.name}' is no movie but a focal stack of {series.size('Z')} planes, "
            f"{series.z_step_um:g} µm apart."
        )
    note = f"'{series.name}' does not say what its {series.size('Z')} pages are: taken as frames."
    data, axes = in_axis_order(series.data, series.axes.replace("Z", "T"), series.name)
    return replace(series, data=data, axes=axes, notes=(*series.notes, note))


def _require_alike(series: ImageSeries, first: ImageSeries) -> None:
    for axis, called in (("T", "frames"), ("Y", "rows"), ("X", "columns")):
        if series.size(axis) != first.size(axis):
            raise ValueError(
                f"'{series.name}' has {series.size(axis)} {called} and '{first.name}' "
                f"{first.size(axis)}: movies of one place must be of one size and length."
            )

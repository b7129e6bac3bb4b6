"""A movie of stacks played over time, frame after frame, in one range of intensities."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from napari_deepz.images import ImageSeries
from napari_deepz.pictures.depth_colours import projection_limits
from napari_deepz.pictures.focus_sweep import (
    SHADES,
    depth_label,
    labelled_frames,
    sweep_palette,
    sweep_speed,
)
from napari_deepz.pictures.movie import write_movie
from napari_deepz.pictures.over_time import depth_coded_frames, depth_palette, time_label
from napari_deepz.pictures.titles import maker_of, origin_of, reach_of
from napari_deepz.provenance import Provenance
from napari_deepz.watch import UNWATCHED, Watch

FRAMES_PER_S = (0.1, 60.0)
"""Least and most frames that a movie may show in a second."""

_MOVIE_SUFFIXES = (".mp4", ".gif")
_SHOWN_PERCENTILES = (1.0, 99.8)
_MOST_SAMPLED_FRAMES = 32
_MOST_SAMPLED_PX = 200_000


@dataclass(frozen=True, eq=False)
class TimeLapse:
    """A movie of one channel, and how it is to be shown.

    Attributes
    ----------
    series : ImageSeries
        With time points; with planes at known depths, or one plane at each time.
    c : int
        Its channel.
    z_um : tuple of float
        Depth of every plane, ascending; of one plane nothing is said.
    plane : int or None
        The plane that is played; None is the projection of all, coloured by depth.
    pixel_size_um : float
        Of the planes.
    provenance : Provenance
        Saved with the movie.
    frames_per_s : float or None
        How fast it is played; None is twelve, or fewer where that would be over in no time.
    """

    series: ImageSeries
    c: int
    z_um: tuple[float, ...]
    plane: int | None
    pixel_size_um: float
    provenance: Provenance
    frames_per_s: float | None = None

    @property
    def times(self) -> int:
        """How many time points there are."""
        return self.series.size("T")

    def planes(self, t: int) -> NDArray[Any]:
        """Load what is shown of a time point: (Z, Y, X), of a plane alone (1, Y, X)."""
        if self.plane is None:
            return self.series.stack(t=t, c=self.c)
        return self.series.plane(t=t, c=self.c, z=self.plane)[np.newaxis]


def save_time_lapse(
    shown: TimeLapse, path: str | os.PathLike[str], *, watch: Watch = UNWATCHED
) -> None:
    """Write a movie over time (.mp4, .gif); one time point is in memory at a time.

    The range of intensities is that of up to 32 time points, evenly spread.

    Parameters
    ----------
    shown : TimeLapse
        The movie.
    path : path
        The file; an existing one is replaced.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Raises
    ------
    ValueError
        If there is one time point only, the name ends in something else, planes were never taken,
        or the speed is out of range; one sentence.
    OSError
        If it cannot be written; one sentence.
    Cancelled
        When the watch says so; nothing is left of the file then.
    """
    path = Path(path)
    name = shown.series.name
    if path.suffix.lower() not in _MOVIE_SUFFIXES:
        raise ValueError(
            f"'{path.name}' is not a name that a movie can be written to: let it end with .mp4 or "
            ".gif."
        )
    if shown.times < 2:
        raise ValueError(f"'{name}' has one time point only: a movie over time needs several.")
    slowest, fastest = FRAMES_PER_S
    speed = shown.frames_per_s
    if speed is not None and not slowest <= speed <= fastest:
        raise ValueError(
            f"A movie cannot show {speed:g} frames in a second: choose {slowest:g} to {fastest:g}."
        )
    record = shown.provenance
    what, frames, palette = _frames(shown, _limits(shown, watch))
    write_movie(
        path,
        watch.each(frames, shown.times),
        palette=palette,
        frames_per_s=sweep_speed(shown.times) if speed is None else speed,
        title=f"{name} over time, {what}: {origin_of(record)}",
        provenance=record,
    )


def _frames(
    shown: TimeLapse, limits: tuple[float, float]
) -> tuple[str, Iterator[NDArray[np.uint8]], NDArray[np.uint8]]:
    """What is shown, its frames, and their palette."""
    note = maker_of(shown.provenance)
    labels = (time_label(t, shown.series.t_step_s) for t in range(shown.times))
    loaded = ((label, shown.planes(t)) for t, label in enumerate(labels))
    sizes = {"pixel_size_um": shown.pixel_size_um}
    if shown.plane is None:
        coded = depth_coded_frames(loaded, shown.z_um, **sizes, limits=limits, note=note)
        return f"brightest along z from {reach_of(shown.z_um)}", coded, depth_palette(shown.z_um)
    depth = depth_label(shown.z_um[shown.plane]) if shown.z_um else ""
    heads = ((", ".join(filter(None, (label, depth))), planes[0]) for label, planes in loaded)
    grey = labelled_frames(heads, **sizes, limits=limits, note=note)
    colours = colormaps["gray"](np.linspace(0, 1, SHADES))[:, :3]
    return depth or "as it was taken", grey, sweep_palette(colours)


def _limits(shown: TimeLapse, watch: Watch) -> tuple[float, float]:
    """Intensities that are black and at full brightness in all frames."""
    sampled = []
    for t in np.unique(np.linspace(0, shown.times - 1, _MOST_SAMPLED_FRAMES).astype(int)).tolist():
        watch.check()
        brightest = shown.planes(t).max(axis=0).ravel()
        sampled.append(brightest[:: max(1, brightest.size // _MOST_SAMPLED_PX)])
    values = np.concatenate(sampled)
    if shown.plane is None:
        return projection_limits(values)
    low, high = np.percentile(values, _SHOWN_PERCENTILES)
    return float(low), float(high)

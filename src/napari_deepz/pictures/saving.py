"""A stack of flat planes as a picture or as a movie, whichever the name of the file asks for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from napari_deepz.pictures.depth_colours import write_depth_coded_projection
from napari_deepz.pictures.focus_sweep import (
    SHADES,
    sweep_frames,
    sweep_order,
    sweep_palette,
    sweep_speed,
)
from napari_deepz.pictures.movie import write_movie
from napari_deepz.pictures.plane_picture import write_plane_picture
from napari_deepz.pictures.titles import maker_of, origin_of, reach_of
from napari_deepz.provenance import Provenance
from napari_deepz.watch import UNWATCHED, Watch

PICTURE_SUFFIXES = (".png", ".mp4", ".gif")
"""A depth-coded projection, and focus sweeps."""

_SHOWN_PERCENTILES = (1.0, 99.8)
_GREY = colormaps["gray"](np.linspace(0, 1, SHADES))[:, :3]


@dataclass(frozen=True, eq=False)
class FlatPlanes:
    """Planes at known depths, and how they are to be shown.

    Attributes
    ----------
    planes : ndarray
        (n, Y, X) finite intensities.
    z_um : tuple of float
        Depth of every plane, ascending; of one plane on a surface nothing.
    pixel_size_um : float
        Of the planes.
    name : str
        What a title calls them.
    provenance : Provenance
        Saved with the picture.
    limits : tuple of float or None
        Intensities shown black and at full brightness; percentiles where None.
    colours : ndarray or None
        (focus_sweep.SHADES, 3), red, green and blue from 0 to 1, for what lies between; grey where
        None.
    """

    planes: NDArray[np.float32]
    z_um: tuple[float, ...]
    pixel_size_um: float
    name: str
    provenance: Provenance
    limits: tuple[float, float] | None = None
    colours: NDArray[np.floating] | None = None

    @property
    def origin(self) -> str:
        """Who made the planes, as a title says it."""
        return origin_of(self.provenance)

    @property
    def reach(self) -> str:
        """Which depths there are."""
        return reach_of(self.z_um)


def save_picture(
    shown: FlatPlanes, path: str | os.PathLike[str], *, watch: Watch = UNWATCHED
) -> None:
    """Write a depth-coded projection (.png) or a focus sweep (.mp4, .gif).

    Of one plane the PNG is that plane, pixel by pixel.

    Parameters
    ----------
    shown : FlatPlanes
        The planes.
    path : path
        The file; an existing one is replaced.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Raises
    ------
    ValueError
        If a movie is wanted of one plane, or the name ends in something else; one sentence.
    OSError
        If it cannot be written; one sentence.
    Cancelled
        When the watch says so; nothing is left of the file then.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in PICTURE_SUFFIXES:
        raise ValueError(
            f"'{path.name}' is no picture or movie that can be written: let the name end with "
            f"{', '.join(PICTURE_SUFFIXES)}."
        )
    if len(shown.planes) == 1 and kind == ".png":
        _write_plane(shown, path)
        return
    if len(shown.planes) < 2:
        raise ValueError(f"'{shown.name}' has one plane only: a movie needs several.")
    if kind == ".png":
        _write_projection(shown, path, watch)
    else:
        _write_sweep(shown, path, watch)


def _write_plane(shown: FlatPlanes, path: Path) -> None:
    plane = shown.planes[0]
    low, high = shown.limits or np.nanpercentile(plane, _SHOWN_PERCENTILES)
    write_plane_picture(
        path,
        plane,
        limits=(float(low), float(high)),
        colours=_GREY if shown.colours is None else shown.colours,
        provenance=shown.provenance,
    )


def _write_projection(shown: FlatPlanes, path: Path, watch: Watch) -> None:
    write_depth_coded_projection(
        path,
        watch.each(shown.planes, len(shown.planes)),
        shown.z_um,
        pixel_size_um=shown.pixel_size_um,
        caption="\n".join((f"{shown.name}, brightest along z", shown.origin, shown.reach)),
        provenance=shown.provenance,
        limits=shown.limits,
    )


def _write_sweep(shown: FlatPlanes, path: Path, watch: Watch) -> None:
    record, count = shown.provenance, len(sweep_order(len(shown.planes)))
    low, high = shown.limits or np.percentile(shown.planes, _SHOWN_PERCENTILES)
    frames = sweep_frames(
        shown.planes,
        shown.z_um,
        pixel_size_um=shown.pixel_size_um,
        limits=(float(low), float(high)),
        note=maker_of(record),
    )
    write_movie(
        path,
        watch.each(frames, count),
        palette=sweep_palette(_GREY if shown.colours is None else shown.colours),
        frames_per_s=sweep_speed(count),
        title=f"{shown.name}: {shown.origin}; {shown.reach}",
        provenance=record,
    )

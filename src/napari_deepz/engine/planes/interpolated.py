"""Interpolation between measured planes: what all merging is measured against."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from napari_deepz.engine.cautions import DISTRUST
from napari_deepz.engine.encoded import Encoded
from napari_deepz.engine.inputs import Surfaces, check_surfaces
from napari_deepz.engine.planes.input_planes import InputPlanes
from napari_deepz.engine.planes.shares import interpolated
from napari_deepz.engine.planning import Pass, planned_planes
from napari_deepz.engine.run import RefocusedPlane
from napari_deepz.watch import UNWATCHED, Progress, Watch

NO_NETWORK = "Interpolated between the measured planes; no network was used."


class InterpolatedPlanes(Encoded):
    """Linear interpolation between the two measured planes around a target.

    Parameters
    ----------
    planes : InputPlanes
        What was measured.
    pixel_um : float
        Their pixel size.
    """

    device = "no network"
    is_ready = True

    def __init__(self, planes: InputPlanes, pixel_um: float) -> None:
        self.planes, self._pixel_um = planes, pixel_um
        self._pixels = np.stack(planes.pixels)

    def part(self, y: slice, x: slice) -> InterpolatedPlanes:
        """Cut out a rectangle; see `Encoded.part`."""
        return InterpolatedPlanes(self.planes.part(y, x), self._pixel_um)

    def for_frame(
        self, images: Sequence[ArrayLike], light: float | None, dark: float = 0.0
    ) -> InterpolatedPlanes:
        """Give the same place at another time, without a network; see `Encoded.for_frame`."""
        return InterpolatedPlanes(self.planes.for_frame(images, light, dark), self._pixel_um)

    def notes_on(self, surfaces: Surfaces) -> tuple[str, ...]:
        """Say that no network is used, and what lies beyond the planes."""
        targets = check_surfaces(surfaces)
        notes = [NO_NETWORK, *(note for one in targets for note in one.notes)]
        planned = planned_planes(targets)
        low_um, high_um = min(self.planes.at_um), max(self.planes.at_um)
        beyond = 0
        for target in planned:
            depth_um = target.depth_um(self.planes.shape, self._pixel_um)
            beyond += bool((depth_um < low_um).any() or (depth_um > high_um).any())
        if beyond:
            lie = "plane lies" if beyond == 1 else "planes lie"
            notes.append(
                f"{beyond} of {len(planned)} {lie} beyond the measured ones, {low_um:g} to "
                f"{high_um:g} µm, and repeat the outermost; {DISTRUST} what is shown there."
            )
        return tuple(notes)

    def iter_refocus(
        self,
        surfaces: Surfaces,
        *,
        watch: Watch = UNWATCHED,
        outward_from_um: float | None = None,
    ) -> Generator[RefocusedPlane, None, None]:
        """Yield interpolated planes; see `Encoded.iter_refocus`."""
        targets = check_surfaces(surfaces)
        planned = planned_planes(targets, outward_from_um)
        return self._interpolated(planned, self.notes_on(targets), watch)

    def _interpolated(
        self, targets: Pass, notes: tuple[str, ...], watch: Watch
    ) -> Generator[RefocusedPlane, None, None]:
        progress = Progress(len(targets))
        for target in targets:
            watch.check()
            depth_um = target.depth_um(self.planes.shape, self._pixel_um)
            yield RefocusedPlane(
                data=interpolated(self._pixels, self.planes.at_um, depth_um),
                index=target.index,
                z_um=target.z_um,
                surface=target.surface,
                out_of_range=None,
                device=self.device,
                notes=notes,
            )
            progress.advance()
            watch.on_progress(progress)

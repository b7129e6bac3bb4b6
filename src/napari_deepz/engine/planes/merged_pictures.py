"""Each input plane refocused by itself, and what they say weighed by their distance."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import SerializeAsAny

from napari_deepz.engine.encoded import Encoded
from napari_deepz.engine.inputs import Surfaces, check_surfaces
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.mending import CheckedImage
from napari_deepz.engine.planes.input_planes import InputPlanes
from napari_deepz.engine.planes.shares import (
    BLENDED_SHARE,
    Merge,
    blended_at,
    interpolated,
    shares_of,
)
from napari_deepz.engine.planes.spreading import (
    REFOCUSED_AND_INTERPOLATED,
    opinions,
    plane_and_plane,
    spread_of,
)
from napari_deepz.engine.planning import Budget, Pass, PlannedPlane, planned_planes
from napari_deepz.engine.refocus import EncodedImage
from napari_deepz.engine.run import RefocusedPlane
from napari_deepz.intensity import Intensity, fit_intensity
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat, Surface
from napari_deepz.surfaces.geometry import Depths
from napari_deepz.watch import UNWATCHED, Progress, Watch

Pixels = NDArray[np.float32]


class MergedPictures(Encoded):
    """An `EncodedImage` of each input plane, and shares of what each says of a target.

    Parameters
    ----------
    planes : InputPlanes
        What was measured.
    lens : Lens
        For the optics of the planes.
    merge : str
        How the shares are found, see `shares.shares_of`.
    sampling : Sampling or None
        Of the planes.
    pixel_um : float
        Their pixel size.
    budget : Budget
        Of all of them together.
    known : iterable of Encoded
        Images that were encoded before, whose codes are used where one of them is a plane.
    """

    def __init__(
        self,
        planes: InputPlanes,
        lens: Lens,
        merge: Merge,
        *,
        sampling: Sampling | None,
        pixel_um: float,
        budget: Budget,
        known: Iterable[Encoded] = (),
    ) -> None:
        self.planes, self._merge, self._pixel_um = planes, merge, pixel_um
        self._is_spread = False
        self._axial_range_um = lens.model.spec.axial_range_um
        self._apart = plane_and_plane(lens.model.spec)
        each = replace(budget, code_bytes=budget.code_bytes // len(planes.images))
        self._method = lens.model.spec.normalisation
        self._encoded = [
            EncodedImage.of_known(
                replace(image, notes=(), unmeasured=None),
                lens,
                sampling,
                each,
                intensity=_of_measured(self._method, image),
                known=known,
            )
            for image in planes.images
        ]

    @property
    def device(self) -> str:
        """What computes, for people."""
        return self._encoded[0].device

    @property
    def pictures(self) -> tuple[EncodedImage, ...]:
        """That of each plane; see `Encoded.pictures`."""
        return tuple(self._encoded)

    @property
    def is_ready(self) -> bool:
        """Whether a further surface takes milliseconds."""
        return all(encoded.is_ready for encoded in self._encoded)

    def part(self, y: slice, x: slice) -> MergedPictures:
        """Cut out a rectangle; see `Encoded.part`."""
        part = copy(self)
        part.planes = self.planes.part(y, x)
        part._encoded = [encoded.part(y, x) for encoded in self._encoded]
        return part

    def for_frame(
        self, images: Sequence[ArrayLike], light: float | None, dark: float = 0.0
    ) -> MergedPictures:
        """Give the same place at another time; see `Encoded.for_frame`."""
        other = copy(self)
        other.planes = self.planes.for_frame(images, light, dark)
        other._encoded = []
        for one, image in zip(self._encoded, other.planes.images, strict=True):
            fitted = _of_measured(self._method, image)
            intensity = fitted if light is None else one.intensity.at_light(light, dark)
            alone = replace(image, notes=(), unmeasured=None)
            other._encoded.append(one.for_checked(alone, intensity))
        return other

    def spread(self) -> MergedPictures:
        """Give how far the pictures may be off, of the same codes; see `spreading.spread_of`."""
        spread = copy(self)
        spread._is_spread = True
        return spread

    def notes_on(self, surfaces: Surfaces) -> tuple[str, ...]:
        """Say before a run what the user must know about it, a sentence each."""
        return self._encoded[0].notes_on(surfaces)

    def iter_refocus(
        self,
        surfaces: Surfaces,
        *,
        watch: Watch = UNWATCHED,
        outward_from_um: float | None = None,
    ) -> Generator[RefocusedPlane, None, None]:
        """Yield merged planes; see `Encoded.iter_refocus`."""
        targets = planned_planes(check_surfaces(surfaces), outward_from_um)
        return self._merged(targets, _Shared(watch))

    def _merged(self, targets: Pass, shared: _Shared) -> Generator[RefocusedPlane, None, None]:
        notes: dict[str, None] = {}
        with ExitStack() as opened:
            pictures = [
                opened.enter_context(closing(self._pictures(one, targets, shared)))
                for one in range(len(self._encoded))
            ]
            for target in targets:
                said: dict[int, Pixels] = {}
                for one, of_one in enumerate(pictures):
                    if self._counts(one, target):
                        alone = next(of_one)
                        said[one] = alone.data
                        notes |= dict.fromkeys(alone.notes)
                shown = self._spread if self._is_spread else self._mean
                yield RefocusedPlane(
                    data=shown(said, target),
                    index=target.index,
                    z_um=target.z_um,
                    surface=target.surface,
                    out_of_range=None,
                    device=self.device,
                    notes=tuple(notes),
                )

    def _mean(self, said: dict[int, Pixels], target: PlannedPlane) -> Pixels:
        data = self._refocused(said, self._shares(target))
        between = self._blended_at(target)
        if between.any():
            share = BLENDED_SHARE * between.astype(np.float32)
            data += share * (self._interpolation(target) - data)
        return data

    def _spread(self, said: dict[int, Pixels], target: PlannedPlane) -> Pixels:
        shares = self._shares(target)
        one, other = opinions(np.stack(list(said.values())), shares)
        spread = spread_of(one, other, self._apart)
        between = self._blended_at(target)
        if between.any():
            refocused, interpolation = self._refocused(said, shares), self._interpolation(target)
            blended = spread_of(refocused, interpolation, REFOCUSED_AND_INTERPOLATED)
            spread = np.where(between, blended, spread)
        return spread

    def _refocused(self, said: dict[int, Pixels], shares: Pixels) -> Pixels:
        data = np.zeros(self.planes.shape, np.float32)
        for one, picture in said.items():
            data += shares[one] * picture
        return data

    def _blended_at(self, target: PlannedPlane) -> NDArray[np.bool_]:
        """Where interpolation counts."""
        depth_um = target.depth_um(self.planes.shape, self._pixel_um)
        close = blended_at(self.planes.at_um, depth_um, self._axial_range_um)
        return close & (self._merge == "blended")

    def _interpolation(self, target: PlannedPlane) -> Pixels:
        depth_um = target.depth_um(self.planes.shape, self._pixel_um)
        return interpolated(np.stack(self.planes.pixels), self.planes.at_um, depth_um)

    def _counts(self, one: int, target: PlannedPlane) -> bool:
        """Whether a plane is asked: of a surface that is not flat, and of a spread, each one is."""
        asks_all = self._is_spread or target.z_um is None
        return asks_all or bool(self._shares(target)[one].any())

    def _pictures(
        self, one: int, targets: Pass, shared: _Shared
    ) -> Generator[RefocusedPlane, None, None]:
        """What one input plane says of the targets for which it counts, in their order."""
        wanted = [target for target in targets if self._counts(one, target)]
        if not wanted:
            return
        encoded, at_um = self._encoded[one], self.planes.at_um[one]
        moved = [_moved(target, -at_um) for target in wanted]
        planned = encoded.notes_on(moved)  # Of distances from this plane alone.
        with closing(encoded.iter_refocus(moved, watch=shared.watch())) as refocused:
            for plane in refocused:
                news = tuple(note for note in plane.notes if note not in planned)
                yield replace(plane, notes=news)

    def _shares(self, target: PlannedPlane) -> Pixels:
        """What each plane counts, and nothing where it was not measured but another one was."""
        depth_um = target.depth_um(self.planes.shape, self._pixel_um)
        merge: Merge = "distance" if self._is_spread else self._merge
        shares = shares_of(merge, self.planes.at_um, depth_um, self._axial_range_um)
        there = self.planes.measured
        if there is None:
            return shares
        wide = shares.reshape(len(shares), *(shares.shape[1:] or (1, 1)))
        kept = wide * there
        lost = kept.sum(axis=0) == 0
        kept = np.where(lost & there, 1.0, kept)  # Another plane than the nearest has to do.
        kept = np.where(kept.sum(axis=0) == 0, wide, kept)
        weighed: Pixels = (kept / kept.sum(axis=0)).astype(np.float32)
        return weighed


def _of_measured(method: str, image: CheckedImage) -> Intensity | None:
    """The intensity of what was measured of an image; None where that is all of it."""
    if image.measured is None:
        return None
    return fit_intensity(method, image.pixels, image.measured)


class _Moved(Surface):
    """A surface seen from another plane."""

    kind: Literal["moved"] = "moved"
    surface: SerializeAsAny[Surface]
    by_um: float

    def _depths_um(self, shape: tuple[int, int], pixel_size_um: float, index: int) -> Depths:
        return self.surface.dpm(shape, pixel_size_um, index) + np.float32(self.by_um)

    def describe(self) -> str:
        return self.surface.describe()


def _moved(target: PlannedPlane, by_um: float) -> Surface:
    if target.z_um is not None:
        return Flat(target.z_um + by_um)
    return _Moved(surface=target.surface, by_um=by_um)


@dataclass
class _Shared:
    """The progress of several runs as that of one."""

    whole: Watch
    progress: Progress = field(default_factory=lambda: Progress(0))

    def watch(self) -> Watch:
        """For one of the runs."""
        done = prepared = 0
        begun = False

        def on_progress(one: Progress) -> None:
            nonlocal done, prepared, begun
            if not begun:
                begun = True
                self.progress.total += one.total
                self.progress.preparing += one.preparing
            for _ in range(one.prepared - prepared):
                self.progress.prepare()
            self.progress.advance(one.done - done)
            done, prepared = one.done, one.prepared
            self.whole.on_progress(self.progress)

        return Watch(self.whole.should_stop, on_progress)

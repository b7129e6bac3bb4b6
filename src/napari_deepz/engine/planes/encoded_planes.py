"""Refocus from several input planes of one place."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_deepz.engine.cautions import beyond_all, notes_on, pixel_size_of
from napari_deepz.engine.compute import Compute
from napari_deepz.engine.encoded import ONE_PLANE_ALONE, Encoded
from napari_deepz.engine.encoding import Encoding
from napari_deepz.engine.inputs import Surfaces, check_image, check_surfaces
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.mending import CheckedImage
from napari_deepz.engine.planes.aligning import Refocusing
from napari_deepz.engine.planes.choosing import best_merge
from napari_deepz.engine.planes.input_planes import InputPlanes
from napari_deepz.engine.planes.interpolated import InterpolatedPlanes
from napari_deepz.engine.planes.merged_pictures import MergedPictures
from napari_deepz.engine.planes.shares import Merge, checked_merge, counted
from napari_deepz.engine.planes.spreading import NO_PERCENTAGE, require_spread
from napari_deepz.engine.planning import planned_planes
from napari_deepz.engine.refocus import EncodedImage, free_budget
from napari_deepz.engine.run import RefocusedPlane
from napari_deepz.intensity import fit_series_intensity
from napari_deepz.models.package import Model
from napari_deepz.sampling import Sampling, as_sampling
from napari_deepz.surfaces import Flat, Surface
from napari_deepz.watch import UNWATCHED, Watch


class EncodedPlanes(Encoded):
    """Several images of one place, taken at known depths, ready to be refocused together.

    They are brought to the exposure and the position of the first (`aligning.align_planes`) and
    normalised in one way. Depths of surfaces count on the same axis as those of the planes.

    Parameters
    ----------
    images : sequence of array-like
        (Y, X) each, of one shape.
    at_um : sequence of float
        Where each was taken, all different; positive is the direction of positive distances.
    model, sampling, pixel_size_um, compute
        As for `EncodedImage`.
    merge : {"blended", "learned", "distance", "nearest", "linear"}, optional
        How what the planes say is put together. "distance", "nearest": see `shares.shares_of`.
        "linear" interpolates between the measured planes themselves, without the network.
        "blended": 0.4 of "distance" and 0.6 of "linear" between the outermost planes, "distance"
        beyond, and between planes too far apart to know the middle. "learned": by the network
        itself, for models that have learned it. What is best by measurement where None, see
        `choosing.best_merge`.
    known : Encoded, optional
        Of the same place: planes that it has encoded already, through the same lens, are not
        encoded anew, so that a plane that is added costs one encoding and one that only lies
        elsewhere none. With the merge "learned" all planes are encoded together.

    Attributes
    ----------
    merge : str
        How it is done.
    notes : tuple of str
        What was done to bring the planes together, a sentence each.

    Raises
    ------
    ValueError
        If an argument cannot be worked with; the message is a sentence for the user.
    """

    def __init__(
        self,
        images: Sequence[ArrayLike],
        at_um: Sequence[float],
        model: Model | Lens,
        *,
        merge: Merge | None = None,
        sampling: Sampling | None = None,
        pixel_size_um: float | None = None,
        compute: Compute | None = None,
        known: Encoded | None = None,
    ) -> None:
        self._sampling = as_sampling(sampling, pixel_size_um)
        lens = Lens.of(model, compute)
        self.merge = best_merge(lens.model.spec) if merge is None else checked_merge(merge)
        if self.merge == "learned":
            lens.model.spec.require_merging()
        pictures = [] if known is None else list(known.pictures)
        refocused = None if self.merge == "linear" else self._refocusing(lens, pictures)
        self._planes = InputPlanes.of(images, at_um, refocused)
        self._spec = lens.model.spec.for_image(self._sampling)
        self._pixel_um = pixel_size_of(self._sampling, self._spec)
        self.notes = self._planes.notes
        self._is_spread = False
        self._inner = self._made(lens, pictures)

    def _refocusing(self, lens: Lens, pictures: list[Encoded]) -> Refocusing:
        """What refocuses planes to register others; it adds to the pictures what it encodes."""
        low_um, high_um = lens.model.spec.for_image(self._sampling).axial_range_um

        def refocused(plane: NDArray[np.float32], away_um: float) -> NDArray[np.float32] | None:
            if not low_um <= away_um <= high_um:
                return None
            encoded = EncodedImage.of_known(
                check_image(plane),
                lens.for_image(self._sampling),
                self._sampling,
                free_budget(lens),
                known=pictures,
            )
            pictures.append(encoded)
            picture: NDArray[np.float32] = encoded.refocus(Flat(away_um)).data[0]
            return picture

        return refocused

    def _made(
        self, lens: Lens, pictures: list[Encoded]
    ) -> EncodedImage | InterpolatedPlanes | MergedPictures:
        if self.merge == "linear":
            return InterpolatedPlanes(self._planes, self._pixel_um)
        budget = free_budget(lens)
        if self.merge == "learned":
            intensity = fit_series_intensity(self._spec.normalisation, self._planes.pixels)
            at_um = self._planes.at_um
            together = lens.for_planes(self._sampling, at_um)
            encoding = Encoding(_as_one(self._planes), together, None, intensity)
            return EncodedImage.of(encoding, self._sampling, budget, at_um)
        return MergedPictures(
            self._planes,
            lens.for_image(self._sampling),
            self.merge,
            sampling=self._sampling,
            pixel_um=self._pixel_um,
            budget=budget,
            known=pictures,
        )

    @property
    def device(self) -> str:
        """What computes, for people."""
        return self._inner.device

    @property
    def pictures(self) -> tuple[Encoded, ...]:
        """That of each plane which was encoded by itself; see `Encoded.pictures`."""
        return self._inner.pictures

    @property
    def is_ready(self) -> bool:
        """Whether a further surface takes milliseconds."""
        return self._inner.is_ready

    def part(self, y: slice, x: slice) -> EncodedPlanes:
        """Cut out a rectangle; see `Encoded.part`."""
        part = copy(self)
        part._planes, part._inner = self._planes.part(y, x), self._inner.part(y, x)
        return part

    def for_frame(
        self, images: Sequence[ArrayLike], light: float | None, dark: float = 0.0
    ) -> EncodedPlanes:
        """Give the same place at another time; see `Encoded.for_frame`."""
        other = copy(self)
        if isinstance(self._inner, EncodedImage):
            other._planes = self._planes.for_frame(images, light, dark)
            intensity = (
                fit_series_intensity(self._spec.normalisation, other._planes.pixels)
                if light is None
                else self._inner.intensity.at_light(light, dark)
            )
            other._inner = self._inner.for_checked(_as_one(other._planes), intensity)
        else:
            inner = self._inner.for_frame(images, light, dark)
            other._planes, other._inner = inner.planes, inner
        other.notes = other._planes.notes
        return other

    def spread(self) -> EncodedPlanes:
        """Give how far the pictures may be off; see `Encoded.spread`.

        It is what the planes disagree about (`spreading.spread_of`), and shares their codes.
        """
        if len(self._planes.images) < 2:
            raise ValueError(ONE_PLANE_ALONE)
        require_spread(self.merge)
        spread = copy(self)
        if isinstance(self._inner, MergedPictures):
            spread._inner = self._inner.spread()
        spread._is_spread = True
        return spread

    def notes_on(self, surfaces: Surfaces) -> tuple[str, ...]:
        """Say before a run what the user must know about it, a sentence each."""
        targets = check_surfaces(surfaces)
        if self.merge == "linear":
            own = self._inner.notes_on(targets)
        else:
            own = notes_on(
                self._planes.shape,
                targets,
                self._spec,
                sampling=self._sampling,
                at_um=self._planes.at_um,
            ) + self._idle(targets)
        of_spread = (NO_PERCENTAGE,) if self._is_spread else ()
        return tuple(dict.fromkeys((*of_spread, *self.notes, *own)))

    def _idle(self, targets: tuple[Surface, ...]) -> tuple[str, ...]:
        """Name input planes that count for none of the targets."""
        if self.merge not in ("blended", "distance"):
            return ()
        at_um, range_um = self._planes.at_um, self._spec.axial_range_um
        counts = np.zeros(len(at_um), np.bool_)
        for target in planned_planes(targets):
            depth_um = target.depth_um(self._planes.shape, self._pixel_um)
            counts |= counted(self.merge, at_um, depth_um, range_um)
            if counts.all():
                return ()
        return tuple(
            f"The input plane at {z_um:g} µm counts for nothing: all that is asked for lies "
            f"further from it than the model '{self._spec.name}' knows, and nearer to another one."
            for z_um, does_count in zip(at_um, counts, strict=True)
            if not does_count
        )

    def iter_refocus(
        self,
        surfaces: Surfaces,
        *,
        watch: Watch = UNWATCHED,
        outward_from_um: float | None = None,
    ) -> Generator[RefocusedPlane, None, None]:
        """Yield refocused planes; see `Encoded.iter_refocus`."""
        targets = check_surfaces(surfaces)
        planes = self._inner.iter_refocus(targets, watch=watch, outward_from_um=outward_from_um)
        return self._finished(planes, self.notes_on(targets))

    def _finished(
        self, planes: Generator[RefocusedPlane, None, None], notes: tuple[str, ...]
    ) -> Generator[RefocusedPlane, None, None]:
        with closing(planes):
            for plane in planes:
                if not self._is_spread:
                    self._planes.give_back(plane.data)
                yield replace(
                    plane,
                    out_of_range=self._outside(plane),
                    notes=tuple(dict.fromkeys((*notes, *plane.notes))),
                )

    def _outside(self, plane: RefocusedPlane) -> NDArray[np.bool_] | None:
        """(Y, X) where no plane knows of a target; interpolating, where it lies beyond them all."""
        shape = self._planes.shape
        flat_um = None if plane.z_um is None else np.full((1, 1), plane.z_um)
        depth_um = plane.surface.dpm(shape, self._pixel_um) if flat_um is None else flat_um
        at_um = self._planes.at_um
        if self.merge == "linear":
            beyond = (depth_um < min(at_um)) | (depth_um > max(at_um))
        else:
            beyond = beyond_all(depth_um, at_um, self._spec.axial_range_um)
        return np.broadcast_to(beyond, shape) if beyond.any() else None


def _as_one(planes: InputPlanes) -> CheckedImage:
    """(K, Y, X) for one network; what one did not measure is as its nearest neighbour has it."""
    pixels, there = np.stack(planes.pixels), planes.measured
    if there is not None:
        at_um = np.array(planes.at_um)
        for one, z_um in enumerate(at_um):
            missing = ~there[one]
            for other in np.argsort(np.abs(at_um - z_um))[1:]:
                found = missing & there[other]
                pixels[one][found] = planes.pixels[other][found]
                missing &= ~found
    values = {image.constant for image in planes.images}
    constant = values.pop() if len(values) == 1 else None
    return CheckedImage(pixels, constant, ())

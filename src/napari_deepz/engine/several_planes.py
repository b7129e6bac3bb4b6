"""Refocus from several input planes of one place: each by itself, and merged by distance."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

import numpy as np
import psutil
from numpy.typing import ArrayLike, NDArray

from napari_deepz.engine.aligning import align_planes
from napari_deepz.engine.compute import Compute
from napari_deepz.engine.inputs import Surfaces, check_image, check_surfaces
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.merging import MERGES, Merge, shares_of
from napari_deepz.engine.planning import Budget, PlannedPlane
from napari_deepz.engine.refocus import EncodedImage, RefocusedPlane, RefocusedStack, stacked
from napari_deepz.intensity import fit_series_intensity
from napari_deepz.models.package import Model
from napari_deepz.sampling import Sampling, as_sampling
from napari_deepz.surfaces import Flat, FromImage, Surface
from napari_deepz.watch import UNWATCHED, Watch

Pixels = NDArray[np.float32]

_NO_NETWORK = "Interpolated between the measured planes; no network was used."


class EncodedPlanes:
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
    merge : {"distance", "nearest", "linear"}, optional
        How what the planes say is put together, see `merging.shares_of`. "linear" interpolates
        between the measured planes themselves, without the network.

    Attributes
    ----------
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
        merge: Merge = "distance",
        sampling: Sampling | None = None,
        pixel_size_um: float | None = None,
        compute: Compute | None = None,
    ) -> None:
        _check_places(images, at_um, merge)
        self._at_um, self._merge = tuple(float(z_um) for z_um in at_um), merge
        sampling = as_sampling(sampling, pixel_size_um)
        lens = Lens.of(model, compute).for_image(sampling)
        self._spec = lens.model.spec
        # What is no number is mended first, as it would spoil how planes are compared.
        checked = [check_image(image) for image in images]
        if len({image.pixels.shape for image in checked}) > 1:
            raise ValueError("The input planes must have the same height and width.")
        aligned = align_planes([image.pixels for image in checked])
        self.notes = tuple(
            note
            for z_um, plane in zip(self._at_um, aligned, strict=True)
            for note in plane.describe(f"The input plane at {z_um:g} µm")
        )
        if merge == "linear":
            self.notes += (_NO_NETWORK,)
        self._pixels = [plane.pixels for plane in aligned]
        self._measured = [image.measured for image in checked]
        self._give_back = checked[0].give_back
        self.notes += tuple(dict.fromkeys(note for image in checked for note in image.notes))
        intensity = fit_series_intensity(self._spec.normalisation, self._pixels)
        allowed = Budget.of(lens.compute.memory_gb, psutil.virtual_memory().available)
        budget = replace(allowed, code_bytes=allowed.code_bytes // len(images))
        self._encoded = [
            EncodedImage(pixels, lens, sampling=sampling, budget=budget, intensity=intensity)
            for pixels in self._pixels
        ]

    @property
    def device(self) -> str:
        """What computes, for people."""
        return self._encoded[0].device

    @property
    def is_ready(self) -> bool:
        """Whether a further surface takes milliseconds."""
        return all(encoded.is_ready for encoded in self._encoded)

    def iter_refocus(
        self, surfaces: Surfaces, *, watch: Watch = UNWATCHED
    ) -> Generator[RefocusedPlane, None, None]:
        """Yield refocused planes one by one; as the function `engine.refocus.iter_refocus`."""
        return self._planes(check_surfaces(surfaces), watch)

    def _planes(
        self, targets: tuple[Surface, ...], watch: Watch
    ) -> Generator[RefocusedPlane, None, None]:
        plan = self._encoded[0].plan(targets)
        shape, pixel_um = plan.image_shape, plan.pixel_size_um
        depths = [_depths_um(plane, shape, pixel_um) for plane in plan.planes]
        shares = [self._shares(depth_um) for depth_um in depths]
        nowhere = self._measured_nowhere()
        with ExitStack() as opened:
            pictures = [
                opened.enter_context(closing(self._pictures(one, depths, shares, watch)))
                for one in range(len(self._at_um))
            ]
            for plane, depth_um, share in zip(plan.planes, depths, shares, strict=True):
                data = np.zeros(shape, np.float32)
                notes = dict.fromkeys(self.notes)
                outside = self._outside(depth_um, shape)
                for one, of_one in enumerate(pictures):
                    if share[one].any():
                        alone = next(of_one)
                        data += share[one] * alone.data
                        notes |= dict.fromkeys(alone.notes)
                if nowhere is not None:
                    kept = data.copy()
                    self._give_back(kept)
                    data[nowhere] = kept[nowhere]
                yield RefocusedPlane(
                    data=data,
                    index=plane.index,
                    z_um=plane.z_um,
                    surface=plane.surface,
                    out_of_range=outside if outside.any() else None,
                    device=self.device,
                    notes=tuple(notes),
                )

    def refocus(self, surfaces: Surfaces, *, watch: Watch = UNWATCHED) -> RefocusedStack:
        """Refocus onto all planes at once; as the function `engine.refocus.refocus`."""
        targets = check_surfaces(surfaces)
        count = sum(len(target) for target in targets)
        return stacked(self.iter_refocus(targets, watch=watch), count)

    def _shares(self, depth_um: NDArray[np.float64]) -> Pixels:
        """What each plane counts, and nothing where it was not measured but another one was."""
        shares = shares_of(self._merge, self._at_um, depth_um, self._spec.axial_range_um)
        if all(measured is None for measured in self._measured):
            return shares
        shape = self._pixels[0].shape
        there = np.stack(
            [np.ones(shape, np.bool_) if one is None else one for one in self._measured]
        )
        shares = np.broadcast_to(
            shares.reshape(len(shares), *(shares.shape[1:] or (1, 1))), there.shape
        )
        kept = shares * there
        lost = kept.sum(axis=0) == 0
        kept = np.where(lost & there, 1.0, kept)  # Another plane than the nearest has to do.
        kept = np.where(kept.sum(axis=0) == 0, shares, kept)
        weighed: Pixels = (kept / kept.sum(axis=0)).astype(np.float32)
        return weighed

    def _outside(self, depth_um: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
        """(Y, X) where no plane knows of a target; interpolating, where it lies beyond them all."""
        if self._merge == "linear":
            outside = (depth_um < min(self._at_um)) | (depth_um > max(self._at_um))
        else:
            low_um, high_um = self._spec.axial_range_um
            away_um = depth_um - np.reshape(self._at_um, (-1, *[1] * depth_um.ndim))
            outside = ((away_um < low_um) | (away_um > high_um)).all(axis=0)
        return np.broadcast_to(outside, shape)

    def _measured_nowhere(self) -> NDArray[np.bool_] | None:
        """(Y, X) where no plane was measured; None where everywhere one was."""
        masks = [measured for measured in self._measured if measured is not None]
        if len(masks) < len(self._measured):
            return None
        nowhere: NDArray[np.bool_] = ~np.logical_or.reduce(masks)
        return nowhere

    def _pictures(
        self,
        one: int,
        depths: Sequence[NDArray[np.float64]],
        shares: Sequence[Pixels],
        watch: Watch,
    ) -> Generator[RefocusedPlane, None, None]:
        """What one input plane says of the targets for which it counts, in their order."""
        wanted = [depths[at] for at, share in enumerate(shares) if share[one].any()]
        if not wanted:
            return
        if self._merge == "linear":
            for depth_um in wanted:
                watch.check()
                yield _as_it_is(self._pixels[one], depth_um, self.device)
            return
        shifted = [_surface(depth_um - self._at_um[one]) for depth_um in wanted]
        yield from self._encoded[one].iter_refocus(shifted, watch=watch)


def _check_places(images: Sequence[ArrayLike], at_um: Sequence[float], merge: str) -> None:
    if merge not in MERGES:
        known = ", ".join(f"'{name}'" for name in MERGES)
        raise ValueError(f"The merge '{merge}' is not known; use {known}.")
    if not len(images) or len(images) != len(at_um):
        raise ValueError(
            f"Say for each input plane where it was taken: there are {len(images)} planes and "
            f"{len(at_um)} depths."
        )
    if not np.isfinite(at_um).all() or len(set(at_um)) < len(at_um):
        raise ValueError("The input planes must have been taken at depths that are all different.")


def _depths_um(plane: PlannedPlane, shape: tuple[int, int], pixel_um: float) -> NDArray[np.float64]:
    """Where a target lies: one number, or (Y, X)."""
    if plane.z_um is not None:
        return np.asarray(plane.z_um, np.float64)
    return np.asarray(plane.surface.dpm(shape, pixel_um, plane.dpm_index), np.float64)


def _surface(away_um: NDArray[np.float64]) -> Surface:
    if away_um.ndim == 0:
        return Flat(float(away_um))
    return FromImage(away_um.astype(np.float32))


def _as_it_is(pixels: Pixels, depth_um: NDArray[np.float64], device: str) -> RefocusedPlane:
    return RefocusedPlane(
        data=pixels,
        index=0,
        z_um=None,
        surface=_surface(depth_um),
        out_of_range=None,
        device=device,
    )

"""Refocus one 2D image onto surfaces: all planes at once, or one after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property

import psutil
from numpy.typing import ArrayLike

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.encoded import Encoded, RefocusedStack
from napari_deepz.engine.encoding import Encoding
from napari_deepz.engine.inputs import Surfaces, check_image, check_shape, check_surfaces
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.mending import CheckedImage
from napari_deepz.engine.planning import Budget, RefocusPlan, ResourceError, plan_refocus
from napari_deepz.engine.run import RefocusedPlane, RefocusRun
from napari_deepz.engine.scratch import free_scratch_bytes
from napari_deepz.intensity import Intensity, fit_intensity
from napari_deepz.models.package import Model
from napari_deepz.networks.forking import compute_here
from napari_deepz.sampling import Sampling, as_sampling
from napari_deepz.surfaces import Flat, Surface
from napari_deepz.watch import UNWATCHED, Watch

__all__ = [
    "Budget",
    "EncodedImage",
    "RefocusedPlane",
    "RefocusedStack",
    "ResourceError",
    "iter_refocus",
    "refocus",
]


class EncodedImage(Encoded):
    """An image that the network has seen, ready to be refocused onto any surface.

    What depends on the image alone is computed at the first call and kept, so that a further
    surface takes milliseconds. Images too large for the budget, and generators that do all their
    work for each surface anew, such as the published U-Net, work too, but gain nothing.

    Parameters
    ----------
    image : array-like
        (Y, X), bool, integer or float; NumPy, dask or zarr. It must not change afterwards.
    model : Model or Lens
        From `load_model`; it is not changed, and may be used by several threads at once. A lens,
        which many images can share, where the model is on its device already.
    sampling : Sampling, optional
        Of the image; the model's pixel size is assumed where it is not known. Where they differ
        by more than 2 %, the image is resampled on the way in and every plane on the way out.
    pixel_size_um : float, optional
        Of the image, instead of its sampling, where no more is known.
    compute : Compute, optional
        With what; the fastest device, in float32, where None.
    tile_px : int, optional
        Largest side of a tile without its halo; by default images up to 1152 × 1152 pixels are
        not tiled, and with generators that encode once, such as the bundled one, up to
        2304 × 2304.
    budget : Budget, optional
        Limits of memory and scratch space; those of `compute` where None.
    intensity : Intensity, optional
        Of the series that the image is a frame of, from `fit_series_intensity`; fitted to the
        image alone where None.

    Raises
    ------
    ValueError
        If an argument cannot be worked with; the message is a sentence for the user.
    ForkedProcessError
        In a process that was forked from one that has loaded a model, where PyTorch would hang.
    """

    def __init__(
        self,
        image: ArrayLike,
        model: Model | Lens,
        *,
        sampling: Sampling | None = None,
        pixel_size_um: float | None = None,
        compute: Compute | None = None,
        tile_px: int | None = None,
        budget: Budget | None = None,
        intensity: Intensity | None = None,
    ) -> None:
        self._sampling = as_sampling(sampling, pixel_size_um)
        lens = Lens.of(model, compute).for_image(self._sampling)
        self._encoding = Encoding(check_image(image), lens, tile_px, intensity)
        self._budget = budget or free_budget(lens)
        self._at_um: tuple[float, ...] = (0.0,)

    @classmethod
    def of(
        cls,
        encoding: Encoding,
        sampling: Sampling | None,
        budget: Budget,
        at_um: tuple[float, ...] = (0.0,),
    ) -> EncodedImage:
        """Take what is checked and normalised already, such as several images for one network."""
        encoded = cls.__new__(cls)
        encoded._encoding, encoded._sampling, encoded._budget = encoding, sampling, budget
        encoded._at_um = at_um
        return encoded

    @classmethod
    def of_known(
        cls,
        image: CheckedImage,
        lens: Lens,
        sampling: Sampling | None,
        budget: Budget,
        *,
        intensity: Intensity | None = None,
        known: Iterable[Encoded] = (),
    ) -> EncodedImage:
        """Take a checked image, with the codes of a known one where that is the same."""
        encoding = Encoding(image, lens, None, intensity)
        for one in known:
            if not isinstance(one, EncodedImage) or one._sampling != sampling:
                continue
            if one._encoding.has_codes_of(encoding):
                shared = cls.of(one._encoding.shared(image), sampling, budget)
                if shared.plan(Flat(0)).strategy == "hold codes":
                    return shared
        return cls.of(encoding, sampling, budget)

    @property
    def is_ready(self) -> bool:
        """Whether a further surface takes milliseconds."""
        return self._encoding.is_complete or self._encoding.image.constant is not None

    @property
    def pictures(self) -> tuple[EncodedImage, ...]:
        """Itself; see `Encoded.pictures`."""
        return (self,)

    @property
    def device(self) -> str:
        """What computes, for people."""
        return self._encoding.lens.name

    @cached_property
    def intensity(self) -> Intensity:
        """Normalisation of the image on the model's pixel grid."""
        return self._encoding.compute(self.plan(Flat(0)).working_shape).intensity

    def for_frame(
        self, images: Sequence[ArrayLike], light: float | None, dark: float = 0.0
    ) -> EncodedImage:
        """Give the same place at another time; see `Encoded.for_frame`."""
        (image,) = images
        intensity = None if light is None else self.intensity.at_light(light, dark)
        return self.for_checked(check_image(image), intensity)

    def for_checked(self, image: CheckedImage, intensity: Intensity | None) -> EncodedImage:
        """Give another image through the same lens, checked and measured already."""
        encoding = Encoding(image, self._encoding.lens, self._encoding.tile_px, intensity)
        return EncodedImage.of(encoding, self._sampling, self._budget, self._at_um)

    @cached_property
    def _intensity_as_taken(self) -> Intensity:
        """Normalisation of the image on its own pixel grid, for its parts."""
        encoding = self._encoding
        method = encoding.lens.model.spec.normalisation
        image = encoding.image
        return encoding.intensity or fit_intensity(method, image.pixels, image.measured)

    def part(self, y: slice, x: slice) -> EncodedImage:
        """Cut out a rectangle; see `Encoded.part`."""
        part, whole = copy(self), self._encoding
        image = whole.image.part(y, x)
        check_shape(image.pixels.shape[-2:])
        part._encoding = replace(
            whole,
            image=image,
            intensity=self._intensity_as_taken,
            is_complete=False,
        )
        return part

    def plan(self, surfaces: Surfaces) -> RefocusPlan:
        """Decide how a run will be carried out, and what to tell the user about it."""
        return self._plan(check_surfaces(surfaces), self._encoding.tile_px)

    def notes_on(self, surfaces: Surfaces) -> tuple[str, ...]:
        """Say before a run what the user must know about it, a sentence each."""
        return self.plan(surfaces).notes

    def _plan(
        self,
        targets: tuple[Surface, ...],
        tile_px: int | None,
        outward_from_um: float | None = None,
    ) -> RefocusPlan:
        return plan_refocus(
            self._encoding.image.pixels.shape[-2:],
            targets,
            self._encoding.lens.model,
            sampling=self._sampling,
            tile_px=tile_px,
            budget=self._budget.with_free_scratch(free_scratch_bytes()),
            outward_from_um=outward_from_um,
            at_um=self._at_um,
        )

    def iter_refocus(
        self,
        surfaces: Surfaces,
        *,
        watch: Watch = UNWATCHED,
        outward_from_um: float | None = None,
    ) -> Generator[RefocusedPlane, None, None]:
        """Yield refocused planes one by one; see `Encoded.iter_refocus`."""
        compute_here()
        targets = check_surfaces(surfaces)
        run = RefocusRun(
            self._encoding, watch, lambda tile_px: self._plan(targets, tile_px, outward_from_um)
        )
        return run.planes()


def free_budget(lens: Lens) -> Budget:
    """What a run may keep at once with this lens, on this machine as it is now."""
    return Budget.of(lens.compute.memory_gb, psutil.virtual_memory().available)


def iter_refocus(
    image: ArrayLike,
    surfaces: Surfaces,
    model: Model | Lens,
    *,
    sampling: Sampling | None = None,
    pixel_size_um: float | None = None,
    compute: Compute | None = None,
    watch: Watch = UNWATCHED,
    tile_px: int | None = None,
    budget: Budget | None = None,
) -> Generator[RefocusedPlane, None, None]:
    """Yield refocused planes one by one, as soon as each is ready.

    The arguments are checked and the image is read before the first plane is asked for.

    Parameters
    ----------
    image, model, sampling, pixel_size_um, compute, tile_px, budget
        As for `EncodedImage`.
    surfaces : Surface, array-like or iterable of them
        Where to refocus; an array is a digital propagation matrix, (Y, X) in µm.
    watch : Watch, optional
        Asked whether to stop between tiles and between the operations of the network, and told
        the progress after each tile of each plane: a large image has many of them before its
        first plane is ready.

    Yields
    ------
    RefocusedPlane
        In the order of `surfaces`, with what has been noticed so far in its notes.

    Raises
    ------
    ValueError
        If an argument cannot be worked with; the message is a sentence for the user.
    ResourceError
        If memory or disk space does not suffice.
    Cancelled
        When the watch says so.
    """
    encoded = EncodedImage(
        image,
        model,
        sampling=sampling,
        pixel_size_um=pixel_size_um,
        compute=compute,
        tile_px=tile_px,
        budget=budget,
    )
    return encoded.iter_refocus(surfaces, watch=watch)


def refocus(
    image: ArrayLike,
    surfaces: Surfaces,
    model: Model | Lens,
    *,
    sampling: Sampling | None = None,
    pixel_size_um: float | None = None,
    compute: Compute | None = None,
    watch: Watch = UNWATCHED,
    tile_px: int | None = None,
    budget: Budget | None = None,
) -> RefocusedStack:
    """Refocus an image onto all planes at once; parameters and errors as for `iter_refocus`.

    Returns
    -------
    RefocusedStack
        All planes, in the order of `surfaces`; its notes say what the user must know.
    """
    encoded = EncodedImage(
        image,
        model,
        sampling=sampling,
        pixel_size_um=pixel_size_um,
        compute=compute,
        tile_px=tile_px,
        budget=budget,
    )
    return encoded.refocus(surfaces, watch=watch)

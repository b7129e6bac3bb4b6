"""Images of one place, taken at known depths, checked and brought together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_deepz.engine.inputs import check_image
from napari_deepz.engine.mending import CheckedImage
from napari_deepz.engine.planes.aligning import AlignedPlane, Refocusing, align_planes

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class InputPlanes:
    """Input planes with one exposure and one position.

    Attributes
    ----------
    images : tuple of CheckedImage
        Of one shape; pixels that are no measurement are continued from what is beside them.
    at_um : tuple of float
        Where each was taken.
    notes : tuple of str
        What was done to bring them together, and what was noticed, a sentence each.
    aligned : tuple of AlignedPlane
        How each was brought to the others.
    """

    images: tuple[CheckedImage, ...]
    at_um: tuple[float, ...]
    notes: tuple[str, ...]
    aligned: tuple[AlignedPlane, ...]

    @classmethod
    def of(
        cls,
        images: Sequence[ArrayLike],
        at_um: Sequence[float],
        refocused: Refocusing | None = None,
    ) -> InputPlanes:
        """Check images, and bring them to the exposure and the position of the first.

        Parameters
        ----------
        images : sequence of array-like
            (Y, X) each, of one shape.
        at_um : sequence of float
            Where each was taken, all different.
        refocused : callable, optional
            Refocuses one of them, for positions of planes that are too far apart to be compared.

        Raises
        ------
        ValueError
            If they cannot be worked with; the message is a sentence for the user.
        """
        _check_places(images, at_um)
        places = tuple(float(z_um) for z_um in at_um)
        # What is no number is mended first, as it would spoil how planes are compared.
        checked = _checked(images)
        aligned = align_planes([image.pixels for image in checked], places, refocused)
        notes = [
            note
            for z_um, plane in zip(places, aligned, strict=True)
            for note in plane.describe(f"The input plane at {z_um:g} µm")
        ]
        return cls._of_checked(checked, [one.pixels for one in aligned], places, notes, aligned)

    def for_frame(
        self, images: Sequence[ArrayLike], light: float | None, dark: float
    ) -> InputPlanes:
        """Bring images of another time together, as these were; see `Encoded.for_frame`."""
        _check_places(images, self.at_um)
        checked = _checked(images)
        pixels = [
            one.like(image.pixels, light or 1.0, dark)
            for one, image in zip(self.aligned, checked, strict=True)
        ]
        return self._of_checked(checked, pixels, self.at_um, [], self.aligned)

    @classmethod
    def _of_checked(
        cls,
        checked: Sequence[CheckedImage],
        pixels: Sequence[Pixels],
        places: tuple[float, ...],
        notes: Sequence[str],
        aligned: Sequence[AlignedPlane],
    ) -> InputPlanes:
        noticed: list[str] = []
        if all(image.constant is not None for image in checked):
            noticed += [note for image in checked for note in image.notes]
        else:
            noticed += [
                note
                for z_um, image in zip(places, checked, strict=True)
                for note in (image.notes if image.constant is None else (_constant(z_um, image),))
            ]
        return cls(
            tuple(
                replace(image, pixels=plane) for image, plane in zip(checked, pixels, strict=True)
            ),
            places,
            tuple(dict.fromkeys((*notes, *noticed))),
            tuple(aligned),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of each."""
        height, width = self.images[0].pixels.shape
        return height, width

    @property
    def pixels(self) -> list[Pixels]:
        """(Y, X) of each."""
        return [image.pixels for image in self.images]

    @property
    def measured(self) -> NDArray[np.bool_] | None:
        """(K, Y, X) where each was measured; None where everywhere all were."""
        masks = [image.measured for image in self.images]
        if all(mask is None for mask in masks):
            return None
        everywhere = np.ones(self.shape, np.bool_)
        return np.stack([everywhere if mask is None else mask for mask in masks])

    def part(self, y: slice, x: slice) -> InputPlanes:
        """Cut out a rectangle."""
        return replace(self, images=tuple(image.part(y, x) for image in self.images))

    def give_back(self, plane: Pixels) -> None:
        """Put what no plane measured into a refocused one, in place, as the first one has it."""
        measured = self.measured
        if measured is not None:
            nowhere = ~measured.any(axis=0)
            kept = plane.copy()
            self.images[0].give_back(kept)
            plane[nowhere] = kept[nowhere]


def _checked(images: Sequence[ArrayLike]) -> list[CheckedImage]:
    checked = [check_image(image) for image in images]
    if len({image.pixels.shape for image in checked}) > 1:
        sizes = ", ".join(f"{y} × {x}" for y, x in (one.pixels.shape for one in checked))
        raise ValueError(
            f"The input planes must have the same height and width; they have {sizes} pixels."
        )
    return checked


def _constant(z_um: float, image: CheckedImage) -> str:
    return f"All pixels of the input plane at {z_um:g} µm have the same value, {image.constant:g}."


def _check_places(images: Sequence[ArrayLike], at_um: Sequence[float]) -> None:
    if not len(images) or len(images) != len(at_um):
        raise ValueError(
            f"Say for each input plane where it was taken: there are {len(images)} planes and "
            f"{len(at_um)} depths."
        )
    if not np.isfinite(at_um).all() or len(set(at_um)) < len(at_um):
        raise ValueError("The input planes must have been taken at depths that are all different.")

"""What the network gets in place of pixels that are no measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.lone_pixels import find_absurd, find_lone_pixels, from_neighbours
from napari_deepz.engine.unmeasured import find_unmeasured

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]

_VALUES_NAMED = 3


@dataclass(frozen=True, eq=False)
class Unmeasured:
    """Parts of an image that hold no measurement, such as those around a turned one.

    Attributes
    ----------
    where : ndarray
        (Y, X) bool.
    given : ndarray
        (Y, X) float32, the image as it was given: what every plane has there.
    """

    where: Mask
    given: Pixels


@dataclass(frozen=True, eq=False)
class CheckedImage:
    """An image that is safe to refocus.

    Attributes
    ----------
    pixels : ndarray
        (Y, X) float32, C-contiguous, finite, in the input's units; may be the caller's own array.
        (K, Y, X) where a network takes several images at once.
    constant : float or None
        The value of all measured pixels where they are all equal.
    notes : tuple of str
        What had to be done to the image, a sentence each.
    unmeasured : Unmeasured or None
        Where the pixels only continue what was measured; None where nowhere.
    """

    pixels: Pixels
    constant: float | None
    notes: tuple[str, ...]
    unmeasured: Unmeasured | None = None

    @property
    def measured(self) -> Mask | None:
        """(Y, X) bool, where the image was measured; None where everywhere."""
        return None if self.unmeasured is None else ~self.unmeasured.where

    def part(self, y: slice, x: slice) -> CheckedImage:
        """Cut out a rectangle."""
        unmeasured = self.unmeasured
        if unmeasured is not None:
            unmeasured = Unmeasured(unmeasured.where[y, x], unmeasured.given[y, x])
        return replace(
            self, pixels=np.ascontiguousarray(self.pixels[..., y, x]), unmeasured=unmeasured
        )

    def give_back(self, plane: Pixels) -> None:
        """Put what is no measurement into a plane, in place, as it was given."""
        if self.unmeasured is not None:
            where = self.unmeasured.where
            plane[where] = self.unmeasured.given[where]


def mend(given: Pixels) -> CheckedImage:
    """Replace what is no measurement.

    Areas of one value, within the image or around it, are continued from what is beside them.
    Other pixels that are not finite, or beyond all reason, take the median of the rest, and hot
    and dead pixels the median of their neighbours.

    Parameters
    ----------
    given : ndarray
        (Y, X) float32, C-contiguous; it is not changed.

    Returns
    -------
    CheckedImage
        The array itself where there is nothing to mend.

    Raises
    ------
    ValueError
        If no pixel is finite.
    """
    finite = np.isfinite(given)
    if not finite.any():
        raise ValueError("The image has no finite pixel (all are NaN or infinite); check the file.")
    absurd = find_absurd(given, finite)
    broken = ~(finite & ~absurd)
    median = np.median(given[~broken]) if broken.any() else None
    pixels = given if median is None else np.where(broken, median, given)
    notes, unmeasured = [], None
    found = find_unmeasured(pixels, broken)
    if found is not None:
        where, pixels = found
        unmeasured = Unmeasured(where, given)
        notes.append(_note_of_unmeasured(unmeasured))
        finite |= where
        absurd &= ~where
    if count := given.size - int(np.count_nonzero(finite)):
        notes.append(
            f"{_are(count)} NaN or infinite; the median, {median:g}, was used there instead."
        )
    if count := int(np.count_nonzero(absurd)):
        pixels = from_neighbours(pixels, absurd)
        notes.append(
            f"{_are(count)} millions of times further from the median, {median:g}, than others; "
            "the neighbours' median was used there instead."
        )
    measured = None if unmeasured is None else ~unmeasured.where
    usable = measured if median is None else ~broken if measured is None else measured & ~broken
    lone = find_lone_pixels(pixels, usable)
    if lone is not None:
        pixels = from_neighbours(pixels, lone)
        count = int(np.count_nonzero(lone))
        notes.append(
            f"{_are(count)} far above or below all neighbours, as hot and dead pixels of a camera "
            "are; the neighbours' median was used there instead."
        )
    values = pixels if measured is None else pixels[measured]
    lowest = float(values.min())
    constant = lowest if lowest == float(values.max()) else None
    if constant is not None:
        notes.append(
            f"All pixels of the image have the same value, {constant:g}, so every plane does too."
        )
    return CheckedImage(pixels, constant, tuple(notes), unmeasured)


def _are(count: int) -> str:
    return "1 pixel is" if count == 1 else f"{count} pixels are"


def _note_of_unmeasured(unmeasured: Unmeasured) -> str:
    values, counts = np.unique(unmeasured.given[unmeasured.where], return_counts=True)
    often = values[np.argsort(-counts)][:_VALUES_NAMED]
    frequent = often[counts[np.argsort(-counts)][:_VALUES_NAMED] > counts.sum() / 20]
    named = " or ".join(f"{value:g}" for value in frequent)
    share = 100 * unmeasured.where.mean()
    return (
        f"{share:.2g} % of the image hold one value, {named}, in areas such as stitching, turning "
        "and registering leave; they were not taken for light, and are in every plane as they were."
    )

"""Several planes of one place, brought to the same exposure and the same position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift
from skimage.registration import phase_cross_correlation

Pixels = NDArray[np.float32]
Refocusing = Callable[[Pixels, float], Pixels | None]
"""What (Y, X) shows so many µm away; None where that cannot be known."""

_FINE_PX, _COARSE_PX = 1.5, 6.0
"""What lies between these is compared."""

_LARGEST_PX, _LARGEST_WHOLE_PX = 1024, 768
_LEAST_OVERLAP = 0.8
_LEAST_ALIKE, _MOST_LEFT = 0.6, 0.7
"""Correlation after a move, and of what lacked to 1 before, the share that may lack after it.

Planes that lie where they should never passed these; those that were moved by 5.8 pixels, and not
defocused beyond recognition, did (all stacks of docs/several_planes.md and the samples)."""

_MOST_LEFT_REFOCUSED = 0.6
"""The same of a plane refocused to where the other one lies, on the same stacks."""

_DARKEST_PERCENT, _TINY = 0.5, 1e-9
_LEAST_CHANGE, _MOST_CHANGE = 0.02, 2.0


@dataclass(frozen=True, eq=False)
class AlignedPlane:
    """A plane as it would be with the exposure, and at the place, of the first one.

    Attributes
    ----------
    pixels : ndarray
        (Y, X) float32.
    shift_px : tuple of float
        (y, x) by which it was moved; right to about a quarter of a pixel.
    gain : float
        By which its light was multiplied.
    dark : float
        Above what.
    light : float
        That it had, as a share of the first one's.
    is_placed : bool
        Whether it was alike enough to another one to be put in its place.
    """

    pixels: Pixels
    shift_px: tuple[float, float]
    gain: float
    dark: float = 0.0
    light: float = 1.0
    is_placed: bool = True

    def like(self, plane: NDArray[np.generic], light: float = 1.0, dark: float = 0.0) -> Pixels:
        """Bring what the same plane shows at another time to the same exposure and position.

        Parameters
        ----------
        plane : ndarray
            (Y, X).
        light : float, optional
            Above `dark`, as a share of the light at this time.
        dark : float, optional
            Counts of the camera without light.
        """
        pixels = np.asarray(plane, np.float32)
        if self.gain != 1:
            above = np.float32(dark + (self.dark - dark) * light)
            pixels = (pixels - above) * np.float32(self.gain) + above
        if any(self.shift_px):
            pixels = shift(pixels, self.shift_px, order=3, mode="nearest")
        return pixels.astype(np.float32, copy=False)

    def describe(self, name: str) -> list[str]:
        """What was done to it, a sentence each."""
        said = []
        if self.gain != 1:
            said.append(f"{name} was multiplied by {self.gain:.3g} to have as much light.")
        if any(self.shift_px):
            y, x = self.shift_px
            said.append(f"{name} was moved by {y:+.2g} pixels along y and {x:+.2g} along x.")
        if not 1 / _MOST_CHANGE <= self.light <= _MOST_CHANGE:
            said.append(
                f"{name} has {self.light:.2g} times the light of the first one, which only optical "
                "sections may: bring others to one exposure."
            )
        if not self.is_placed:
            said.append(
                f"{name} is too unlike the others to tell whether it was moved sideways: see to it "
                "that it was not."
            )
        return said


def align_planes(
    planes: Sequence[NDArray[np.generic]],
    at_um: Sequence[float] | None = None,
    refocused: Refocusing | None = None,
) -> list[AlignedPlane]:
    """Bring planes to the exposure and the position of the first.

    A wide-field microscope gathers the same light at every focus. Above the darkest pixels of both,
    each is scaled to the sum of the first; not where it has less than half of it or more
    than twice as much, as with optical sections, whose light does change. Positions are compared
    with the nearest plane in z that is aligned already, by normalised cross-correlation (Padfield
    2012): as they are, or, where they are too far apart for that, that one refocused to where the
    plane lies. Planes are left alone where they are too different to tell.

    Parameters
    ----------
    planes : sequence of ndarray
        (Y, X) each, finite, of one shape.
    at_um : sequence of float, optional
        Where they were taken; in their order, evenly spaced, where None.
    refocused : callable, optional
        Refocuses one of them.
    """
    pixels = [np.asarray(plane, np.float32) for plane in planes]
    depths = np.arange(len(pixels), dtype=float) if at_um is None else np.asarray(at_um, float)
    dark = [float(np.percentile(plane, _DARKEST_PERCENT)) for plane in pixels]
    aligned = {0: AlignedPlane(pixels[0], (0.0, 0.0), 1.0)}
    for index in np.argsort(np.abs(depths - depths[0]), kind="stable")[1:].tolist():
        plane = pixels[index]
        if not np.ptp(plane):
            aligned[index] = AlignedPlane(plane, (0.0, 0.0), 1.0)
            continue
        darkest = min(dark[0], dark[index])
        light = _light(pixels[0], plane, darkest)
        gain = _gain(light)
        balanced = AlignedPlane(plane, (0.0, 0.0), gain, darkest).like(plane)
        beside = min(aligned, key=lambda other: abs(depths[other] - depths[index]))
        one, away_um = aligned[beside].pixels, float(depths[index] - depths[beside])
        by_px = _shift(one, balanced, _MOST_LEFT)
        if by_px is None and refocused is not None:
            there = refocused(_middle(one), away_um)
            by_px = None if there is None else _shift(there, balanced, _MOST_LEFT_REFOCUSED)
        shift_px = by_px or (0.0, 0.0)
        placed = AlignedPlane(plane, shift_px, gain, darkest, light, by_px is not None)
        aligned[index] = replace(placed, pixels=placed.like(plane))
    return [aligned[index] for index in range(len(pixels))]


def _light(first: Pixels, plane: Pixels, darkest: float) -> float:
    """Light of a plane as a share of that of the first; one where either has none."""
    light, of_first = float(plane.mean()) - darkest, float(first.mean()) - darkest
    return light / of_first if light > 0 and of_first > 0 else 1.0


def _gain(light: float) -> float:
    gain = 1 / light
    is_balanced = abs(gain - 1) < _LEAST_CHANGE
    return 1.0 if is_balanced or not 1 / _MOST_CHANGE <= gain <= _MOST_CHANGE else gain


def _shift(first: Pixels, plane: Pixels, most_left: float) -> tuple[float, float] | None:
    """How a plane is to be moved; None where nothing makes the two alike."""
    one, other = (_band(_middle(image)) for image in (first, plane))
    if not one.any() or not other.any():
        return None
    y, x, alike = _by_whole_pixels(one, other)
    if alike < _LEAST_ALIKE:
        return None
    part_y = _vertex(_alike(one, other, y - 1, x), alike, _alike(one, other, y + 1, x))
    part_x = _vertex(_alike(one, other, y, x - 1), alike, _alike(one, other, y, x + 1))
    by_px = round(y + part_y, 2), round(x + part_x, 2)
    left = (1 - alike) / max(1 - _alike(one, other, 0, 0), _TINY)
    return by_px if left <= most_left else (0.0, 0.0)


def _by_whole_pixels(one: Pixels, other: Pixels) -> tuple[int, int, float]:
    """The move that makes two images most alike, and how much; large ones are halved at first."""
    if max(one.shape) <= _LARGEST_WHOLE_PX:
        y, x = _by_correlation(one, other)
        return y, x, _alike(one, other, y, x)
    y, x = (2 * by for by in _by_correlation(_halved(one), _halved(other)))
    around = [(y + down, x + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    found = {place: _alike(one, other, *place) for place in around}
    y, x = max(found, key=lambda place: found[place])
    return y, x, found[y, x]


def _by_correlation(one: Pixels, other: Pixels) -> tuple[int, int]:
    everywhere = np.ones(one.shape, np.bool_)
    found, _, _ = phase_cross_correlation(
        one,
        other,
        reference_mask=everywhere,
        moving_mask=everywhere,
        overlap_ratio=_LEAST_OVERLAP,
    )
    y, x = (round(value) for value in found.tolist())
    return y, x


def _halved(image: Pixels) -> Pixels:
    height, width = (side - side % 2 for side in image.shape)
    pairs = image[:height, :width].reshape(height // 2, 2, width // 2, 2)
    return np.asarray(pairs.mean(axis=(1, 3)))


def _middle(image: Pixels) -> Pixels:
    rows, columns = (
        slice(max(0, (side - _LARGEST_PX) // 2), max(0, (side - _LARGEST_PX) // 2) + _LARGEST_PX)
        for side in image.shape
    )
    return image[rows, columns]


def _band(plane: Pixels) -> Pixels:
    band: Pixels = gaussian_filter(plane, _FINE_PX) - gaussian_filter(plane, _COARSE_PX)
    return band


def _alike(one: Pixels, other: Pixels, y: int, x: int) -> float:
    """Correlation of what two images share when the other one is moved by whole pixels."""
    height, width = one.shape
    here = one[max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)]
    there = other[max(0, -y) : height + min(0, -y), max(0, -x) : width + min(0, -x)]
    return float(np.corrcoef(here.ravel(), there.ravel())[0, 1])


def _vertex(before: float, here: float, after: float) -> float:
    """Where the parabola through three samples is highest, from the middle one."""
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))

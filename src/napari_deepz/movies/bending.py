"""How the sample shifts, turns and bends sideways in a movie: smoothly, in each frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_deepz.movies.brightness import Brightness
from napari_deepz.movies.motion import Motion
from napari_deepz.movies.movie import Movie
from napari_deepz.movies.sheet import Sheet
from napari_deepz.watch import UNWATCHED, Progress, Watch

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

_STIFFNESS = 300.0
"""Of a thin plate; more leaves a head that bends by 2 µm behind, less follows the activity."""

_COARSE_UM, _FINE_UM, _WIDER = 1.6, 0.5, 3.0
_SAMPLES = 0.75
_BRIGHTEST = 2.0
_STEPS, _DONE_UM = 6, 0.02
_INVERTING = 3
_MOST_AVERAGED = 64


@dataclass(frozen=True, eq=False)
class Bending:
    """Where in each frame that is what lies somewhere in the template.

    Attributes
    ----------
    sheet : Sheet
        What displacements are made of.
    coefficients_um : ndarray
        (T, 2, B, B') of the displacement along y and x.
    template : ndarray
        (K, Y, X) float32, the median of straightened frames, above the offset; where the sample is
        in most of them.
    pixel_um : float
        Pixel size.
    alike : ndarray
        (T,) cosine between what is seen of each straightened frame and of the template, 1 at most.
    """

    sheet: Sheet
    coefficients_um: Array
    template: Pixels
    pixel_um: float
    alike: Array

    def moved_at(self, places_um: Array, t: int) -> Array:
        """(N, 2) how far places, (N, 2) y and x in the template, have moved in frame t, µm."""
        y, x = (self.sheet.along(axis, places_um[:, axis]) for axis in range(2))
        return np.asarray(np.einsum("nb,abc,nc->na", y, self.coefficients_um[t], x, optimize=True))

    def straightened(self, frame: Pixels, t: int, order: int = 3) -> Pixels:
        """(K, Y, X) frame t as if the sample had not moved; repeated at edges.

        Parameters
        ----------
        frame : ndarray
            (K, Y, X).
        t : int
            Its number.
        order : int, optional
            Of the splines between pixels.
        """
        field = _Field(self.coefficients_um[t], self.sheet, frame.shape, self.pixel_um)
        return _sampled(frame, field.pixels + field.moved_px, order)

    def bent(self, picture: Pixels, t: int) -> Pixels:
        """(K, Y, X) how what looks so in the template, looks in frame t; repeated at edges."""
        field = _Field(self.coefficients_um[t], self.sheet, picture.shape, self.pixel_um)
        at = field.pixels - field.moved_px
        for _ in range(_INVERTING):
            at = field.pixels - _sampled(field.moved_px, at, 1)
        return _sampled(picture, at, 1)


def measure_bending(
    movie: Movie, brightness: Brightness, motion: Motion, watch: Watch = UNWATCHED
) -> Bending:
    """Fit a smooth displacement to each frame, first to the most usual one, then to their median.

    Each frame starts from what its neighbour was found to be, and the shift between the two.

    Parameters
    ----------
    movie : Movie
        Its frames are read twice, and 64 of them twice more.
    brightness : Brightness
        Of the movie.
    motion : Motion
        How it moves as a whole.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Raises
    ------
    Cancelled
        When the watch says so.
    """
    sheet, count, pixel_um = Sheet(movie.shape, movie.pixel_um), len(movie), movie.pixel_um
    progress = Progress(2 * count)
    shift_um = -motion.shift_px * pixel_um
    found = np.zeros((count, 2, *sheet.shape))
    away_um = np.linalg.norm(shift_um - np.median(shift_um, axis=0), axis=1)
    usual = int(np.argmin(away_um))
    template = brightness.of_frame(movie.frame(usual), usual)
    levels = [_Level(template, sheet, pixel_um, blur_um) for blur_um in (_COARSE_UM, _FINE_UM)]
    order = [(usual, usual), *((t, t - 1) for t in range(usual + 1, count))]
    order += [(t, t + 1) for t in range(usual - 1, -1, -1)]
    for t, before in order:
        watch.check()
        frame = brightness.of_frame(movie.frame(t), t)
        found[t] = found[before] + (shift_um[t] - shift_um[before])[:, None, None]
        for level in levels:
            found[t], _ = level.fit(frame, found[t])
        progress.advance()
        watch.on_progress(progress)
    found -= _usual(found, levels[-1].seen_at)
    alike = np.zeros(count)
    bending = Bending(sheet, found, template, pixel_um, alike)
    template = _median(movie, brightness, bending, watch)
    level = _Level(template, sheet, pixel_um, _FINE_UM)
    for t in range(count):
        watch.check()
        found[t], alike[t] = level.fit(brightness.of_frame(movie.frame(t), t), found[t])
        progress.advance()
        watch.on_progress(progress)
    found -= _usual(found, level.seen_at)
    template = _median(movie, brightness, bending, watch)
    return replace(bending, template=template)


class _Level:
    """Gauss-Newton steps towards a template that is blurred so far.

    Of square roots, in which photon noise is even and active cells are less bright; what is coarser
    than three times the blur is taken away.
    """

    def __init__(self, template: Pixels, sheet: Sheet, pixel_um: float, blur_um: float) -> None:
        self._sheet, self._pixel_um, self._blur_px = sheet, pixel_um, blur_um / pixel_um
        self._every = max(1, int(self._blur_px / _SAMPLES))
        seen = self._seen(template)
        slopes = np.stack([np.gradient(seen, pixel_um, axis=axis) for axis in (1, 2)])
        self._template = seen[:, :: self._every, :: self._every]
        self._slopes = slopes[..., :: self._every, :: self._every]
        self._last = np.array(template.shape[1:])[:, None, None] - 1
        self._stiff = _STIFFNESS * np.kron(np.eye(2), sheet.energy())
        field = _Field(
            np.zeros((2, *sheet.shape)), sheet, template.shape, pixel_um, every=self._every
        )
        self._y, self._x = field.along
        self._curvature = self._products()
        weight = np.diag(self._curvature).reshape(2, *sheet.shape)
        self.seen_at = weight / np.maximum(weight.sum(axis=(1, 2), keepdims=True), 1e-30)
        """(2, B, B') share of each coefficient in what is seen."""

    def fit(self, frame: Pixels, start: Array) -> tuple[Array, float]:
        """(2, B, B') coefficients, from those to start with, and how alike the frame is then."""
        found, seen = start, self._seen(frame)
        if not self._curvature.any() or not np.ptp(seen):
            return found, 0.0
        best, most = start, -np.inf
        for step_number in range(_STEPS + 1):
            field = _Field(found, self._sheet, frame.shape, self._pixel_um, every=self._every)
            at = field.pixels + field.moved_px
            straight = _sampled(seen, at, 1)
            rest = straight - self._template
            alike = _alike(straight, self._template)
            if alike < most:
                break  # Of frames that are nothing alike, what is dark would fit best.
            best, most = found, alike
            if step_number == _STEPS:
                break
            inside = ((at >= 0) & (at <= self._last)).all(axis=0)
            rest = np.where(inside, rest, 0)
            noise = float((rest**2).sum()) / max(1, len(seen) * int(inside.sum())) + 1e-12
            rest = rest.clip(-_BRIGHTEST * noise**0.5, _BRIGHTEST * noise**0.5)
            # As many samples as the blur makes one of.
            noise *= 4 * np.pi * (self._blur_px / self._every) ** 2
            pull = (self._y.T @ (self._slopes * rest).sum(axis=1) @ self._x).reshape(-1)
            pull += noise * (self._stiff @ found.reshape(-1))
            system = self._curvature + noise * self._stiff
            system[np.diag_indices_from(system)] += 1e-3 * np.diag(self._curvature).mean()
            step = scipy.linalg.solve(system, pull, assume_a="pos").reshape(found.shape)
            found = found - step
            if np.abs(step).max() < _DONE_UM:
                best = found
                break
        return np.asarray(best), most

    def _seen(self, frame: Pixels) -> Pixels:
        root = np.sqrt(np.maximum(frame, 0))
        fine, wide = ((0.0, blur, blur) for blur in (self._blur_px, _WIDER * self._blur_px))
        return np.asarray(gaussian_filter(root, fine) - gaussian_filter(root, wide))

    def _products(self) -> Array:
        """(2 * B * B', 2 * B * B') second derivatives of the misfit."""
        count = self._y.shape[1] * self._x.shape[1]
        y = self._y.T[:, None] * self._y.T
        x = (self._x.T[:, None] * self._x.T).transpose(2, 0, 1)
        found = np.empty((2, count, 2, count))
        for one, other in np.ndindex(2, 2):
            weight = (self._slopes[one] * self._slopes[other]).sum(axis=0)
            each = np.tensordot(np.tensordot(y, weight, 1), x, 1)
            found[one, :, other] = each.transpose(0, 2, 1, 3).reshape(count, count)
        return found.reshape(2 * count, 2 * count)


class _Field:
    """Every few pixels of a field, (2, Y, X), and how far each moves, in pixels."""

    def __init__(
        self,
        coefficients_um: Array,
        sheet: Sheet,
        shape: tuple[int, ...],
        pixel_um: float,
        every: int = 1,
    ) -> None:
        sides = [np.arange(0, side, every, dtype=np.float64) for side in shape[1:]]
        self.along = [sheet.along(axis, side * pixel_um) for axis, side in enumerate(sides)]
        self.pixels = np.stack(np.meshgrid(*sides, indexing="ij"))
        self.moved_px = self.along[0] @ coefficients_um @ self.along[1].T / pixel_um


def _alike(one: Pixels, other: Pixels) -> float:
    """Cosine between two pictures; 0 where either shows nothing."""
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.vdot(one, other)) / size if size else 0.0


def _sampled(picture: NDArray[np.floating], at: Array, order: int) -> NDArray[np.float32]:
    found = [map_coordinates(plane, at, order=order, mode="nearest") for plane in picture]
    return np.asarray(found, np.float32)


def _usual(found: Array, seen_at: Array) -> Array:
    """(2, B, B') the median shift of what is seen, and the mean of what else it does."""
    shift = np.einsum("tabc,abc->ta", found, seen_at)[:, :, None, None]
    return np.asarray(np.median(shift, axis=0) + (found - shift).mean(axis=0))


def _median(movie: Movie, brightness: Brightness, bending: Bending, watch: Watch) -> Pixels:
    times = np.unique(np.linspace(0, len(movie) - 1, min(len(movie), _MOST_AVERAGED)).round())
    frames = []
    for t in times.astype(int).tolist():
        watch.check()
        frames.append(bending.straightened(brightness.of_frame(movie.frame(t), t), t))
    return np.asarray(np.median(frames, axis=0), np.float32)

"""How a sample that shifts, turns and bends drifts along z meanwhile."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d, median_filter

from napari_deepz.movies.bending import Bending
from napari_deepz.movies.brightness import Brightness
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.footprints import Footprints
from napari_deepz.watch import UNWATCHED, Progress, Watch

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

_BLUR_UM = 2.0
"""What is finer than this depends on the size of neurons and on coma, which footprints do not know:
without it, motion along z comes out a third as large as it is."""

_UNLIKE = 0.5
"""How differently bright neurons are believed to be, and how much brighter active ones."""

_FARTHEST_UM = 4.0
_LOOSE_UM = 2.0
_NUDGE_UM, _LEVEL_UM = 0.25, 0.5
_ROUNDS = 3
_LEAST_SHARE = 0.05
_SLOW_S, _SLOW_FRAMES = 4.0, 16
"""What changes faster than this along z is not told from activity."""


def measure_drift(
    places_um: Array,
    bending: Bending,
    movie: Movie,
    brightness: Brightness,
    footprints: Footprints,
    watch: Watch = UNWATCHED,
) -> Array:
    """How much deeper all neurons lie in each frame than they usually do.

    It is told from how the blurred frames, straightened, differ from the template: by footprints
    that are deeper, and by the activity of each neuron. It is taken to change slowly, within
    seconds, as activity would be taken for motion otherwise. Of one input plane alone too little
    of it is found.

    Parameters
    ----------
    places_um : ndarray
        (N, 3) z, y and x in the template, µm from the centre of the first pixel.
    bending : Bending
        How the sample moves sideways, and the template.
    movie : Movie
        Its frames are read once.
    brightness : Brightness
        Of the movie.
    footprints : Footprints
        What a neuron leaves in the frames.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Returns
    -------
    ndarray
        (T,) µm, positive where deeper; their median is 0.

    Raises
    ------
    Cancelled
        When the watch says so.
    """
    depths = _Depths(places_um, bending, footprints)
    deeper_um = np.empty(len(movie))
    progress = Progress(len(movie))
    for t in range(len(movie)):
        watch.check()
        straight = bending.straightened(brightness.of_frame(movie.frame(t), t), t, order=1)
        deeper_um[t] = depths.deeper_um(straight)
        progress.advance()
        watch.on_progress(progress)
    sigma = _SLOW_FRAMES if movie.rate_hz is None else _SLOW_S * movie.rate_hz
    slow_um = median_filter(deeper_um, 2 * round(sigma) + 1, mode="nearest")
    slow_um = gaussian_filter1d(slow_um, sigma, mode="nearest")
    return np.asarray(slow_um - np.median(slow_um))


class _Depths:
    """How much deeper all neurons lie in a frame, by least squares on what the footprints say."""

    def __init__(self, places_um: Array, bending: Bending, footprints: Footprints) -> None:
        self._places_um, self._footprints = places_um, footprints
        self._shape = bending.template.shape
        blur_px = _BLUR_UM / bending.pixel_um
        self._blur = (0.0, blur_px, blur_px)
        self._every = max(1, int(blur_px))
        self._alike = 4 * np.pi * (blur_px / self._every) ** 2
        """Pixels of the blurred noise that count as one."""
        self._template = self._seen(bending.template)
        level = max(float(self._template.mean()), 1e-12)
        self._weights = 1 / np.maximum(self._template, _LEAST_SHARE * level)
        planes = self._shape[0]
        self._even = np.kron(np.eye(planes), np.full(self._template.size // planes, level))
        # All neurons are about equally bright, in units of which each of them counts.
        self._unit = 1.0
        columns = self._columns(0.0)
        together = np.vstack([columns.sum(axis=0), self._even])
        root = np.sqrt(self._weights)
        usual = np.linalg.lstsq((together * root).T, self._template * root)[0]
        self._unit = max(float(usual[0]), 1e-12)
        columns = np.vstack([columns * self._unit, self._even])
        self._loose = np.concatenate([np.full(len(places_um), _UNLIKE**-2.0), np.zeros(planes)])
        rest = self._template - usual @ together
        self._light = np.maximum(1 + self._solved(columns, rest, self._loose)[: len(places_um)], 0)
        self._known: dict[int, Array] = {}

    def deeper_um(self, straight: Pixels) -> float:
        """How far along z the sample has moved since the template, of a straightened frame."""
        target = self._seen(straight) - self._template
        loose = np.append(self._loose, _LOOSE_UM**-2.0)
        found = 0.0
        for _ in range(_ROUNDS):
            # The slope half-way is that of the chord, but for terms of third order.
            level = round(found / 2 / _LEVEL_UM)
            if level not in self._known:
                self._known[level] = self._columns_at(level * _LEVEL_UM)
            found = float(self._solved(self._known[level], target, loose)[-1])
            found = min(max(found, -_FARTHEST_UM), _FARTHEST_UM)
            if round(found / 2 / _LEVEL_UM) == level:
                break
        return found

    def _solved(self, columns: Array, target: Array, loose: Array) -> Array:
        """Coefficients that explain a target, (C,), with how precisely they are known before."""
        weighed = columns * self._weights
        noise = self._alike * float((self._weights * target**2).mean()) + 1e-12
        system = weighed @ columns.T / noise + np.diag(loose)
        return np.asarray(scipy.linalg.solve(system, weighed @ target / noise, assume_a="pos"))

    def _columns_at(self, deeper_um: float) -> Array:
        """(N + K + 1, P) neurons that much deeper, even light, and what going deeper changes."""
        before, after = (self._columns(deeper_um + nudge) for nudge in (-_NUDGE_UM, _NUDGE_UM))
        slope = self._light @ (after - before) / (2 * _NUDGE_UM)
        return np.vstack([(before + after) / 2, self._even, slope])

    def _columns(self, deeper_um: float) -> Array:
        """(N, P) what each neuron leaves in the blurred frames."""
        places = self._places_um + np.array([deeper_um, 0.0, 0.0])
        matrix = self._footprints.matrix(places, (self._shape[1], self._shape[2])).T.tocsr()
        each = [self._seen(row.toarray()) for row in (matrix[[n]] for n in range(len(places)))]
        return np.array(each) * self._unit

    def _seen(self, picture: NDArray[np.floating]) -> Array:
        """(P,) every few pixels of a blurred picture, of all planes."""
        blurred = gaussian_filter(picture.reshape(self._shape).astype(np.float32), self._blur)
        return np.asarray(blurred[:, :: self._every, :: self._every], np.float64).reshape(-1)

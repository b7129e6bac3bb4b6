"""Simulated movies of neurons, with all that is to be found again: places, traces, motion, light.

The chain, each stage with its axes and units:

1. `scene.draw_neurons`: balls, radius and place in µm; `draw_activity`: dF/F, (N, T).
2. `Projector.spectra`: what each leaves in an input plane, in frequency space, (N, Y, X // 2 + 1).
3. frames: their sum, weighed with the light of each, and background; camera: (T, Z, Y, X) uint16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_deepz.training.movies.projector import Projector
from napari_deepz.training.movies.scene import (
    SCENES,
    Array,
    Balls,
    MovieSettings,
    Scene,
    bend,
    draw_activity,
    draw_gut,
    draw_neurons,
    draw_path,
    granule_path,
)
from napari_deepz.training.simulation import Camera

_GRANULE_RADIUS_UM, _GRANULE_LIGHT = 1.2, 8.0
_FOCUS_STEP_UM, _MOST_KNOWN = 0.125, 10


@dataclass(frozen=True)
class SimulatedMovie:
    """A movie as a camera would have taken it, with the truth behind it.

    Parameters
    ----------
    measured : ndarray
        (T, Z, Y, X) uint16 counts, one Z for each input plane.
    places_um : ndarray
        (T, N, 3) z, y and x of each neuron from the centre of the first frame's pixels 0, 0 at the
        focus of 0 µm; z deeper into the sample.
    dff : ndarray
        (N, T) true dF/F.
    brightness : ndarray
        (T,) what bleaching and the lamp leave.
    radii_um : ndarray
        (N,).
    granule_um : ndarray or None
        (T, 3) where the granule is.
    settings : MovieSettings
        What it looks like.
    scene : str
        Which one.
    """

    measured: NDArray[np.uint16]
    places_um: Array
    dff: Array
    brightness: Array
    radii_um: Array
    granule_um: Array | None
    settings: MovieSettings
    scene: Scene


def simulate_movie(scene: Scene, settings: MovieSettings, seed: int) -> SimulatedMovie:
    """Draw a scene and record its movie; the same seed gives the same one.

    Parameters
    ----------
    scene : {"sparse", "head"}
        Neurons all over the field, 5 µm and more apart, or crowded in a head.
    settings : MovieSettings
        What the movie looks like.
    seed : int
        Of everything that is drawn.
    """
    rng = np.random.default_rng([seed, SCENES.index(scene)])
    balls = draw_neurons(scene, settings, rng)
    dff = draw_activity(len(balls.light), settings, rng)
    path_um = draw_path(settings, rng)
    focus_um = settings.drift_um * np.linspace(-0.5, 0.5, settings.frames)
    phase = rng.uniform(0, 2 * np.pi)
    places = np.stack(
        [
            balls.centres_um + bend(balls.centres_um, settings, time, phase) + [0, *step]
            for time, step in zip(settings.t_s, path_um, strict=True)
        ]
    )
    gut = draw_gut(balls, settings, rng) if settings.glow and scene == "head" else None
    granule_um = granule_path(settings) if settings.granule else None
    brightness = settings.bleached_to ** (np.arange(settings.frames) / max(1, settings.frames - 1))
    brightness = brightness * (1 + settings.flicker * rng.standard_normal(settings.frames))
    deepest_um = max(
        np.abs(places[..., 0]).max() + np.abs(settings.planes_um).max() + abs(settings.drift_um),
        12.0,
    )
    projector = Projector(settings, float(deepest_um) + 2)
    movie = _Light(projector, settings, balls, gut, granule_um, places, focus_um)
    camera = Camera(read_noise_photons=2.0)
    unit = settings.photons / len(settings.planes_um) / movie.brightest()
    even = settings.background_photons / len(settings.planes_um)
    size = (settings.size_px, settings.size_px)
    measured = np.empty((settings.frames, len(settings.planes_um), *size), np.uint16)
    for index, plane_um in enumerate(settings.planes_um):
        for t in range(settings.frames):
            photons = (movie.at(t, plane_um, 1 + dff[:, t]) * unit + even) * brightness[t]
            measured[t, index] = camera.record(photons.astype(np.float32), rng)
    middle_um = (settings.size_px - 1) / 2 * settings.optics.pixel_size_um
    moved = np.array([0, middle_um, middle_um])
    seen = places + moved
    seen[..., 0] -= focus_um[:, None]
    if granule_um is not None:
        granule_um = granule_um + moved
        granule_um[:, 0] -= focus_um
    return SimulatedMovie(
        measured=measured,
        places_um=seen,
        dff=dff,
        brightness=brightness,
        radii_um=balls.radii_um,
        granule_um=granule_um,
        settings=settings,
        scene=scene,
    )


class _Light:
    """The light of a scene in each frame, without noise; (Y, X)."""

    def __init__(
        self,
        projector: Projector,
        settings: MovieSettings,
        balls: Balls,
        gut: Balls | None,
        granule_um: Array | None,
        places_um: Array,
        focus_um: Array,
    ) -> None:
        self._projector, self._balls, self._gut = projector, balls, gut
        self._granule_um, self._places_um, self._focus_um = granule_um, places_um, focus_um
        self._is_still = not (settings.motion_um or settings.bend_um or settings.drift_um)
        self._focus_known_um: float | None = None
        self._known_spectra: dict[tuple[int, int], NDArray[np.complex64]] = {}

    def brightest(self) -> float:
        """The brightest pixel of the median neuron, in focus and at rest."""
        flat = replace(self._balls, centres_um=self._balls.centres_um * 0)
        spectra = self._projector.spectra(flat, 0.0)
        each = [self._alone(spectrum, np.zeros(3)) for spectrum in spectra]
        return float(np.median([picture.max() for picture in each]) * np.median(self._balls.light))

    def at(self, t: int, plane_um: float, active: Array) -> NDArray[np.float32]:
        """One frame of an input plane, with each neuron so many times as bright as at rest."""
        at_um = plane_um + float(self._focus_um[t])
        self._focus_on(at_um, t)
        light, places_um = self._balls.light * active, self._places_um[t]
        if self._is_still:
            picture = np.tensordot(light.astype(np.float32), self._each, 1)
        else:
            picture = self._projector.image(self._spectra, places_um, light)
        if self._gut is not None:
            moved = (places_um - self._places_um[0]).mean(axis=0)
            places_um = self._gut.centres_um + moved
            picture = picture + self._projector.image(self._of_gut, places_um, self._gut.light)
        if self._granule_um is not None:
            place_um = self._granule_um[t][None]
            light = np.array([_GRANULE_LIGHT * np.median(self._balls.light)])
            granule = Balls(place_um, np.array([_GRANULE_RADIUS_UM]), light)
            spectra = self._projector.spectra(granule, at_um)
            picture = picture + self._projector.image(spectra, place_um, light)
        return np.asarray(picture)

    def _focus_on(self, at_um: float, t: int) -> None:
        if at_um == self._focus_known_um:
            return
        self._focus_known_um = at_um
        self._spectra = self._spectra_of(self._balls, at_um)
        if self._gut is not None:
            self._of_gut = self._spectra_of(self._gut, at_um)
        if self._is_still:
            pairs = zip(self._spectra, self._places_um[t], strict=True)
            self._each = np.stack([self._alone(spectrum, place) for spectrum, place in pairs])

    def _spectra_of(self, balls: Balls, at_um: float) -> NDArray[np.complex64]:
        """As the projector has them, linearly between foci that many frames of a drift share."""
        below = math.floor(at_um / _FOCUS_STEP_UM)
        share = np.float32(at_um / _FOCUS_STEP_UM - below)
        known = self._known_spectra
        wanted = [below] if share == 0 else [below, below + 1]
        for focus in wanted:
            if (id(balls), focus) not in known:
                known[id(balls), focus] = self._projector.spectra(balls, focus * _FOCUS_STEP_UM)
        # Of two input planes and of gut and neurons, the last few are needed again.
        while len(known) > _MOST_KNOWN:
            del known[next(iter(known))]
        first, *second = (known[id(balls), focus] for focus in wanted)
        return first if not second else first * (1 - share) + second[0] * share

    def _alone(self, spectrum: NDArray[np.complex64], place_um: Array) -> NDArray[np.float32]:
        return self._projector.image(spectrum[None], place_um[None], np.ones(1))

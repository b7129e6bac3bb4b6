"""What a simulated movie shows: neurons with their places and activity, motion, other light."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from napari_deepz.optics import Optics

Array = NDArray[np.float64]
Scene = Literal["sparse", "head"]
SCENES: tuple[Scene, ...] = get_args(Scene)

_RISE_S, _DECAY_S = 0.2, 1.2
"""Of GCaMP6s: rise and decay of one event (Chen et al. 2013, doi:10.1038/nature12354)."""

_EVENTS_PER_S, _LEAST_PEAK, _MOST_PEAK = 0.12, 0.5, 2.5
_COUNT = {"sparse": 30, "head": 120}
_LEAST_APART_UM = {"sparse": 5.0, "head": 3.0}
_DRY_20X = Optics(na=0.75, wavelength_um=0.52, pixel_size_um=0.325)
_HEAD_UM = (16.0, 24.0, 64.0)
_SPARSE_DEPTH_UM = 8.0
_FINER, _BEFORE_S = 20, 10.0


@dataclass(frozen=True)
class MovieSettings:
    """What a simulated movie looks like.

    Parameters
    ----------
    optics : Optics
        The microscope.
    size_px : int
        Height and width.
    frames : int
        Number of time points.
    rate_hz : float
        Of the frames.
    planes_um : tuple of float
        Focus of each input plane of a frame, which share its light.
    depth_um : float
        Of the sample below the cover glass: its aberration.
    coma_waves : float
        Of the microscope.
    photons : float
        In the brightest pixel of a neuron of median brightness, in focus and at rest.
    background_photons : float
        Even light per pixel.
    bleached_to : float
        Brightness at the end, as a share of that at the beginning.
    flicker : float
        Scatter of the lamp from frame to frame, as a share.
    motion_um : float
        Step of the sample from frame to frame.
    bend_um : float
        How far a travelling wave bends a head.
    drift_um : float
        How far the focus drifts over the movie.
    silent : float
        Share of the neurons that do nothing.
    glow : float
        Light of the gut beside a head, as a share of that of all neurons.
    granule : bool
        Whether a bright granule passes through the field.
    """

    optics: Optics = field(default_factory=lambda: _DRY_20X)
    size_px: int = 256
    frames: int = 120
    rate_hz: float = 4.0
    planes_um: tuple[float, ...] = (0.0,)
    depth_um: float = 30.0
    coma_waves: float = 0.1
    photons: float = 800.0
    background_photons: float = 40.0
    bleached_to: float = 1.0
    flicker: float = 0.0
    motion_um: float = 0.0
    bend_um: float = 0.0
    drift_um: float = 0.0
    silent: float = 0.5
    glow: float = 0.0
    granule: bool = False

    @property
    def field_um(self) -> float:
        """Height and width, µm."""
        return self.size_px * self.optics.pixel_size_um

    @property
    def t_s(self) -> Array:
        """Time of each frame, s."""
        return np.arange(self.frames) / self.rate_hz


@dataclass(frozen=True)
class Balls:
    """Things that glow: (N, 3) from the centre of the field, (N,) µm, (N,) relative light."""

    centres_um: Array
    radii_um: Array
    light: Array


def draw_neurons(scene: Scene, settings: MovieSettings, rng: np.random.Generator) -> Balls:
    """Draw neurons all over the field, or crowded in a head."""
    share = (settings.field_um / 83.2) ** 2 if scene == "sparse" else 1.0
    count = max(1, round(_COUNT[scene] * share))
    least = _LEAST_APART_UM[scene]
    places: list[Array] = []
    while len(places) < count:
        if scene == "sparse":
            half = np.array([_SPARSE_DEPTH_UM, 0.46 * settings.field_um, 0.46 * settings.field_um])
            place = rng.uniform(-half, half)
        else:
            place = rng.uniform(-1, 1, 3)
            if (place**2).sum() > 1:
                continue
            place *= np.array(_HEAD_UM) / 2
        if all(np.linalg.norm(place - other) >= least for other in places):
            places.append(place)
    return Balls(np.array(places), rng.uniform(1.0, 1.6, count), np.exp(rng.normal(0, 0.4, count)))


def draw_activity(count: int, settings: MovieSettings, rng: np.random.Generator) -> Array:
    """(N, T) dF/F: events with the kinetics of GCaMP6s; the silent ones are zero."""
    fine_hz = _FINER * settings.rate_hz
    times = np.arange(0, 8 * _DECAY_S, 1 / fine_hz)
    kernel = (1 - np.exp(-times / _RISE_S)) * np.exp(-times / _DECAY_S)
    kernel /= kernel.max()
    length = int((settings.frames / settings.rate_hz + _BEFORE_S) * fine_hz)
    dff = np.zeros((count, settings.frames))
    active = rng.permutation(count) >= round(settings.silent * count)
    for index in np.flatnonzero(active):
        spikes = rng.uniform(size=length) < _EVENTS_PER_S / fine_hz
        heights = rng.uniform(_LEAST_PEAK, _MOST_PEAK, length)
        trace = np.convolve(spikes * heights, kernel)[:length]
        at = (_BEFORE_S * fine_hz + np.arange(settings.frames) * _FINER).astype(int)
        dff[index] = trace[at]
    return dff


def draw_path(settings: MovieSettings, rng: np.random.Generator) -> Array:
    """(T, 2) y and x of the whole sample in µm: smooth, of the wanted step, within the field."""
    if not settings.motion_um:
        return np.zeros((settings.frames, 2))
    steps = gaussian_filter1d(rng.standard_normal((settings.frames, 2)), 2, axis=0)
    steps *= settings.motion_um / np.sqrt((steps**2).sum(axis=1).mean())
    path = np.cumsum(steps, axis=0)
    path -= path[0]
    widest = 0.12 * settings.field_um
    folded: Array = np.abs((path + widest) % (4 * widest) - 2 * widest) - widest
    return np.asarray(folded[0] - folded)


def bend(centres_um: Array, settings: MovieSettings, time_s: float, phase: float) -> Array:
    """A wave that travels along x and moves along y."""
    moved = np.zeros_like(centres_um)
    if settings.bend_um:
        along = 2 * np.pi * (centres_um[:, 2] / 80 - 0.3 * time_s) + phase
        start = 2 * np.pi * (centres_um[:, 2] / 80) + phase
        moved[:, 1] = settings.bend_um * (np.sin(along) - np.sin(start))
    return moved


def draw_gut(balls: Balls, settings: MovieSettings, rng: np.random.Generator) -> Balls:
    """Dim large balls behind the head."""
    count = 12
    centres = rng.normal(0, 1, (count, 3)) * [4, 4, 10] + [0, 0, 38]
    light = np.full(count, settings.glow * balls.light.sum() / count)
    return Balls(centres, np.full(count, 4.0), light)


def granule_path(settings: MovieSettings) -> Array:
    """Through the field from left to right, 3 µm above the focus, half-way through the movie."""
    share = np.linspace(-0.5, 1.5, settings.frames)
    x_um = (share - 0.5) * (settings.field_um + 30)
    return np.stack(
        [np.full_like(x_um, -3.0), np.full_like(x_um, 0.2 * settings.field_um), x_um], axis=1
    )

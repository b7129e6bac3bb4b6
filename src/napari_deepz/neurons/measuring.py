"""The whole way from a movie to its neurons and what each of them does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift

from napari_deepz.engine.lens import Lens
from napari_deepz.models.package import Model
from napari_deepz.movies.brightness import Brightness, measure_brightness
from napari_deepz.movies.motion import Motion, largest_shift_um, measure_motion
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.activity import activity_of
from napari_deepz.neurons.demixing import SEPARABLE_ERROR, Demixer, demix_each
from napari_deepz.neurons.finding import find_places
from napari_deepz.neurons.footprints import NUCLEUS_RADIUS_UM, FootprintOptics, Footprints
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.optics import Optics
from napari_deepz.sampling import Sampling
from napari_deepz.watch import UNWATCHED, Progress, Watch

Array = NDArray[np.float64]

USUAL_DEPTH_UM = 20.0
_STILL_UM = 0.7
"""About the radius of a nucleus."""

MEASURED = (
    "Positions are inferred from virtual planes; the light is measured on the frames as they were "
    "taken."
)


def measure_neurons(
    movie: Movie,
    model: Model | Lens,
    *,
    depth_um: float = USUAL_DEPTH_UM,
    offset: float | None = None,
    follow: bool = False,
    places_um: Array | None = None,
    watch: Watch = UNWATCHED,
) -> NeuronTraces:
    """Find the neurons of a movie, and measure each in every frame.

    Parameters
    ----------
    movie : Movie
        With the numerical aperture, the immersion and the
        wavelength in its sampling. Frames are read one after the other.
    model : Model or Lens
        What refocuses the typical frame, in which neurons are looked for.
    depth_um : float, optional
        How deep below the cover glass the sample lies: the aberration that this brings tells what
        is above the focus from what is below (`Optics.depth_aberration_waves`).
    offset : float, optional
        Counts of the camera without light, see `measure_brightness`.
    follow : bool, optional
        Follow a sample that moves sideways as a whole: neurons are looked for in the median of
        frames that were moved to lie on one another, and measured in each frame where they are in
        that one, so that no pixel is interpolated.
    places_um : ndarray, optional
        (N, 3) z, y and x of neurons, in place of those that are found.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Raises
    ------
    ValueError
        If the optics are not known, or no neuron is found; one sentence.
    Cancelled
        When the watch says so.
    """
    sampling = movie.sampling or Sampling(pixel_size_um=movie.pixel_um)
    spherical_waves, notes = _aberration(sampling, depth_um)
    optics = FootprintOptics(sampling, spherical_waves)
    brightness = measure_brightness(movie, offset, watch)
    motion = measure_motion(movie, brightness, watch) if follow else None
    if motion is not None:
        typical = motion.template + np.float32(brightness.offset)
        brightness = replace(brightness, typical=typical)
    if places_um is None:
        places_um = find_places(movie, brightness, Lens.of(model, None), watch)
    if not len(places_um):
        raise ValueError(
            "No neuron was found: nothing in the virtual volume stands out of its surroundings."
        )
    away_um = np.abs(places_um[:, :1] - np.array(movie.at_um))
    footprints = Footprints(optics, movie.at_um, float(away_um.max()) + 1)
    frames = _frames(movie, brightness, watch)
    shift_um = np.zeros((len(movie), 2))
    if motion is None:
        demixer = Demixer(footprints.matrix(places_um, movie.shape), brightness.light)
        found = demixer.demix(frames)
    else:
        shift_um = -motion.shift_px * movie.pixel_um
        demixers = _moving(footprints, places_um, motion, movie)
        found = demix_each(zip(demixers, frames, strict=True))
    tracks_um = places_um + np.insert(shift_um, 0, 0.0, axis=1)[:, None]
    seen = _within_field(tracks_um, movie)
    activity = activity_of(found.light, found.error, movie.rate_hz, seen)
    separable = found.error <= SEPARABLE_ERROR * np.median(activity.rest, axis=1)
    notes = (MEASURED, *movie.notes, *notes)
    notes += _note_of_motion(movie, brightness) if motion is None else _note_of_following(shift_um)
    if count := int((~separable).sum()):
        are = "1 neuron is" if count == 1 else f"{count} neurons are"
        notes += (
            f"{are} not separable: their light at rest cannot be told from that of their "
            "neighbours, so that no trace is given.",
        )
    if movie.rate_hz is None:
        notes += (
            "The movie does not say how far apart its frames are: times are their numbers, and "
            "the light at rest is that of the whole movie.",
        )
    if count := int((~seen).any(axis=0).sum()):
        leave = "1 neuron leaves" if count == 1 else f"{count} neurons leave"
        notes += (f"{leave} the field for some frames, for which no light is given.",)
    return NeuronTraces(places_um, tracks_um, movie.t_s, activity, found.error, separable, notes)


def _moving(
    footprints: Footprints, places_um: Array, motion: Motion, movie: Movie
) -> Iterator[Demixer]:
    """A demixer of each frame, with the neurons where they are in it."""
    for shift_px in motion.shift_px:
        moved_um = places_um - np.array([0.0, *shift_px]) * movie.pixel_um
        back_px = (0.0, *(-shift_px).tolist())
        light = np.asarray(shift(motion.template, back_px, order=1, mode="nearest"), np.float32)
        yield Demixer(footprints.matrix(moved_um, movie.shape), np.maximum(light, 0))


def _within_field(tracks_um: Array, movie: Movie) -> NDArray[np.bool_]:
    """(T, N) whether neurons lie where the camera sees them whole."""
    last_um = (np.array(movie.shape) - 1) * movie.pixel_um
    across = tracks_um[..., 1:]
    inside = (across >= NUCLEUS_RADIUS_UM) & (across <= last_um - NUCLEUS_RADIUS_UM)
    return np.asarray(inside.all(axis=2))


def _note_of_motion(movie: Movie, brightness: Brightness) -> tuple[str, ...]:
    moved_um = largest_shift_um(movie, brightness)
    if moved_um < _STILL_UM:
        return ()
    return (
        f"The sample moves, by up to {moved_um:.1f} µm in a few frames that were compared: do not "
        "trust these traces, which are those of the places where neurons are in most frames, or "
        "follow the sample.",
    )


def _note_of_following(shift_um: Array) -> tuple[str, ...]:
    furthest_um = float(np.hypot(*shift_um.T).max())
    return (
        f"The sample was followed sideways as a whole, by up to {furthest_um:.1f} µm; bending, "
        "turning and motion along z were not.",
    )


def _frames(movie: Movie, brightness: Brightness, watch: Watch) -> Iterator[NDArray[np.float32]]:
    progress = Progress(len(movie))
    for t in range(len(movie)):
        watch.check()
        yield brightness.of_frame(movie.frame(t), t)
        progress.advance()
        watch.on_progress(progress)


def _aberration(sampling: Sampling, depth_um: float) -> tuple[float, tuple[str, ...]]:
    """Spherical aberration of a watery sample, and what cannot be known of it."""
    na, index, wavelength_um = sampling.na, sampling.immersion_index, sampling.wavelength_um
    if na is None or index is None or wavelength_um is None:
        return 0.0, ()
    try:
        optics = Optics(na, wavelength_um, sampling.pixel_size_um, index)
    except ValueError:
        return 0.0, (
            f"The aberration of a watery sample at NA {na:g} is not known, none is taken.",
        )
    return optics.depth_aberration_waves(depth_um)[0], ()

"""The whole way from a movie to its neurons and what each of them does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.lens import Lens
from napari_deepz.models.package import Model
from napari_deepz.movies.brightness import Brightness, measure_brightness
from napari_deepz.movies.motion import largest_shift_um
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.activity import activity_of
from napari_deepz.neurons.demixing import SEPARABLE_ERROR, Demixer
from napari_deepz.neurons.finding import find_places
from napari_deepz.neurons.footprints import FootprintOptics, Footprints
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
    places_um: Array | None = None,
    watch: Watch = UNWATCHED,
) -> NeuronTraces:
    """Find the neurons of a movie, and measure each in every frame.

    Parameters
    ----------
    movie : Movie
        Of a sample that does not move, with the numerical aperture, the immersion and the
        wavelength in its sampling. Frames are read one after the other.
    model : Model or Lens
        What refocuses the typical frame, in which neurons are looked for.
    depth_um : float, optional
        How deep below the cover glass the sample lies: the aberration that this brings tells what
        is above the focus from what is below (`Optics.depth_aberration_waves`).
    offset : float, optional
        Counts of the camera without light, see `measure_brightness`.
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
    if places_um is None:
        places_um = find_places(movie, brightness, Lens.of(model, None), watch)
    if not len(places_um):
        raise ValueError(
            "No neuron was found: nothing in the virtual volume stands out of its surroundings."
        )
    away_um = np.abs(places_um[:, :1] - np.array(movie.at_um))
    footprints = Footprints(optics, movie.at_um, float(away_um.max()) + 1)
    demixer = Demixer(footprints.matrix(places_um, movie.shape), brightness.light)
    found = demixer.demix(_frames(movie, brightness, watch))
    activity = activity_of(found.light, found.error, movie.rate_hz)
    separable = found.error <= SEPARABLE_ERROR * np.median(activity.rest, axis=1)
    notes = (MEASURED, *movie.notes, *notes, *_note_of_motion(movie, brightness))
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
    return NeuronTraces(places_um, movie.t_s, activity, found.error, separable, notes)


def _note_of_motion(movie: Movie, brightness: Brightness) -> tuple[str, ...]:
    moved_um = largest_shift_um(movie, brightness)
    if moved_um < _STILL_UM:
        return ()
    return (
        f"The sample moves, by up to {moved_um:.1f} µm in a few frames that were compared: do not "
        "trust these traces, which are those of the places where neurons are in most frames.",
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

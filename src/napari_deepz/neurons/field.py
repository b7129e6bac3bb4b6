"""A movie that was looked through: its light, its motion, and what neurons leave in its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift

from napari_deepz.engine.lens import Lens
from napari_deepz.models.package import Model
from napari_deepz.movies.brightness import Brightness, measure_brightness
from napari_deepz.movies.motion import Motion, largest_shift_um, measure_motion
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.activity import activity_of
from napari_deepz.neurons.demixing import SEPARABLE_ERROR, Demixed, Demixer, demix_each
from napari_deepz.neurons.editing import Neurons
from napari_deepz.neurons.finding import find_places
from napari_deepz.neurons.footprints import NUCLEUS_RADIUS_UM, FootprintOptics, Footprints
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.optics import Optics
from napari_deepz.provenance import Provenance
from napari_deepz.sampling import Sampling
from napari_deepz.watch import UNWATCHED, Progress, Watch

Array = NDArray[np.float64]

USUAL_DEPTH_UM = 20.0
_STILL_UM = 0.7
"""About the radius of a nucleus."""
_MARGIN_UM = 1.0

MEASURED = (
    "Positions are inferred from virtual planes; the light is measured on the frames as they were "
    "taken."
)
NO_NEURON = "No neuron was found: nothing in the virtual volume stands out of its surroundings."


@dataclass(frozen=True, eq=False)
class NeuronField:
    """All that neurons of a movie are found and measured with, any number of times.

    Attributes
    ----------
    movie : Movie
        Where they are.
    optics : FootprintOptics
        Through what they are seen.
    brightness : Brightness
        The light that frames have in common; its typical frame is one of frames that were moved
        to lie on one another, where the sample was followed.
    motion : Motion or None
        How the sample moves; None where it was not followed.
    lens : Lens
        What refocuses the typical frame, in which neurons are looked for.
    notes : tuple of str
        What the user must know of the movie, a sentence each.
    """

    movie: Movie
    optics: FootprintOptics
    brightness: Brightness
    motion: Motion | None
    lens: Lens
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        movie: Movie,
        model: Model | Lens,
        *,
        depth_um: float = USUAL_DEPTH_UM,
        offset: float | None = None,
        follow: bool = False,
        watch: Watch = UNWATCHED,
    ) -> NeuronField:
        """Look through a movie; see `measure_neurons` for the parameters and what is raised."""
        sampling = movie.sampling or Sampling(pixel_size_um=movie.pixel_um)
        spherical_waves, notes = _aberration(sampling, depth_um)
        optics = FootprintOptics(sampling, spherical_waves)
        brightness = measure_brightness(movie, offset, watch)
        motion = measure_motion(movie, brightness, watch) if follow else None
        if motion is None:
            notes += _note_of_motion(movie, brightness)
        else:
            typical = motion.template + np.float32(brightness.offset)
            brightness = replace(brightness, typical=typical)
            notes += _note_of_following(motion, movie)
        if movie.rate_hz is None:
            notes += (
                "The movie does not say how far apart its frames are: times are their numbers, "
                "and the light at rest is that of the whole movie.",
            )
        return cls(movie, optics, brightness, motion, Lens.of(model, None), (*movie.notes, *notes))

    def find(self, watch: Watch = UNWATCHED) -> Neurons:
        """Find neurons in the virtual volume of the typical frame.

        Raises
        ------
        ValueError
            If there is none; one sentence.
        """
        places_um = find_places(self.movie, self.brightness, self.lens, watch)
        if not len(places_um):
            raise ValueError(NO_NEURON)
        return Neurons.found(places_um)

    def measure(self, neurons: Neurons, watch: Watch = UNWATCHED) -> NeuronTraces:
        """Measure neurons in every frame, all of them together.

        Parameters
        ----------
        neurons : Neurons
            One or more.
        watch : Watch, optional
            Says when to stop, and hears the progress.

        Raises
        ------
        ValueError
            If there is none; one sentence.
        Cancelled
            When the watch says so.
        """
        if not len(neurons):
            raise ValueError("There is no neuron to measure: find some, or add them by hand.")
        movie = self.movie
        tracks_um = self.tracks_um(neurons)
        found = self._demixed(neurons, tracks_um, watch)
        seen = within_field(tracks_um, movie)
        activity = activity_of(found.light, found.error, movie.rate_hz, seen)
        separable = found.error <= SEPARABLE_ERROR * np.median(activity.rest, axis=1)
        notes = (MEASURED, *self.notes)
        if count := int((~separable).sum()):
            are = "1 neuron is" if count == 1 else f"{count} neurons are"
            notes += (
                f"{are} not separable: their light at rest cannot be told from that of their "
                "neighbours, so that no trace is given.",
            )
        if count := int((~seen).any(axis=0).sum()):
            leave = "1 neuron leaves" if count == 1 else f"{count} neurons leave"
            notes += (f"{leave} the field for some frames, for which no light is given.",)
        return NeuronTraces(
            neurons,
            tracks_um,
            movie.t_s,
            movie.rate_hz,
            activity,
            found.error,
            separable,
            self._record(notes),
        )

    def _record(self, notes: tuple[str, ...]) -> Provenance:
        model, light = self.lens.model, self.brightness
        frames: dict[str, Any] = {
            "brightness": [round(float(value), 5) for value in light.relative],
            "offset": round(light.offset, 3),
        }
        if self.motion is not None:
            frames["shift_y_x_px"] = np.round(self.motion.shift_px, 2).tolist()
        at_um = self.movie.at_um
        return Provenance(
            kind="inferred",
            input_name=self.movie.name,
            model_name=model.spec.name,
            model_version=model.spec.version,
            model_sha256=model.sha256,
            sampling=self.movie.sampling,
            recipe={"at_um": list(at_um), "spherical_waves": self.optics.spherical_waves},
            frames=frames,
            notes=notes,
        )

    def tracks_um(self, neurons: Neurons) -> Array:
        """(T, N, 3) where neurons are in each frame."""
        moved_um = np.zeros((len(self.movie), 3))
        if self.motion is not None:
            moved_um[:, 1:] = -self.motion.shift_px * self.movie.pixel_um
        return neurons.places_um + moved_um[:, None]

    def _demixed(self, neurons: Neurons, tracks_um: Array, watch: Watch) -> Demixed:
        movie = self.movie
        away_um = np.abs(neurons.places_um[:, :1] - np.array(movie.at_um))
        footprints = Footprints(self.optics, movie.at_um, float(away_um.max()) + _MARGIN_UM)
        frames = self._frames(watch)
        if self.motion is None:
            matrix = footprints.matrix(neurons.places_um, movie.shape)
            return Demixer(matrix, self.brightness.light).demix(frames)
        demixers = self._moving(footprints, tracks_um, self.motion)
        return demix_each(zip(demixers, frames, strict=True))

    def _frames(self, watch: Watch) -> Iterator[NDArray[np.float32]]:
        progress = Progress(len(self.movie))
        for t in range(len(self.movie)):
            watch.check()
            yield self.brightness.of_frame(self.movie.frame(t), t)
            progress.advance()
            watch.on_progress(progress)

    def _moving(
        self, footprints: Footprints, tracks_um: Array, motion: Motion
    ) -> Iterator[Demixer]:
        """A demixer of each frame, with the neurons where they are in it."""
        for moved_um, shift_px in zip(tracks_um, motion.shift_px, strict=True):
            back_px = (0.0, *(-shift_px).tolist())
            light = np.asarray(shift(motion.template, back_px, order=1, mode="nearest"), np.float32)
            matrix = footprints.matrix(moved_um, self.movie.shape)
            yield Demixer(matrix, np.maximum(light, 0))


def within_field(tracks_um: Array, movie: Movie) -> NDArray[np.bool_]:
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


def _note_of_following(motion: Motion, movie: Movie) -> tuple[str, ...]:
    furthest_um = float(np.hypot(*motion.shift_px.T).max()) * movie.pixel_um
    return (
        f"The sample was followed sideways as a whole, by up to {furthest_um:.1f} µm; bending, "
        "turning and motion along z were not.",
    )


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

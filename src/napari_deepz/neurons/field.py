"""A movie that was looked through: its light, its motion, and what neurons leave in its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.lens import Lens
from napari_deepz.models.package import Model
from napari_deepz.movies.bending import Bending, measure_bending
from napari_deepz.movies.brightness import Brightness, measure_brightness
from napari_deepz.movies.motion import Motion, largest_shift_um, measure_motion
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.activity import activity_of
from napari_deepz.neurons.components import Components
from napari_deepz.neurons.demixing import SEPARABLE_ERROR, Demixed, Demixer, demix_each
from napari_deepz.neurons.drift import measure_drift
from napari_deepz.neurons.editing import Neurons
from napari_deepz.neurons.finding import find_places, range_of
from napari_deepz.neurons.footprints import NUCLEUS_RADIUS_UM, FootprintOptics, Footprints
from napari_deepz.neurons.hidden import find_hidden
from napari_deepz.neurons.refining import refine
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.provenance import Provenance
from napari_deepz.sampling import Sampling
from napari_deepz.watch import UNWATCHED, Progress, Watch

Array = NDArray[np.float64]

USUAL_DEPTH_UM = 20.0
_STILL_UM = 0.7
"""About the radius of a nucleus."""
_MARGIN_UM, _MOST_DRIFT_UM = 3.0, 3.0
_LEAST_ALIKE = 0.5

Follow = Literal["none", "shift", "bend"]
"""What of the motion of a sample is followed: nothing; how it shifts sideways as a whole; or how it
bends and turns too, and drifts along z."""

MEASURED = (
    "Positions are inferred from virtual planes; the light is measured on the frames as they were "
    "taken."
)
NO_NEURON = "No neuron was found: nothing in the virtual volume stands out of its surroundings."


class NeuronField:
    """All that neurons of a movie are found and measured with, any number of times.

    Parameters
    ----------
    movie : Movie
        Where they are.
    optics : FootprintOptics
        Through what they are seen.
    brightness : Brightness
        The light that frames have in common; its typical frame is one of frames that were moved
        to lie on one another, where the sample was followed.
    motion : Motion, Bending or None
        How the sample moves sideways; None where it was not followed.
    lens : Lens
        What refocuses the typical frame, in which neurons are looked for.
    notes : tuple of str
        What the user must know of the movie, a sentence each.
    """

    def __init__(
        self,
        movie: Movie,
        optics: FootprintOptics,
        brightness: Brightness,
        motion: Motion | Bending | None,
        lens: Lens,
        notes: tuple[str, ...],
    ) -> None:
        self.movie, self.optics, self.brightness = movie, optics, brightness
        self.motion, self.lens, self.notes = motion, lens, notes
        self._drift_um: Array | None = None
        self._radius_um: float | None = None

    @classmethod
    def of(
        cls,
        movie: Movie,
        model: Model | Lens,
        *,
        depth_um: float = USUAL_DEPTH_UM,
        offset: float | None = None,
        follow: Follow = "none",
        watch: Watch = UNWATCHED,
    ) -> NeuronField:
        """Look through a movie; see `measure_neurons` for the parameters and what is raised."""
        sampling = movie.sampling or Sampling(pixel_size_um=movie.pixel_um)
        optics, notes = FootprintOptics.in_sample(sampling, depth_um)
        brightness = measure_brightness(movie, offset, watch)
        motion: Motion | Bending | None = None
        if follow == "none":
            notes += _note_of_motion(movie, brightness)
        else:
            shifts = motion = measure_motion(movie, brightness, watch)
            if follow == "bend":
                motion = measure_bending(movie, brightness, shifts, watch)
            typical = motion.template + np.float32(brightness.offset)
            brightness = replace(brightness, typical=typical)
            notes += _note_of_following(shifts, movie, follow)
            if isinstance(motion, Bending) and (lost := int((motion.alike < _LEAST_ALIKE).sum())):
                notes += (
                    f"In {lost} of {len(movie)} frames the sample looks too unlike what it usually "
                    "does to be followed: do not trust places and light in these.",
                )
        if movie.rate_hz is None:
            notes += (
                "The movie does not say how far apart its frames are: times are their numbers, "
                "and the light at rest is that of the whole movie.",
            )
        return cls(movie, optics, brightness, motion, Lens.of(model, None), (*movie.notes, *notes))

    def find(self, watch: Watch = UNWATCHED) -> Neurons:
        """Find neurons in the virtual volume of the typical frame, then in what these leave over.

        Their places, and the radius that they have in common, are those that explain the frames.

        Raises
        ------
        ValueError
            If there is none; one sentence.
        Cancelled
            When the watch says so.
        """
        places_um = find_places(self.movie, self.brightness, self.lens, watch)
        if not len(places_um):
            raise ValueError(NO_NEURON)
        range_um = range_of(self.movie, self.lens)
        footprints = self._footprints(np.array(range_um))
        if (components := self._components(watch)) is None:
            return Neurons.found(places_um)
        hidden_um = find_hidden(places_um, footprints, components, range_um)
        refined = refine(np.concatenate([places_um, hidden_um]), footprints, components)
        self._radius_um = refined.radius_um
        return Neurons.found(refined.places_um)

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
        footprints = self._footprints(neurons.places_um[:, 0])
        if isinstance(self.motion, Bending) and self._drift_um is None:
            self._drift_um = measure_drift(
                neurons.places_um, self.motion, movie, self.brightness, footprints, watch
            )
        if self._radius_um is None:
            self._radius_um = footprints.radius_um
            if (components := self._components(watch)) is not None:
                refined = refine(neurons.places_um, footprints, components, moves=False)
                self._radius_um = refined.radius_um
        found = self._demixed(neurons, footprints.of_radius(self._radius_um), watch)
        tracks_um = np.array([self.places_in(neurons, t) for t in range(len(movie))])
        seen = within_field(tracks_um, movie)
        activity = activity_of(found.light, found.error, movie.rate_hz, seen)
        separable = found.error <= SEPARABLE_ERROR * np.median(activity.rest, axis=1)
        notes = (MEASURED, *self.notes, *self._note_of_drift())
        if count := int((~separable).sum()):
            are = "1 neuron is" if count == 1 else f"{count} neurons are"
            notes += (
                f"{are} not separable: the light at rest cannot be told from that of neighbours, "
                "so that no trace is given.",
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

    def places_in(self, neurons: Neurons, t: int) -> Array:
        """(N, 3) where neurons are in a frame; along z, once they have been measured."""
        places_um = self._sideways(neurons, t)
        if self._drift_um is not None:
            places_um[:, 0] += self._drift_um[t]
        return places_um

    def _sideways(self, neurons: Neurons, t: int) -> Array:
        places_um = neurons.places_um.copy()
        if self.motion is not None:
            places_um[:, 1:] += self.motion.moved_at(places_um[:, 1:], t)
        return places_um

    def _footprints(self, z_um: Array) -> Footprints:
        """What neurons at such depths leave in the frames."""
        at_um = self.movie.at_um
        furthest_um = float(np.abs(z_um[:, None] - np.array(at_um)).max())
        drift_um = _MOST_DRIFT_UM if isinstance(self.motion, Bending) else 0.0
        return Footprints(self.optics, at_um, furthest_um + _MARGIN_UM + drift_um)

    def _demixed(self, neurons: Neurons, footprints: Footprints, watch: Watch) -> Demixed:
        frames = self._frames(watch)
        if self.motion is None:
            matrix = footprints.matrix(neurons.places_um, self.movie.shape)
            return Demixer(matrix, self.brightness.light).demix(frames)
        demixers = self._moving(neurons, footprints, self.motion)
        return demix_each(zip(demixers, frames, strict=True))

    def _frames(self, watch: Watch) -> Iterator[NDArray[np.float32]]:
        progress = Progress(len(self.movie))
        for t in range(len(self.movie)):
            watch.check()
            yield self.brightness.of_frame(self.movie.frame(t), t)
            progress.advance()
            watch.on_progress(progress)

    def _components(self, watch: Watch) -> Components | None:
        """Of the movie, straightened."""
        frames = (
            frame if self.motion is None else self.motion.straightened(frame, t)
            for t, frame in enumerate(self._frames(watch))
        )
        return Components.of(frames, self.brightness.light, self.movie.pixel_um)

    def _moving(
        self, neurons: Neurons, footprints: Footprints, motion: Motion | Bending
    ) -> Iterator[Demixer]:
        """A demixer of each frame, with the neurons where they are in it, at their usual depth.

        Footprints that change with the depth that was found share light out anew between
        neighbours: traces get worse by it, even with the depth that is true.
        """
        for t in range(len(self.movie)):
            matrix = footprints.matrix(self._sideways(neurons, t), self.movie.shape)
            yield Demixer(matrix, np.maximum(motion.bent(motion.template, t), 0))

    def _note_of_drift(self) -> tuple[str, ...]:
        if self._drift_um is None:
            return ()
        least = ", at least" if len(self.movie.at_um) == 1 else ""
        return (
            f"Along z the sample drifts by {np.ptp(self._drift_um):.1f} µm{least}: neurons are "
            "shown where they are then, and their light is measured as at their usual depth.",
        )

    def _record(self, notes: tuple[str, ...]) -> Provenance:
        model, light = self.lens.model, self.brightness
        frames: dict[str, Any] = {
            "brightness": [round(float(value), 5) for value in light.relative],
            "offset": round(light.offset, 3),
        }
        if isinstance(self.motion, Motion):
            frames["shift_y_x_px"] = np.round(self.motion.shift_px, 2).tolist()
        if self._drift_um is not None:
            frames["drift_z_um"] = np.round(self._drift_um, 2).tolist()
        return Provenance(
            kind="inferred",
            input_name=self.movie.name,
            model_name=model.spec.name,
            model_version=model.spec.version,
            model_sha256=model.sha256,
            sampling=self.movie.sampling,
            recipe={
                "at_um": list(self.movie.at_um),
                "spherical_waves": self.optics.spherical_waves,
                "radius_um": self._radius_um,
            },
            frames=frames,
            notes=notes,
        )


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


def _note_of_following(shifts: Motion, movie: Movie, follow: Follow) -> tuple[str, ...]:
    furthest_um = float(np.hypot(*shifts.shift_px.T).max()) * movie.pixel_um
    followed = f"The sample was followed sideways as a whole, by up to {furthest_um:.1f} µm"
    if follow == "bend":
        return (f"{followed}, and as it bends and turns.",)
    return (f"{followed}; bending, turning and motion along z were not.",)

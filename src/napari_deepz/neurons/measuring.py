"""The whole way from a movie to its neurons and what each of them does."""

from __future__ import annotations

from napari_deepz.engine.lens import Lens
from napari_deepz.models.package import Model
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.editing import Array, Neurons
from napari_deepz.neurons.field import USUAL_DEPTH_UM, Follow, NeuronField
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.watch import UNWATCHED, Watch


def measure_neurons(
    movie: Movie,
    model: Model | Lens,
    *,
    depth_um: float = USUAL_DEPTH_UM,
    offset: float | None = None,
    follow: Follow = "none",
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
    follow : {"none", "shift", "bend"}, optional
        "shift": follow a sample that moves sideways as a whole: neurons are looked for in the
        median of frames that were moved to lie on one another, and measured in each frame where
        they are in that one, so that no pixel is interpolated. "bend": one that bends and turns
        too, and drifts along z.
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
    field = NeuronField.of(
        movie, model, depth_um=depth_um, offset=offset, follow=follow, watch=watch
    )
    neurons = field.find(watch) if places_um is None else Neurons.found(places_um)
    return field.measure(neurons, watch)

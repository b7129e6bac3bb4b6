"""Work of the dock on neurons, without a window."""

from __future__ import annotations

from dataclasses import dataclass

from napari_deepz.models.library import load_model
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.editing import Neurons
from napari_deepz.neurons.field import Follow, NeuronField
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.watch import Watch
from napari_deepz.widgets.shared.news import Send


@dataclass(frozen=True)
class Search:
    """How neurons are looked for.

    Attributes
    ----------
    model : str
        Name of what refocuses the typical frame.
    depth_um : float
        Of the sample below the cover glass.
    follow : {"none", "shift", "bend"}
        What of its motion is followed.
    """

    model: str
    depth_um: float
    follow: Follow


@dataclass(frozen=True, eq=False)
class FoundIn:
    """What was found in a movie, and where further neurons of it can be measured."""

    field: NeuronField
    found: NeuronTraces


def find_neurons(movie: Movie, search: Search, send: Send, watch: Watch) -> None:
    """Send what is `FoundIn` a movie.

    Raises
    ------
    Cancelled
        When asked to stop.
    ValueError, OSError
        If movie or model cannot be used, or nothing is found; one sentence.
    """
    field = NeuronField.of(
        movie,
        load_model(search.model),
        depth_um=search.depth_um,
        follow=search.follow,
        watch=watch,
    )
    send(FoundIn(field, field.measure(field.find(watch), watch)))


def measure_again(field: NeuronField, neurons: Neurons, send: Send, watch: Watch) -> None:
    """Send the `NeuronTraces` of neurons that were put right by hand."""
    found: NeuronTraces = field.measure(neurons, watch)
    send(found)

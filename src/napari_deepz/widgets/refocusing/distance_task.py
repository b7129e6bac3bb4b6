"""What happens in the worker thread when the distance of two input planes is to be estimated."""

from __future__ import annotations

from dataclasses import dataclass

from napari.layers import Image

from napari_deepz.analysis.plane_distance import estimate_distance
from napari_deepz.models.library import load_model
from napari_deepz.watch import Watch
from napari_deepz.widgets.refocusing.further_form import FurtherInput
from napari_deepz.widgets.shared.news import Send
from napari_deepz.widgets.shared.requests import RefocusRequest


@dataclass(frozen=True, eq=False)
class DistanceFound:
    """How far an input plane lies from the first.

    Attributes
    ----------
    layer : Image
        The input.
    plane : FurtherInput
        Which plane.
    at_um : float
        Positive is deeper.
    text : str
        What was found, a sentence.
    """

    layer: Image
    plane: FurtherInput
    at_um: float
    text: str


def find_distance(
    request: RefocusRequest,
    number: int,
    layer: Image,
    plane: FurtherInput,
    send: Send,
    watch: Watch,
) -> None:
    """Estimate how far a further input plane lies from the first: sends `DistanceFound`.

    Parameters
    ----------
    request : RefocusRequest
        The planes, and where they are thought to lie.
    number : int
        Which of the further ones.
    layer, plane
        What they are in the dock.
    send : callable
        Takes what was found.
    watch : Watch
        Says when to stop.

    Raises
    ------
    Cancelled
        When asked to stop.
    ValueError
        If the images do not tell; one sentence.
    """
    found = estimate_distance(
        request.plane.read(),
        request.further[number].read(),
        load_model(request.package),
        sampling=request.sampling,
        watch=watch,
    )
    if not found.is_sure:
        raise ValueError(
            "How far the two planes lie apart cannot be told from the images: refocusing does not "
            "make them more alike. Type the distance."
        )
    said_um = request.recipe.further[number].at_um
    way = found.direction or (-1 if said_um < 0 else 1)
    direction = "deeper" if way > 0 else "shallower"
    told = "as the images show" if found.direction else "which the images do not tell"
    send(
        DistanceFound(
            layer,
            plane,
            round(way * found.distance_um, 3),
            f"It lies {found.distance_um:.1f} ± {found.uncertainty_um:.1f} µm {direction}, {told}.",
        )
    )

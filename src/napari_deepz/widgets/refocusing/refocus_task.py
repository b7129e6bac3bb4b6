"""What happens in the worker thread: refocusing, without a window in sight."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.models.library import load_model
from napari_deepz.recipes.cooking import Cooking
from napari_deepz.watch import Watch
from napari_deepz.widgets.shared.news import Send
from napari_deepz.widgets.shared.requests import RefocusRequest


@dataclass(frozen=True)
class PlaneDone:
    """News that a plane of the canvas is finished.

    Attributes
    ----------
    index : int
        Which one, in the order of the run.
    lowest, highest : float
        Its intensities, in the image's units.
    """

    index: int
    lowest: float
    highest: float


def refocus_planes(
    request: RefocusRequest,
    canvas: NDArray[np.float32],
    shown_um: float,
    encoding: LastEncoding,
    known: PlaneCache,
    send: Send,
    watch: Watch,
) -> None:
    """Carry out a run: sends its `Provenance`, again with each new note, and a `PlaneDone` for
    every plane.

    Planes are put into the canvas here and not in the main thread, which memory that is touched
    for the first time would hold up for tens of milliseconds a plane.

    Parameters
    ----------
    request : RefocusRequest
        The run.
    canvas : ndarray
        (n, Y, X) float32, gets the planes in the order of the run.
    shown_um : float
        Depth at which the user looks: the planes next to it come first.
    encoding : LastEncoding
        Where the encoded image is kept for the next run.
    known : PlaneCache
        Gets the flat planes of models that take long for each.
    send : callable
        Takes the news.
    watch : Watch
        Says when to stop.

    Raises
    ------
    Cancelled
        When asked to stop.
    ValueError
        If the image, the model or the machine does not suffice; one sentence.
    """
    cooking = Cooking(
        request.recipe,
        pixels=request.read_inputs(),
        model=load_model(request.package),
        encoding=encoding,
        watch=watch,
        outward_from_um=shown_um,
    )
    cooking.note(*request.notes)
    said: tuple[str, ...] | None = None
    takes_long = cooking.model.network.code_channels == 1
    with closing(cooking):
        for plane in cooking:
            canvas[plane.index] = plane.data
            if takes_long and plane.z_um is not None:
                known.add(cooking.key, plane.z_um, plane.data)
            lowest, highest = float(plane.data.min()), float(plane.data.max())
            if said != cooking.notes:
                said = cooking.notes
                send(cooking.record())
            send(PlaneDone(plane.index, lowest, highest))

"""What happens in the worker thread: refocusing, without a window in sight."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.engine.record import describe_run
from napari_deepz.models.library import load_model
from napari_deepz.watch import Watch
from napari_deepz.widgets.refocusing.session import RefocusRequest
from napari_deepz.widgets.shared.news import Send


@dataclass(frozen=True)
class PlaneDone:
    """News that a plane of the canvas is finished.

    Attributes
    ----------
    index : int
        Which one, in the order of the run.
    lowest, highest : float
        Its intensities, in the image's units.
    notes : tuple of str
        What has been noticed in the run so far, a sentence each.
    """

    index: int
    lowest: float
    highest: float
    notes: tuple[str, ...]


def refocus_planes(
    request: RefocusRequest,
    canvas: NDArray[np.float32],
    encoding: LastEncoding,
    known: PlaneCache,
    send: Send,
    watch: Watch,
) -> None:
    """Carry out a run: sends its `Provenance`, a `PlaneDone` for every plane, and `Advance`.

    Planes are put into the canvas here and not in the main thread, which memory that is touched
    for the first time would hold up for tens of milliseconds a plane.

    Parameters
    ----------
    request : RefocusRequest
        The run.
    canvas : ndarray
        (n, Y, X) float32, gets the planes in the order of the run.
    encoding : LastEncoding
        Where the encoded image is kept for the next run.
    known : PlaneCache
        Gets the flat planes of models that take long for each.
    send, watch : Watch
     Says when to stop.

    Raises
    ------
    Cancelled
        When asked to stop.
    ValueError
        If the image, the model or the machine does not suffice; one sentence.
    """
    model, pixels = load_model(request.model), request.plane.read()
    key, _ = encoding.encode(pixels, model, request.sampling)
    takes_long = model.network.code_channels == 1
    planes = encoding.iter_refocus(
        pixels,
        request.surface,
        model,
        sampling=request.sampling,
        watch=watch,
    )
    with closing(planes):
        for plane in planes:
            canvas[plane.index] = plane.data
            if plane.index == 0:
                record = describe_run(
                    model,
                    [request.surface],
                    sampling=request.sampling,
                    device=plane.device,
                    notes=request.notes,
                    input_name=request.plane.name,
                )
                send(record)
            if takes_long and plane.z_um is not None:
                known.add(key, plane.z_um, plane.data)
            lowest, highest = float(plane.data.min()), float(plane.data.max())
            send(PlaneDone(plane.index, lowest, highest, plane.notes))

"""What happens in the worker thread when the surface is to be found."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_deepz.analysis.autofocus import Form, confidence_map, few_anchors, find_surface
from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.models.library import load_model
from napari_deepz.recipes.cooking import Cooking
from napari_deepz.surfaces import Flat
from napari_deepz.watch import Watch
from napari_deepz.widgets.shared.news import Send
from napari_deepz.widgets.shared.requests import RefocusRequest

STEP_UM = 0.5


@dataclass(frozen=True, eq=False)
class SurfaceFound:
    """A surface on which the image is sharp.

    Attributes
    ----------
    rows_um : ndarray
        (N, 3) y, x and z in µm of a few anchors on it.
    confidence : ndarray
        (Y, X) float32 from 0 to 1.
    text : str
        What was found, a sentence.
    """

    rows_um: NDArray[np.float64]
    confidence: NDArray[np.float32]
    text: str


def find_focus(
    request: RefocusRequest,
    form: Form,
    encoding: LastEncoding,
    send: Send,
    watch: Watch,
) -> None:
    """Make a virtual stack and find the surface on which it is sharpest: sends `SurfaceFound`.

    Parameters
    ----------
    request : RefocusRequest
        The image, and a flat range of evenly spaced planes.
    form : {"plane", "smooth"}
        What the surface may be.
    encoding : LastEncoding
        Where the encoded image is kept.
    send, watch : Watch
     Says when to stop.

    Raises
    ------
    Cancelled
        When asked to stop.
    ValueError
        If too little of the image comes into focus; one sentence.
    """
    cooking = Cooking(
        request.recipe,
        pixels=request.read_inputs(),
        model=load_model(request.package),
        encoding=encoding,
        watch=watch,
    )
    with closing(cooking):
        stack = np.stack([plane.data for plane in cooking])
    depths_um = request.surface.uniform_z_um or ()
    pixel_um, shape = request.sampling.pixel_size_um, request.plane.shape
    found = find_surface(stack, depths_um, pixel_um, form=form)
    rows_um = few_anchors(found, shape, pixel_um)
    where = "1 place" if found.rejected == 1 else f"{found.rejected} places"
    send(
        SurfaceFound(
            rows_um,
            confidence_map(found.focus, shape),
            f"{len(rows_um)} anchors set where it is sharpest; {where} left out, too far from "
            "the others.",
        )
    )


def range_to_search(axial_range_um: tuple[float, float]) -> Flat:
    """The planes among which the sharpest is looked for: all that the model knows."""
    low_um, high_um = axial_range_um
    steps = max(2, round((high_um - low_um) / STEP_UM))
    return Flat(low_um, high_um, (high_um - low_um) / steps)

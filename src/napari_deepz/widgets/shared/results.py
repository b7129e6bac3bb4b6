"""The image layer that a run fills, and what it remembers about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_deepz.provenance import Provenance
from napari_deepz.widgets.shared.layer_files import is_of_inferred_file
from napari_deepz.widgets.shared.layer_sizes import z_axis_of
from napari_deepz.widgets.shared.placement import View, length_um, placing_of, shown_index
from napari_deepz.widgets.shared.requests import RefocusRequest

RESULT = "napari-deepz"
"""In the metadata of a layer that a run has filled."""
LIVE = "napari-deepz live"
"""In the metadata of the layer that Live shows."""
CONFIDENCE = "napari-deepz confidence"
"""In the metadata of the layer that shows how surely a surface was found."""

_SAME_DEPTH_UM = 1e-6


@dataclass(frozen=True, eq=False)
class ResultRecord:
    """What a result remembers, in its layer's metadata under "napari-deepz".

    Attributes
    ----------
    request : RefocusRequest
        How it was made.
    z_um : tuple of float
        Depth of every plane relative to the input image, ascending; empty where the one plane is
        not flat.
    origin_x_um : float
        Where the input image begins.
    provenance : Provenance
        Saved with the pixels on export.
    beside_um : float
        How far to the right of the input image it lies where it is shown beside it.
    source : weakref to Image or None
        The layer that it was made from.
    reopened : bool
        Whether it was opened from a file and not made in this window.
    """

    request: RefocusRequest
    z_um: tuple[float, ...]
    origin_x_um: float
    provenance: Provenance
    beside_um: float = 0.0
    source: ReferenceType[Image] | None = None
    reopened: bool = False

    def x_um(self, *, beside: bool) -> float:
        """Where the result begins: beside the input image or over it."""
        return self.origin_x_um + (self.beside_um if beside else 0.0)


def record_of(layer: Layer) -> ResultRecord | None:
    """What a result remembers; None for a layer that this package did not make."""
    record = layer.metadata.get(RESULT)
    return record if isinstance(record, ResultRecord) else None


def is_inferred(layer: Layer) -> bool:
    """Whether a network made a layer's pixels, in this window or in the file that was opened."""
    made_here = record_of(layer) is not None or bool({LIVE, CONFIDENCE} & layer.metadata.keys())
    return made_here or is_of_inferred_file(layer)


def planes_of(layer: Image) -> NDArray[np.float32]:
    """Pixels of a result as (n, Y, X)."""
    planes: NDArray[np.float32] = layer.data.reshape(-1, *layer.data.shape[-2:])
    return planes


def shown_depth_um(layer: Image, view: View) -> float | None:
    """Depth of the plane of a result that the viewer shows; None where it has but one."""
    record = record_of(layer)
    axis = z_axis_of(layer)
    if record is None or axis is None or len(record.z_um) < 2:
        return None
    if layer.data.shape[axis] != len(record.z_um):  # Its pixels were replaced.
        return None
    return record.z_um[shown_index(layer, view)[axis]]


def lies_at(layer: Layer, view: View) -> bool:
    """Whether the viewer shows the time point and channel of which a result is."""
    placing, z_axis = placing_of(layer), z_axis_of(layer)
    position = view.position(layer)
    return all(
        axis == z_axis or abs(at - start) <= abs(step) / 2
        for axis, (at, start, step) in enumerate(
            zip(position[:-2], placing.starts, placing.steps, strict=False)
        )
    )


def input_z_um(layer: Image, record: ResultRecord) -> float | None:
    """Where in the world the input plane of a stack of flat planes lies; None for other results."""
    axis = z_axis_of(layer)
    if axis is None or not record.z_um:
        return None
    unit_um = length_um(layer.units[axis]) or 1.0
    return placing_of(layer).starts[axis] * unit_um - record.z_um[0]


def place(layer: Image, *, beside: bool) -> None:
    """Put a result to the right of the image that it was made from, or over it."""
    record = record_of(layer)
    if record is not None:
        x = record.x_um(beside=beside) / (length_um(layer.units[-1]) or 1.0)
        layer.translate = (*layer.translate[:-1], x)


def made_of(viewer: Any, image: Layer) -> set[Layer]:
    """An image and all layers of a viewer that were made of it."""
    made = {layer for layer in viewer.layers if {LIVE, CONFIDENCE} & layer.metadata.keys()}
    return {image} | made | {one for one in results_in(viewer) if _source_of(one) is image}


def pictures_of(viewer: Any, image: Layer) -> list[Image]:
    """What is made of an image and shows it: results and the live picture, the topmost last."""
    made = made_of(viewer, image)
    return [
        layer for layer in viewer.layers if layer in made and {RESULT, LIVE} & layer.metadata.keys()
    ]


def _source_of(result: Image) -> Image | None:
    record = record_of(result)
    return None if record is None or record.source is None else record.source()


def shows(result: Image, request: RefocusRequest, digest: str) -> bool:
    """Whether a finished result holds what a request of one plane asks for.

    Parameters
    ----------
    result : Image
        Of the same image.
    request : RefocusRequest
        The plane.
    digest : str
        `images.digest_of` the image as it is now: its pixels may have changed since.
    """
    record = record_of(result)
    if record is None or record.provenance.recipe is None:
        return False
    made = record.request
    if record.provenance.recipe["source"]["sha256"] != digest:
        return False
    if (made.package, made.sampling) != (request.package, request.sampling):
        return False
    if made.of_further != request.of_further:
        return False
    if request.surface.uniform_z_um is None:
        return made.surface == request.surface
    (z_um,) = request.surface.uniform_z_um
    return any(abs(z_um - known_um) < _SAME_DEPTH_UM for known_um in record.z_um)


def results_in(viewer: Any) -> list[Image]:
    """All results that a viewer has, the oldest first."""
    return [layer for layer in viewer.layers if record_of(layer) is not None]

"""Measured stacks: which layers are some, where their planes lie, and how to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_deepz.provenance import Provenance
from napari_deepz.widgets.layers import LayerError, View, length_um, shown_index, z_axis_of
from napari_deepz.widgets.results import is_inferred

DIFFERENCE = "napari-deepz difference"
"""Where a layer of differences says what it is, in its metadata."""

PROVENANCE = "provenance"
"""Where the layers of files and differences keep their record, in their metadata."""


class UnknownStep(LayerError):
    """A stack whose planes have no known distance."""


@dataclass(frozen=True, eq=False)
class LayerStack:
    """Planes of a layer over z, read one by one, and where they lie.

    Attributes
    ----------
    name : str
        Of the layer.
    data : array-like
        Of the layer, in memory or not.
    index : tuple of int
        Position along the axes before y and x; that along z has no meaning.
    z_axis : int
        Which of these axes is z.
    z_um : tuple of float
        Where each plane lies in the world.
    origin_um : tuple of float
        (y, x) of the first pixel's centre in the world.
    pixel_size_um : tuple of float
        Along y and x.
    known : tuple of bool
        Whether the layer has a unit along z, and along y and x; numbers without one count as µm.
    """

    name: str
    data: Any
    index: tuple[int, ...]
    z_axis: int
    z_um: tuple[float, ...]
    origin_um: tuple[float, float]
    pixel_size_um: tuple[float, float]
    known: tuple[bool, bool]

    def __len__(self) -> int:
        return len(self.z_um)

    def __getitem__(self, plane: int) -> NDArray[Any]:
        at = (*self.index[: self.z_axis], plane, *self.index[self.z_axis + 1 :])
        return np.asarray(self.data[at])

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of each plane."""
        return int(self.data.shape[-2]), int(self.data.shape[-1])

    @property
    def in_memory(self) -> NDArray[Any] | None:
        """The planes as (Z, Y, X) where that costs nothing; None where they must be read first."""
        if not isinstance(self.data, np.ndarray):
            return None
        at: tuple[int | slice, ...] = (
            *self.index[: self.z_axis],
            slice(None),
            *self.index[self.z_axis + 1 :],
        )
        return self.data[at]


def can_be_measured(layer: Layer) -> bool:
    """Whether a layer has planes over z that no network made."""
    return (
        isinstance(layer, Image)
        and not layer.rgb
        and not is_inferred(layer)
        and DIFFERENCE not in layer.metadata
        and z_axis_of(layer) is not None
        and not _was_inferred(layer)
    )


def measured_stack(layer: Image, view: View) -> LayerStack:
    """Find the planes of an image layer over z, for the time point that is shown.

    Raises
    ------
    UnknownStep
        If the distance of its planes is not known.
    LayerError
        If the layer has no z or is rotated or sheared.
    """
    z_axis = z_axis_of(layer)
    if z_axis is None:
        raise LayerError(f"'{layer.name}' has no axis called z; set the layer's axis labels.")
    data = layer.data[0] if layer.multiscale else layer.data
    origin, steps = placing_of(layer)
    unit_um = [length_um(unit) for unit in layer.units]
    if unit_um[z_axis] is None and steps[z_axis] == 1:
        raise UnknownStep(
            f"'{layer.name}' does not say how far apart its planes are: enter the z step and press "
            "Write to layer."
        )
    z_unit_um = unit_um[z_axis] or 1.0
    planes = np.arange(data.shape[z_axis])
    z_um = (origin[z_axis] + planes * steps[z_axis]) * z_unit_um
    y_unit_um, x_unit_um = (unit or 1.0 for unit in unit_um[-2:])
    return LayerStack(
        name=layer.name,
        data=data,
        index=shown_index(layer, view),
        z_axis=z_axis,
        z_um=tuple(z_um.tolist()),
        origin_um=(origin[-2] * y_unit_um, origin[-1] * x_unit_um),
        pixel_size_um=(steps[-2] * y_unit_um, steps[-1] * x_unit_um),
        known=(unit_um[z_axis] is not None, None not in unit_um[-2:]),
    )


def set_z_step(layer: Image, z_step_um: float, *, fixed_um: float) -> None:
    """Write the distance of its planes into a layer that has none; the plane at `fixed_um` stays.

    Parameters
    ----------
    layer : Image
        Its scale along z is 1, without a unit.
    z_step_um : float
        Distance of its planes.
    fixed_um : float
        Where the input plane lies in the world, which is now counted in planes.
    """
    axis = z_axis_of(layer)
    scale, translate, units = list(layer.scale), list(layer.translate), list(layer.units)
    assert axis is not None
    planes = fixed_um - translate[axis]
    scale[axis], translate[axis], units[axis] = z_step_um, fixed_um - planes * z_step_um, "um"
    layer.scale, layer.translate, layer.units = scale, translate, units


def placing_of(layer: Image) -> tuple[list[float], list[float]]:
    """Where the first pixel lies and how far apart pixels are, in the layer's units.

    Raises
    ------
    LayerError
        If the layer is rotated or sheared.
    """
    origin = np.array(layer.data_to_world((0.0,) * layer.ndim))
    moved = np.array([layer.data_to_world(unit) for unit in np.eye(layer.ndim)]) - origin
    steps = moved.diagonal()
    if np.abs(moved - np.diag(steps)).max() > 1e-6 * np.abs(steps).min():
        raise LayerError(
            f"'{layer.name}' is rotated or sheared; its planes cannot be compared pixel by pixel."
        )
    return origin.tolist(), steps.tolist()


def _was_inferred(layer: Layer) -> bool:
    try:
        return Provenance.from_json(layer.metadata[PROVENANCE]).kind == "inferred"
    except (KeyError, TypeError, ValueError):
        return False

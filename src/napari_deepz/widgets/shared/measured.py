"""Measured stacks: which layers are some, where their planes lie, and how to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_deepz.widgets.shared.layer_files import DIFFERENCE
from napari_deepz.widgets.shared.layer_sizes import is_step, z_axis_of
from napari_deepz.widgets.shared.placement import (
    Grid,
    LayerError,
    View,
    length_um,
    placing_of,
    shown_index,
)
from napari_deepz.widgets.shared.results import is_inferred


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
    grid : Grid
        Where the pixels of each plane lie in the world.
    known : tuple of bool
        Whether the layer has a unit along z, and along y and x; numbers without one count as µm.
    """

    name: str
    data: Any
    index: tuple[int, ...]
    z_axis: int
    z_um: tuple[float, ...]
    grid: Grid
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
    )


def measured_stack(layer: Image, view: View) -> LayerStack:
    """Find the planes of an image layer over z, for the time point that is shown.

    Raises
    ------
    UnknownStep
        If the distance of its planes is not known.
    LayerError
        If the layer has no z, or its transform mixes axes.
    """
    z_axis = z_axis_of(layer)
    if z_axis is None:
        raise LayerError(f"'{layer.name}' has no axis called z; set the layer's axis labels.")
    data = layer.data[0] if layer.multiscale else layer.data
    placing = placing_of(layer)
    unit_um = [length_um(unit) for unit in layer.units]
    if unit_um[z_axis] is None and placing.steps[z_axis] == 1:
        raise UnknownStep(
            f"'{layer.name}' does not say how far apart its planes are: enter the z step and press "
            "Write to layer."
        )
    z_unit_um = unit_um[z_axis] or 1.0
    z_step_um = placing.steps[z_axis] * z_unit_um
    if not is_step(z_step_um):
        raise UnknownStep(
            f"'{layer.name}' says that its planes are {abs(z_step_um):g} µm apart, which no "
            "microscope's are: enter the z step and press Write to layer."
        )
    planes = np.arange(data.shape[z_axis])
    z_um = placing.starts[z_axis] * z_unit_um + planes * z_step_um
    return LayerStack(
        name=layer.name,
        data=data,
        index=shown_index(layer, view),
        z_axis=z_axis,
        z_um=tuple(z_um.tolist()),
        grid=placing.grid,
        known=(unit_um[z_axis] is not None, None not in unit_um[-2:]),
    )

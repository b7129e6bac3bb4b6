"""How the planes of a virtual and of a measured layer belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_deepz.analysis.comparison import PlanePair, describe_match, match_planes
from napari_deepz.images import digest_of
from napari_deepz.provenance import Provenance
from napari_deepz.widgets.shared.layer_files import DIFFERENCE, PROVENANCE
from napari_deepz.widgets.shared.layer_sizes import z_axis_of
from napari_deepz.widgets.shared.measured import LayerStack, measured_stack
from napari_deepz.widgets.shared.placement import Grid, LayerError, View, placing_of
from napari_deepz.widgets.shared.plain_text import layer_name
from napari_deepz.widgets.shared.reopened import put_input
from napari_deepz.widgets.shared.results import RESULT, input_z_um, planes_of, record_of

_SQUARE_TOLERANCE = 0.01
_TURN_TOLERANCE = 0.01
_SHIFT_TOLERANCE_PX = 0.5
_LOOKED_IN: WeakKeyDictionary[Image, tuple[ReferenceType[Image], tuple[int, ...]]] = (
    WeakKeyDictionary()
)
"""In which measured stack, at which time point, the input of a virtual one was looked for last."""


@dataclass(frozen=True, eq=False)
class Pairing:
    """A virtual and a measured stack, and which planes of them belong together.

    Attributes
    ----------
    virtual : ndarray
        (n, Y, X) virtual planes.
    virtual_name : str
        Of their layer.
    virtual_um : tuple of float
        Their depths relative to the input plane.
    z_axis : int
        Which axis of their layer is z, counted from the last one: negative.
    input_z_um : float
        Where the input plane lies in the world.
    input_grid, shown_grid : Grid
        Where the pixels of the input plane lie, and where the virtual layer shows them now: beside
        the input image or over it.
    pixel_size_um : float
        Of the virtual planes.
    read_inputs : callable
        Loads the input planes, (Y, X) each.
    at_um : tuple of float
        Where they were taken.
    model : Path
        The package that made the virtual planes.
    provenance : Provenance
        Of the virtual planes.
    measured : LayerStack
        The measured planes.
    pairs : tuple of PlanePair
        At least one.
    sentence : str
        What matched.
    """

    virtual: NDArray[np.float32]
    virtual_name: str
    virtual_um: tuple[float, ...]
    z_axis: int
    input_z_um: float
    input_grid: Grid
    shown_grid: Grid
    pixel_size_um: float
    read_inputs: Callable[[], list[NDArray[Any]]]
    at_um: tuple[float, ...]
    model: Path
    provenance: Provenance
    measured: LayerStack
    pairs: tuple[PlanePair, ...]
    sentence: str

    @property
    def measured_um(self) -> tuple[float, ...]:
        """Depths of the measured planes relative to the input plane."""
        return _relative_um(self.measured, self.input_z_um)

    def pixel_at(self, y_um: float, x_um: float) -> tuple[int, int] | None:
        """Find the pixel (row, column) at a place in the world.

        The virtual planes, the measured ones and the input image may lie beside each other; a
        place on any of them is the same pixel of all.
        """
        height, width = self.virtual.shape[-2:]
        for grid in (self.shown_grid, self.measured.grid, self.input_grid):
            row, column = np.rint(grid.pixels_at([(y_um, x_um)])[0]).astype(int).tolist()
            if 0 <= row < height and 0 <= column < width:
                return row, column
        return None

    def compares_as(self, other: Pairing) -> bool:
        """Whether another pairing would give the same numbers, as far as one can tell."""
        return (
            np.shares_memory(self.virtual, other.virtual)
            and self.virtual.shape == other.virtual.shape
            and self.measured.data is other.measured.data
            and self._other_axes() == other._other_axes()
            and self.pairs == other.pairs
        )

    def _other_axes(self) -> tuple[int, ...]:
        stack = self.measured
        return (*stack.index[: stack.z_axis], -1, *stack.index[stack.z_axis + 1 :])


def is_virtual_stack(layer: Layer) -> bool:
    """Whether a layer is a result of flat planes, and pictures."""
    record = record_of(layer)
    return record is not None and bool(record.z_um) and not record.provenance.spread


def pairing(virtual: Image, measured: Image, view: View) -> Pairing:
    """Find which planes of two layers can be compared.

    Parameters
    ----------
    virtual : Image
        A result, see `is_virtual_stack`.
    measured : Image
        See `can_be_measured`.
    view : View
        Which time point is shown.

    Raises
    ------
    LayerError
        If they cannot be compared; one sentence.
    """
    record = record_of(virtual)
    if record is None or not record.z_um:
        raise LayerError(f"'{virtual.name}' is no stack of flat virtual planes.")
    if record.provenance.model_name is None and record.provenance.merge is None:
        raise LayerError(f"'{virtual.name}' is still being computed; wait for its last plane.")
    planes = planes_of(virtual)
    if planes.shape != (len(record.z_um), *record.request.plane.shape):
        raise LayerError(
            f"The pixels of '{virtual.name}' were replaced; they are not those of its run any more."
        )
    stack = measured_stack(measured, view)
    notes = _check_sizes(stack, record.request.plane.shape, record.request.sampling.pixel_size_um)
    z_axis, world_z_um = z_axis_of(virtual), input_z_um(virtual, record)
    if z_axis is None or world_z_um is None:
        raise LayerError(f"'{virtual.name}' has no axis called z any more; set its axis labels.")
    depths_um = _relative_um(stack, world_z_um)
    pairs = match_planes(record.z_um, depths_um)
    sentence = describe_match(record.z_um, depths_um)
    if not pairs:
        raise LayerError(sentence)
    shown = placing_of(virtual).grid
    where = Grid((shown.origin_um[0], record.origin_x_um), shown.steps_um)
    if record.reopened and (record.source is None or record.source() is not measured):
        notes.append(
            "⚠ The input plane was not found in the measured stack: planes are matched by the z at "
            "which both lie in napari."
        )
    if not stack.known[0]:
        notes.append("Its z has no unit and is taken as µm.")
    notes += _check_place(stack, where)
    return Pairing(
        virtual=planes,
        virtual_name=virtual.name,
        virtual_um=record.z_um,
        z_axis=z_axis - virtual.ndim,
        input_z_um=world_z_um,
        input_grid=where,
        shown_grid=shown,
        pixel_size_um=record.request.sampling.pixel_size_um,
        read_inputs=record.request.read_inputs,
        at_um=record.request.at_um,
        model=record.request.package,
        provenance=record.provenance,
        measured=stack,
        pairs=pairs,
        sentence=" ".join((sentence, *notes)),
    )


def difference_arguments(layer: Image, found: Pairing) -> dict[str, Any]:
    """Name, place and record of a layer with the differences to a measured layer's planes."""
    stack = found.measured
    first = min(pair.measured for pair in found.pairs)
    at = (*stack.index[: stack.z_axis], first, *stack.index[stack.z_axis + 1 :], 0, 0)
    moved = np.subtract(layer.data_to_world(at), layer.data_to_world(np.zeros(layer.ndim)))
    name = f"Difference: {layer_name(layer.name)} minus {layer_name(found.virtual_name)}"
    note = (
        f"Measured minus virtual: '{layer.name}' minus '{found.virtual_name}', pixel by pixel in "
        "their own intensity units. Planes without a partner are NaN."
    )
    record = found.provenance.model_copy(
        update={"notes": (*found.provenance.notes, note), "command": None}
    )
    return {
        "name": name,
        "axis_labels": layer.axis_labels,
        "units": layer.units,
        "scale": layer.scale,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
        "translate": layer.translate + np.linalg.solve(layer.affine.linear_matrix, moved),
        "metadata": {DIFFERENCE: note, PROVENANCE: record.to_json()},
    }


def align(virtual: Image, measured: Image, view: View) -> None:
    """Lay a stack that was opened from its file where its input plane is found in a measured one.

    Results that were made in this window lie where their image does, and stay there.

    Raises
    ------
    LayerError
        If the measured layer has no planes that can be told apart.
    """
    record = record_of(virtual)
    if record is None or not record.reopened:
        return
    stack, source = measured_stack(measured, view), record.request.recipe.source
    looked_in = ref(measured), (*stack.index[: stack.z_axis], *stack.index[stack.z_axis + 1 :])
    if _LOOKED_IN.get(virtual) == looked_in:
        return
    _LOOKED_IN[virtual] = looked_in
    if source.z < len(stack) and source.sha256 == digest_of(np.asarray(stack[source.z])):
        put_input(virtual, record.z_um, stack.z_um[source.z] - source.at_um)
        virtual.metadata[RESULT] = replace(record, source=ref(measured))


def best_match(virtual: Image, candidates: list[Image], view: View) -> Image | None:
    """Find the layer of which most planes lie where virtual ones do; None where there is none."""

    def fit(layer: Image) -> tuple[int, float]:
        try:
            found = pairing(virtual, layer, view)
        except LayerError:
            return 0, 0.0
        shift_um = np.subtract(found.measured.grid.origin_um, found.input_grid.origin_um)
        return len(found.pairs), -float(np.abs(shift_um).max())

    best = max(candidates, key=fit, default=None)
    return best if best is not None and fit(best)[0] else None


def _relative_um(stack: LayerStack, input_z_um: float) -> tuple[float, ...]:
    return tuple(z_um - input_z_um for z_um in stack.z_um)


def _check_sizes(stack: LayerStack, shape: tuple[int, int], pixel_size_um: float) -> list[str]:
    if stack.shape != shape:
        raise LayerError(
            f"The measured stack has another size: {stack.shape[1]} × {stack.shape[0]} pixels, and "
            f"the virtual one {shape[1]} × {shape[0]}."
        )
    if not stack.known[1]:
        return ["The measured stack does not say its pixel size; that of the virtual one is taken."]
    if any(abs(size / pixel_size_um - 1) > _SQUARE_TOLERANCE for size in stack.grid.pixel_size_um):
        height, width = stack.grid.pixel_size_um
        raise LayerError(
            f"The measured stack has other pixels: {width:.4g} × {height:.4g} µm, and the virtual "
            f"one {pixel_size_um:.4g} × {pixel_size_um:.4g} µm."
        )
    return []


def _check_place(stack: LayerStack, where: Grid) -> list[str]:
    if np.abs(stack.grid.directions - where.directions).max() > _TURN_TOLERANCE:
        raise LayerError(
            f"'{stack.name}' is mirrored, rotated or sheared against the virtual planes; it cannot "
            "be compared with them pixel by pixel."
        )
    if not stack.known[1]:
        return []
    y_um, x_um = np.subtract(stack.grid.origin_um, where.origin_um)
    if max(abs(y_um), abs(x_um)) <= _SHIFT_TOLERANCE_PX * where.pixel_size_um[0]:
        return []
    return [
        f"The measured stack lies {x_um:.3g} µm in x and {y_um:.3g} µm in y from the image; they "
        "are compared pixel by pixel all the same."
    ]

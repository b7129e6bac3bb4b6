"""How the planes of a virtual and of a measured layer belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_deepz.analysis.comparison import PlanePair, describe_match, match_planes
from napari_deepz.provenance import Provenance
from napari_deepz.widgets.comparing.measured import (
    DIFFERENCE,
    PROVENANCE,
    LayerStack,
    measured_stack,
    placing_of,
)
from napari_deepz.widgets.layers import LayerError, View
from napari_deepz.widgets.results import planes_of, record_of

_SQUARE_TOLERANCE = 0.01
_SHIFT_TOLERANCE_PX = 0.5


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
    input_origin_um : tuple of float
        (y, x) of its first pixel's centre.
    shown_x_um : float
        Where the virtual layer lies now: beside the input image or over it.
    pixel_size_um : float
        Of the virtual planes.
    read_input : callable
        Loads the input plane, (Y, X).
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
    input_origin_um: tuple[float, float]
    shown_x_um: float
    pixel_size_um: float
    read_input: Callable[[], NDArray[Any]]
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
        size_um = (self.pixel_size_um, self.pixel_size_um)
        placed = (
            ((self.input_origin_um[0], self.shown_x_um), size_um),
            (self.measured.origin_um, self.measured.pixel_size_um),
            (self.input_origin_um, size_um),
        )
        height, width = self.virtual.shape[-2:]
        for origin, size in placed:
            row = round((y_um - origin[0]) / size[0])
            column = round((x_um - origin[1]) / size[1])
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
    """Whether a layer is a result of flat planes."""
    record = record_of(layer)
    return record is not None and bool(record.z_um)


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
    if record.provenance.model_name is None:
        raise LayerError(f"'{virtual.name}' is still being computed; wait for its last plane.")
    planes = planes_of(virtual)
    if planes.shape != (len(record.z_um), *record.request.plane.shape):
        raise LayerError(
            f"The pixels of '{virtual.name}' were replaced; they are not those of its run any more."
        )
    stack = measured_stack(measured, view)
    notes = _check_sizes(stack, record.request.plane.shape, record.request.pixel_size_um)
    z_axis = virtual.axis_labels.index("z")
    input_z_um = float(virtual.translate[z_axis]) - record.z_um[0]
    depths_um = _relative_um(stack, input_z_um)
    pairs = match_planes(record.z_um, depths_um)
    sentence = describe_match(record.z_um, depths_um)
    if not pairs:
        raise LayerError(sentence)
    origin_um = (float(virtual.translate[-2]), record.origin_x_um)
    if not stack.known[0]:
        notes.append("Its z has no unit and is taken as µm.")
    notes += _check_place(stack, origin_um, record.request.pixel_size_um)
    return Pairing(
        virtual=planes,
        virtual_name=virtual.name,
        virtual_um=record.z_um,
        z_axis=z_axis - virtual.ndim,
        input_z_um=input_z_um,
        input_origin_um=origin_um,
        shown_x_um=float(virtual.translate[-1]),
        pixel_size_um=record.request.pixel_size_um,
        read_input=record.request.plane.read,
        model=record.request.model,
        provenance=record.provenance,
        measured=stack,
        pairs=pairs,
        sentence=" ".join((sentence, *notes)),
    )


def difference_arguments(layer: Image, found: Pairing) -> dict[str, Any]:
    """Name, place and record of a layer with the differences to a measured layer's planes."""
    origin, steps = placing_of(layer)
    stack = found.measured
    first = min(pair.measured for pair in found.pairs)
    at = (*stack.index[: stack.z_axis], first, *stack.index[stack.z_axis + 1 :], 0, 0)
    name = f"{layer.name} minus {found.virtual_name}"
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
        "scale": steps,
        "translate": np.array(origin) + np.array(steps) * at,
        "metadata": {DIFFERENCE: note, PROVENANCE: record.to_json()},
    }


def best_match(virtual: Image, candidates: list[Image], view: View) -> Image | None:
    """Find the layer of which most planes lie where virtual ones do; None where there is none."""

    def fit(layer: Image) -> tuple[int, float]:
        try:
            found = pairing(virtual, layer, view)
        except LayerError:
            return 0, 0.0
        shift_um = np.subtract(found.measured.origin_um, found.input_origin_um)
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
    if any(abs(size / pixel_size_um - 1) > _SQUARE_TOLERANCE for size in stack.pixel_size_um):
        height, width = stack.pixel_size_um
        raise LayerError(
            f"The measured stack has other pixels: {width:.4g} × {height:.4g} µm, and the virtual "
            f"one {pixel_size_um:.4g} × {pixel_size_um:.4g} µm."
        )
    return []


def _check_place(
    stack: LayerStack, origin_um: tuple[float, float], pixel_size_um: float
) -> list[str]:
    if not stack.known[1]:
        return []
    y_um, x_um = np.subtract(stack.origin_um, origin_um)
    if max(abs(y_um), abs(x_um)) <= _SHIFT_TOLERANCE_PX * pixel_size_um:
        return []
    return [
        f"The measured stack lies {x_um:.3g} µm in x and {y_um:.3g} µm in y from the image; they "
        "are compared pixel by pixel all the same."
    ]

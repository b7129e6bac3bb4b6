"""Which layers can be compared, and how the planes of two of them belong together."""

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
from napari_deepz.widgets.layers import LayerError, View, _z_axis, length_um, shown_index
from napari_deepz.widgets.results import is_inferred, planes_of, record_of

DIFFERENCE = "napari-deepz difference"
"""Where a layer of differences says what it is, in its metadata."""

_PROVENANCE = "provenance"
_SQUARE_TOLERANCE = 0.01
_SHIFT_TOLERANCE_PX = 0.5


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


def can_be_measured(layer: Layer) -> bool:
    """Whether a layer has planes over z that no network made."""
    return (
        isinstance(layer, Image)
        and not layer.rgb
        and not is_inferred(layer)
        and DIFFERENCE not in layer.metadata
        and _z_axis(layer) is not None
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
    z_axis = _z_axis(layer)
    if z_axis is None:
        raise LayerError(f"'{layer.name}' has no axis called z; set the layer's axis labels.")
    data = layer.data[0] if layer.multiscale else layer.data
    origin, steps = _placing(layer)
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
    axis = _z_axis(layer)
    scale, translate, units = list(layer.scale), list(layer.translate), list(layer.units)
    assert axis is not None
    planes = fixed_um - translate[axis]
    scale[axis], translate[axis], units[axis] = z_step_um, fixed_um - planes * z_step_um, "um"
    layer.scale, layer.translate, layer.units = scale, translate, units


def difference_arguments(layer: Image, found: Pairing) -> dict[str, Any]:
    """Name, place and record of a layer with the differences to a measured layer's planes."""
    origin, steps = _placing(layer)
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
        "metadata": {DIFFERENCE: note, _PROVENANCE: record.to_json()},
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


def _placing(layer: Image) -> tuple[list[float], list[float]]:
    """Where the first pixel lies and how far apart pixels are, in the layer's units."""
    origin = np.array(layer.data_to_world((0.0,) * layer.ndim))
    moved = np.array([layer.data_to_world(unit) for unit in np.eye(layer.ndim)]) - origin
    steps = moved.diagonal()
    if np.abs(moved - np.diag(steps)).max() > 1e-6 * np.abs(steps).min():
        raise LayerError(
            f"'{layer.name}' is rotated or sheared; its planes cannot be compared pixel by pixel."
        )
    return origin.tolist(), steps.tolist()


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


def _was_inferred(layer: Layer) -> bool:
    try:
        return Provenance.from_json(layer.metadata[_PROVENANCE]).kind == "inferred"
    except (KeyError, TypeError, ValueError):
        return False

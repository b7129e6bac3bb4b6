"""TorchScript networks from bioimage.io packages of anybody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from napari_deepz.generators.archives import PackageFiles
from napari_deepz.generators.bioimageio.arrays import read_test_array
from napari_deepz.generators.bioimageio.description import (
    Data,
    Description,
    File,
    SteppedSize,
    TensorDescription,
    fault_of,
    read_file,
)
from napari_deepz.generators.bioimageio.processing import (
    check_postprocessing,
    check_untouched,
    normalisation_of,
)
from napari_deepz.generators.card import CardFields
from napari_deepz.generators.errors import ModelError
from napari_deepz.generators.package import MAX_WEIGHTS_BYTES
from napari_deepz.generators.spec import ModelSpec
from napari_deepz.generators.stored_test import StoredTest, run_network
from napari_deepz.generators.torchscript.archive import checked_archive
from napari_deepz.generators.torchscript.generator import load_torchscript, run_script
from napari_deepz.generators.torchscript.receptive_field import measure_field
from napari_deepz.intensity import fit_intensity
from napari_deepz.jobs import Cancelled, StopCondition

LARGEST_DEVIATION = 1e-3

_PUBLISHED_DPM_SCALE_UM = 10.0
_UM_PER_UNIT = {
    **dict.fromkeys(("µm", "μm", "um", "micrometer"), 1.0),
    **dict.fromkeys(("nm", "nanometer"), 1e-3),
    **dict.fromkeys(("pm", "picometer"), 1e-6),
    **dict.fromkeys(("mm", "millimeter"), 1e3),
}
_AXES = [("batch", None), ("channel", None), ("space", "y"), ("space", "x")]
_LARGEST_GUESSED_MULTIPLE = 512
_LARGEST_MULTIPLE = 1024


@dataclass(frozen=True)
class ScriptPackage:
    """A TorchScript network with all that a native package needs."""

    spec: ModelSpec
    script: bytes
    test: StoredTest


def read_script_package(
    files: PackageFiles,
    description: Description,
    own: ModelSpec | None,
    fields: CardFields,
    should_stop: StopCondition | None = None,
) -> ScriptPackage:
    """Read a TorchScript network, run its test and measure how far it sees.

    Parameters
    ----------
    files : PackageFiles
        The package.
    description : Description
        What it says; it has TorchScript weights.
    own : ModelSpec or None
        Card that napari-deepz wrote into the package, if it did.
    fields : CardFields
        What the user says; it goes before what the package says.
    should_stop : callable, optional
        Asked before each run of the network.

    Returns
    -------
    ScriptPackage

    Raises
    ------
    ModelError
        If it is not a network that refocuses, or its test fails.
    Cancelled
        If it was stopped.
    """
    image, dpm = _inputs(description, files)
    joined = len(description.inputs) == 1
    output = description.outputs[0]
    card = _card(description, files, fields, own) | _distances(dpm, joined)
    card["normalisation"] = normalisation_of(image, files, joined=joined)
    if not joined:
        check_untouched(dpm, files)
    check_postprocessing(output, files)
    if own is not None:
        card["normalisation"] = own.normalisation
        card["axial_range_um"] = own.axial_range_um
    card |= fields.given()
    if "axial_range_um" not in card:
        raise ModelError(
            f"The bioimage.io package {files.called} does not say how far its network "
            "refocuses; say "
            "for which distances it was trained."
        )

    multiples = _multiples(image, files)
    where = f"in {files.called}"
    assert description.weights.torchscript is not None
    data = read_file(files, description.weights.torchscript, MAX_WEIGHTS_BYTES)
    archive = checked_archive(data, where)
    script = load_torchscript(archive, where)

    def run(image: Tensor, dpm: Tensor) -> Tensor:
        check_stop(should_stop)
        with torch.inference_mode():
            return run_script(script, image, dpm, joined=joined)

    test = _test(description, files, joined, card, as_stored=own is not None)
    card["parameters"] = {"size_multiple": 1, "halo_px": 0, "joined": int(joined)}
    check_stop(should_stop)
    try:
        result = run_network(_spec(card, files).wrap(script), test.image, test.dpm_um)
    except RuntimeError as error:
        raise ModelError(
            f"The network {where} does not run on its own test image with PyTorch "
            f"{torch.__version__}."
        ) from error
    check_deviation(test, result, files)
    size_multiple, halo_px = measure_field(run, multiples, where)
    card["parameters"] = {
        "size_multiple": size_multiple,
        "halo_px": max(halo_px, *(axis.halo for axis in output.axes)),
        "joined": int(joined),
    }
    return ScriptPackage(_spec(card, files), archive, test)


def check_stop(should_stop: StopCondition | None) -> None:
    """Raise `Cancelled` where the user wants the work to stop."""
    if should_stop is not None and should_stop():
        raise Cancelled


def check_deviation(test: StoredTest, result: NDArray[np.float32], files: PackageFiles) -> None:
    """Compare a network's output with that of a package's own test.

    Raises
    ------
    ModelError
        If they differ.
    """
    fits = result.shape == test.output.shape and test.output.std() > 0
    if not fits or not test.deviation(result) <= LARGEST_DEVIATION:
        raise ModelError(
            f"The network in {files.called} does not reproduce the package's own test output, so "
            "its results cannot be trusted here."
        )


def _inputs(
    description: Description, files: PackageFiles
) -> tuple[TensorDescription, TensorDescription]:
    """The inputs with the image and with the DPM; the same one where they are joined."""
    channels = [
        [axis.length for axis in t.axes if axis.type == "channel"] for t in _tensors(description)
    ]
    layouts = [
        [(axis.type, axis.id if axis.type == "space" else None) for axis in tensor.axes]
        for tensor in _tensors(description)
    ]
    if channels not in ([[1], [1], [1]], [[2], [1]]) or any(axes != _AXES for axes in layouts):
        raise ModelError(
            f"The network in {files.called} is none that refocuses: it must take an image and a "
            "digital propagation matrix, as two inputs or as two channels of one, and give one "
            "image, all with the axes batch, channel, y, x."
        )
    return description.inputs[0], description.inputs[-1]


def _tensors(description: Description) -> list[TensorDescription]:
    return [*description.inputs, *description.outputs]


def _distances(dpm: TensorDescription, joined: bool) -> dict[str, Any]:
    """Scale of the DPM in µm, and the range of distances if it is said."""
    if joined:
        data = dpm.data[-1] if isinstance(dpm.data, list) else Data()
    else:
        data = dpm.data[0] if isinstance(dpm.data, list) else dpm.data
    um = _UM_PER_UNIT.get(data.unit or "")
    if um is None:
        return {"dpm_scale_um": _PUBLISHED_DPM_SCALE_UM}
    if data.offset:
        raise ModelError(
            "The package's distances have an offset; napari-deepz needs 0 to be the image's plane."
        )
    scale_um = data.scale * um
    low, high = data.range
    if low is None or high is None:
        return {"dpm_scale_um": scale_um}
    return {"dpm_scale_um": scale_um, "axial_range_um": (low * scale_um, high * scale_um)}


def _card(
    description: Description, files: PackageFiles, fields: CardFields, own: ModelSpec | None
) -> dict[str, Any]:
    """Everything about the model but its numbers."""
    if own is not None:
        return own.model_dump(exclude={"architecture", "parameters", "dpm_scale_um"})
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", description.name).strip("-._")[:80] or "bioimageio"
    card: dict[str, Any] = {
        "name": name,
        "version": (description.version or "1")[:40],
        "description": description.description,
        "licence": _licence(description.license),
        "citation": "; ".join(
            cite.text if not cite.doi or cite.doi in cite.text else f"{cite.text}, doi:{cite.doi}"
            for cite in description.cite
        )
        or "not said",
        "sample": f"tagged {', '.join(description.tags)}" if description.tags else "",
        "training": {"authors": ", ".join(person.name for person in description.authors)},
    }
    pixel_size_um = _pixel_size_um(description.inputs[0], files)
    return card | ({} if pixel_size_um is None else {"pixel_size_um": pixel_size_um})


def _licence(licence: str | File | None) -> str:
    return (
        f"as {licence.source} in the package says"
        if isinstance(licence, File)
        else licence or "not said"
    )


def _pixel_size_um(image: TensorDescription, files: PackageFiles) -> float | None:
    y, x = image.axes[-2:]
    if y.unit is None or y.unit not in _UM_PER_UNIT or x.unit != y.unit:
        return None
    if abs(y.scale / x.scale - 1) > 1e-3:
        raise ModelError(
            f"The network in {files.called} was made for pixels that are not square, {y.scale:g} × "
            f"{x.scale:g} {y.unit}, which napari-deepz cannot give it."
        )
    return y.scale * _UM_PER_UNIT[y.unit]


def _multiples(image: TensorDescription, files: PackageFiles) -> list[int]:
    """What the size may be a multiple of, smallest first."""
    sizes = [axis.size for axis in image.axes[-2:] if isinstance(axis.size, SteppedSize)]
    if not sizes:
        return [2**power for power in range(_LARGEST_GUESSED_MULTIPLE.bit_length())]
    step = lcm(*(size.step for size in sizes))
    smallest = -(-max(size.min for size in sizes) // step) * step
    if step > _LARGEST_MULTIPLE:
        raise ModelError(
            f"The network in {files.called} only takes images whose sizes are multiples of {step} "
            f"pixels; napari-deepz uses networks with multiples of up to {_LARGEST_MULTIPLE}."
        )
    return sorted(size for size in {step, smallest} if size <= _LARGEST_MULTIPLE)


def _test(
    description: Description,
    files: PackageFiles,
    joined: bool,
    card: dict[str, Any],
    *,
    as_stored: bool,
) -> StoredTest:
    inputs = [channel for t in description.inputs for channel in read_test_array(files, t)]
    outputs = list(read_test_array(files, description.outputs[0]))
    shapes = {array.shape for array in (*inputs, *outputs)}
    if len(inputs) != 2 or len(outputs) != 1 or len(shapes) != 1:
        raise ModelError(f"The test images in {files.called} are not of the sizes it describes.")
    image, dpm = inputs
    if not as_stored:
        image = fit_intensity(card["normalisation"], image).apply(image)
    dpm_um = (dpm * card["dpm_scale_um"]).astype(np.float32)
    return StoredTest(np.ascontiguousarray(image), dpm_um, np.ascontiguousarray(outputs[0]))


def _spec(card: dict[str, Any], files: PackageFiles) -> ModelSpec:
    try:
        return ModelSpec.model_validate({"architecture": "torchscript"} | card)
    except ValidationError as error:
        raise ModelError(
            f"The card of the model in {files.called} would not be valid{fault_of(error)}."
        ) from error

"""The authors' own models: TensorFlow 1 SavedModel folders, converted to native packages.

Only the variables are read, by TensorFlow's own checkpoint reader; the graph in the folder is
never run. TensorFlow works in a process of its own: it is large and slow to import, and a damaged
file may end its process.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors.numpy import save as serialise_arrays
from safetensors.torch import load_file
from torch import Tensor

from napari_deepz.atomic_files import WriteError, reason_of, scratch_folder
from napari_deepz.models import CITATION
from napari_deepz.models.card import CardFields
from napari_deepz.models.errors import ModelError
from napari_deepz.models.package import check_weights, load_package, new_package, save_model
from napari_deepz.models.proof import StoredTest, make_input, run_network
from napari_deepz.models.spec import DeepZUNetParameters, ModelSpec
from napari_deepz.models.tensorflow.reader import REFERENCE, SCOPE, run_reader
from napari_deepz.models.tensorflow.variables import check_variables, data_files
from napari_deepz.networks.base import without_weights
from napari_deepz.networks.deepz_unet import DeepZUNet
from napari_deepz.watch import UNWATCHED, Watch

GRAPH_FILE = "saved_model.pb"
PUBLISHED_RANGE_UM = (-10.0, 10.0)

_DPM_SCALE_UM = 10.0
_MOST_LEVELS = 8
_LARGEST_DEVIATION = 1e-4
_AT_ONCE_BYTES = 16 << 20


@dataclass(frozen=True)
class Conversion:
    """A converted model.

    Attributes
    ----------
    spec : ModelSpec
        Its card.
    deviation : float
        Largest difference between this package's output and TensorFlow's, for the stored test, in
        standard deviations of the output.
    notes : tuple of str
        What was not said and therefore assumed, a sentence each.
    """

    spec: ModelSpec
    deviation: float
    notes: tuple[str, ...]


def is_saved_model(path: Path) -> bool:
    """Whether a path is a TensorFlow SavedModel folder."""
    return (path / GRAPH_FILE).is_file()


def check_tensorflow() -> None:
    """Check that TensorFlow is there.

    Raises
    ------
    ModelError
        If it is not; says how to install it.
    """
    if find_spec("tensorflow") is None:
        raise ModelError(
            "Converting a TensorFlow model needs TensorFlow; install it with pip install "
            "'napari-deepz[tensorflow]' (the converted model does not need it)."
        )


def suggested_name(folder: Path) -> str:
    """Make a name that a model can have out of a folder's."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")
    return name[:80] or "deep-z"


def convert_saved_model(
    folder: Path,
    target: Path,
    fields: CardFields | None = None,
    *,
    watch: Watch = UNWATCHED,
) -> Conversion:
    """Convert a published Deep-Z model, of any width, depth and input size.

    Parameters
    ----------
    folder : Path
        The SavedModel: ``saved_model.pb`` and ``variables``.
    target : Path
        The package folder to be made; it must not be there. The model is called like it, unless
        the fields say otherwise.
    fields : CardFields, optional
        What is known about the model; the folder says nothing but its weights.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Returns
    -------
    Conversion

    Raises
    ------
    ModelError
        If TensorFlow is missing, the folder is no such model, or the target is there.
    OSError
        If it cannot be written; one sentence.
    Cancelled
        When asked to stop.
    """
    fields = fields or CardFields()
    _check_paths(folder, target)
    check_variables(folder)
    check_tensorflow()
    try:
        spec = _spec(folder, target, fields, watch)
        with new_package(target) as beside, scratch_folder() as scratch:
            image, dpm_um = make_input(2 ** (_MOST_LEVELS - 1), spec.axial_range_um)
            given = serialise_arrays({"input": _published_input(image, dpm_um)})
            (scratch / "input").write_bytes(given)
            version = run_reader(folder, scratch, watch)
            variables = load_file(scratch / "output")
            reference = variables.pop(REFERENCE, None)
            network = _network(variables, folder)
            if reference is None:
                raise ModelError(f"The model in {folder} gives no image; it is damaged.")
            test = StoredTest(image, dpm_um, reference.numpy()[0, ..., 0])
            spec = _completed(spec, network, version)
            return Conversion(spec, _save(beside, spec, network, test, folder), _assumed(fields))
    except OSError as error:
        raise WriteError(
            f"The model cannot be converted to {target}: {reason_of(error)}."
        ) from error


def _completed(spec: ModelSpec, network: DeepZUNet, version: str) -> ModelSpec:
    return spec.model_copy(
        update={
            "parameters": {name: network.arguments[name] for name in ("base", "levels")},
            "training": {**spec.training, "converted_with": f"TensorFlow {version}"},
        }
    )


def _save(
    package: Path, spec: ModelSpec, network: DeepZUNet, test: StoredTest, folder: Path
) -> float:
    """Write the package; returns how far its output is from TensorFlow's."""
    check_weights(network, network.state_dict(), folder)
    save_model(package, spec, network, test=test)
    output = run_network(load_package(package, called=str(folder)).network, test.image, test.dpm_um)
    deviation = test.deviation(output)
    if not deviation < _LARGEST_DEVIATION:
        raise ModelError(
            f"The model in {folder} was not converted: its output differs from TensorFlow's by "
            f"{deviation:.1e} standard deviations, so it is not the published network."
        )
    return deviation


def _published_input(image: Any, dpm_um: Any) -> Any:
    return np.stack([image, dpm_um / np.float32(_DPM_SCALE_UM)], axis=-1)[None]


def _check_paths(folder: Path, target: Path) -> None:
    if not is_saved_model(folder):
        raise ModelError(
            f"{folder} is not a TensorFlow SavedModel: such a folder holds {GRAPH_FILE} and a "
            "folder 'variables'."
        )
    if target.suffix == ".zip":
        raise ModelError(f"A converted model is a folder; name one instead of {target}.")
    if target.exists():
        raise ModelError(f"{target} is already there; name a new folder for the converted model.")


def _network(variables: dict[str, Tensor], folder: Path) -> DeepZUNet:
    """Build the generator that the variables belong to, with them in it."""
    levels = len(
        {name for name in variables if re.fullmatch(rf"{SCOPE}down\d+/conv2/filters", name)}
    )
    width = variables.get(f"{SCOPE}down0/conv2/filters")
    base = width.shape[-1] if width is not None and width.ndim == 4 else 0
    try:
        parameters = DeepZUNetParameters(base=base, levels=levels)
    except ValidationError as error:
        raise ModelError(
            f"The model in {folder} is not a published Deep-Z generator: its variables are not "
            f"named '{SCOPE}down0/conv1/filters' and so on, or its size is beyond reason."
        ) from error
    with without_weights():
        network = DeepZUNet(**parameters.model_dump(), dpm_scale_um=_DPM_SCALE_UM)
    state: dict[str, Tensor] = {}
    for ours, wanted in network.state_dict().items():
        theirs = _tensorflow_name(ours)
        if theirs not in variables:
            raise ModelError(
                f"The model in {folder} is not a whole Deep-Z generator: it has no '{theirs}'."
            )
        # PyTorch's (out, in, H, W), and its transposed (in, out, H, W), become TensorFlow's HWIO,
        # and its transposed (H, W, out, in), by the same permutation.
        tensor = variables.pop(theirs)
        shape = wanted.permute(2, 3, 1, 0).shape if wanted.ndim == 4 else wanted.shape
        if tensor.shape != shape:
            raise ModelError(
                f"The model in {folder} is not a published Deep-Z generator: '{theirs}' has the "
                f"shape {tuple(tensor.shape)}, but {tuple(shape)} is needed."
            )
        state[ours] = tensor.permute(3, 2, 0, 1).contiguous() if tensor.ndim == 4 else tensor
    if variables:
        raise ModelError(
            f"The model in {folder} is not a published Deep-Z generator: it also has "
            f"'{min(variables)}'."
        )
    network.load_state_dict(state, assign=True)
    return network.eval()


def _tensorflow_name(parameter: str) -> str:
    """Name of the variable that holds a parameter, such as "down.0.conv1.weight"."""
    *place, kind = parameter.split(".")
    if place == ["last_layer"]:
        return f"{SCOPE}last_layer/" + {"weight": "filters", "bias": "biases_1"}[kind]
    direction, level, convolution = place
    return (
        f"{SCOPE}{direction}{level}/{convolution}/" + {"weight": "filters", "bias": "biases"}[kind]
    )


def _spec(folder: Path, target: Path, fields: CardFields, watch: Watch) -> ModelSpec:
    """Card of a model whose size is not yet known."""
    known = {"name": suggested_name(target), "axial_range_um": PUBLISHED_RANGE_UM, **fields.given()}
    try:
        return ModelSpec(
            version="1",
            description=f"Converted from the TensorFlow SavedModel '{folder.resolve().name}'.",
            architecture="deepz-unet",
            dpm_scale_um=_DPM_SCALE_UM,
            normalisation="median-p99",
            training={"variables_sha256": _digest(folder, watch)},
            licence="as its authors say; the published models must not be passed on",
            citation=CITATION,
            **known,
        )
    except ValidationError as error:
        said = error.errors()[0]
        where = ".".join(str(part) for part in said["loc"]) or "card"
        raise ModelError(
            f"The model cannot be described so ({where}): "
            f"{said['msg'].removeprefix('Value error, ')}."
        ) from error


def _digest(folder: Path, watch: Watch) -> str:
    digest = hashlib.sha256()
    for file in data_files(folder):
        part = hashlib.sha256()
        with file.open("rb") as stream:
            while len(piece := stream.read(_AT_ONCE_BYTES)) == _AT_ONCE_BYTES:
                part.update(piece)
                watch.check()
            part.update(piece)
        digest.update(part.digest())
    return digest.hexdigest()


def _assumed(fields: CardFields) -> tuple[str, ...]:
    low_um, high_um = PUBLISHED_RANGE_UM
    notes = []
    if fields.axial_range_um is None:
        notes.append(
            f"The range was assumed to be {low_um:g} to {high_um:g} µm, that of the published 20x "
            "models; the published 40x model knows -2.7 to 2.7 µm."
        )
    if fields.pixel_size_um is None:
        notes.append("The pixel size is not known, so no image will be resampled for this model.")
    if fields.objective is None:
        notes.append("The objective is not known, so nobody is warned of images from another one.")
    elif "na" not in fields.given():
        notes.append(
            f"The numerical aperture cannot be read off the objective '{fields.objective}'; write "
            "it like 20x/0.75 dry."
        )
    return tuple(notes)

"""Models from bioimage.io packages: our own exports, and TorchScript networks of anybody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as parse_weights

from napari_deepz.generators.archives import PackageFiles
from napari_deepz.generators.base import Generator, without_weights
from napari_deepz.generators.bioimageio.arrays import read_test_array
from napari_deepz.generators.bioimageio.description import (
    DESCRIPTION_FILES,
    OWN_SECTION,
    Description,
    File,
    fault_of,
    read_description,
    read_file,
)
from napari_deepz.generators.bioimageio.scripts import (
    check_deviation,
    check_stop,
    read_script_package,
)
from napari_deepz.generators.card import CardFields
from napari_deepz.generators.errors import ModelError
from napari_deepz.generators.package import (
    MAX_WEIGHTS_BYTES,
    WEIGHTS_FILE,
    check_weights,
    new_package,
    save_model,
    save_script,
)
from napari_deepz.generators.spec import ModelSpec
from napari_deepz.generators.stored_test import StoredTest, run_network
from napari_deepz.jobs import StopCondition


def is_bioimageio(files: PackageFiles) -> bool:
    """Whether a package is one of bioimage.io."""
    return any(name in files for name in DESCRIPTION_FILES)


def import_bioimageio(
    path: Path,
    target: Path,
    fields: CardFields | None = None,
    should_stop: StopCondition | None = None,
    *,
    called: str | None = None,
) -> ModelSpec:
    """Make a native package of a bioimage.io package.

    Two kinds can be used: what `export_bioimageio` wrote, and TorchScript networks whose inputs
    are an image and a DPM, or one tensor of both. No Python code of a package is ever run, and
    no pickle opened: the weights of our own exports are read from their safetensors file, or else
    come with the TorchScript network.

    Parameters
    ----------
    path : Path
        A folder or a zip file.
    target : Path
        The package folder to be made; it must not be there.
    fields : CardFields, optional
        What the user says about the model; it goes before what the package says. The card of our
        own exports is whole, so that only their name can be changed.
    should_stop : callable, optional
        Asked between steps.
    called : str, optional
        What sentences call the package, where its path would mean nothing to the user.

    Returns
    -------
    ModelSpec
        Of the model as imported.

    Raises
    ------
    ModelError
        If the package is broken or not usable; nothing is written then.
    Cancelled
        If it was stopped; nothing is written then.
    """
    fields = fields or CardFields()
    files = PackageFiles(path, called=called)
    description = read_description(files)
    own, weights = _own_spec(description, files), description.weights
    with new_package(target) as folder:
        if own is not None:
            own = _renamed(own, fields, files)
            fields = CardFields()
        check_stop(should_stop)
        attached = next((f for f in description.attachments if f.source == WEIGHTS_FILE), None)
        if own is not None and own.architecture != "torchscript" and attached is not None:
            network = _own_network(own, attached, files)
            test = _own_test(description, files)
            check_stop(should_stop)
            check_deviation(test, run_network(network, test.image, test.dpm_um), files)
            save_model(folder, own, network, test=test)
            return own
        if weights.torchscript is not None:
            found = read_script_package(files, description, own, fields, should_stop)
            save_script(folder, found.spec, found.script, found.test)
            return found.spec
        if own is not None:
            raise ModelError(
                f"The package {files.called} comes from napari-deepz but has lost its "
                f"{WEIGHTS_FILE} and "
                "its TorchScript network; export the model again."
            )
        if weights.pytorch_state_dict is not None:
            raise ModelError(
                f"The network of the bioimage.io package {files.called} is Python code, and "
                "napari-deepz "
                "never runs code from a package; use one that also has TorchScript weights."
            )
        raise ModelError(
            f"The bioimage.io package {files.called} has neither TorchScript weights nor "
            "weights of a network of napari-deepz."
        )


def _own_spec(description: Description, files: PackageFiles) -> ModelSpec | None:
    """The card that an export wrote into the description."""
    section = description.config.get(OWN_SECTION)
    if section is None:
        return None
    try:
        return ModelSpec.model_validate_json(section["model"])
    except (ValidationError, TypeError, KeyError) as error:
        what = fault_of(error) if isinstance(error, ValidationError) else ""
        raise ModelError(
            f"The card of the model in {files.called} is not valid{what}; it was changed, or a "
            "newer napari-deepz wrote it."
        ) from error


def _renamed(own: ModelSpec, fields: CardFields, files: PackageFiles) -> ModelSpec:
    said = fields.given()
    name = said.pop("name", own.name)
    if said:
        raise ModelError(
            f"The package {files.called} comes from napari-deepz and says itself what its model "
            "was made for; only its name can be changed."
        )
    try:
        return ModelSpec.model_validate(own.model_dump() | {"name": name})
    except ValidationError as error:
        raise ModelError(
            f"A model cannot be called '{name}'; use up to 80 letters, digits, dots, dashes and "
            "underscores."
        ) from error


def _own_network(spec: ModelSpec, file: File, files: PackageFiles) -> Generator:
    try:
        weights = parse_weights(read_file(files, file, MAX_WEIGHTS_BYTES))
    except SafetensorError as error:
        raise ModelError(
            f"The weights of the model in {files.called} cannot be read; the file is damaged or "
            "was not copied whole."
        ) from error
    with without_weights():
        network = spec.build()
    check_weights(network, weights, files.called)
    network.to_empty(device="cpu")
    network.load_state_dict(weights)
    return network.eval()


def _own_test(description: Description, files: PackageFiles) -> StoredTest:
    tensors = [*description.inputs, *description.outputs]
    arrays = [read_test_array(files, tensor) for tensor in tensors]
    if len(arrays) != 3 or {array.shape for array in arrays} != {(1, *arrays[0].shape[1:])}:
        raise ModelError(
            f"The test images in {files.called} are not those that napari-deepz wrote."
        )
    return StoredTest(*(np.ascontiguousarray(array[0]) for array in arrays))

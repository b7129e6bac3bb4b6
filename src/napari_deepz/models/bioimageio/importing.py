"""Models from bioimage.io packages that napari-deepz has exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_deepz.models.archives import PackageFiles
from napari_deepz.models.bioimageio.arrays import read_test_array
from napari_deepz.models.bioimageio.description import (
    DESCRIPTION_FILES,
    OWN_SECTION,
    Description,
    fault_of,
    read_description,
    read_file,
)
from napari_deepz.models.card import CardFields
from napari_deepz.models.errors import ModelError, refusal_of_program
from napari_deepz.models.package import (
    MAX_WEIGHTS_BYTES,
    WEIGHTS_FILE,
    build_with_weights,
    new_package,
    save_model,
)
from napari_deepz.models.proof import StoredTest, run_network
from napari_deepz.models.spec import ModelSpec
from napari_deepz.watch import UNWATCHED, Watch

_LARGEST_DEVIATION = 1e-3


def is_bioimageio(files: PackageFiles) -> bool:
    """Whether a package is one of bioimage.io."""
    return any(name in files for name in DESCRIPTION_FILES)


def import_bioimageio(
    path: Path,
    target: Path,
    fields: CardFields | None = None,
    watch: Watch = UNWATCHED,
    *,
    called: str | None = None,
) -> ModelSpec:
    """Make a native package of a bioimage.io package.

    Only what `export_bioimageio` wrote can be used: the weights are read from their safetensors
    file. No program of a package is ever run, and no pickle opened.

    Parameters
    ----------
    path : Path
        A folder or a zip file.
    target : Path
        The package folder to be made; it must not be there.
    fields : CardFields, optional
        What the user says about the model; its card is whole, so that only its name can be
        changed.
    watch : Watch, optional
        Says when to stop.
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
    files = PackageFiles(path, called=called)
    description = read_description(files)
    own = _own_spec(description, files)
    with new_package(target) as folder:
        if own is None:
            raise ModelError(_why_not(description, files))
        own = _renamed(own, fields or CardFields(), files)
        watch.check()
        attached = next((f for f in description.attachments if f.source == WEIGHTS_FILE), None)
        if attached is None:
            raise ModelError(
                f"The package {files.called} comes from napari-deepz but has lost its "
                f"{WEIGHTS_FILE}; export the model again."
            )
        data = read_file(files, attached, MAX_WEIGHTS_BYTES)
        network = build_with_weights(own, data, files.called).eval()
        test = _own_test(description, files)
        watch.check()
        _check_deviation(test, run_network(network, test.image, test.dpm_um), files)
        save_model(folder, own, network, test=test)
        return own


def _why_not(description: Description, files: PackageFiles) -> str:
    """Say why a package that is not ours cannot be used."""
    if description.weights.torchscript is not None:
        return refusal_of_program(f"of the bioimage.io package {files.called}")
    if description.weights.pytorch_state_dict is not None:
        return (
            f"The network of the bioimage.io package {files.called} is Python code, and "
            "napari-deepz never runs code from a package; ask who made it for a package of "
            "napari-deepz."
        )
    return (
        f"The bioimage.io package {files.called} has no weights of a network of napari-deepz; ask "
        "who made it for a package of napari-deepz."
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


def _own_test(description: Description, files: PackageFiles) -> StoredTest:
    tensors = [*description.inputs, *description.outputs]
    arrays = [read_test_array(files, tensor) for tensor in tensors]
    if len(arrays) != 3 or {array.shape for array in arrays} != {(1, *arrays[0].shape[1:])}:
        raise ModelError(
            f"The test images in {files.called} are not those that napari-deepz wrote."
        )
    return StoredTest(*(np.ascontiguousarray(array[0]) for array in arrays))


def _check_deviation(test: StoredTest, result: NDArray[np.float32], files: PackageFiles) -> None:
    fits = result.shape == test.output.shape and test.output.std() > 0
    if not fits or not test.deviation(result) <= _LARGEST_DEVIATION:
        raise ModelError(
            f"The network in {files.called} does not reproduce the package's own test output, so "
            "its results cannot be trusted here."
        )

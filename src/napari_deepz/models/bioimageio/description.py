"""What a bioimage.io package says about itself, as far as an import needs it.

The description is read without bioimageio.spec, which fetches what descriptions refer to from the
internet and validates far more than matters here: nothing that a package says can then make the
reader open anything but the files of that package.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
)

from napari_deepz.models.archives import PackageFiles
from napari_deepz.models.errors import ModelError, quoted

DESCRIPTION_FILES = ("bioimageio.yaml", "rdf.yaml")
OWN_SECTION = "napari_deepz"

_MAX_DESCRIPTION_BYTES = 1 << 19
_MOST_VALUES = 1 << 18


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


class File(_Part):
    """A file of the package."""

    source: str
    sha256: str | None = None


class TensorDescription(_Part):
    """An input or an output."""

    id: str = ""
    test_tensor: File | None = None


class Weights(_Part):
    """Those weights that are asked about."""

    pytorch_state_dict: File | None = None
    torchscript: File | None = None


class Description(_Part):
    """A model's description in format 0.5."""

    format_version: Annotated[str, StringConstraints(pattern=r"^0\.5\.\d+")]
    type: Literal["model"]
    inputs: list[TensorDescription]
    outputs: list[TensorDescription]
    weights: Weights
    attachments: list[File] = []
    config: dict[str, Any] = {}


def read_description(files: PackageFiles) -> Description:
    """Read a package's description.

    Raises
    ------
    ModelError
        If it is not there, not readable, or not in format 0.5.
    """
    name = next((name for name in DESCRIPTION_FILES if name in files), DESCRIPTION_FILES[0])
    content = _parse(files.read(name, _MAX_DESCRIPTION_BYTES), name, files)
    try:
        return Description.model_validate(content)
    except (ValidationError, RecursionError) as error:
        version = content.get("format_version") if isinstance(content, dict) else None
        if isinstance(error, ValidationError) and error.errors()[0]["loc"] == ("format_version",):
            raise ModelError(
                f"The bioimage.io package {files.called} has format version "
                f"'{quoted(version, 20)}', but napari-deepz reads 0.5; bring it up to date with "
                "bioimageio.core's command 'bioimageio update-format'."
            ) from error
        said = fault_of(error) if isinstance(error, ValidationError) else ": nested too deeply"
        raise ModelError(
            f"The {name} of the bioimage.io package {files.called} is not valid{said}."
        ) from error


def fault_of(error: ValidationError) -> str:
    """Say the first thing that pydantic found, as the end of a sentence: " at 'FIELD': WHAT"."""
    first = error.errors()[0]
    where = quoted(".".join(str(part) for part in first["loc"]))
    said = quoted(" ".join(first["msg"].removeprefix("Value error, ").split()), 300).rstrip(".")
    return f" at '{where}': {said}" if where else f": {said}"


def read_file(files: PackageFiles, file: File, limit_bytes: int) -> bytes:
    """Read a file that a description names, and compare its checksum where one is given.

    Raises
    ------
    ModelError
        If it lies outside the package, is missing or too large, or has another checksum.
    """
    if "://" in file.source:
        raise ModelError(
            f"The bioimage.io package {files.called} is not whole: it only names the address of "
            f"'{quoted(file.source)}'; download the whole package."
        )
    if file.source not in files or not file.source.isprintable():
        raise ModelError(
            f"The bioimage.io package {files.called} is not whole: it has no file "
            f"'{quoted(file.source)}'."
        )
    data = files.read(file.source, limit_bytes)
    if file.sha256 is not None and hashlib.sha256(data).hexdigest() != file.sha256.lower():
        raise ModelError(
            f"The {quoted(file.source)} in {files.called} has another checksum than the package "
            "says, so it is damaged or was exchanged."
        )
    return data


def _parse(text: bytes, name: str, files: PackageFiles) -> Any:
    """Parse YAML into plain values, of a size that follows from the length of the text."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None or _expanded_size(node, {}) > _MOST_VALUES:
            raise ValueError("no values, or too many")
        return loader.construct_document(node)
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError, OverflowError) as error:
        raise ModelError(
            f"The {name} of the bioimage.io package {files.called} cannot be read; it is "
            "damaged or not written as such descriptions are."
        ) from error


def _expanded_size(node: yaml.Node, known: dict[int, int]) -> int:
    """Number of values once all references are followed; those to themselves have no end."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = _MOST_VALUES + 1
        parts = node.value if isinstance(node, yaml.SequenceNode) else itertools.chain(*node.value)
        known[id(node)] = 1 + sum(_expanded_size(part, known) for part in parts)
    return known[id(node)]

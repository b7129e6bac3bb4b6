"""Model packages: a folder or zip with ``model.json`` and ``weights.safetensors``."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as parse_weights
from safetensors.torch import save as serialise_weights
from torch import Tensor

from napari_deepz.generators import DEFAULT_MODEL
from napari_deepz.generators.base import Generator
from napari_deepz.generators.spec import ModelSpec

SPEC_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
MODELS_VARIABLE = "NAPARI_DEEPZ_MODELS"

_ZOO = Path(__file__).with_name("zoo")
_MAX_SPEC_BYTES = 1 << 20
# What zipfile raises for encrypted members and for compressions that it does not know.
_ZIP_REFUSALS = (RuntimeError, NotImplementedError)
_MAX_WEIGHTS_BYTES = 4 << 30


class ModelError(ValueError):
    """A model that cannot be found or used; the message is one sentence for the user."""


@dataclass(frozen=True)
class Model:
    """A generator ready to use.

    Parameters
    ----------
    spec : ModelSpec
        Its card.
    network : Generator
        In evaluation mode, float32, on the CPU.
    sha256 : str
        Digest of the weights file.
    source : Path
        The package that it came from.
    """

    spec: ModelSpec
    network: Generator
    sha256: str
    source: Path


def user_models_folder() -> Path:
    """Where the user keeps models: the variable NAPARI_DEEPZ_MODELS, else the data folder."""
    chosen = os.environ.get(MODELS_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_data_path("napari-deepz") / "models"


def list_models() -> dict[str, Path]:
    """Names and packages of all models at hand: the bundled ones, then the user's.

    What cannot be used is left out; `unusable_models` says why.
    """
    return _sorted_out()[0]


def unusable_models() -> list[str]:
    """Say of each package in the user's folder that cannot be used why, a sentence each."""
    folder = user_models_folder()
    if folder.exists() and not folder.is_dir():
        return [f"The models folder {folder} is not a folder."]
    return _sorted_out()[1]


def _sorted_out() -> tuple[dict[str, Path], list[str]]:
    found: dict[str, Path] = {}
    reasons = []
    for package in _packages_in(_ZOO, user_models_folder()):
        try:
            name = read_spec(package).name
        except ModelError as error:
            reasons.append(str(error))
            continue
        if name in found:
            reasons.append(
                f"The model in {package} is called '{name}' as the one in {found[name]} is; "
                "rename it, or use it by its path."
            )
        else:
            found[name] = package
    return found, reasons


def _packages_in(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            yield from sorted(
                entry
                for entry in folder.iterdir()
                if (entry / SPEC_FILE).is_file() or entry.suffix == ".zip"
            )


def load_model(name_or_path: str | Path = DEFAULT_MODEL) -> Model:
    """Load a model by its name or from its package.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a bundled model or of one in the user's models folder, or the path of a package.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If there is no such model, or the package is broken: the message says what is wrong.
    """
    package = find_package(name_or_path)
    spec = read_spec(package)
    data = _read_member(package, WEIGHTS_FILE, _MAX_WEIGHTS_BYTES)
    try:
        weights = parse_weights(data)
    except SafetensorError as error:
        raise ModelError(
            f"The weights of the model in {package} cannot be read; the file is damaged or was "
            "not copied whole."
        ) from error
    with torch.device("meta"):
        network = spec.build()  # Takes no memory, however large the card says it is.
    _check_weights(network, weights, package)
    network.to_empty(device="cpu")
    network.load_state_dict(weights)
    return Model(spec, network.eval(), hashlib.sha256(data).hexdigest(), package)


def find_package(name_or_path: str | Path) -> Path:
    """Path of the package that a name or a path stands for.

    Raises
    ------
    ModelError
        If there is none.
    """
    models = list_models()
    if str(name_or_path) in models:
        return models[str(name_or_path)]
    path = Path(name_or_path)
    if path.exists():
        return path
    known = ", ".join(models) or "none"
    raise ModelError(
        f"There is no model or model package called '{name_or_path}'; models at hand: {known}."
    )


def read_spec(package: Path) -> ModelSpec:
    """Read a package's card without its weights.

    Raises
    ------
    ModelError
        If the path is not a model package, or its card is not valid.
    """
    text = _read_member(package, SPEC_FILE, _MAX_SPEC_BYTES)
    try:
        return ModelSpec.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if where == "format_version":
            raise ModelError(
                f"The model in {package} has format version {first['input']!r}, but this "
                "napari-deepz reads version 1; update napari-deepz to use it."
            ) from error
        said = first["msg"].removeprefix("Value error, ")
        about = f" at '{where}'" if where else ""
        raise ModelError(
            f"The {SPEC_FILE} of the model in {package} is not valid{about}: {said}."
        ) from error


def _read_member(package: Path, name: str, limit_bytes: int) -> bytes:
    """Read one file of a package, from its folder or zip, up to a size."""
    missing = ModelError(
        f"{package} is not a whole model package: it has no {name}; a package is a folder or zip "
        f"with {SPEC_FILE} and {WEIGHTS_FILE}."
    )
    if package.is_dir():
        file = package / name
        if not file.is_file():
            raise missing
        if file.stat().st_size > limit_bytes:
            raise _too_large(package, name, limit_bytes)
        return file.read_bytes()
    try:
        with zipfile.ZipFile(package) as archive:
            inner = _member_called(archive, name)
            if inner is None:
                raise missing
            with archive.open(inner) as stream:
                data = stream.read(limit_bytes + 1)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, *_ZIP_REFUSALS) as error:
        raise ModelError(
            f"{package} is not a model package: it is neither a folder nor a readable zip file."
        ) from error
    if len(data) > limit_bytes:
        raise _too_large(package, name, limit_bytes)
    return data


def _too_large(package: Path, name: str, limit_bytes: int) -> ModelError:
    return ModelError(
        f"The {name} in {package} is larger than {limit_bytes >> 20} MiB; this is not a model "
        "that napari-deepz can use."
    )


def _member_called(archive: zipfile.ZipFile, name: str) -> str | None:
    """A file at the top of the archive or in its only folder."""
    candidates = [
        entry for entry in archive.namelist() if entry == name or entry.endswith(f"/{name}")
    ]
    return min(candidates, key=lambda entry: entry.count("/")) if candidates else None


def _check_weights(network: Generator, weights: dict[str, Tensor], package: Path) -> None:
    """Compare names and shapes with those of a generator, and look for broken values."""
    wanted = network.state_dict()
    if wanted.keys() != weights.keys():
        raise ModelError(
            f"The weights in {package} do not belong to the architecture that its {SPEC_FILE} "
            f"names: {len(wanted.keys() - weights.keys())} are missing, "
            f"{len(weights.keys() - wanted.keys())} unexpected."
        )
    for name, tensor in sorted(weights.items()):
        if tensor.shape != wanted[name].shape:
            raise ModelError(
                f"The weights in {package} have the wrong shape: '{name}' is "
                f"{tuple(tensor.shape)}, but {tuple(wanted[name].shape)} is needed."
            )
        if not torch.isfinite(tensor).all():
            raise ModelError(
                f"The weights in {package} are damaged: '{name}' holds values that are not "
                "finite numbers."
            )


def save_model(folder: Path, spec: ModelSpec, network: Generator, *, half: bool = False) -> None:
    """Write a model package.

    Parameters
    ----------
    folder : Path
        Made if it is not there; a package in it is replaced.
    spec : ModelSpec
        The card.
    network : Generator
        The generator that ``spec.build()`` makes, trained.
    half : bool
        Store the weights as float16, half as large; they are loaded as float32 either way.
    """
    dtype = torch.float16 if half else torch.float32
    weights = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / WEIGHTS_FILE, serialise_weights(weights))
    _replace(folder / SPEC_FILE, (spec.model_dump_json(indent=2) + "\n").encode())


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(path.name + ".partial")
    beside.write_bytes(data)
    beside.replace(path)

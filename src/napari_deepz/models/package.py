"""Model packages: a folder or zip with ``model.json``, ``weights.safetensors`` and a test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as parse_weights
from safetensors.torch import save as serialise_weights
from torch import Tensor

from napari_deepz.atomic_files import made_folder, written_beside
from napari_deepz.models.archives import PackageFiles
from napari_deepz.models.errors import ModelError, quoted, refusal_of_program
from napari_deepz.models.proof import StoredTest, make_test, parse_test, serialise_test
from napari_deepz.models.spec import ModelSpec
from napari_deepz.networks.base import Generator, without_weights
from napari_deepz.networks.forking import compute_here
from napari_deepz.networks.several_planes import SeveralPlanes
from napari_deepz.networks.told_z_basis import ToldZBasis
from napari_deepz.sampling import Sampling

SPEC_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
TEST_FILE = "test.safetensors"

# On cards of models that earlier versions made of TorchScript.
PROGRAM = "torchscript"

_MAX_SPEC_BYTES = 1 << 20
_MAX_TEST_BYTES = 16 << 20
MAX_WEIGHTS_BYTES = 4 << 30
# All are float32 exactly.
_WEIGHT_TYPES = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Model:
    """A generator ready to use.

    Parameters
    ----------
    spec : ModelSpec
        Its card.
    network : Generator
        In evaluation mode, float32, on the CPU; not to be changed.
    sha256 : str
        Digest of the file with the weights.
    source : Path
        The package that it came from.
    """

    spec: ModelSpec
    network: Generator
    sha256: str
    source: Path

    def for_image(self, sampling: Sampling | None) -> Model:
        """Give the model for the optics of one image; this one, for models of one objective.

        Parameters
        ----------
        sampling : Sampling or None
            Of the image, as far as it is known.
        """
        placed = self.spec.placed(sampling)
        if placed is None or not isinstance(self.network, ToldZBasis):
            return self
        network = self.network.for_optics(placed.told, placed.reach_um)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return replace(self, spec=self.spec.for_image(sampling), network=network)

    def for_planes(self, sampling: Sampling | None, at_um: Sequence[float]) -> Model:
        """Give the model for several images at once, which its network merges by itself.

        Parameters
        ----------
        sampling : Sampling or None
            Of the images, as far as it is known.
        at_um : sequence of float
            Where they were taken.

        Raises
        ------
        ValueError
            If the model has not learned to merge.
        """
        self.spec.require_merging()
        placed = self.spec.placed(sampling)
        assert placed is not None
        assert isinstance(self.network, SeveralPlanes)
        network = self.network.for_planes(placed.told, placed.reach_um, at_um)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return replace(self, spec=self.spec.for_image(sampling), network=network)


def load_package(path: Path, *, called: str | None = None) -> Model:
    """Load a model from its package.

    Parameters
    ----------
    path : Path
        A folder or a zip file.
    called : str, optional
        What sentences call the package, where its path would mean nothing to the user.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If the package is broken: the message says what is wrong.
    """
    files = PackageFiles(path, called=called)
    spec = _parse_spec(files)
    data = files.read(WEIGHTS_FILE, MAX_WEIGHTS_BYTES)
    network = build_with_weights(spec, data, files.called)
    # Convolutions on the CPU are up to twice as fast, with the same numbers to float rounding.
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(spec, network, hashlib.sha256(data).hexdigest(), path)


def build_with_weights(spec: ModelSpec, data: bytes, called: str) -> Generator:
    """Make the network that a card describes, with weights from a file.

    Parameters
    ----------
    spec : ModelSpec
        The card.
    data : bytes
        The file, safetensors.
    called : str
        What a sentence calls the package.

    Returns
    -------
    Generator
        Float32, on the CPU.

    Raises
    ------
    ModelError
        If the file is damaged, or its weights are not those of the network.
    ForkedProcessError
        In a process that was forked from one that has loaded a model.
    """
    compute_here()
    try:
        weights = parse_weights(data)
    except SafetensorError as error:
        raise ModelError(
            f"The weights of the model in {called} cannot be read; the file is damaged or was "
            "not copied whole."
        ) from error
    with without_weights():
        network = spec.build()
    check_weights(network, weights, called)
    network.to_empty(device="cpu")
    network.load_state_dict(weights)
    return network


def read_test(
    path: Path, *, called: str | None = None, size_multiple: int = 1
) -> StoredTest | None:
    """Read the test that a package carries; None where it carries none.

    Parameters
    ----------
    path : Path
        A folder or a zip file.
    called : str, optional
        What sentences call the package, where its path would mean nothing to the user.
    size_multiple : int
        That of the model's network, which must be able to take the images.

    Returns
    -------
    StoredTest or None

    Raises
    ------
    ModelError
        If it is damaged, or of a size that the network cannot take.
    """
    files = PackageFiles(path, called=called)
    if TEST_FILE not in files:
        return None
    data = files.read(TEST_FILE, _MAX_TEST_BYTES)
    return parse_test(data, f"of the model in {files.called}", size_multiple)


def read_spec(package: Path, *, called: str | None = None) -> ModelSpec:
    """Read a package's card without its weights.

    Parameters
    ----------
    package : Path
        A folder or a zip file.
    called : str, optional
        What sentences call the package, where its path would mean nothing to the user.

    Returns
    -------
    ModelSpec

    Raises
    ------
    ModelError
        If the path is not a model package, or its card is not valid.
    """
    return _parse_spec(PackageFiles(package, called=called))


def _parse_spec(files: PackageFiles) -> ModelSpec:
    text, package = files.read(SPEC_FILE, _MAX_SPEC_BYTES), files.called
    try:
        return ModelSpec.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("architecture",) and first["input"] == PROGRAM:
            raise ModelError(refusal_of_program(f"of the model in {package}")) from error
        where = quoted(".".join(str(part) for part in first["loc"]))
        if where == "format_version":
            raise ModelError(
                f"The model in {package} has format version {quoted(first['input'], 20)}, but "
                "this napari-deepz reads version 1; update napari-deepz to use it."
            ) from error
        said = quoted(first["msg"].removeprefix("Value error, "), 200)
        about = f" at '{where}'" if where else ""
        raise ModelError(
            f"The {SPEC_FILE} of the model in {package} is not valid{about}: {said}."
        ) from error


def check_weights(network: Generator, weights: dict[str, Tensor], package: str | Path) -> None:
    """Compare names and shapes with those of a generator, and look at types and values.

    Parameters
    ----------
    network : Generator
        What the weights are for.
    weights : dict of str to Tensor
        As they were read from a file.
    package : str or Path
        What a sentence calls the package.

    Raises
    ------
    ModelError
        At the first that is wrong.
    """
    wanted = network.state_dict()
    if wanted.keys() != weights.keys():
        raise ModelError(
            f"The weights in {package} do not belong to the architecture that its {SPEC_FILE} "
            f"names: {len(wanted.keys() - weights.keys())} are missing, "
            f"{len(weights.keys() - wanted.keys())} unexpected."
        )
    for name, tensor in sorted(weights.items()):
        plain = tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_nested)
        if not plain or tensor.dtype not in _WEIGHT_TYPES:
            kind = str(tensor.dtype).removeprefix("torch.") if plain else "not stored plainly"
            raise ModelError(
                f"The weights in {package} are not of a type that can be used: '{name}' is {kind}, "
                "but float32 or float16 is needed."
            )
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


def save_model(
    folder: Path,
    spec: ModelSpec,
    network: Generator,
    *,
    half: bool = False,
    test: StoredTest | None = None,
) -> None:
    """Write a model package, with a test.

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
    test : StoredTest, optional
        By default the network is run on the CPU to make one.

    Raises
    ------
    ModelError
        If the network gives no image for the test.
    OSError
        If it cannot be written; one sentence.
    """
    dtype = torch.float16 if half else torch.float32
    weights = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    if test is None:
        as_loaded = spec.build().eval()
        as_loaded.load_state_dict(weights)
        test = make_test(as_loaded, spec.axial_range_um)
    if not (np.isfinite(test.output).all() and np.ptp(test.output) > 0):
        raise ModelError(
            f"The model '{spec.name}' was not written: its network gives no image for the test "
            "input, but one value everywhere, or values that are not finite numbers."
        )
    made_folder(folder)
    for name, content in (
        (WEIGHTS_FILE, serialise_weights(weights)),
        (TEST_FILE, serialise_test(test)),
        (SPEC_FILE, (spec.model_dump_json(indent=2) + "\n").encode()),
    ):
        with written_beside(folder / name) as beside:
            beside.write_bytes(content)


@contextmanager
def new_package(target: Path) -> Iterator[Path]:
    """Give a folder to write a package in, which takes its name only if all goes well.

    Parameters
    ----------
    target : Path
        What the folder shall be called.

    Raises
    ------
    ModelError
        If that is there already.
    """
    _check_new(target)
    made_folder(target.parent)
    with written_beside(target) as beside:
        beside.mkdir()
        yield beside
        _check_new(target)


def _check_new(target: Path) -> None:
    if target.exists():
        raise ModelError(f"{target} is already there; name a new folder for the model.")

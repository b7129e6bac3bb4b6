"""Models as bioimage.io packages, which other programs can run too."""

from __future__ import annotations

import io
import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from safetensors.torch import save as serialise_weights
from torch import Tensor
from torch.jit._trace import TracerWarning

from napari_deepz.atomic_files import made_folder, scratch_folder, written_beside
from napari_deepz.models import CITATION
from napari_deepz.models.archives import PackageFiles
from napari_deepz.models.bioimageio.description import (
    DESCRIPTION_FILES,
    OWN_SECTION,
    fault_of,
)
from napari_deepz.models.bioimageio.documentation import describe_model, make_cover
from napari_deepz.models.errors import ModelError, quoted
from napari_deepz.models.package import WEIGHTS_FILE, Model, read_test
from napari_deepz.models.proof import StoredTest, make_test
from napari_deepz.models.spec import ModelSpec
from napari_deepz.networks.deepz_unet import DeepZUNet
from napari_deepz.networks.folded_unet import FoldedUNet

_DOI = re.compile(r"10\.\d{4,9}/[^\s,;]*[^\s,;.]")
_TAGS = [
    *("deep-z", "refocusing", "image-reconstruction", "fluorescence-light-microscopy", "2d"),
    *("unet", "pytorch", "fluorescence", "3d", "virtual-refocusing"),
]
_LARGEST_PX = 1 << 15
_SCRIPT_FILE = "network.pt"
_STATE_FILE = "weights.pt"


def export_bioimageio(model: Model, target_zip: Path) -> None:
    """Write a model as a bioimage.io package, format 0.5.

    The package has the network as TorchScript, which needs no other software, as a PyTorch state
    dict for which napari-deepz is imported, and as safetensors, which `import_bioimageio` reads. No
    halo is declared: programs then cut it off every result, and take no image smaller than two of
    them; the documentation says how wide it is.

    Parameters
    ----------
    model : Model
        A loaded model.
    target_zip : Path
        The file to be written, ending in ".zip"; a package of bioimage.io in it is replaced.

    Raises
    ------
    ModelError
        If bioimageio.spec is missing, the model's licence is none that bioimage.io knows, the
        package would not be valid, or the target is anything else; nothing is written then.
    OSError
        If it cannot be written; one sentence.
    """
    _check_target(target_zip)
    if find_spec("bioimageio") is None or find_spec("bioimageio.spec") is None:
        raise ModelError(
            "Exporting to bioimage.io needs bioimageio.spec; install it with "
            "pip install 'napari-deepz[bioimageio]'."
        )
    test = read_test(model.source) if model.source.exists() else None
    test = test or make_test(model.network, model.spec.axial_range_um)
    made_folder(target_zip.parent)
    with written_beside(target_zip) as beside, scratch_folder(beside.parent) as folder:
        for name, data in _files(model, test).items():
            (folder / name).write_bytes(data)
        _write_package(model, test, folder, folder / "package.zip")
        (folder / "package.zip").replace(beside)


def _files(model: Model, test: StoredTest) -> dict[str, bytes]:
    """Everything in the package but its description."""
    weights = {name: t.contiguous() for name, t in model.network.state_dict().items()}
    stream = io.BytesIO()
    torch.save(weights, stream)
    return {
        "documentation.md": describe_model(model, test).encode(),
        "cover.png": make_cover(test),
        "test_image.npy": _npy(test.image),
        "test_dpm.npy": _npy(test.dpm_um),
        "test_refocused.npy": _npy(test.output),
        _SCRIPT_FILE: _torchscript(model, test),
        _STATE_FILE: stream.getvalue(),
        WEIGHTS_FILE: serialise_weights(weights),
    }


def _check_target(target_zip: Path) -> None:
    """Refuse to write over anything but an earlier export."""
    if target_zip.suffix.lower() != ".zip":
        raise ModelError(
            f"A bioimage.io package is a zip file, so its name must end in .zip, which "
            f"'{target_zip.name}' does not."
        )
    if target_zip.is_dir():
        raise ModelError(f"{target_zip} is a folder; name the zip file that is to be written.")
    if not target_zip.exists():
        return
    try:
        files = PackageFiles(target_zip)
        replaceable = any(name in files for name in DESCRIPTION_FILES)
    except ModelError:
        replaceable = False
    if not replaceable:
        raise ModelError(
            f"{target_zip} is already there and no bioimage.io package; name a new file, or move "
            "that one elsewhere."
        )


def _npy(array: np.typing.NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array[None, None], allow_pickle=False)
    return stream.getvalue()


def _torchscript(model: Model, test: StoredTest) -> bytes:
    """Record the network as TorchScript on its test.

    `FoldedUNet` takes a short cut where all distances are the same. Those of the test are not, so
    what is recorded is the general way, which holds for all.
    """
    inputs: tuple[Tensor, ...] = tuple(
        torch.from_numpy(array)[None, None] for array in (test.image, test.dpm_um)
    )
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", TracerWarning)  # About this very choice.
        # TorchScript has a successor; files made with it remain.
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        torch.jit.save(torch.jit.trace(model.network, inputs), stream)  # type: ignore[no-untyped-call]
    return stream.getvalue()


def _write_package(model: Model, test: StoredTest, folder: Path, package: Path) -> None:
    from bioimageio.spec import ValidationContext, save_bioimageio_package

    try:
        # All files are local, so nothing is fetched.
        with ValidationContext(root=folder, log_warnings=False, progressbar=False):
            description = _description(model)
            save_bioimageio_package(description, output_path=package)
    except (ValidationError, ValueError) as error:
        what = (
            fault_of(error)
            if isinstance(error, ValidationError)
            else f": {quoted(' '.join(str(error).split()), 300)}"
        )
        raise ModelError(
            f"The model '{model.spec.name}' cannot be exported: its bioimage.io description would "
            f"not be valid{what}."
        ) from error


def _description(model: Model) -> Any:
    from bioimageio.spec.model import v0_5

    spec, network = model.spec, model.network
    _check_licence(spec)
    text = spec.description or f"Virtual refocusing of {spec.modality_in} images."
    return v0_5.ModelDescr.model_validate(
        {
            "format_version": v0_5.ModelDescr.implemented_format_version,
            "type": "model",
            "name": f"Deep-Z {spec.name.replace('.', '_')}",
            "description": text[:1024],
            "version": spec.version if re.fullmatch(r"\d+(\.\d+)*", spec.version) else None,
            "authors": [{"name": f"The makers of {spec.name} (see the citation)"}],
            "cite": _citations(spec),
            "license": spec.licence,
            "tags": _TAGS,
            "documentation": {"source": "documentation.md"},
            "covers": [{"source": "cover.png"}],
            "inputs": [
                _tensor("image", "input", spec, network.size_multiple),
                _tensor("dpm", "input", spec, None),
            ],
            "outputs": [_tensor("refocused", "output", spec, None)],
            "weights": _weights(network),
            "attachments": [{"source": WEIGHTS_FILE}],
            "config": {OWN_SECTION: {"model": spec.model_dump_json()}},
        }
    )


def _check_licence(spec: ModelSpec) -> None:
    from bioimageio.spec.model.v0_5 import LicenseId

    try:
        LicenseId(spec.licence)
    except ValueError as error:
        raise ModelError(
            f"bioimage.io needs a licence that the SPDX list names, such as 'CC-BY-4.0', but the "
            f"card of the model '{spec.name}' says '{quoted(spec.licence)}'; only its makers can "
            "choose one."
        ) from error


def _citations(spec: ModelSpec) -> list[dict[str, str]]:
    """The card's citation, and that of the published method, each by its DOI."""
    by_doi: dict[str, str] = {}
    for text in (spec.citation, CITATION):
        for doi in _DOI.findall(text):
            by_doi.setdefault(doi, text)
    return [{"text": text, "doi": doi} for doi, text in by_doi.items()]


def _pixel_size(spec: ModelSpec) -> dict[str, Any]:
    """Unit and scale of the space axes.

    Other programs compute sizes as size * scale / scale and then want whole numbers, so the unit
    is one in which this is exact, as it is in the smallest for every size.
    """
    if spec.pixel_size_um is None:
        return {}
    sizes = np.arange(1, _LARGEST_PX)
    for unit, per_um in (("micrometer", 1), ("nanometer", 1e3)):
        scale = round(spec.pixel_size_um * per_um, 6)
        if scale and (sizes * scale / scale == sizes).all():
            return {"unit": unit, "scale": scale}
    return {"unit": "picometer", "scale": float(round(spec.pixel_size_um * 1e6))}


def _tensor(name: str, kind: str, spec: ModelSpec, size_multiple: int | None) -> dict[str, Any]:
    low_um, high_um = spec.axial_range_um
    is_dpm = name == "dpm"
    sizes = {
        axis: {"tensor_id": "image", "axis_id": axis}
        if size_multiple is None
        else {"min": size_multiple, "step": size_multiple}
        for axis in "yx"
    }
    return {
        "id": name,
        "description": {
            "image": "Normalised intensity; the documentation says how.",
            "dpm": "Axial distance of the wanted surface from the image's plane.",
            "refocused": "Inferred image on the surface, on the scale of the normalised image.",
        }[name],
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": [name]},
            *(
                {"type": "space", "id": axis, "size": size} | _pixel_size(spec)
                for axis, size in sizes.items()
            ),
        ],
        "data": {"type": "float32"}
        | ({"unit": "µm", "range": [low_um, high_um], "scale": 1.0} if is_dpm else {}),
        "test_tensor": {"source": f"test_{name}.npy"},
    }


def _weights(network: torch.nn.Module) -> dict[str, Any]:
    version = torch.__version__.partition("+")[0]
    script: dict[str, Any] = {"source": _SCRIPT_FILE, "pytorch_version": version}
    assert isinstance(network, DeepZUNet | FoldedUNet)
    return {
        "pytorch_state_dict": {
            "source": _STATE_FILE,
            "pytorch_version": version,
            "architecture": {
                "import_from": type(network).__module__,
                "callable": type(network).__name__,
                "kwargs": network.arguments,
            },
        },
        "torchscript": script | {"parent": "pytorch_state_dict"},
    }

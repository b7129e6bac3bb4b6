"""Networks that come as TorchScript: programs with their weights, of any architecture."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from napari_deepz.generators.base import Generator
from napari_deepz.generators.errors import ModelError
from napari_deepz.generators.torchscript.archive import checked_archive


class TorchScriptGenerator(Generator):
    """A TorchScript network that takes an image and a DPM.

    All its work is done in `decode`, as in the published network; its code is the image itself.

    Parameters
    ----------
    script : ScriptModule
        What `load_torchscript` returned. It gets the image and the DPM, (N, 1, Y, X) each.
    size_multiple, halo_px : int
        As for every `Generator`; they cannot be read off a program.
    joined : bool
        Image and DPM go in as one tensor, (N, 2, Y, X).
    dpm_scale_um : float
        The DPM enters divided by this.
    """

    code_channels = 1

    def __init__(
        self,
        script: torch.jit.ScriptModule,
        *,
        size_multiple: int,
        halo_px: int,
        joined: bool,
        dpm_scale_um: float,
    ) -> None:
        super().__init__()
        self.script = script
        self.size_multiple = size_multiple
        self.halo_px = halo_px
        self.joined = joined
        self.dpm_scale_um = dpm_scale_um

    def encode(self, image: Tensor) -> Tensor:
        """Return the image: nothing can be computed before the DPM is known."""
        return image

    def decode(self, code: Tensor, dpm_um: Tensor) -> Tensor:
        """Run the whole network on the image and the DPM."""
        return run_script(self.script, code, dpm_um / self.dpm_scale_um, joined=self.joined)

    def modules(self, remove_duplicate: bool = True) -> Iterator[nn.Module]:
        """Yield this module alone: the parts of a script are not modules that take hooks."""
        yield self


def run_script(
    script: torch.jit.ScriptModule, image: Tensor, dpm: Tensor, *, joined: bool
) -> Tensor:
    """Run a TorchScript network on an image and a DPM on its own scale, (N, 1, Y, X) each.

    Raises
    ------
    RuntimeError
        If it does not run, or its first output is no tensor.
    """
    try:
        output = script(torch.cat([image, dpm], dim=1)) if joined else script(image, dpm)
    except torch.jit.Error as error:  # No RuntimeError, as those of all other networks are.
        raise RuntimeError(str(error)) from error
    if isinstance(output, list | tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise RuntimeError("the network's output is not a tensor")
    return output


def load_torchscript(data: bytes, where: str) -> torch.jit.ScriptModule:
    """Load a TorchScript network after checking all that is in its file.

    Parameters
    ----------
    data : bytes
        The file.
    where : str
        What a sentence calls the model, such as "in worm.zip".

    Returns
    -------
    ScriptModule
        On the CPU, float32, in evaluation mode, not to be trained.

    Raises
    ------
    ModelError
        If it is damaged, holds weights that are not finite, or anything but a network
        (`torchscript.archive`); nothing of it was run then.
    """
    archive = checked_archive(data, where)
    try:
        with without_deprecation_of_torchscript():
            script: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
                io.BytesIO(archive), map_location="cpu"
            )
        script.eval()
        script.float()
    except Exception as error:  # PyTorch has a kind of its own for every fault in such a file.
        raise ModelError(
            f"The TorchScript network {where} cannot be loaded by PyTorch {torch.__version__}; it "
            "is damaged, or comes from another version."
        ) from error
    for parameter in script.parameters():
        parameter.requires_grad_(False)
    for name, tensor in [*script.named_parameters(), *script.named_buffers()]:
        if not torch.isfinite(tensor).all():
            raise ModelError(
                f"The weights of the TorchScript network {where} are damaged: '{name}' holds "
                "values that are not finite numbers."
            )
    return script


@contextmanager
def without_deprecation_of_torchscript() -> Iterator[None]:
    """Silence PyTorch saying that TorchScript has a successor: files made with it remain."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        yield

"""What the engine asks of every generator: encode the image once, decode any surface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_DRAWING = {Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_}


class _NothingDrawn(TorchFunctionMode):
    """Leaves tensors as they are where weights would be drawn into them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init" or func in _DRAWING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def without_weights() -> Iterator[None]:
    """Build networks that have the shapes of their weights alone, in no memory, however large.

    Drawing on the meta device would import torch._dynamo and with it triton, whose LLVM kills a
    process that draws with Mesa's.
    """
    with torch.device("meta"), _NothingDrawn():
        yield


def initialise(network: nn.Module) -> None:
    """Draw weights that keep a ReLU network's signals alive (He et al. 2015, arXiv:1502.01852)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def is_recording() -> bool:
    """Whether gradients or a program are recorded: then nothing is overwritten or cut in strips."""
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return tracing or torch.is_grad_enabled()


class Generator(nn.Module, ABC):
    """A network that refocuses normalised images onto a digital propagation matrix.

    Attributes
    ----------
    size_multiple : int
        Height and width of every input must be a multiple of this.
    halo_px : int
        Radius of the receptive field: pixels further away do not influence an output pixel.
    code_channels : int
        Values per pixel that `encode` keeps; the engine plans its memory with it.
    plane_z_um : tuple of float or None
        Where the code's channels are refocused planes themselves: their axial distances in µm.
    """

    size_multiple: int
    halo_px: int
    code_channels: int
    plane_z_um: tuple[float, ...] | None = None

    @abstractmethod
    def encode(self, image: Tensor) -> Tensor:
        """Compute everything that depends on the image alone.

        Parameters
        ----------
        image : Tensor
            (N, 1, Y, X) float, normalised intensity.

        Returns
        -------
        Tensor
            (N, code_channels, Y, X), to be passed to `decode`.
        """

    @abstractmethod
    def decode(self, code: Tensor, dpm_um: Tensor) -> Tensor:
        """Refocus an encoded image.

        Parameters
        ----------
        code : Tensor
            What `encode` returned.
        dpm_um : Tensor
            (N, 1, Y, X) float, axial distance of the wanted surface in µm; one number, expanded,
            where it is the same for all pixels.

        Returns
        -------
        Tensor
            (N, 1, Y, X), normalised intensity on that surface.
        """

    def forward(self, image: Tensor, dpm_um: Tensor) -> Tensor:
        """Encode and decode in one call; shapes as in `encode` and `decode`."""
        decoded: Tensor = self.decode(self.encode(image), dpm_um)
        return decoded

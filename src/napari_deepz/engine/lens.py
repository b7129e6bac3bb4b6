"""A model where it computes: made once, shared by images, frames and threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.devices import (
    check_runtime,
    choose_device,
    describe_device,
    network_on,
)
from napari_deepz.engine.openvino_runtime import OpenVINOUNet
from napari_deepz.models.package import Model
from napari_deepz.networks.base import Generator
from napari_deepz.networks.deepz_unet import DeepZUNet
from napari_deepz.networks.forking import compute_here
from napari_deepz.networks.told_z_basis import ToldZBasis
from napari_deepz.sampling import Sampling
from napari_deepz.watch import Watch

_MOST_FITTED = 4


class _Stoppable(TorchFunctionMode):
    """Asks between the operations of a network, in the thread that computes, whether to go on."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        self._watch.check()
        return func(*args, **(kwargs or {}))


class Lens:
    """A model's network on a device, ready for any image.

    It holds nothing of any image, and the network is never changed, so that one lens serves as
    many images and threads as there are. On the CPU the network is the model's own; elsewhere it
    is a copy, made when it is first used.

    Parameters
    ----------
    model : Model
        From `load_model`.
    compute : Compute, optional
        With what; the fastest device, in float32, where None.

    Raises
    ------
    ValueError
        If the device is not there, or the runtime does not suit; one sentence.
    ForkedProcessError
        In a process that was forked from one that has loaded a model, where PyTorch would hang.
    """

    def __init__(self, model: Model, compute: Compute | None = None) -> None:
        compute_here()
        self.model = model
        self.compute = compute or Compute()
        self.device = choose_device(self.compute.device)
        check_runtime(self.compute.runtime, model.network, self.device)
        self._network: Generator | None = None
        self._fitted: dict[Sampling | None, Lens] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, model: Model | Lens, compute: Compute | None) -> Lens:
        """Take a lens as it is, or make one of a model."""
        if isinstance(model, Model):
            return cls(model, compute)
        if compute is not None and compute != model.compute:
            raise ValueError("A lens has a device of its own: give it no other one.")
        return model

    def for_image(self, sampling: Sampling | None) -> Lens:
        """Give the lens for the optics of one image; this one, for models of one objective.

        The last few are kept, so that images of one microscope share them.
        """
        if not isinstance(self.model.network, ToldZBasis):
            return self
        with self._lock:
            if sampling not in self._fitted:
                if len(self._fitted) >= _MOST_FITTED:
                    self._fitted.pop(next(iter(self._fitted)))
                self._fitted[sampling] = Lens(self.model.for_image(sampling), self.compute)
            return self._fitted[sampling]

    def for_planes(self, sampling: Sampling | None, at_um: Sequence[float]) -> Lens:
        """Give the lens for several images at once, taken at these depths in µm.

        Raises
        ------
        ValueError
            If the model has not learned to merge; one sentence.
        """
        return Lens(self.model.for_planes(sampling, at_um), self.compute)

    @property
    def name(self) -> str:
        """What computes, for people, such as "CPU, 2 threads"."""
        return describe_device(self.device, self.compute.precision, self.compute.runtime)

    def encode(self, windows: Tensor, watch: Watch) -> Tensor:
        """Encode (N, 1, Y, X) normalised pixels; (N, code_channels, Y, X) float32 on the device.

        Raises
        ------
        Cancelled
            When the watch says so, between the operations of the network.
        """
        network = self._ready()
        with torch.inference_mode(), self._autocast(), _Stoppable(watch):
            code = network.encode(windows.to(self.device))
        return code.float().contiguous()

    def decode(self, code: Tensor, dpm_um: Tensor, watch: Watch) -> Tensor:
        """Refocus a code onto distances (N, 1, Y, X) in µm; (N, 1, Y, X) on the device.

        Raises
        ------
        Cancelled
            When the watch says so, between the operations of the network.
        """
        network = self._ready()
        with torch.inference_mode(), self._autocast(), _Stoppable(watch):
            return network.decode(code.to(self.device), dpm_um.to(self.device))

    def _autocast(self) -> torch.autocast:
        reduced = self.compute.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=reduced)

    def _ready(self) -> Generator:
        with self._lock:
            if self._network is None:
                network = network_on(self.model.network, self.device)
                if self.compute.runtime == "openvino" and isinstance(network, DeepZUNet):
                    network = OpenVINOUNet(network, self.compute.precision)
                self._network = network
            return self._network

"""The published U-Net through OpenVINO: faster than PyTorch on the CPU in bfloat16."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from napari_deepz.engine.devices import Precision
from napari_deepz.networks.base import Generator
from napari_deepz.networks.deepz_unet import DeepZUNet

_EXAMPLE_PX = 64
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVINOUNet(Generator):
    """A `DeepZUNet` compiled by OpenVINO, once for each size of a window.

    Parameters
    ----------
    network : DeepZUNet
        On the CPU.
    precision : {"float32", "bfloat16"}
        What it computes in.

    Raises
    ------
    ModuleNotFoundError
        If OpenVINO is not installed.
    """

    code_channels = 1

    def __init__(self, network: DeepZUNet, precision: Precision) -> None:
        super().__init__()
        try:
            import openvino
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "The runtime 'openvino' needs OpenVINO; install it with "
                "pip install 'napari-deepz[openvino]'."
            ) from error
        self.size_multiple = network.size_multiple
        self.halo_px = network.halo_px
        self._hints = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._core = openvino.Core()
        example = torch.zeros(1, 1, _EXAMPLE_PX, _EXAMPLE_PX)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # PyTorch's about its own tracing.
            self._model = openvino.convert_model(network, example_input=(example, example))
        self._compiled: dict[torch.Size, Any] = {}

    def encode(self, image: Tensor) -> Tensor:
        """Return the image: all work depends on the DPM."""
        return image

    def decode(self, code: Tensor, dpm_um: Tensor) -> Tensor:
        """Refocus (N, 1, Y, X) onto (N, 1, Y, X) distances."""
        shape = code.shape
        if shape not in self._compiled:
            self._model.reshape({port: list(shape) for port in (0, 1)})
            self._compiled[shape] = self._core.compile_model(self._model, "CPU", self._hints)
        (refocused,) = self._compiled[shape]((code.numpy(), dpm_um.contiguous().numpy())).values()
        return torch.from_numpy(refocused)

"""Which processor a run uses: chosen here, and named here for people."""

from __future__ import annotations

import os
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn

from napari_deepz.networks.base import Generator
from napari_deepz.networks.deepz_unet import DeepZUNet

Precision = Literal["float32", "bfloat16"]
Runtime = Literal["pytorch", "openvino"]

# Where Linux offers them, large tensors then lie in large pages: a run spends up to a quarter of
# its time on page faults otherwise. PyTorch looks at this once, at its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def choose_device(name: str | torch.device | None = "auto") -> torch.device:
    """Find the device that a setting asks for.

    Parameters
    ----------
    name : str, torch.device or None
        "auto" or None takes a CUDA graphics card, else Apple's GPU, else the CPU. Otherwise
        "cpu", "cuda", "cuda:1", "mps".

    Returns
    -------
    torch.device
        A device that this machine has.

    Raises
    ------
    ValueError
        If the name means nothing or the device is not there.
    """
    wanted = "auto" if name is None else str(name).strip().lower()
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, colon, number = wanted.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and not number.isdecimal()):
        raise ValueError(
            f"The device '{name}' is not known; use 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'."
        )
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"The device '{name}' was asked for, but PyTorch finds no CUDA graphics card on this "
            "machine; use 'auto' or 'cpu', or install a PyTorch build with CUDA."
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError(
            f"The device '{name}' was asked for, but PyTorch finds no Apple GPU on this machine; "
            "use 'auto' or 'cpu'."
        )
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if number and int(number) >= count:
        have = f"only '{kind}:0'" if count == 1 else f"'{kind}:0' to '{kind}:{count - 1}'"
        raise ValueError(f"The device '{name}' was asked for, but this machine has {have}.")
    return torch.device(wanted)


def check_runtime(name: Runtime, network: Generator, device: torch.device) -> None:
    """Raise a `ValueError` if a runtime does not suit."""
    if name == "openvino" and not isinstance(network, DeepZUNet):
        raise ValueError(
            "The runtime 'openvino' is for models of the published U-Net only; leave it out for "
            "this one."
        )
    if name == "openvino" and device.type != "cpu":
        raise ValueError("The runtime 'openvino' computes on the CPU; choose the device 'cpu'.")


def describe_device(
    device: torch.device, precision: Precision = "float32", runtime: Runtime = "pytorch"
) -> str:
    """Name a device for people, such as "CPU, 2 threads" or the graphics card's own name."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type == "mps":
        name = "Apple GPU (MPS)"
    else:
        threads = torch.get_num_threads()
        name = f"CPU, {threads} thread" + ("" if threads == 1 else "s")
    if runtime == "openvino":
        name += ", OpenVINO"
    return name if precision == "float32" else f"{name}, {precision}"


def network_on(network: Generator, device: torch.device) -> Generator:
    """Give a network on a device.

    Loaded models are shared between threads, and `Module.to` changes a module in place, so the
    network itself is never touched.

    Parameters
    ----------
    network : Generator
        On the CPU, in evaluation mode.
    device : torch.device
        Where it shall be.

    Returns
    -------
    Generator
        The network itself on the CPU; elsewhere a copy, whose weights never lie in main memory
        twice.
    """
    if device.type == "cpu":
        return network
    moved: dict[int, Tensor] = {id(buffer): buffer.to(device) for buffer in network.buffers()}
    for weight in network.parameters():
        moved[id(weight)] = nn.Parameter(weight.to(device), requires_grad=weight.requires_grad)
    return deepcopy(network, memo=moved)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device, or the machine, had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "alloc_failed" in text
    )


def free_device_memory(device: torch.device) -> None:
    """Hand memory that PyTorch keeps for reuse back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()

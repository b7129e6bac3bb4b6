"""Which processor a run uses: chosen here, and named here for people."""

from __future__ import annotations

import os
from copy import deepcopy
from typing import Literal, cast, get_args

import torch

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


def check_precision(name: str) -> Precision:
    """Return a precision, or raise a `ValueError` if it is not known."""
    if name not in get_args(Precision):
        raise ValueError(f"The precision '{name}' is not known; use 'float32' or 'bfloat16'.")
    return cast(Precision, name)


def check_runtime(name: str, network: Generator, device: torch.device) -> Runtime:
    """Return a runtime, or raise a `ValueError` if it is not known or does not suit."""
    if name not in get_args(Runtime):
        raise ValueError(f"The runtime '{name}' is not known; use 'pytorch' or 'openvino'.")
    if name == "openvino" and not isinstance(network, DeepZUNet):
        raise ValueError(
            "The runtime 'openvino' is for models of the published U-Net only; leave it out for "
            "this one."
        )
    if name == "openvino" and device.type != "cpu":
        raise ValueError("The runtime 'openvino' computes on the CPU; choose the device 'cpu'.")
    return cast(Runtime, name)


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
    """Copy a network to a device, in evaluation mode.

    Loaded models are shared between threads, and `Module.to` changes a module in place, so the
    network itself is never touched. On the CPU the copy's weights lie channels-last, which makes
    convolutions up to twice as fast; the numbers stay the same to float rounding.

    Parameters
    ----------
    network : Generator
        On any device.
    device : torch.device
        Where the copy shall be.

    Returns
    -------
    Generator
        The copy; freed with its last reference.
    """
    copy = deepcopy(network).eval().to(device)
    if device.type == "cpu":
        copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copy


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

"""With what a run is computed, as a value that can be saved."""

from __future__ import annotations

from pydantic import Field

from napari_deepz.engine.devices import Precision, Runtime
from napari_deepz.settings import Settings


class Compute(Settings):
    """Device, digits, runtime and memory of a run.

    Parameters
    ----------
    device : str, optional
        "auto" takes the fastest that there is; otherwise "cpu", "cuda", "cuda:1" or "mps".
    precision : {"float32", "bfloat16"}, optional
        "bfloat16" computes convolutions with fewer digits, about twice as fast on processors that
        have instructions for it; the result differs by about 1 % of its range at most, where the
        image is more than noise.
    runtime : {"pytorch", "openvino"}, optional
        "openvino" computes models of the published U-Net on the CPU, with "bfloat16" up to twice
        as fast, once it has compiled them; needs the extra ``napari-deepz[openvino]``.
    memory_gb : float or None, optional
        What a run may keep at once, in GB; where None, a quarter of the memory that is free for
        encoded tiles, from 1.1 to 3.5 GB, and 1.1 GB for finished ones.
    """

    called = "the computation"

    device: str = "auto"
    precision: Precision = "float32"
    runtime: Runtime = "pytorch"
    memory_gb: float | None = Field(None, gt=0)

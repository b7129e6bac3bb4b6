"""The form in which the user chooses with what is computed."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from magicgui.widgets import ComboBox, FloatSpinBox
from psygnal import Signal

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.devices import choose_device, describe_device
from napari_deepz.widgets.shared.forms import Rows, Section

_FASTEST = "auto"


class ComputeForm:
    """Device, digits, runtime and memory.

    Attributes
    ----------
    changed : Signal
        Emitted when something else is chosen.
    widget : Section
        What to put into a window, folded away.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.device = ComboBox(
            label="Device",
            choices=_devices(),
            tooltip="What computes: the fastest device, or one that you choose.",
        )
        self.precision = ComboBox(
            label="Digits",
            choices=[("float32, exact", "float32"), ("bfloat16, faster", "bfloat16")],
            tooltip="bfloat16 takes about half the time on processors that have instructions for "
            "it; results differ by about 1 % of their range at most.",
        )
        runtimes = ["pytorch", "openvino"] if find_spec("openvino") else ["pytorch"]
        self.runtime = ComboBox(
            label="Runtime",
            choices=runtimes,
            tooltip="openvino computes models of the published U-Net on the CPU, and is faster "
            "with bfloat16.",
        )
        self.memory_gb = FloatSpinBox(
            label="Memory (GB)",
            min=0,
            max=1000,
            step=0.5,
            tooltip="What a run may keep at once, in GB; 0: a part of what is free.",
        )
        settings = (self.device, self.precision, self.runtime, self.memory_gb)
        self.widget = Section("Computation", Rows(*settings), folded=True)
        for setting in settings:
            setting.changed.connect(lambda _: self.changed.emit())

    def compute(self) -> Compute:
        """What is chosen."""
        return Compute(
            device=self.device.value,
            precision=self.precision.value,
            runtime=self.runtime.value,
            memory_gb=self.memory_gb.value or None,
        )

    def describe(self) -> str:
        """Name what computes, for people."""
        chosen = self.compute()
        return describe_device(choose_device(chosen.device), chosen.precision, chosen.runtime)

    def restore(self) -> None:
        """Choose what is there by default."""
        self.device.value, self.precision.value = _FASTEST, "float32"
        self.runtime.value, self.memory_gb.value = "pytorch", 0.0


def _devices() -> list[tuple[str, str]]:
    """Names for people, and for PyTorch, of all devices that there are."""
    names = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    fastest = describe_device(choose_device(_FASTEST))
    named = [(describe_device(choose_device(name)), name) for name in (*names, "cpu")]
    return [(f"Fastest ({fastest})", _FASTEST), *named]

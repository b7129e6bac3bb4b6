"""Whether a model computes on this machine what it computed where it was made."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from napari_deepz.engine.devices import (
    choose_device,
    describe_device,
    is_out_of_memory,
    network_on,
)
from napari_deepz.models.errors import ModelError
from napari_deepz.models.package import Model, read_test
from napari_deepz.models.proof import SIMILAR, run_network

SAME = 1e-4
"""Deviation in standard deviations below which only float32 rounding differs."""


@dataclass(frozen=True)
class ModelCheck:
    """Outcome of a stored test.

    Attributes
    ----------
    deviation : float
        Largest difference from the stored output, in standard deviations of the latter; infinite
        where the output is not finite.
    device : str
        Where the model ran, for people.
    seconds : float
        How long it ran.
    verdict : str
        What the deviation means, one sentence.
    passed : bool
        Whether the model can be trusted on this device.
    """

    deviation: float
    device: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the deviation is below `SIMILAR`."""
        return self.deviation < SIMILAR

    @property
    def verdict(self) -> str:
        """What the deviation means."""
        if self.deviation < SAME:
            return "The output is the stored one to float32 rounding."
        if self.passed:
            return "The output differs slightly, as on devices that compute with fewer digits."
        return "The output is NOT the stored one: do not use this model on this device."


def check_model(model: Model, device: str | torch.device | None = "auto") -> ModelCheck:
    """Run the test that a model carries.

    Parameters
    ----------
    model : Model
        From a package with a test.
    device : str, torch.device or None
        As for `choose_device`.

    Returns
    -------
    ModelCheck

    Raises
    ------
    ModelError
        If the package has no test, or one that the network cannot run.
    ValueError
        If the device is not there.
    """
    test = read_test(model.source, size_multiple=model.network.size_multiple)
    if test is None:
        raise ModelError(f"The model in {model.source} carries no test to be run.")
    chosen = choose_device(device)
    where = describe_device(chosen)
    start_s = time.perf_counter()
    try:
        output = run_network(network_on(model.network, chosen), test.image, test.dpm_um)
    except RuntimeError as error:
        reason = (
            "there is too little memory; use another device"
            if is_out_of_memory(error)
            else "its network cannot take the stored images; the package is damaged"
        )
        raise ModelError(
            f"The test of the model in {model.source} cannot be run ({where}): {reason}."
        ) from error
    seconds = time.perf_counter() - start_s
    if output.shape != test.output.shape:
        raise ModelError(
            f"The network of the model in {model.source} does not give an image of the size of its "
            "stored test; the package is damaged."
        )
    return ModelCheck(test.deviation(output), where, seconds)

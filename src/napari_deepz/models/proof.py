"""A test that travels with a model: an input, and the output that it must give everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as serialise_tensors

from napari_deepz.models.errors import ModelError
from napari_deepz.networks.base import Generator
from napari_deepz.networks.forking import compute_here

SIMILAR = 1e-2
"""Deviation below which reduced precision, as on some GPUs, explains the difference."""

_SMALLEST_PX = 64
_PARTS = ("image", "dpm_um", "output")


@dataclass(frozen=True, eq=False)
class StoredTest:
    """Input and output of a generator, on the scale of the network.

    Attributes
    ----------
    image : ndarray
        (Y, X) float32, normalised intensity.
    dpm_um : ndarray
        (Y, X) float32, axial distances in µm.
    output : ndarray
        (Y, X) float32, normalised intensity that the network gave where the test was made.
    """

    image: NDArray[np.float32]
    dpm_um: NDArray[np.float32]
    output: NDArray[np.float32]

    def deviation(self, output: NDArray[np.float32]) -> float:
        """Largest difference from the stored output, in standard deviations of the latter."""
        stored = self.output.astype(np.float64)
        with np.errstate(invalid="ignore"):  # Of infinity less infinity.
            difference = float(np.abs(output - stored).max() / stored.std())
        return difference if np.isfinite(difference) else np.inf


def make_test(network: Generator, axial_range_um: tuple[float, float]) -> StoredTest:
    """Run a network on the test input: spots of light, on a plane tilted through the whole range.

    Parameters
    ----------
    network : Generator
        In evaluation mode, float32, on the CPU.
    axial_range_um : tuple of float
        Smallest and largest distance.

    Returns
    -------
    StoredTest
    """
    image, dpm_um = make_input(network.size_multiple, axial_range_um)
    return StoredTest(image, dpm_um, run_network(network, image, dpm_um))


def make_input(
    size_multiple: int, axial_range_um: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make the image and the DPM of a test, (Y, X) float32 each."""
    size = -(-_SMALLEST_PX // size_multiple) * size_multiple
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    image = rng.normal(0, 0.02, (size, size))
    for row, column, radius_px in rng.uniform((0, 0, 1.5), (size, size, 5), (12, 3)):
        distance2 = (rows - row) ** 2 + (columns - column) ** 2
        image += np.exp(-distance2 / (2 * radius_px**2)) * 2 / radius_px
    low_um, high_um = axial_range_um
    dpm_um = low_um + (high_um - low_um) * (rows + 0.5 * columns) / (1.5 * (size - 1))
    return image.astype(np.float32), dpm_um.astype(np.float32)


def run_network(
    network: Generator, image: NDArray[np.float32], dpm_um: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Run a network on one image and DPM, (Y, X) each, on the device that it is on."""
    compute_here()
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    tensors = (torch.from_numpy(array)[None, None].to(device) for array in (image, dpm_um))
    with torch.inference_mode():
        output: NDArray[np.float32] = network(*tensors)[0, 0].float().cpu().numpy()
    return output


def check_output(
    network: Generator, test: StoredTest | None, axial_range_um: tuple[float, float], called: str
) -> None:
    """Run a network on its stored test, or on the usual test input where it has none.

    Parameters
    ----------
    network : Generator
        In evaluation mode, float32, on the CPU.
    test : StoredTest or None
        Of the network.
    axial_range_um : tuple of float
        Smallest and largest distance of the network.
    called : str
        What a sentence calls the package.

    Raises
    ------
    ModelError
        If the output is not the stored one, or not finite.
    """
    image, dpm_um = (
        make_input(network.size_multiple, axial_range_um)
        if test is None
        else (test.image, test.dpm_um)
    )
    try:
        output = run_network(network, image, dpm_um)
    except RuntimeError as error:
        raise ModelError(
            f"The test of the model in {called} cannot be run; free some memory, or get the "
            "model anew if there was enough."
        ) from error
    if not np.isfinite(output).all():
        raise ModelError(
            f"The model in {called} gives numbers that are NaN or infinite, so it refocuses "
            "nothing; ask its author for one that works."
        )
    if test is not None and not test.deviation(output) < SIMILAR:
        raise ModelError(
            f"The model in {called} fails its own test: its output is not the one stored with it, "
            "so its files do not belong together; get it anew from where it came from."
        )


def serialise_test(test: StoredTest) -> bytes:
    """Write a test as safetensors."""
    return serialise_tensors(
        {part: torch.from_numpy(np.ascontiguousarray(getattr(test, part))) for part in _PARTS}
    )


def parse_test(data: bytes, where: str, size_multiple: int = 1) -> StoredTest:
    """Read a test.

    Parameters
    ----------
    data : bytes
        The file.
    where : str
        What a sentence calls the model, such as "of the model in worm.zip".
    size_multiple : int
        Height and width must be multiples of this.

    Returns
    -------
    StoredTest

    Raises
    ------
    ModelError
        If the data are no test, or one of a size that the network cannot take.
    """
    try:
        tensors = parse_tensors(data)
        arrays = [tensors[part].numpy() for part in _PARTS]
    except (SafetensorError, KeyError) as error:
        raise ModelError(f"The stored test {where} cannot be read; the file is damaged.") from error
    shape = arrays[0].shape
    if any(a.ndim != 2 or a.shape != shape or a.dtype != np.float32 for a in arrays):
        raise ModelError(f"The stored test {where} is not made of three float32 images.")
    if not all(side > 0 and side % size_multiple == 0 for side in shape):
        raise ModelError(
            f"The stored test {where} has images of {shape[1]} x {shape[0]} pixels, but its "
            f"network needs multiples of {size_multiple}."
        )
    if not all(np.isfinite(a).all() for a in arrays) or arrays[2].std() == 0:
        raise ModelError(f"The stored test {where} holds values that make no test.")
    return StoredTest(*arrays)

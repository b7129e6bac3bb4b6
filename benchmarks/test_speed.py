"""Times of the published generator and of the fast one; `make bench` makes a table of them."""

from __future__ import annotations

import tempfile
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import conftest as runtimes
from benchmarks.conftest import ROUNDS
from napari_deepz import (
    Compute,
    EncodedImage,
    EncodedPlanes,
    Flat,
    Tilted,
    load_model,
    refocus,
)
from napari_deepz.engine.allocation import reused_memory
from napari_deepz.models.package import Model
from napari_deepz.networks.deepz_unet import DeepZUNet

PUBLISHED = [
    "TensorFlow",
    "PyTorch",
    "ONNX Runtime",
    "OpenVINO",
    "PyTorch, bfloat16",
    "OpenVINO, bfloat16",
]
LARGEST_IN_ONNX_RUNTIME_PX = 1024


@pytest.fixture(scope="module")
def fast() -> Model:
    return load_model()


@pytest.mark.parametrize("runtime", PUBLISHED)
def test_published_slice(
    benchmark: Any, published: DeepZUNet, image: np.ndarray, size_px: int, runtime: Any
) -> None:
    name, _, precision = runtime.partition(", ")
    precision = precision or "float32"
    if name == "TensorFlow":
        run = runtimes.tensorflow(image)
    elif name == "PyTorch":
        run = runtimes.pytorch(published, image, precision)
    elif name == "OpenVINO":
        run = runtimes.openvino(published, image, precision)
    elif size_px > LARGEST_IN_ONNX_RUNTIME_PX:
        pytest.skip("ONNX Runtime takes more than 20 GB for so large an image")
    else:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = runtimes.onnxruntime(published, image, Path(folder))
    # As `engine.run` does for all planes of a run.
    with reused_memory() if name == "PyTorch" else nullcontext():
        benchmark.pedantic(run, rounds=ROUNDS[size_px], warmup_rounds=1)
    if name != "TensorFlow":
        exact = runtimes.pytorch(published, image, "float32")()
        benchmark.extra_info["difference"] = float(np.abs(run() - exact).max() / np.ptp(exact))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("what", ["41 slices", "first picture"])
def test_fast(
    benchmark: Any, fast: Model, image: np.ndarray, size_px: int, what: str, precision: str
) -> None:
    surface = Flat(-10, 10, 0.5) if what == "41 slices" else Flat(3.2)

    def run(digits: Any = precision) -> np.ndarray:
        return refocus(
            image,
            surface,
            fast,
            pixel_size_um=fast.spec.pixel_size_um,
            compute=Compute(precision=digits),
        ).data

    benchmark.pedantic(run, rounds=2 * ROUNDS[size_px] + 1, warmup_rounds=2)
    exact = run("float32")
    benchmark.extra_info["difference"] = float(np.abs(run() - exact).max() / np.ptp(exact))


@pytest.mark.parametrize("what", ["another flat surface", "another tilted surface"])
def test_further_surface(
    benchmark: Any, fast: Model, image: np.ndarray, size_px: int, what: str
) -> None:
    encoded = EncodedImage(image, fast, pixel_size_um=fast.spec.pixel_size_um)
    encoded.refocus(Flat(0))
    tilts_deg = iter(np.linspace(0.01, 1, 1000))

    def run() -> np.ndarray:
        if what == "another flat surface":
            return encoded.refocus(Flat(3.2)).data
        return encoded.refocus(Tilted(next(tilts_deg), 0.3)).data

    benchmark.pedantic(run, rounds=31, warmup_rounds=3)


@pytest.mark.parametrize("what", ["1 input plane", "2 input planes", "3 input planes"])
def test_input_planes(
    benchmark: Any, fast: Model, image: np.ndarray, size_px: int, what: str
) -> None:
    at_um = (0.0, 4.0, -4.0)[: int(what[0])]
    images = [np.roll(image, index, axis=0) for index in range(len(at_um))]

    def run() -> np.ndarray:
        planes = EncodedPlanes(
            images, at_um, fast, merge="distance", pixel_size_um=fast.spec.pixel_size_um
        )
        return planes.refocus(Flat(-10, 10, 0.5)).data

    benchmark.pedantic(run, rounds=2 * ROUNDS[size_px] + 1, warmup_rounds=1)

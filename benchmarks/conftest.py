"""What the benchmarks of speed share: images, the published network and its other runtimes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_deepz.engine.devices import network_on
from napari_deepz.engine.openvino_runtime import OpenVINOUNet
from napari_deepz.networks.deepz_unet import DeepZUNet

Z_UM = 3.0
ROUNDS = {512: 7, 1024: 5, 2048: 2}

Slice = Callable[[], np.ndarray]


@pytest.fixture(params=ROUNDS, ids="{0}px".format, scope="session")
def size_px(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="session")
def image(size_px: int) -> np.ndarray:
    """Photon noise: how long a network takes does not depend on what it sees."""
    return np.random.default_rng(0).poisson(100, (size_px, size_px)).astype(np.uint16)


@pytest.fixture(scope="session")
def published() -> DeepZUNet:
    """The published network with random weights."""
    torch.manual_seed(0)
    return DeepZUNet().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def pytorch(network: DeepZUNet, image: np.ndarray, precision: str) -> Slice:
    on_cpu = network_on(network, torch.device("cpu"))
    code, dpm_um = _inputs(image)

    def run() -> np.ndarray:
        reduced = precision == "bfloat16"
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            return on_cpu(code, dpm_um).float().numpy()

    return run


def openvino(network: DeepZUNet, image: np.ndarray, precision: Any) -> Slice:
    compiled = OpenVINOUNet(network, precision)
    code, dpm_um = _inputs(image)
    return lambda: compiled.decode(code, dpm_um).numpy()


def onnxruntime(network: DeepZUNet, image: np.ndarray, folder: Path) -> Slice:
    ort = pytest.importorskip("onnxruntime")
    code, dpm_um = _inputs(image)
    path = folder / "network.onnx"
    torch.onnx.export(network, (code, dpm_um), path, input_names=["code", "dpm_um"], dynamo=False)
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {"code": code.numpy(), "dpm_um": dpm_um.numpy()}
    return lambda: session.run(None, inputs)[0]


def tensorflow(image: np.ndarray) -> Slice:
    """The published graph in TensorFlow, with random weights."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    pytest.importorskip("tensorflow")
    import tensorflow.compat.v1 as tf

    from tests.models.tensorflow_models import generator

    code, dpm_um = _inputs(image)
    both = torch.stack([code, dpm_um / 10], dim=-1)[0, 0].numpy()
    with tf.Graph().as_default():
        inputs = tf.placeholder(tf.float32, both.shape)
        output = generator(inputs, 48, 6, np.random.default_rng(0))
        session = tf.Session()
        session.run(tf.global_variables_initializer())
    return lambda: session.run(output, {inputs: both})


def _inputs(image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    normalised = (image.astype(np.float32) - 100) / 30
    code = torch.from_numpy(normalised)[None, None]
    return code, torch.full_like(code, Z_UM)

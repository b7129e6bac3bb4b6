"""Write SavedModels with the published graph, and what TensorFlow computes with them.

    python tests/models/tensorflow_models.py FOLDER

A program of its own, so that TensorFlow stays out of the process of the tests.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow.compat.v1 as tf

SIZES = {
    "odd": {"base": 5, "levels": 2, "shape": (18, 50)},
    "deep": {"base": 6, "levels": 7, "shape": (64, 128)},
}


def variable(scope: str, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> tf.Tensor:
    values = rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)
    return tf.get_variable(f"Generator/{scope}/{name}", initializer=values)


def generator(inputs: tf.Tensor, base: int, levels: int, rng: np.random.Generator) -> tf.Tensor:
    """The published graph: (Y, X, 2) in, (1, Y, X, 1) out."""

    def conv(x: Any, scope: Any, width: Any, biases: str = "biases") -> Any:
        w = variable(scope, "filters", (3, 3, int(x.shape[-1]), width), rng)
        return tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "SAME"), variable(scope, biases, (width,), rng))

    x = tf.expand_dims(inputs, 0)
    skips = []
    for i in range(levels):
        x = x if i == 0 else tf.nn.max_pool2d(x, 2, 2, "SAME")
        width, before = base * 2**i, int(x.shape[-1])
        y = tf.nn.relu(conv(x, f"down{i}/conv1", (before + width) // 2))
        y = tf.nn.relu(conv(y, f"down{i}/conv2", width))
        x = y + tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, width - before]])
        skips.append(x)
    for i in range(levels - 2, -1, -1):
        width = base * 2**i
        w = variable(f"up{i}/conv0", "filters", (3, 3, width, 2 * width), rng)
        u = tf.nn.conv2d_transpose(x, w, skips[i].shape, strides=2, padding="SAME")
        u = tf.nn.bias_add(u, variable(f"up{i}/conv0", "biases", (width,), rng))
        y = tf.nn.relu(conv(tf.concat([u, skips[i]], 3), f"up{i}/conv1", 3 * width // 2))
        x = tf.nn.relu(conv(y, f"up{i}/conv2", width)) + u
    return conv(x, "last_layer", 1, "biases_1")


def write(folder: Path, name: str, base: Any, levels: Any, shape: Any) -> None:
    rng = np.random.default_rng(levels)
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.placeholder(tf.float32, (*shape, 2))
        outputs = generator(inputs, base, levels, rng)
        # Training leaves more in a checkpoint than the generator.
        tf.get_variable("Discriminator/conv1/filters", initializer=tf.ones((3, 3, 1, 4)))
        tf.get_variable("Generator/down0/conv1/filters/Adam", initializer=tf.ones((3, 3, 2, 1)))
        tf.get_variable("beta1_power", initializer=tf.constant(0.9))
        session.run(tf.global_variables_initializer())
        image = rng.normal(0, 1, (*shape, 2)).astype(np.float32)
        output = session.run(outputs, {inputs: image})
        np.savez(folder / f"{name}.npz", input=image, output=output[0, ..., 0])
        tf.saved_model.simple_save(
            session, str(folder / name), {"input_images": inputs}, {"output_images": outputs}
        )


if __name__ == "__main__":
    for name, size in SIZES.items():
        write(Path(sys.argv[1]), name, **size)

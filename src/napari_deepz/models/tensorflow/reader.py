"""The program that reads a SavedModel's variables, and how it is run: a process of its own.

    python -m napari_deepz.models.tensorflow.reader MODEL_FOLDER TEST_INPUT OUTPUT

It prints lines of "napari-deepz: " and a JSON object: ``{"done": 3, "total": 34}``, or at the end
either ``{"version": "2.21.0"}`` or ``{"error": "one sentence"}``.
"""

from __future__ import annotations

import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.numpy import save as serialise_arrays

from napari_deepz.atomic_files import reason_of
from napari_deepz.models.errors import ModelError
from napari_deepz.models.tensorflow.variables import MOST_BYTES, data_files
from napari_deepz.watch import Progress, Watch

SCOPE = "Generator/"
REFERENCE = "reference output"

_ASK_EVERY_S = 0.1
_LONGEST_SILENCE_S = 300.0
_NEWS = "napari-deepz: "

Variables = dict[str, NDArray[np.float32]]


def main(folder: Path, test_input: Path, output: Path) -> None:
    """Write the generator's variables, and what TensorFlow computes with them.

    Parameters
    ----------
    folder : Path
        The SavedModel.
    test_input : Path
        Safetensors with "input", (1, Y, X, 2) float32: image and DPM / 10 µm.
    output : Path
        Safetensors to be written: the variables under their names, and, where they belong to the
        published network, its (1, Y, X, 1) output for the test input as `REFERENCE`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ValueError(f"TensorFlow cannot be started here: {error}.") from error

    variables = _read(tf, folder)
    results = dict(variables)
    try:
        x = load_file(test_input)["input"]
        results[REFERENCE] = _published_network(tf, variables, x)
    except (KeyError, ValueError, tf.errors.OpError):
        pass  # Not the published network: which variable is wrong is found by its shape.
    output.write_bytes(serialise_arrays(results))
    _tell(version=tf.__version__)


def _read(tf: Any, folder: Path) -> Variables:
    size = sum(file.stat().st_size for file in data_files(folder))
    checkpoint = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    shapes = {
        name: shape
        for name, shape in checkpoint.get_variable_to_shape_map().items()
        if name.startswith(SCOPE) and name.rpartition("/")[2] in ("filters", "biases", "biases_1")
    }
    numbers = sum(math.prod(map(int, shape)) for shape in shapes.values())
    if 4 * numbers > MOST_BYTES:
        raise ValueError(f"The model in {folder} is larger than any Deep-Z generator.")
    if 2 * numbers > size:  # Of half precision at least.
        raise ValueError(
            f"The weights in {folder} are more than its files can hold; the model is damaged or "
            "was not copied whole."
        )
    variables = {}
    for done, name in enumerate(sorted(shapes)):
        _tell(done=done, total=len(shapes))
        value = checkpoint.get_tensor(name)
        if value.dtype.kind != "f":
            raise ValueError(f"The variable '{name}' in {folder} does not hold real numbers.")
        variables[name] = np.ascontiguousarray(value, np.float32)
    return variables


def _published_network(tf: Any, variables: Variables, x: Any) -> NDArray[np.float32]:
    """Compute Wu et al. 2019 (doi:10.1038/s41592-019-0622-5) with TensorFlow's own operations."""

    def convolve(x: Any, name: str, biases: str = "biases") -> Any:
        filters = variables[f"{SCOPE}{name}/filters"]
        return tf.nn.conv2d(x, filters, 1, "SAME") + variables[f"{SCOPE}{name}/{biases}"]

    def twice(x: Any, block: str) -> Any:
        x = tf.nn.relu(convolve(x, f"{block}/conv1"))
        return tf.nn.relu(convolve(x, f"{block}/conv2"))

    skips: list[Any] = []
    while f"{SCOPE}down{len(skips)}/conv1/filters" in variables:
        if skips:
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        y = twice(x, f"down{len(skips)}")
        x = y + tf.pad(x, [[0, 0]] * 3 + [[0, y.shape[3] - x.shape[3]]])
        skips.append(x)
    for level in reversed(range(len(skips) - 1)):
        block, skip = f"up{level}", skips[level]
        filters = variables[f"{SCOPE}{block}/conv0/filters"]
        u = tf.nn.conv2d_transpose(x, filters, skip.shape, 2, "SAME")
        u += variables[f"{SCOPE}{block}/conv0/biases"]
        x = twice(tf.concat([u, skip], 3), block) + u
    output: NDArray[np.float32] = convolve(x, "last_layer", "biases_1").numpy()
    return output


def _tell(**news: Any) -> None:
    print(_NEWS + json.dumps(news), flush=True)


def run_reader(
    folder: Path,
    scratch: Path,
    watch: Watch,
) -> str:
    """Run this program; "input" and "output" in the scratch folder are its files.

    Returns
    -------
    str
        TensorFlow's version.

    Raises
    ------
    ModelError
        If the variables cannot be read.
    Cancelled
        When asked to stop.
    """
    # -P: Python must not import modules from the folder that the user happens to be in.
    command = [sys.executable, "-P", "-m", "napari_deepz.models.tensorflow.reader"]
    command += [str(folder), str(scratch / "input"), str(scratch / "output")]
    with (scratch / "log").open("wb") as log:
        # In a session of its own: a Ctrl-C is for this process, which then ends that one.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            news = _follow(process, watch)
        finally:
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
    if "error" in news:
        raise ModelError(news["error"])
    if "version" not in news:
        raise ModelError(
            f"TensorFlow cannot read the variables in {folder}; the model is damaged or was not "
            "copied whole."
        )
    return str(news["version"])


def _follow(
    process: subprocess.Popen[str],
    watch: Watch,
) -> dict[str, Any]:
    """Pass on what the reader tells, until it ends; returns its last news."""
    lines: queue.Queue[str] = queue.Queue()

    def collect() -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                lines.put(line)
        lines.put("")

    threading.Thread(target=collect, daemon=True).start()
    news: dict[str, Any] = {}
    progress: Progress | None = None
    heard_s = time.monotonic()
    while True:
        watch.check()
        try:
            line = lines.get(timeout=_ASK_EVERY_S)
        except queue.Empty:
            if time.monotonic() - heard_s > _LONGEST_SILENCE_S:
                raise ModelError(
                    f"TensorFlow has not answered for {_LONGEST_SILENCE_S / 60:g} minutes and was "
                    "ended; try again when the machine is less busy, or copy the model again."
                ) from None
            continue
        heard_s = time.monotonic()
        if not line:
            return news
        if not line.startswith(_NEWS):
            continue
        news = json.loads(line.removeprefix(_NEWS))
        if "total" in news:
            progress = progress or Progress(news["total"])
            progress.done = news["done"]
            watch.on_progress(progress)


def _end_with_parent() -> None:
    """End when the process that started this one has ended, however it ended."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    _end_with_parent()
    try:
        main(*map(Path, sys.argv[1:]))
    except (ValueError, MemoryError) as error:
        _tell(error=str(error) or "There is too little free memory to convert this model.")
    except OSError as error:
        _tell(error=f"The model cannot be converted: {reason_of(error)}.")

"""Test images of bioimage.io packages: NumPy files, read without trusting what they say."""

from __future__ import annotations

import io
from math import prod

import numpy as np
from numpy.typing import NDArray

from napari_deepz.models.archives import PackageFiles
from napari_deepz.models.bioimageio.description import TensorDescription, read_file
from napari_deepz.models.errors import ModelError, quoted

_MAX_ARRAY_BYTES = 256 << 20


def read_test_array(files: PackageFiles, tensor: TensorDescription) -> NDArray[np.float32]:
    """Read the test tensor of an input or output.

    Returns
    -------
    ndarray
        (C, Y, X) float32, finite.

    Raises
    ------
    ModelError
        If there is none, or it is not (1, C, Y, X) real numbers.
    """
    if tensor.test_tensor is None:
        raise ModelError(
            f"The bioimage.io package {files.called} has no test image for "
            f"'{quoted(tensor.id)}', so "
            "nobody can tell whether its network still works."
        )
    data = read_file(files, tensor.test_tensor, _MAX_ARRAY_BYTES)
    source = quoted(tensor.test_tensor.source)
    try:
        array = _parse_npy(data)
    except (ValueError, TypeError, EOFError, MemoryError, OverflowError, RecursionError) as error:
        raise ModelError(
            f"The test image {source} in {files.called} is not an array of numbers in NumPy's "
            "format."
        ) from error
    if array.ndim != 4 or array.shape[0] != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ModelError(
            f"The test image {source} in {files.called} is not one image (1, "
            f"channels, Y, X) of finite numbers; its shape is {array.shape}."
        )
    image: NDArray[np.float32] = array[0].astype(np.float32)
    return image


def _parse_npy(data: bytes) -> NDArray[np.generic]:
    """Parse a .npy file whose header promises no more than the file holds."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, fortran, dtype = read_header.get(version, _refuse)(stream)
    if dtype.kind not in "fiub" or prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError("not an array of numbers of this size")
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _refuse(*_: object) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    raise ValueError("a version of the format that is not known")

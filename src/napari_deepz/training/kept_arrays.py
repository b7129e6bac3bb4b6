"""Arrays kept as files, for runs that need more of them than there is memory for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_deepz.atomic_files import made_folder, written_beside


def keep_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write an array as .npy, all of it or nothing; its folder is made if need be."""
    made_folder(path.parent)
    with written_beside(path) as beside, beside.open("wb") as file:
        np.save(file, array)


def kept_array(path: Path) -> NDArray[np.generic]:
    """Map a file into memory: the system keeps there what there is room for.

    numpy.memmap keeps every file open, and systems allow a few hundred of them.
    """
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, kind = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    mapped = torch.from_file(str(path), size=path.stat().st_size, dtype=torch.uint8)
    pixels: NDArray[np.generic] = mapped.numpy()[start:].view(kind).reshape(shape)
    pixels.flags.writeable = False
    return pixels

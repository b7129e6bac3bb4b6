"""A small virtual stack and how it is written."""

from pathlib import Path
from typing import Any

import numpy as np

from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance

STACK = np.random.default_rng(5).normal(100, 30, (6, 32, 44)).astype(np.float32)
PROVENANCE = Provenance(
    kind="inferred",
    input_name="Würmer <2> & \x07.tif",
    model_name="worm-20x",
    model_version="1.0",
    surfaces=[{"kind": "flat", "start_um": -1.0, "stop_um": 1.5, "step_um": 0.5}],
    command="napari-deepz refocus w.tif s.ome.tif --z -1:1.5:0.5",
    notes=("ein {Hinweis}",),
)
BOTH = ["stack.ome.tif", "stack.ome.zarr"]


def write(path: Path, planes: Any = STACK, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "count": 6,
        "shape": (32, 44),
        "pixel_size_um": 0.325,
        "z_step_um": 0.5,
        "z_start_um": -1.0,
        "name": "virtual stack",
        "provenance": PROVENANCE,
    }
    write_stack(path, planes, **settings | changes)

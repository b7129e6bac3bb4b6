"""An image whose codes and planes do not fit in memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GIB = 1 << 30

# What PyTorch, the package and the image took before, in the smallest build of PyTorch; builds for
# graphics cards take more, which is not the run's.
BEFORE_BYTES = 0.44 * GIB

SCRIPT = """
import json, resource, sys, tempfile
from pathlib import Path
import numpy as np, torch
from napari_deepz.engine.refocus import iter_refocus
from napari_deepz.models.library import load_model
from napari_deepz.surfaces import Flat

torch.set_num_threads(1)
rng = np.random.default_rng(0)
image = rng.integers(100, 4000, (8192, 8192), dtype=np.uint16)
model = load_model(Path(sys.argv[1]))
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
planes = iter_refocus(image, Flat(-4, 4, 2), model, pixel_size_um=0.325)
seen = [(plane.z_um, plane.data.shape, bool(np.isfinite(plane.data).all())) for plane in planes]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
print(json.dumps({"planes": seen, "bytes": peak - before}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no getrusage")
def test_67_million_pixels_are_refocused_within_4_gib(tmp_path: Path) -> None:
    from tests.conftest import write_tiny_model

    model = write_tiny_model(tmp_path / "m", parameters={"base": 2, "levels": 3, "planes": 9})
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(model)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert told["planes"] == [[z_um, [8192, 8192], True] for z_um in (-4, -2, 0, 2, 4)]
    assert told["bytes"] < 4 * GIB - BEFORE_BYTES

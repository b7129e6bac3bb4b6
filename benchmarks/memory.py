"""Time and peak memory of a run: python -m benchmarks.memory SIZE_PX [--published] [--planes N]

41 planes with the bundled model, or one plane with the published network and random weights. The
first run is told apart: all memory that it uses is new to the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np

from napari_deepz import Compute, EncodedPlanes, Flat, iter_refocus, load_model
from napari_deepz.networks.deepz_unet import DeepZUNet

ENOUGH_PX = 8192
"""The smaller an image is, the more often it is refocused: a single short time is noise."""

GIB = 1 << 30
PAGE_BYTES = 4096


def main() -> None:
    """Print seconds and GiB as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("size_px", type=int)
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--planes", type=int, default=1, help="Input planes, 4 µm apart.")
    given = parser.parse_args()
    size_px = given.size_px
    model, surface = load_model(), Flat(-10, 10, 0.5)
    if given.published:
        model, surface = replace(model, network=DeepZUNet().eval()), Flat(3.0)
    image = np.random.default_rng(0).poisson(100, (size_px, size_px)).astype(np.uint16)
    taken_s = []
    for _ in range(1 + max(2, ENOUGH_PX // size_px)):
        start_s = time.perf_counter()
        settings: dict[str, Any] = {
            "pixel_size_um": model.spec.pixel_size_um,
            "compute": Compute(device="cpu"),
        }
        if given.planes > 1:
            at_um = [4.0 * number for number in range(given.planes)]
            images = [np.roll(image, number, axis=0) for number in range(given.planes)]
            encoded = EncodedPlanes(images, at_um, model, merge="distance", **settings)
            planes = encoded.iter_refocus(surface)
        else:
            planes = iter_refocus(image, surface, model, **settings)
        for _plane in planes:
            pass
        taken_s.append(time.perf_counter() - start_s)
    first_s, *again_s = taken_s
    found = {
        "size_px": size_px,
        "first_s": first_s,
        "seconds": statistics.median(again_s),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB,
    }
    print(json.dumps(found))


def new_gib_s() -> float:
    """Time in which the system hands out a GiB of memory that the process has not used before."""
    start_s = time.perf_counter()
    memory = np.empty(4 * GIB, np.uint8)
    memory[::PAGE_BYTES] = 1
    return (time.perf_counter() - start_s) / 4


if __name__ == "__main__":
    main()

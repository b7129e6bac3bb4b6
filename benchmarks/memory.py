"""Peak memory of refocusing one image: python -m benchmarks.memory SIZE_PX [--published]

41 planes with the bundled model, or one plane with the published network and random weights.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from dataclasses import replace

import numpy as np

from napari_deepz import Flat, iter_refocus, load_model
from napari_deepz.generators.network import DeepZUNet

ENOUGH_PX = 8192
"""Images smaller than this are refocused several times: a single short time is noise."""


def main() -> None:
    """Print seconds and GiB as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("size_px", type=int)
    parser.add_argument("--published", action="store_true")
    given = parser.parse_args()
    size_px = given.size_px
    model, surface = load_model(), Flat(-10, 10, 0.5)
    if given.published:
        model, surface = replace(model, network=DeepZUNet().eval()), Flat(3.0)
    image = np.random.default_rng(0).poisson(100, (size_px, size_px)).astype(np.uint16)
    taken_s = []
    for _ in range(max(1, ENOUGH_PX // size_px)):
        start_s = time.perf_counter()
        planes = iter_refocus(
            image, surface, model, pixel_size_um=model.spec.pixel_size_um, device="cpu"
        )
        for _plane in planes:
            pass
        taken_s.append(time.perf_counter() - start_s)
    seconds = statistics.median(taken_s)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"size_px": size_px, "seconds": seconds, "peak_gib": peak_gib}))


if __name__ == "__main__":
    main()

"""Peak memory of refocusing one image onto 41 planes: python -m benchmarks.memory SIZE_PX"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np

from napari_deepz import Flat, iter_refocus, load_model


def main() -> None:
    """Print seconds and GiB as JSON."""
    size_px = int(sys.argv[1])
    model = load_model()
    image = np.random.default_rng(0).poisson(100, (size_px, size_px)).astype(np.uint16)
    start_s = time.perf_counter()
    planes = iter_refocus(
        image, Flat(-10, 10, 0.5), model, pixel_size_um=model.spec.pixel_size_um, device="cpu"
    )
    for _ in planes:
        pass
    seconds = time.perf_counter() - start_s
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"size_px": size_px, "seconds": seconds, "peak_gib": peak_gib}))


if __name__ == "__main__":
    main()

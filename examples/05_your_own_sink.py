"""Use each plane as it comes: a depth map without a stack, a streamed file, a cancelled run.

Run it with: python examples/05_your_own_sink.py [FOLDER]
"""

import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

import napari_deepz as dz
from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance
from napari_deepz.samples import TILTED_BEADS
from napari_deepz.watch import Cancelled

path = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()) / "streamed.ome.tif"
measured = dz.read_image(TILTED_BEADS)
image, pixel_um = measured.plane(z=measured.size("Z") // 2), measured.pixel_size_um
model, depths = dz.load_model(), dz.Flat(-10, 10, 0.5)
record = Provenance(kind="inferred", model_name=model.spec.name, axial_range_um=(-10, 10))
layout = {"count": len(depths), "shape": image.shape, "pixel_size_um": pixel_um, "name": "beads"}
layout |= {"z_step_um": 0.5, "z_start_um": -10.0, "provenance": record}


def run(stop_after=None):
    """Write the planes; return the depth at which each of the brightest pixels is brightest."""
    brightest, depth_um, seen = image * 0.0, image * 0.0, []

    def sink(plane):
        depth_um[plane.data > brightest] = plane.z_um
        np.maximum(brightest, plane.data, out=brightest)
        seen.append(plane.index)
        return plane.data

    settings = {"pixel_size_um": pixel_um, "watch": dz.Watch(lambda: len(seen) == stop_after)}
    with suppress(Cancelled), closing(dz.iter_refocus(image, depths, model, **settings)) as planes:
        write_stack(path, map(sink, planes), **layout)
    print(f"{len(seen)} of {len(depths)} planes came; is there a file? {path.exists()}")
    return np.where(brightest > np.percentile(brightest, 99), depth_um, np.nan)


run(stop_after=5)
beads_um = run()
left_um, right_um = np.nanmedian(beads_um[:, :64]), np.nanmedian(beads_um[:, -64:])
print(f"Beads at the left edge lie at {left_um:+.1f} µm, at the right edge at {right_um:+.1f} µm")

"""Use each plane as it comes: a depth map without a stack, a cancelled run, a run made again.

Run it with: python examples/05_your_own_sink.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import napari_deepz as dz
from napari_deepz.samples import TILTED_BEADS
from napari_deepz.watch import Cancelled

path = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()) / "streamed.ome.tif"
middle = dz.read_image(TILTED_BEADS).size("Z") // 2
source = dz.Source(path=str(TILTED_BEADS), z=middle)
recipe = dz.Recipe(source=source, surfaces=dz.Flat(-10, 10, 0.5))

# Two planes are held at a time, however many there are.
cooking = dz.cook(recipe)
brightest, depth_um = np.zeros(cooking.shape), np.zeros(cooking.shape)
for plane in cooking:
    depth_um[plane.data > brightest] = plane.z_um
    np.maximum(brightest, plane.data, out=brightest)
beads_um = np.where(brightest > np.percentile(brightest, 99), depth_um, np.nan)
left_um, right_um = np.nanmedian(beads_um[:, :64]), np.nanmedian(beads_um[:, -64:])
print(f"Beads at the left edge lie at {left_um:+.1f} µm, at the right edge at {right_um:+.1f} µm")

cancelled = dz.cook(recipe, watch=dz.Watch(lambda: cancelled.given == 5))
try:
    dz.save(cancelled, path)
except Cancelled:
    print(f"{cancelled.given} of {cancelled.count} planes came; is there a file? {path.exists()}")

dz.save(dz.cook(recipe), path)
again = dz.cook(dz.recipe_of(path))
written = iter(dz.read_image(path).stack())
same = [np.array_equal(plane.data, next(written)) for plane in again]
print(f"{sum(same)} of {again.count} planes are the same when the file's own recipe is cooked")

"""Beads on a tilted plane, of which one image shows only a stripe in focus, brought into focus.

Run it with: python examples/02_tilted_plane.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import napari_deepz as dz
from napari_deepz.analysis.metrics import correlation
from napari_deepz.samples import TILTED_BEADS, TILTED_BEADS_TILT_X_DEG

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

measured = dz.read_image(TILTED_BEADS)
stack, pixel_size_um = measured.stack(), measured.pixel_size_um
middle = len(stack) // 2
image = stack[middle]

tilt = dz.Tilted(TILTED_BEADS_TILT_X_DEG, 0)
low_um, high_um = tilt.range_um(image.shape, pixel_size_um)
recipe = dz.Recipe(source=dz.Source(path=str(TILTED_BEADS), z=middle), surfaces=tilt)
path = dz.save(dz.cook(recipe), folder / "beads_in_focus.ome.tif")
print(f"Surface {tilt.describe()}, from {low_um:.2f} to {high_um:.2f} µm")

# The truth: for each pixel the plane of the stack that is nearest to the surface.
nearest = np.rint(middle + tilt.dpm(image.shape, pixel_size_um) / measured.z_step_um).astype(int)
truth = np.take_along_axis(stack, nearest[np.newaxis], axis=0)[0]
result = dz.read_image(path).plane()
refocused, unrefocused = correlation(result, truth), correlation(image, truth)
print(f"Correlation with the truth: {refocused:.3f} refocused, {unrefocused:.3f} unrefocused")
print(f"Written: {path}")

"""Let the surface on which an image is sharpest be found, refocus onto it, see how well it fits.

Run it with: python examples/06_find_the_surface.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import napari_deepz as dz
from napari_deepz.analysis.autofocus import few_anchors, find_surface
from napari_deepz.analysis.metrics import correlation
from napari_deepz.samples import TILTED_BEADS, TILTED_BEADS_TILT_X_DEG
from napari_deepz.surfaces import save_surface

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

measured = dz.read_image(TILTED_BEADS)
stack, pixel_size_um = measured.stack(), measured.pixel_size_um
middle = len(stack) // 2
source = dz.Source(path=str(TILTED_BEADS), z=middle)

cooking = dz.cook(dz.Recipe(source=source, surfaces=dz.Flat(-10, 10, 0.5)))
virtual = np.stack([plane.data for plane in cooking])
found = find_surface(virtual, cooking.z_um, pixel_size_um, form="plane")
few = few_anchors(found, stack[middle].shape, pixel_size_um)
print(f"Found: {found.surface.describe()}; the true tilt along x is {TILTED_BEADS_TILT_X_DEG:.2f}°")
print(f"{len(found.anchors_um)} places lie on it to {found.spread_um:.2f} µm rms,", end=" ")
print(f"{found.rejected} do not; {len(few)} anchors are enough to move it by hand")

true_um = dz.Tilted(TILTED_BEADS_TILT_X_DEG, 0).dpm(stack[middle].shape, pixel_size_um)
found_um = found.surface.dpm(stack[middle].shape, pixel_size_um)
print(f"Distance from the true plane: {np.sqrt(np.mean((found_um - true_um) ** 2)):.2f} µm rms")

# The truth: for each pixel the plane of the stack that is nearest to the true surface.
nearest = np.rint(middle + true_um / measured.z_step_um).astype(int)
truth = np.take_along_axis(stack, nearest[np.newaxis], axis=0)[0]
recipe = dz.Recipe(source=source, surfaces=found.surface)
path = dz.save(dz.cook(recipe), folder / "beads_in_focus.ome.tif")
refocused = correlation(dz.read_image(path).plane(), truth)
unrefocused = correlation(stack[middle], truth)
print(f"Correlation with the truth: {refocused:.3f} refocused, {unrefocused:.3f} unrefocused")

save_surface(found.surface, folder / "found.surface.json")
print(f"Written: {folder / 'found.surface.json'} and {path}")

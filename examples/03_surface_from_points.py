"""Find the surface on which beads lie from one image alone, save it, and refocus onto it.

Run it with: python examples/03_surface_from_points.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from skimage.feature import peak_local_max

import napari_deepz as dz
from napari_deepz.analysis.metrics import best_focus_um
from napari_deepz.samples import TILTED_BEADS, TILTED_BEADS_TILT_X_DEG
from napari_deepz.surfaces import load_surface, save_surface

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

measured = dz.read_image(TILTED_BEADS)
image, pixel_size_um = measured.plane(z=measured.size("Z") // 2), measured.pixel_size_um
model = dz.load_model()

virtual = dz.refocus(image, dz.Flat(-10, 10, 0.5), model, pixel_size_um=pixel_size_um)
brightest = virtual.data.max(axis=0)
beads = peak_local_max(brightest, min_distance=6, threshold_rel=0.1, exclude_border=8)
depths_um = best_focus_um(virtual.data, virtual.z_um, beads)
found = np.isfinite(depths_um)
print(f"{np.count_nonzero(found)} beads with a depth, among {len(beads)} bright spots")

# Rows of (y, x, z) in µm. Strong smoothing: the surface is stiff, and single beads hardly bend it.
points_um = np.column_stack([beads[found] * pixel_size_um, depths_um[found]])
path = folder / "beads.surface.json"
save_surface(dz.FromPoints(points_um, smoothing=1e5), path)
surface = load_surface(path)

dpm_um = surface.dpm(image.shape, pixel_size_um)
true_um = dz.Tilted(TILTED_BEADS_TILT_X_DEG, 0).dpm(image.shape, pixel_size_um)
error_um = np.sqrt(np.mean((dpm_um - true_um) ** 2))
print(f"Surface: {surface.describe()}, {dpm_um.min():.1f} to {dpm_um.max():.1f} µm")
print(f"Distance from the true plane: {error_um:.2f} µm rms")

result = dz.refocus(image, surface, model, pixel_size_um=pixel_size_um)
shape = " x ".join(map(str, result.data[0].shape))
print(f"Refocused onto it: {shape} pixels; the surface is in {path}")

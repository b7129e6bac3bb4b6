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
pixel_size_um = measured.pixel_size_um
source = dz.Source(path=str(TILTED_BEADS), z=measured.size("Z") // 2)

cooking = dz.cook(dz.Recipe(source=source, surfaces=dz.Flat(-10, 10, 0.5)))
virtual = np.stack([plane.data for plane in cooking])
beads = peak_local_max(virtual.max(axis=0), min_distance=6, threshold_rel=0.1, exclude_border=8)
depths_um = best_focus_um(virtual, cooking.z_um, beads)
found = np.isfinite(depths_um)
print(f"{np.count_nonzero(found)} beads with a depth, among {len(beads)} bright spots")

# Rows of (y, x, z) in µm. Strong smoothing: the surface is stiff, and single beads hardly bend it.
points_um = np.column_stack([beads[found] * pixel_size_um, depths_um[found]])
save_surface(dz.FromPoints(points_um, smoothing=1e5), folder / "beads.surface.json")
surface = load_surface(folder / "beads.surface.json")

dpm_um = surface.dpm(cooking.shape, pixel_size_um)
true_um = dz.Tilted(TILTED_BEADS_TILT_X_DEG, 0).dpm(cooking.shape, pixel_size_um)
error_um = np.sqrt(np.mean((dpm_um - true_um) ** 2))
print(f"Surface: {surface.describe()}, {dpm_um.min():.1f} to {dpm_um.max():.1f} µm")
print(f"Distance from the true plane: {error_um:.2f} µm rms")

recipe = dz.Recipe(source=source, surfaces=surface)
path = dz.save(dz.cook(recipe), folder / "beads_in_focus.ome.tif")
print(f"Refocused onto it: {path}")

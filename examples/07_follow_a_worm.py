"""Follow a worm's nerve cord, which rises and sinks, so that one image shows all of it in focus.

Run it with: python examples/07_follow_a_worm.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, map_coordinates

import napari_deepz as dz
from napari_deepz.analysis.metrics import best_focus_um
from napari_deepz.samples import WORM
from napari_deepz.surfaces import save_surface

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
y_px = [30, 52, 64, 78, 90, 108, 174, 184, 205, 222, 244]  # As one would click the cord.
x_px = [59, 65, 69, 73, 77, 84, 117, 123, 136, 148, 162]
places_px = np.column_stack([y_px, x_px])

measured = dz.read_image(WORM)
stack, pixel_size_um, middle = measured.stack(), measured.pixel_size_um, measured.size("Z") // 2
source = dz.Source(path=str(WORM), z=middle)
flat = dz.Recipe(source=source, surfaces=dz.Flat(-10, 10, 0.5))
virtual = {plane.z_um: plane.data for plane in dz.cook(flat)}
inferred_um = best_focus_um(np.stack(list(virtual.values())), list(virtual), places_px)
true_um = best_focus_um(stack, (np.arange(len(stack)) - middle) * measured.z_step_um, places_px)
print("Depth of the cord (µm): inferred", *(f"{depth:+.1f}" for depth in inferred_um))
print("             in the focal stack", *(f"{depth:+.1f}" for depth in true_um))

cord = dz.AlongPath(np.column_stack([places_px * pixel_size_um, inferred_um]))
planes = middle + cord.dpm(stack[0].shape, pixel_size_um) / measured.z_step_um
off_cord = np.ones(stack[0].shape, bool)
rows = np.arange(y_px[0], y_px[-1] + 1)
off_cord[rows, np.rint(np.interp(rows, y_px, x_px)).astype(int)] = False
away_um = distance_transform_edt(off_cord) * pixel_size_um
beside = (away_um > 1) & (away_um < 2)
images = {"measured image": stack[middle].astype(float)}
images |= {f"flat at {z:+d} µm": virtual[z] for z in range(5)}
path = dz.save(dz.cook(dz.Recipe(source=source, surfaces=cord)), folder / "cord.ome.tif")
images["along the cord"] = dz.read_image(path).plane()
images["truth along the cord"] = map_coordinates(stack * 1.0, [planes, *np.indices(planes.shape)])
print("How far the cord stands out from what is 1 to 2 µm beside it, in intensity units:")
for name, image in images.items():
    print(f"{name}: {image[away_um < 0.5].mean() - image[beside].mean():.0f}")
save_surface(cord, folder / "cord.surface.json")
print(f"Written: {folder / 'cord.surface.json'} and {path}")

"""One measured plane in, a virtual focal stack out, saved with its sizes in µm.

Run it with: python examples/01_virtual_stack.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import napari_deepz as dz
from napari_deepz.analysis.metrics import correlation
from napari_deepz.samples import WORM

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

measured = dz.read_image(WORM)
middle = measured.size("Z") // 2
depths = dz.Flat(-10, 10, 0.5)
recipe = dz.Recipe(source=dz.Source(path=str(WORM), z=middle), surfaces=depths)

cooking = dz.cook(recipe)
print(f"{cooking.count} virtual slices, {depths.describe()}, computed on: {cooking.device}")
path = dz.save(cooking, folder / "worm_virtual.ome.tif")

virtual, image = dz.read_image(path).stack(), measured.plane(z=middle)
for z_um in (-8.0, -4.0, 4.0, 8.0):
    truth = measured.plane(z=middle + round(z_um / measured.z_step_um))
    refocused = correlation(virtual[cooking.z_um.index(z_um)], truth)
    print(f"{z_um:+.0f} µm: {refocused:.3f} refocused, {correlation(image, truth):.3f} unrefocused")
print(f"Written: {path}")

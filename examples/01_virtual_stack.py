"""One measured plane in, a virtual focal stack out, saved with its sizes in µm.

Run it with: python examples/01_virtual_stack.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import napari_deepz as dz
from napari_deepz.analysis.metrics import correlation
from napari_deepz.engine.record import describe_run
from napari_deepz.io.writing import write_stack
from napari_deepz.samples import WORM

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

measured = dz.read_image(WORM)
middle = measured.size("Z") // 2
image = measured.plane(z=middle)
model = dz.load_model()
depths = dz.Flat(-10, 10, 0.5)

virtual = dz.refocus(image, depths, model, pixel_size_um=measured.pixel_size_um)
print(f"{len(virtual.data)} virtual slices, {depths.describe()}, computed on: {virtual.device}")

record = describe_run(
    model,
    [depths],
    sampling=dz.Sampling(pixel_size_um=measured.pixel_size_um),
    device=virtual.device,
    notes=virtual.notes,
    input_name=f"{WORM.name}, plane {middle}",
)
path = folder / "worm_virtual.ome.tif"
size = {"count": len(depths), "shape": image.shape, "pixel_size_um": measured.pixel_size_um}
depth = {"z_step_um": 0.5, "z_start_um": -10.0}
write_stack(path, virtual.data, **size, **depth, name="worm (virtual)", provenance=record)

for z_um in (-8.0, -4.0, 4.0, 8.0):
    truth = measured.plane(z=middle + round(z_um / measured.z_step_um))
    refocused = correlation(virtual.data[virtual.z_um.index(z_um)], truth)
    print(f"{z_um:+.0f} µm: {refocused:.3f} refocused, {correlation(image, truth):.3f} unrefocused")
print(f"Written: {path}")

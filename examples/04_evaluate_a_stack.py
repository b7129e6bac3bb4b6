"""How far virtual slices can be trusted: compare them with the planes of a focal stack.

Run it with: python examples/04_evaluate_a_stack.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import napari_deepz as dz
from napari_deepz.pictures.figures import plot_evaluation
from napari_deepz.samples import WORM

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

measured = dz.read_image(WORM)
result = dz.evaluate(
    measured.stack(),
    measured.size("Z") // 2,
    dz.load_model(),
    pixel_size_um=measured.pixel_size_um,
    z_step_um=measured.z_step_um,
)
print(f"{result.model_name}, input plane {result.input_plane}, computed on: {result.device}")
print("dz (µm)   correlation  unrefocused      RMSE  unrefocused")
for depth in result.depths:
    refocused, unrefocused = depth.refocused, depth.unrefocused
    print(
        f"{depth.z_um:+7.1f} {refocused.correlation:13.3f} {unrefocused.correlation:12.3f}"
        f" {refocused.rmse:9.1f} {unrefocused.rmse:12.1f}"
    )
better = sum(depth.refocused.rmse < depth.unrefocused.rmse for depth in result.depths)
print(f"Refocusing lowers the error of {better} of {len(result.depths)} planes")

result.write_csv(folder / "evaluation.csv")
plot_evaluation(result, folder / "evaluation.png")
print(f"Written: {folder / 'evaluation.csv'} and {folder / 'evaluation.png'}")

"""Cut the measured embryo stacks into parts: to learn from, to look at meanwhile, and to test on.

    python training/embryo_parts.py FOLDER_OF_THE_STACKS

The stacks are those of the public deconvolution benchmark of the EPFL Biomedical Imaging Group
(C. Vonesch, M. Unser). 4 µm between the parts are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tifffile

from napari_deepz import read_image

TARGET = Path("runs/embryo")
GAP_UM = 4.0


def main(folder: Path) -> None:
    """Write PART_DYE.ome.tif for each part and dye."""
    TARGET.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("celegans_embryo_*.ome.tif")):
        image = read_image(path)
        planes = np.asarray(image.stack())
        if image.pixel_size_um is None:
            raise SystemExit(f"{path} does not say its pixel size.")
        gap_px = round(GAP_UM / 2 / image.pixel_size_um)
        sizes = {
            "PhysicalSizeX": image.pixel_size_um,
            "PhysicalSizeY": image.pixel_size_um,
            "PhysicalSizeZ": image.z_step_um,
        }
        dye = path.name.split("_")[2].split(".")[0]
        y, x = (size // 2 for size in planes.shape[1:])
        parts = {
            "learn": planes[:, :, : x - gap_px],
            "look": planes[:, : y - gap_px, x + gap_px :],
            "test": planes[:, y + gap_px :, x + gap_px :],
        }
        for name, part in parts.items():
            target = TARGET / f"{name}_{dye}.ome.tif"
            tifffile.imwrite(target, part, metadata={"axes": "ZYX", **sizes})
            print(target, part.shape)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

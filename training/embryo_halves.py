"""Cut the measured embryo stacks into halves, to train on one and to test on the other.

    python training/embryo_halves.py FOLDER_OF_THE_STACKS

The stacks are those of the public deconvolution benchmark of the EPFL Biomedical Imaging Group
(C. Vonesch, M. Unser). 4 µm between the halves are left out.
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
    """Write left_DYE.ome.tif and right_DYE.ome.tif for each dye."""
    TARGET.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("celegans_embryo_*.ome.tif")):
        image = read_image(path)
        planes = np.asarray(image.stack())
        middle = planes.shape[2] // 2
        if image.pixel_size_um is None:
            raise SystemExit(f"{path} does not say its pixel size.")
        gap_px = round(GAP_UM / 2 / image.pixel_size_um)
        sizes = {
            "PhysicalSizeX": image.pixel_size_um,
            "PhysicalSizeY": image.pixel_size_um,
            "PhysicalSizeZ": image.z_step_um,
        }
        dye = path.name.split("_")[2].split(".")[0]
        halves = {"left": planes[..., : middle - gap_px], "right": planes[..., middle + gap_px :]}
        for side, half in halves.items():
            target = TARGET / f"{side}_{dye}.ome.tif"
            tifffile.imwrite(target, half, metadata={"axes": "ZYX", **sizes})
            print(target, half.shape)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

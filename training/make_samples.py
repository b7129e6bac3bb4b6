"""Make the sample stacks that come with the package; run from the repository's root."""

import subprocess
import sys
import tempfile
from pathlib import Path

import tifffile

from napari_deepz.samples import TILTED_BEADS, TILTED_BEADS_RISE_UM, WORM

SAMPLES = {
    TILTED_BEADS: ["--kind", "tilted-beads", "--tilt", str(TILTED_BEADS_RISE_UM), "--seed", "135"],
    WORM: ["--kind", "worm", "--seed", "103"],
}

for target, options in SAMPLES.items():
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "napari_deepz", "simulate", ".", "--z-step", "1"]
        subprocess.run([*command, *options], cwd=folder, check=True)
        (source,) = Path(folder).glob("*.ome.tif")
        with tifffile.TiffFile(source) as stack:
            pixels, description = stack.asarray(), stack.ome_metadata
    tifffile.imwrite(
        target,
        pixels,
        description=description.encode(),
        metadata=None,
        compression="jpeg2000",
        compressionargs={"reversible": True, "level": 0},  # Loses nothing.
    )
    print(target.name, pixels.shape, f"{target.stat().st_size / 1e6:.2f} MB")

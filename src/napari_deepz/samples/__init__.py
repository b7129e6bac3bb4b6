"""Simulated focal stacks that come with the package; training/make_samples.py makes them."""

from __future__ import annotations

import math
from pathlib import Path

_FOLDER = Path(__file__).parent

WORM = _FOLDER / "worm.ome.tif"
TILTED_BEADS = _FOLDER / "tilted_beads.ome.tif"

OPTICS = {"na": 0.75, "immersion_index": 1.0, "wavelength_um": 0.52}
"""With which both were simulated, as in `Sampling`."""

TILTED_BEADS_RISE_UM = 8.0
TILTED_BEADS_TILT_X_DEG = math.degrees(math.atan(TILTED_BEADS_RISE_UM / (256 * 0.325)))

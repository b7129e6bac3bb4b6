"""Sample data for napari's File > Open Sample: simulated stacks and the plane to start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_deepz import samples
from napari_deepz.io.reading import read_image
from napari_deepz.widgets.shared.layers import OPTICS, layer_arguments

LayerData = tuple[Any, dict[str, Any], str]

_CONTRAST_PERCENTILES = (1, 99.8)


def open_worm() -> list[LayerData]:
    """A simulated worm: its focal stack, hidden, and the middle plane, both in µm."""
    return _sample(samples.WORM, "Simulated worm")


def open_tilted_beads() -> list[LayerData]:
    """Simulated beads on a tilted plane: their focal stack, hidden, and the middle plane, in µm."""
    return _sample(samples.TILTED_BEADS, "Simulated tilted beads")


def _sample(path: Path, name: str) -> list[LayerData]:
    stack = read_image(path)
    middle = stack.size("Z") // 2
    pixels = stack.plane(z=middle)
    plane = replace(stack, data=pixels, axes="YX", z_step_um=None, name=f"{name}, input plane")
    measured = replace(stack, data=stack.stack(), name=f"{name}, focal stack")
    depth_um = -middle * (stack.z_step_um or 0.0)
    contrast = {"contrast_limits": tuple(np.percentile(pixels, _CONTRAST_PERCENTILES))}
    optics = {"metadata": {OPTICS: samples.OPTICS}}
    hidden = layer_arguments(measured, z_start_um=depth_um) | contrast | optics
    shown = layer_arguments(plane) | contrast | optics
    hidden["visible"] = False
    return [(measured.data, hidden, "image"), (pixels, shown, "image")]

"""The demonstration: refocus a bundled image onto a flat range and a tilted plane, and check."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_deepz.analysis.evaluation import Evaluation, evaluate
from napari_deepz.analysis.metrics import correlation, rmse
from napari_deepz.atomic_files import made_folder
from napari_deepz.engine.compute import Compute
from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.io.reading import read_image
from napari_deepz.io.replacing import require_replaceable
from napari_deepz.models.library import load_model
from napari_deepz.pictures.figures import plot_overview
from napari_deepz.recipes.cooking import Cooking
from napari_deepz.recipes.recipe import Recipe, Source
from napari_deepz.recipes.saving import save
from napari_deepz.samples import TILTED_BEADS, TILTED_BEADS_TILT_X_DEG
from napari_deepz.surfaces import Flat, Surface, Tilted

STACK_FILE = "stack.ome.tif"
TILTED_FILE = "tilted.ome.tif"
PICTURE_FILE = "overview.png"


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found.

    Parameters
    ----------
    evaluation : Evaluation
        Virtual slices against the sample's own planes.
    seconds_per_slice : float
        Of the flat range: read, encoded, refocused and written.
    slices : int
        Number of slices in the flat range.
    tilted_rmse, tilted_correlation : tuple of float
        Of the refocused and of the unrefocused image, against the tilted cut through the stack.
    files : tuple of Path
        What was written.
    """

    evaluation: Evaluation
    seconds_per_slice: float
    slices: int
    tilted_rmse: tuple[float, float]
    tilted_correlation: tuple[float, float]
    files: tuple[Path, ...]


def run_demo(output: Path, *, device: str | None = None) -> DemoResult:
    """Run the demonstration and write its files.

    Parameters
    ----------
    output : Path
        Folder; made if it is not there.
    device : str, optional
        As in `engine.devices.choose_device`.

    Returns
    -------
    DemoResult

    Raises
    ------
    ValueError
        If one of the files is there and is not of an earlier demonstration.
    OSError
        If it cannot be written; one sentence.
    """
    made_folder(output)
    files = tuple(output / name for name in (STACK_FILE, TILTED_FILE, PICTURE_FILE))
    for file in files:
        require_replaceable(file, "inferred")
    sample = read_image(TILTED_BEADS)
    stack = sample.stack()
    middle = len(stack) // 2
    image = stack[middle]
    assert sample.z_step_um is not None
    assert sample.pixel_size_um is not None
    reach_um = middle * sample.z_step_um
    flat = Flat(-reach_um, reach_um, sample.z_step_um)
    tilted = Tilted(TILTED_BEADS_TILT_X_DEG, 0.0)
    model = load_model()
    compute, kept = Compute(device=device or "auto"), LastEncoding()

    def run(surface: Surface) -> Cooking:
        recipe = Recipe(
            source=Source(
                path=str(TILTED_BEADS), z=middle, name=f"{TILTED_BEADS.name} (simulated)"
            ),
            surfaces=surface,
            compute=compute,
        )
        return Cooking(recipe, model=model, encoding=kept)

    for _ in run(Flat(0.0)):
        pass  # The first run of a process also loads the libraries.
    started = time.perf_counter()
    flat_run = run(flat)
    save(flat_run, files[0])
    seconds = time.perf_counter() - started
    save(run(tilted), files[1])
    virtual, straightened = (read_image(file).stack() for file in files[:2])
    truth = _cut(stack, middle + tilted.dpm(image.shape, sample.pixel_size_um) / sample.z_step_um)
    plot_overview(
        image,
        virtual,
        stack,
        list(flat.uniform_z_um),
        straightened[0],
        truth,
        pixel_size_um=sample.pixel_size_um,
        title=f"Simulated bead field, tilted; model {model.spec.name}",
        path=files[-1],
        provenance=flat_run.record(),
    )
    return DemoResult(
        evaluation=evaluate(
            stack,
            middle,
            model,
            pixel_size_um=sample.pixel_size_um,
            z_step_um=sample.z_step_um,
            compute=compute,
        ),
        seconds_per_slice=seconds / len(virtual),
        slices=len(virtual),
        tilted_rmse=(rmse(straightened[0], truth), rmse(image, truth)),
        tilted_correlation=(
            correlation(straightened[0], truth),
            correlation(image, truth),
        ),
        files=files,
    )


def _cut(stack: NDArray[np.generic], plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sample a stack (Z, Y, X) on a surface given as a fractional plane index per pixel."""
    rows, columns = np.indices(stack.shape[1:])
    cut: NDArray[np.float32] = map_coordinates(
        stack.astype(np.float32), [plane, rows, columns], order=1, mode="nearest"
    )
    return cut


def can_show() -> bool:
    """Whether there is a display and a Qt binding to open napari with."""
    bindings = ("PyQt6", "PySide6", "PyQt5", "PySide2")
    if not any(importlib.util.find_spec(binding) for binding in bindings):
        return False
    if platform.system() == "Linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def show_in_napari(files: tuple[Path, ...], run: Callable[..., object] = subprocess.run) -> None:
    """Open image files in napari with this package's reader, in a process of its own."""
    run([sys.executable, "-m", "napari", "--plugin", "napari-deepz", *map(str, files)], check=False)

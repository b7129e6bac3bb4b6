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
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.record import describe_run
from napari_deepz.engine.refocus import RefocusedStack, refocus
from napari_deepz.io.reading import read_image
from napari_deepz.io.replacing import require_replaceable
from napari_deepz.io.writing import write_stack
from napari_deepz.models.library import load_model
from napari_deepz.pictures.figures import plot_overview
from napari_deepz.samples import TILTED_BEADS, TILTED_BEADS_TILT_X_DEG
from napari_deepz.sampling import Sampling
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
        Of the flat range, encoding included.
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
    lens = Lens(model, Compute(device=device or "auto"))

    def run(surface: Surface) -> RefocusedStack:
        return refocus(image, surface, lens, pixel_size_um=sample.pixel_size_um)

    run(Flat(0.0))  # The first run of a process also loads the libraries.
    started = time.perf_counter()
    virtual = run(flat)
    seconds = time.perf_counter() - started
    straightened = run(tilted)
    truth = _cut(stack, middle + tilted.dpm(image.shape, sample.pixel_size_um) / sample.z_step_um)

    def write(path: Path, result: RefocusedStack, surface: Surface, z_start: float | None) -> None:
        write_stack(
            path,
            result.data,
            count=len(result.data),
            shape=image.shape,
            pixel_size_um=sample.pixel_size_um,
            z_step_um=sample.z_step_um if z_start is not None else None,
            z_start_um=z_start,
            name=f"{sample.name} (virtual)",
            provenance=describe_run(
                model,
                [surface],
                sampling=Sampling(pixel_size_um=sample.pixel_size_um),
                device=result.device,
                notes=result.notes,
                input_name=f"{TILTED_BEADS.name}, plane {middle} (simulated)",
                command="napari-deepz demo",
            ),
        )

    write(files[0], virtual, flat, -reach_um)
    write(files[1], straightened, tilted, None)
    plot_overview(
        image,
        virtual.data,
        stack,
        list(flat.uniform_z_um),
        straightened.data[0],
        truth,
        pixel_size_um=sample.pixel_size_um,
        title=f"Simulated bead field, tilted; model {model.spec.name}",
        path=files[-1],
    )
    return DemoResult(
        evaluation=evaluate(
            stack,
            middle,
            lens,
            pixel_size_um=sample.pixel_size_um,
            z_step_um=sample.z_step_um,
        ),
        seconds_per_slice=seconds / len(virtual.data),
        slices=len(virtual.data),
        tilted_rmse=(rmse(straightened.data[0], truth), rmse(image, truth)),
        tilted_correlation=(
            correlation(straightened.data[0], truth),
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

"""What happens in the worker thread: refocusing and exporting, without a window in sight."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.record import describe_run
from napari_deepz.generators.library import load_model
from napari_deepz.io.writing import write_stack
from napari_deepz.jobs import Cancelled, Progress, StopCondition
from napari_deepz.provenance import Provenance
from napari_deepz.surfaces import Flat, Surface, Tilted, save_surface
from napari_deepz.widgets.session import RefocusRequest

Send = Callable[[object], None]

_TELL_EVERY_S = 0.1


@dataclass(frozen=True)
class Advance:
    """News of how far the work is.

    Attributes
    ----------
    fraction : float
        0 to 1.
    text : str
        Such as "12 of 41, 3 s left".
    """

    fraction: float
    text: str


class Teller:
    """Sends progress, but not so often that telling it becomes the work."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._told_s = -math.inf

    def __call__(self, progress: Progress) -> None:
        """Send how far the work is, unless that was done a moment ago."""
        now_s = time.monotonic()
        if progress.done == progress.total or now_s - self._told_s > _TELL_EVERY_S:
            self._told_s = now_s
            self._send(Advance(progress.done / progress.total, progress.describe()))


@dataclass(frozen=True)
class PlaneDone:
    """News that a plane of the canvas is finished.

    Attributes
    ----------
    index : int
        Which one, in the order of the run.
    lowest, highest : float
        Its intensities, in the image's units.
    notes : tuple of str
        What has been noticed in the run so far, a sentence each.
    """

    index: int
    lowest: float
    highest: float
    notes: tuple[str, ...]


def refocus_planes(
    request: RefocusRequest,
    canvas: NDArray[np.float32],
    encoding: LastEncoding,
    send: Send,
    should_stop: StopCondition,
) -> None:
    """Carry out a run: sends its `Provenance`, a `PlaneDone` for every plane, and `Advance`.

    Planes are put into the canvas here and not in the main thread, which memory that is touched
    for the first time would hold up for tens of milliseconds a plane.

    Parameters
    ----------
    request : RefocusRequest
        The run.
    canvas : ndarray
        (n, Y, X) float32, gets the planes in the order of the run.
    encoding : LastEncoding
        Where the encoded image is kept for the next run.
    send, should_stop : callable
        From the job.

    Raises
    ------
    Cancelled
        When asked to stop.
    ValueError
        If the image, the model or the machine does not suffice; one sentence.
    """
    model = load_model(request.model)
    planes = encoding.iter_refocus(
        request.plane.read(),
        request.surface,
        model,
        pixel_size_um=request.pixel_size_um,
        should_stop=should_stop,
        on_progress=Teller(send),
    )
    with closing(planes):
        for plane in planes:
            canvas[plane.index] = plane.data
            if plane.index == 0:
                record = describe_run(
                    model,
                    [request.surface],
                    pixel_size_um=request.pixel_size_um,
                    device=plane.device,
                    notes=request.notes,
                    input_name=request.plane.name,
                )
                send(record)
            lowest, highest = float(plane.data.min()), float(plane.data.max())
            send(PlaneDone(plane.index, lowest, highest, plane.notes))


@dataclass(frozen=True, eq=False)
class ExportRequest:
    """A result to be written to a file.

    Attributes
    ----------
    path : Path
        The file; its ending decides the format.
    planes : ndarray
        (n, Y, X) float32.
    z_um : tuple of float
        Depth of every plane relative to the input image, evenly spaced; empty where not flat.
    pixel_size_um : float
        Of the planes.
    name : str
        Of the image in the file.
    provenance : Provenance
        Saved with it.
    surface : Surface
        On which the planes lie.
    surface_file : Path or None
        Where to save the surface as well.
    """

    path: Path
    planes: NDArray[Any]
    z_um: tuple[float, ...]
    pixel_size_um: float
    name: str
    provenance: Provenance
    surface: Surface
    surface_file: Path | None


def export_planes(request: ExportRequest, send: Send, should_stop: StopCondition) -> None:
    """Write a result: sends `Advance`.

    Raises
    ------
    Cancelled
        When asked to stop; nothing is left of the file then.
    ValueError, OSError
        If the file cannot be written; one sentence.
    """

    progress, tell = Progress(len(request.planes)), Teller(send)

    def planes() -> Iterator[NDArray[np.float32]]:
        for plane in request.planes:
            if should_stop():
                raise Cancelled
            yield plane
            progress.advance()
            tell(progress)

    z_um = request.z_um
    write_stack(
        request.path,
        planes(),
        count=len(request.planes),
        shape=request.planes.shape[1:],
        pixel_size_um=request.pixel_size_um,
        z_step_um=round(z_um[1] - z_um[0], 9) if len(z_um) > 1 else None,
        z_start_um=z_um[0] if z_um else None,
        name=request.name,
        provenance=request.provenance,
    )
    if request.surface_file is not None:
        save_surface(request.surface, request.surface_file)


def repeat_command(
    *,
    source: tuple[str, ...] | None,
    output: Path,
    surface: Surface,
    surface_file: Path | None,
    model: str,
    pixel_size_um: float,
) -> str | None:
    """Write the command that makes an exported file again.

    Parameters
    ----------
    source : tuple of str or None
        Of the input plane.
    output : Path
        The exported file.
    surface : Surface
        What was refocused onto.
    surface_file : Path or None
        Where the surface is saved, unless it is flat or tilted.
    model : str
        Name or package of the model.
    pixel_size_um : float
        As in the run.

    Returns
    -------
    str or None
        None where the input plane is in no file.
    """
    if source is None:
        return None
    image, *options = source
    words = ["napari-deepz", "refocus", image, str(output), *options]
    if isinstance(surface, Flat):
        numbers = (surface.start_um, surface.stop_um, surface.step_um)
        words.append("--z=" + ":".join(f"{number:g}" for number in numbers if number is not None))
    elif isinstance(surface, Tilted):
        words += [f"--tilt-x={surface.tilt_x_deg:g}", f"--tilt-y={surface.tilt_y_deg:g}"]
        words.append(f"--offset={surface.offset_um:g}")
    else:
        words.append(f"--surface={surface_file}")
    return shlex.join([*words, f"--model={model}", f"--pixel-size={pixel_size_um:g}"])

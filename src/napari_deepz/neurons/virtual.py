"""Traces read off virtual planes, as in the paper: kept to compare with, not to rely on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_deepz.images import ImageSeries
from napari_deepz.neurons.activity import activity_of
from napari_deepz.neurons.detection import find_spots
from napari_deepz.neurons.editing import Neurons
from napari_deepz.neurons.finding import LEAST_HEIGHT, Z_STEP_UM
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.provenance import Provenance
from napari_deepz.watch import UNWATCHED, Progress, Watch

Array = NDArray[np.float64]

VIRTUAL = (
    "Positions and light are both inferred: the light was read off virtual planes, in which "
    "neighbours change each other; traces of the measured frames are to be preferred."
)

_RADIUS_UM = 1.5
_MOST_AVERAGED = 64
_NORMAL_MAD = 1.4826


def measure_virtual_planes(
    movie: ImageSeries, record: Provenance, *, watch: Watch = UNWATCHED
) -> NeuronTraces:
    """Find neurons in the mean of a 3D movie, and read the light in a ball around each.

    Parameters
    ----------
    movie : ImageSeries
        (T, Z, Y, X) virtual planes with all sizes.
    record : Provenance
        How it was made.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Raises
    ------
    ValueError
        If it is no such movie, or no neuron is found; one sentence.
    Cancelled
        When the watch says so.
    """
    if movie.size("T") < 2 or movie.size("Z") < 3:
        raise ValueError(f"'{movie.name}' is no 3D movie: it needs times and planes over z.")
    pixel_um, step_um = movie.pixel_size_um, movie.z_step_um
    if pixel_um is None or step_um is None:
        raise ValueError(f"'{movie.name}' does not say its pixel size and its z step.")
    voxel_um = (step_um, pixel_um, pixel_um)
    count, start_um = movie.size("T"), movie.z_start_um or 0.0
    times = np.unique(np.linspace(0, count - 1, min(count, _MOST_AVERAGED)).round()).astype(int)
    progress = Progress(len(times) + count)
    mean = np.zeros([movie.size(axis) for axis in "ZYX"], np.float64)
    for t in times.tolist():
        mean += _volume(movie, t, watch, progress) / len(times)
    spots, heights = find_spots(*_in_usual_steps(mean, voxel_um), start_um)
    places_um = spots[heights >= LEAST_HEIGHT]
    if not len(places_um):
        raise ValueError(f"No neuron was found: nothing in '{movie.name}' stands out.")
    ball = _ball(places_um, voxel_um, start_um)
    light = np.empty((count, len(places_um)))
    for t in range(count):
        volume = _volume(movie, t, watch, progress)
        within = map_coordinates(volume, ball, order=1, mode="nearest")
        light[t] = within.mean(axis=1) - np.median(volume)
    steps = np.diff(light, axis=0)
    spread = np.median(np.abs(steps - np.median(steps, axis=0)), axis=0)
    error = np.asarray(spread * (_NORMAL_MAD / np.sqrt(2)), np.float64)
    rate_hz = None if movie.t_step_s is None else 1 / movie.t_step_s
    times_s = np.arange(count, dtype=np.float64) * (movie.t_step_s or 1.0)
    return NeuronTraces(
        Neurons.found(places_um),
        np.repeat(places_um[None], count, axis=0),
        times_s,
        rate_hz,
        activity_of(light, error, rate_hz),
        error,
        np.ones(len(places_um), bool),
        record.model_copy(update={"notes": (VIRTUAL, *record.notes)}),
        "virtual planes",
    )


def _in_usual_steps(
    volume: Array, voxel_um: tuple[float, float, float]
) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """A volume with about the z step for which the least height of a spot was chosen."""
    step_um, *across_um = voxel_um
    count = round((len(volume) - 1) * step_um / Z_STEP_UM) + 1
    at = np.linspace(0, len(volume) - 1, count)
    below = np.minimum(at.astype(int), len(volume) - 2)
    share = (at - below)[:, None, None]
    planes = volume[below] * (1 - share) + volume[below + 1] * share
    y_um, x_um = across_um
    return planes.astype(np.float32), (float(at[1] - at[0]) * step_um, y_um, x_um)


def _volume(movie: ImageSeries, t: int, watch: Watch, progress: Progress) -> NDArray[np.float32]:
    watch.check()
    planes = [movie.plane(t=t, z=z) for z in range(movie.size("Z"))]
    progress.advance()
    watch.on_progress(progress)
    return np.stack(planes).astype(np.float32)


def _ball(places_um: Array, voxel_um: tuple[float, float, float], start_um: float) -> Array:
    """(3, N, P) where in the volume the points of a ball around each neuron lie, in voxels."""
    reach = [
        np.arange(-round(_RADIUS_UM / side), round(_RADIUS_UM / side) + 1) for side in voxel_um
    ]
    points = np.stack(np.meshgrid(*reach, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[np.linalg.norm(points * voxel_um, axis=1) <= _RADIUS_UM]
    centres = (places_um - [start_um, 0, 0]) / voxel_um
    found: Array = (centres[:, None] + points).transpose(2, 0, 1)
    return found

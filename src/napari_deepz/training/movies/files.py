"""Simulated movies as files, each with its truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from napari_deepz.atomic_files import made_folder, written_beside
from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance
from napari_deepz.sampling import Sampling
from napari_deepz.training.files import require_free, truth_file
from napari_deepz.training.movies.scene import SCENES, MovieSettings
from napari_deepz.training.movies.simulation import SimulatedMovie, simulate_movie
from napari_deepz.watch import UNWATCHED, Watch

EVERYTHING = MovieSettings(
    bleached_to=0.55,
    flicker=0.02,
    motion_um=0.3,
    bend_um=1.0,
    drift_um=2.0,
    glow=0.3,
    granule=True,
)
"""A movie with all that makes real ones hard."""

_TRUTHS = ("scene", "settings", "places_z_y_x_um", "dff", "brightness", "radii_um", "granule_um")


def write_movies(
    folder: Path,
    *,
    count: int,
    seed: int,
    settings: MovieSettings = EVERYTHING,
    command: str | None = None,
    watch: Watch = UNWATCHED,
) -> Iterator[Path]:
    """Simulate movies and write each as ``NNNN_scene.ome.tif`` with ``NNNN_scene.json`` beside it.

    A sparse field and a head take turns.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    count, seed : int
        Number of movies, and of everything that is drawn.
    settings : MovieSettings, optional
        What they look like.
    command : str, optional
        Saved as what repeats the simulation.
    watch : Watch, optional
        Says when to stop.

    Yields
    ------
    Path
        Each movie, when it is written.

    Raises
    ------
    ValueError
        If the input planes are not evenly spaced, or a file that is no earlier movie, or not its
        truth, has the name of one.
    Cancelled
        If stopped.
    """
    steps_um = np.diff(settings.planes_um)
    if len(steps_um) and not (np.allclose(steps_um, steps_um[0]) and steps_um[0] > 0):
        raise ValueError("The input planes of a movie must be evenly spaced, from the shallowest.")
    made_folder(folder)
    paths = [
        folder / f"{number:04d}_{SCENES[number % len(SCENES)]}_movie.ome.tif"
        for number in range(count)
    ]
    for path in paths:
        require_free(path, _TRUTHS)
    for number, path in enumerate(paths):
        watch.check()
        scene = SCENES[number % len(SCENES)]
        _write(path, simulate_movie(scene, settings, seed + number // len(SCENES)), command)
        yield path


def _write(path: Path, movie: SimulatedMovie, command: str | None) -> None:
    settings = movie.settings
    planes_um = settings.planes_um
    granule_um = movie.granule_um
    truth = (
        movie.scene,
        asdict(settings),
        movie.places_um.round(3).tolist(),
        movie.dff.round(4).tolist(),
        movie.brightness.round(4).tolist(),
        movie.radii_um.round(3).tolist(),
        None if granule_um is None else granule_um.round(3).tolist(),
    )
    with written_beside(truth_file(path)) as beside:
        text = json.dumps(dict(zip(_TRUTHS, truth, strict=True)))
        beside.write_text(text + "\n", encoding="utf-8")
        write_stack(
            path,
            (plane for frame in movie.measured for plane in frame),
            count=len(planes_um),
            t_count=settings.frames,
            t_step_s=1 / settings.rate_hz,
            shape=(settings.size_px, settings.size_px),
            dtype="uint16",
            sampling=Sampling(
                pixel_size_um=settings.optics.pixel_size_um,
                na=settings.optics.na,
                immersion_index=settings.optics.n_immersion,
                wavelength_um=settings.optics.wavelength_um,
            ),
            z_step_um=planes_um[1] - planes_um[0] if len(planes_um) > 1 else None,
            z_start_um=planes_um[0] if len(planes_um) > 1 else None,
            provenance=Provenance(
                kind="simulated", pixel_size_um=settings.optics.pixel_size_um, command=command
            ),
            name=f"{movie.scene} movie (simulated)",
        )

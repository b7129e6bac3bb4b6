"""A 3D movie into a folder: frames by several workers, each marked when it is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from napari_deepz.engine.allocation import reused_memory
from napari_deepz.engine.devices import choose_device
from napari_deepz.io.layout import StackLayout
from napari_deepz.io.movie_store import MovieStore, opened_movie
from napari_deepz.io.packing import Packing
from napari_deepz.io.replacing import require_no_input
from napari_deepz.provenance import Provenance
from napari_deepz.recipes.command import movie_command_of
from napari_deepz.recipes.movies.cooking import MovieCooking
from napari_deepz.recipes.movies.recipe import MovieRecipe
from napari_deepz.recipes.recipe import stem_of
from napari_deepz.recipes.saving import UNEVEN, even_step_um
from napari_deepz.surfaces import OverTime
from napari_deepz.watch import UNWATCHED, Progress, Watch

_DARKER, _BRIGHTER = 0.1, 1.5
"""How much further than what was looked at intensities may go, in shares of its range."""

_BYTES_PER_PIXEL, _BYTES_PER_VOXEL = 400, 6
_SHARE_OF_MEMORY = 0.5
_MOST_NOTES = 8


def film(
    recipe: MovieRecipe | MovieCooking,
    path: str | os.PathLike[str],
    *,
    watch: Watch = UNWATCHED,
    on_frames: Callable[[frozenset[int]], None] | None = None,
) -> Path:
    """Refocus every frame of a movie into an OME-Zarr (T, Z, Y, X).

    A run that was stopped or killed is gone on with by calling the same again: frames that are
    there are not made anew, and the result has the bytes of one that was never stopped.

    Parameters
    ----------
    recipe : MovieRecipe or MovieCooking
        What is to be done.
    path : path
        Folder to write, ending in .zarr.
    watch : Watch, optional
        Says when to stop, and hears the progress, first of looking through the frames, then of
        making them.
    on_frames : callable, optional
        Called with the frames that are there, once the folder is and after every further one.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileNotFoundError, ValueError
        If movie, model or surfaces cannot be used, or something else lies there; one sentence.
    OSError
        If it cannot be written.
    Cancelled
        When the watch says so; what is written stays.
    """
    target = Path(path)
    given = recipe.recipe if isinstance(recipe, MovieCooking) else recipe
    require_movie_name(target, [Path(one) for one in given.paths])
    cooking = recipe if isinstance(recipe, MovieCooking) else MovieCooking(recipe, watch=watch)
    packing = None
    if cooking.recipe.pixels == "uint16":
        low, high = cooking.range_of(watch)
        width = max(high - low, 1e-6)
        packing = Packing.for_range(low - _DARKER * width, high + _BRIGHTER * width)
    in_files = all(Path(one).exists() for one in given.paths)
    command = movie_command_of(cooking.recipe, target) if in_files else None
    record = _record(cooking).model_copy(update={"command": command})
    with opened_movie(
        target, layout_of(cooking), packing, record, _settings(cooking, packing)
    ) as store:
        if store is not None:
            _fill(cooking, store, watch, on_frames or (lambda _: None))
            notes = _notes(cooking, store)
            store.finish(record.model_copy(update={"notes": notes, "created": store.created}))
    return target


def require_movie_name(path: Path, inputs: Sequence[Path]) -> None:
    """Refuse a name that cannot hold a movie, or is an input.

    Raises
    ------
    ValueError
        One sentence.
    """
    if path.suffix.lower() != ".zarr":
        raise ValueError(f"'{path.name}' cannot hold a movie: let the name end with .ome.zarr.")
    require_no_input([path], inputs)


def layout_of(cooking: MovieCooking) -> StackLayout:
    """Shape and sizes of a 3D movie."""
    recipe, movie = cooking.recipe, cooking.movie
    z_um = depths_of(recipe)
    step_um = even_step_um(z_um)
    return StackLayout(
        shape=(len(movie), 1, recipe.count, *movie.shape),
        dtype=np.dtype(np.float32),
        sampling=recipe.sampling,
        z_step_um=None if step_um is None else round(step_um, 9),
        z_start_um=z_um[0] if z_um else None,
        name=f"{stem_of(movie.name)} (virtual)",
        t_step_s=movie.t_step_s,
    )


def depths_of(recipe: MovieRecipe) -> tuple[float, ...] | None:
    """Depth of every plane where each is flat and stays there."""
    depths: list[float] = []
    for surface in recipe.surfaces:
        uniform = None if isinstance(surface, OverTime) else surface.uniform_z_um
        if uniform is None:
            return None
        depths += uniform
    return tuple(depths)


def _fill(
    cooking: MovieCooking,
    store: MovieStore,
    watch: Watch,
    on_frames: Callable[[frozenset[int]], None],
) -> None:
    """Make the frames that are not there, a few at a time."""
    left = [t for t in range(len(cooking.movie)) if t not in store.frames]
    progress = Progress(len(cooking.movie), done=len(store.frames))
    watch.on_progress(progress)
    on_frames(frozenset(store.frames))
    alone = Watch(watch.should_stop)

    def make(t: int) -> None:
        known = set(cooking.notes)
        notes: dict[str, None] = {}

        def planes() -> Iterator[tuple[int, Any]]:
            for plane in cooking.planes(t, watch=alone):
                notes.update(dict.fromkeys(note for note in plane.notes if note not in known))
                yield plane.index, plane.data

        store.write(t, planes(), notes)

    # Each frame gets the memory of the one before: fresh pages cost as much as a third of the work.
    with reused_memory(), _workers(cooking) as (pool, count):
        running: set[Future[None]] = set()
        try:
            while left or running:
                watch.check()
                while left and len(running) < count:
                    running.add(pool.submit(make, left.pop(0)))
                finished, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                for one in finished:
                    one.result()
                    progress.advance()
                    watch.on_progress(progress)
                if finished:
                    on_frames(frozenset(store.frames.copy()))
        finally:
            for one in running:
                one.cancel()


@contextmanager
def _workers(cooking: MovieCooking) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """As many threads as compute best: on a CPU one for each core, with one thread of its own.

    With several, PyTorch's threads wait for each other: nine times as long on a busy machine.
    """
    count = _worker_count(cooking)
    threads = torch.get_num_threads()
    each = 1 if count > 1 else threads
    with ThreadPoolExecutor(count, "frame", torch.set_num_threads, (each,)) as pool:
        try:
            yield pool, count
        finally:
            torch.set_num_threads(threads)


def _worker_count(cooking: MovieCooking) -> int:
    if choose_device(cooking.recipe.compute.device).type != "cpu":
        return 1
    height, width = cooking.movie.shape
    per_pixel = _BYTES_PER_PIXEL + _BYTES_PER_VOXEL * cooking.recipe.count
    needed = height * width * per_pixel * len(cooking.movie.at_um)
    free = psutil.virtual_memory().available * _SHARE_OF_MEMORY
    return int(max(1, min(os.cpu_count() or 1, len(cooking.movie), free // needed)))


def _record(cooking: MovieCooking) -> Provenance:
    recipe = cooking.recipe
    z_um = depths_of(recipe)
    interpolated = recipe.merge == "linear"
    names = [Path(path).name for path in recipe.paths]
    at = [f"at {z_um:g} µm" for z_um in cooking.movie.at_um]
    planes = [
        f"{names[0 if len(names) == 1 else index]}, {where}" for index, where in enumerate(at)
    ]
    return Provenance(
        kind="inferred",
        input_name=names[0] if len(planes) == 1 else planes[0],
        further_inputs=tuple(planes[1:]),
        merge=recipe.merge,
        model_name=None if interpolated else cooking.model.spec.name,
        model_version=None if interpolated else cooking.model.spec.version,
        model_sha256=None if interpolated else cooking.model.sha256,
        surfaces=[surface.model_dump(mode="json") for surface in recipe.surfaces],
        axial_range_um=(min(z_um), max(z_um)) if z_um else None,
        sampling=recipe.sampling,
        device=cooking.device,
        notes=cooking.notes,
        recipe=recipe.model_dump(mode="json", exclude={"surfaces", "sampling"}),
        frames=cooking.found(),
    )


def _settings(cooking: MovieCooking, packing: Packing | None) -> dict[str, Any]:
    """All that the pixels depend on."""
    recipe = cooking.recipe.model_dump(mode="json", exclude={"paths", "model", "kind"})
    return {
        "input": cooking.digest,
        "model": cooking.model.sha256,
        **recipe,
        "range": None if packing is None else packing.attributes,
        "shape": list(layout_of(cooking).stored_shape),
    }


def _notes(cooking: MovieCooking, store: MovieStore) -> tuple[str, ...]:
    """What was noticed, of frames in their order; not the same of each."""
    in_order = [store.frames[t] for t in range(len(cooking.movie))]
    noticed: dict[str, list[int]] = {}
    for frame in in_order:
        for note in frame.notes:
            noticed.setdefault(note, []).append(frame.t)
    of_frames = [
        f"Frame {first}{f' and {len(more)} more' if more else ''}: {note}"
        for note, (first, *more) in noticed.items()
    ]
    if len(of_frames) > _MOST_NOTES:
        many = f"{len(of_frames) - _MOST_NOTES} more were noticed of single frames."
        of_frames = [*of_frames[:_MOST_NOTES], many]
    notes = [*cooking.notes, *of_frames]
    z_um = depths_of(cooking.recipe)
    if z_um is not None and len(z_um) > 1 and even_step_um(z_um) is None:
        notes.append(UNEVEN)
    if beyond := sum(frame.beyond for frame in in_order):
        notes.append(
            f"{beyond} voxels were darker or brighter than can be stored, and got the nearest "
            "value that can: store the movie as float32 to keep them."
        )
    return tuple(dict.fromkeys(notes))

"""Refocused planes into a file, with what they are and how they were made."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.io.replacing import require_no_input, require_replaceable
from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance
from napari_deepz.recipes.command import command_needs_file, command_of
from napari_deepz.recipes.cooking import Cooking, source_files
from napari_deepz.recipes.recipe import depth_files, stem_of
from napari_deepz.sampling import Sampling

UNEVEN = "The planes are not evenly spaced, so the file holds no z step."


def save(cooking: Cooking, path: str | os.PathLike[str] | None = None) -> Path:
    """Cook a recipe into a file, plane by plane: never more than two are held at a time.

    Parameters
    ----------
    cooking : Cooking
        Of `cook`, nothing of which has been taken yet.
    path : path, optional
        Ends with .ome.tif, .tif, .ome.zarr or .zarr; the recipe's output where None. A former
        result of this package is replaced, anything else is not.

    Returns
    -------
    Path
        The file, which holds a record that can be cooked again.

    Raises
    ------
    ValueError
        If no file is named, something else lies there, or planes have been taken already; one
        sentence.
    OSError
        If it cannot be written.
    Cancelled
        When the watch of the cooking says so; nothing is left of the file then.
    """
    if cooking.given:
        raise ValueError(
            f"{cooking.given} of the {cooking.count} planes have been taken already: cook the "
            "recipe again, and save that."
        )
    with closing(cooking):
        target = output_of(cooking, path)
        z_um, complete = cooking.z_um, False
        if z_um is not None and len(z_um) > 1 and even_step_um(z_um) is None:
            cooking.note(UNEVEN)

        def planes() -> Iterator[NDArray[np.float32]]:
            nonlocal complete
            for plane in cooking:
                yield plane.data
            complete = True

        def record() -> Provenance:
            if complete:  # A cooking that was stopped leaves no depths either.
                cooking.recipe = cooking.recipe.with_depths_in_files(target)
            return _with_command(cooking, target)

        write_planes(
            target,
            planes(),
            count=cooking.count,
            shape=cooking.shape,
            z_um=z_um,
            sampling=cooking.recipe.sampling,
            name=f"{stem_of(cooking.recipe.source.title)} "
            f"({'spread' if cooking.recipe.spread else 'virtual'})",
            record=record,
        )
        return target


def _with_command(cooking: Cooking, target: Path) -> Provenance:
    """The record, with the command that makes the file again, where a command can say it all."""
    recipe = cooking.recipe
    command = None
    if len(recipe.surfaces) == 1 and not command_needs_file(recipe.surfaces[0]):
        command = command_of(recipe, target)
    return cooking.record().model_copy(update={"command": command})


def output_of(cooking: Cooking, path: str | os.PathLike[str] | None) -> Path:
    """The file that a cooking shall go to, if it may.

    Raises
    ------
    ValueError
        If none is named, it is an input, or something else lies there.
    """
    named = path if path is not None else cooking.recipe.output
    if named is None:
        raise ValueError("Say into which file the planes shall go: the recipe names none.")
    target = Path(named)
    files = [target, *depth_files(cooking.recipe, target)]
    for file in files:
        require_replaceable(file, "inferred")
    require_no_input(files, source_files(cooking.recipe))
    return target


def write_planes(
    path: Path,
    planes: Iterable[NDArray[Any]],
    *,
    count: int,
    shape: tuple[int, int],
    z_um: tuple[float, ...] | None,
    sampling: Sampling | None,
    name: str,
    record: Provenance | Callable[[], Provenance],
) -> None:
    """Write virtual planes as a stack.

    Parameters
    ----------
    path, planes, count, shape, sampling, name
        As for `io.writing.write_stack`.
    z_um : tuple of float or None
        Depth of every plane; None where one is not flat.
    record : Provenance or callable
        How they were made; a callable is asked when the last plane is written.

    Raises
    ------
    ValueError, OSError
        As `io.writing.write_stack`.
    """
    step_um = even_step_um(z_um)
    write_stack(
        path,
        planes,
        count=count,
        shape=shape,
        sampling=sampling,
        z_step_um=None if step_um is None else round(step_um, 9),
        z_start_um=z_um[0] if z_um else None,
        name=name,
        provenance=record,
    )


def even_step_um(z_um: tuple[float, ...] | None) -> float | None:
    """Step between planes that are evenly spaced upward; None for one plane or others."""
    if z_um is None or len(z_um) < 2:
        return None
    steps = [after - before for before, after in itertools.pairwise(z_um)]
    return steps[0] if max(steps) - min(steps) < 1e-6 and steps[0] > 0 else None

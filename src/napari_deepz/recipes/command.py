"""A recipe as the command and as the Python script that cook it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from napari_deepz.recipes.movies.recipe import MovieRecipe
from napari_deepz.recipes.recipe import Recipe
from napari_deepz.surfaces import AlongPath, Flat, FromImage, FromPoints, Surface, Tilted

MOST_INLINE_POINTS = 50

_INDEX_OPTIONS = {"t": "--time", "c": "--channel", "z": "--plane"}
_PLAIN_ON_WINDOWS = re.compile(r"[\w@:,./\\+=-]+")


def command_needs_file(surface: Surface) -> bool:
    """Whether the command line can only read this surface from a file that is not there yet."""
    in_file = isinstance(surface, FromImage) and surface.source is not None
    return not in_file and not isinstance(surface, Flat | Tilted)


def script_needs_file(surface: Surface) -> bool:
    """Whether a surface is too large to be written into a script."""
    if isinstance(surface, FromPoints | AlongPath):
        return len(surface.points_um) > MOST_INLINE_POINTS
    return isinstance(surface, FromImage) and surface.source is None


def command_of(recipe: Recipe, output: Path, *, surface_file: Path | None = None) -> str | None:
    """Write the command that cooks a recipe of one surface.

    Parameters
    ----------
    recipe : Recipe
        What is done.
    output : Path
        The file that the command writes.
    surface_file : Path, optional
        Where the surface is saved; needed where `command_needs_file` says so.

    Returns
    -------
    str or None
        Quoted for this system's shell; None where an image is in no file, or no command can name
        all input planes.
    """
    inputs = _inputs(recipe)
    if inputs is None:
        return None
    files, options = inputs
    surface = recipe.surfaces[0]
    words = ["napari-deepz", "refocus", *files, str(output), *options]
    if isinstance(surface, Flat):
        words.append(_range(surface))
    elif isinstance(surface, Tilted):
        words += [f"--tilt-x={_digits(surface.tilt_x_deg)}"]
        words += [f"--tilt-y={_digits(surface.tilt_y_deg)}"]
        words += [f"--offset={_digits(surface.offset_um)}"]
    else:
        in_file = surface.source if isinstance(surface, FromImage) else None
        words.append(f"--surface={surface_file or in_file}")
    return quoted([*words, *_shared_options(recipe)], windows=os.name == "nt")


def _range(surface: Flat) -> str:
    numbers = (surface.start_um, surface.stop_um, surface.step_um)
    return "--z=" + ":".join(_digits(number) for number in numbers if number is not None)


def _shared_options(recipe: Recipe | MovieRecipe) -> list[str]:
    """Model, sampling and computation."""
    words = [f"--model={recipe.model.name}"]
    if recipe.sampling is not None:
        words += _options(
            recipe.sampling,
            pixel_size_um="--pixel-size",
            na="--na",
            immersion_index="--immersion",
            wavelength_um="--wavelength",
        )
    return words + _options(
        recipe.compute,
        device="--device",
        precision="--precision",
        runtime="--runtime",
        memory_gb="--memory",
    )


def movie_command_of(recipe: MovieRecipe, output: Path) -> str | None:
    """Write the command that makes a movie; None where its surface is in no file."""
    (surface, *others) = recipe.surfaces
    if others or not isinstance(surface, Flat):
        return None
    words = ["napari-deepz", "movie", *recipe.paths, str(output), _range(surface)]
    if recipe.at_um is not None and len(recipe.at_um) > 1:
        words.append("--at=" + ",".join(map(_digits, recipe.at_um)))
    words += _options(recipe, c="--channel", merge="--merge", rate_hz="--rate")
    words += _options(recipe, brightness="--brightness", motion="--motion", pixels="--pixels")
    words += _shared_options(recipe)
    return quoted(words, windows=os.name == "nt")


def _inputs(recipe: Recipe) -> tuple[list[str], list[str]] | None:
    """Files of the input planes, and options that choose the planes in them."""
    sources = recipe.sources
    paths = [source.path for source in sources if source.path is not None]
    among = {(source.t, source.c) for source in sources}
    planes = [source.z for source in sources]
    if len(paths) < len(sources) or len(among) > 1:
        return None
    indices = [
        f"{option}={getattr(recipe.source, name)}"
        for name, option in _INDEX_OPTIONS.items()
        if name in recipe.source.model_fields_set
    ]
    if len(sources) == 1:
        return paths, indices
    depths = "--at=" + ",".join(_digits(source.at_um) for source in sources)
    merge = [] if recipe.merge is None else [f"--merge={recipe.merge}"]
    merge += ["--spread"] if recipe.spread else []
    if len(set(paths)) == 1:
        named = "--planes=" + ",".join(map(str, planes))
        others = [word for word in indices if not word.startswith("--plane=")]
        return paths[:1], [*others, named, depths, *merge]
    return (paths, [*indices, depths, *merge]) if len(set(planes)) == 1 else None


def script_of(recipe: Recipe, output: Path, *, surface_file: Path | None = None) -> str | None:
    """Write the Python script that cooks a recipe of one surface, and saves its planes.

    Parameters
    ----------
    recipe : Recipe
        What is done.
    output : Path
        The file that the script writes.
    surface_file : Path, optional
        Where the surface is saved; needed where `script_needs_file` says so.

    Returns
    -------
    str or None
        None where an image is in no file.
    """
    if any(source.path is None for source in recipe.sources):
        return None
    loading, made = "", f"dz.{_constructor(recipe.surfaces[0])}"
    if surface_file is not None:
        loading = "from napari_deepz.surfaces import load_surface\n"
        made = f"load_surface({str(surface_file)!r})"
    settings = [
        f"    source=dz.{_call('Source', recipe.source, 'sha256')},",
        *_further(recipe),
        f"    surfaces={made},",
        f"    model={recipe.model.name!r},",
    ]
    if recipe.sampling is not None:
        settings.append(f"    sampling=dz.{_call('Sampling', recipe.sampling)},")
    if recipe.compute.model_dump(exclude_defaults=True):
        settings.append(f"    compute=dz.{_call('Compute', recipe.compute)},")
    lines = "\n".join(settings)
    return f'''\
"""Virtual planes of one image, made again with napari-deepz."""

import napari_deepz as dz
{loading}
recipe = dz.Recipe(
{lines}
)
dz.save(dz.cook(recipe), {str(output)!r})
'''


def _further(recipe: Recipe) -> list[str]:
    if not recipe.further:
        return []
    lines = [f"        dz.{_call('Source', one, 'sha256')}," for one in recipe.further]
    merge = [] if recipe.merge is None else [f"    merge={recipe.merge!r},"]
    merge += ["    spread=True,"] if recipe.spread else []
    return ["    further=(", *lines, "    ),", *merge]


def quoted(words: Sequence[str], *, windows: bool) -> str:
    """Join words so that a POSIX shell, or one of Windows, takes them apart again."""
    if not windows:
        return shlex.join(words)
    return " ".join(
        word if _PLAIN_ON_WINDOWS.fullmatch(word) else _in_windows_quotes(word) for word in words
    )


def _in_windows_quotes(word: str) -> str:
    line = subprocess.list2cmdline([word])
    return line if line.startswith('"') or '"' in word else f'"{line}"'


def _options(values: BaseModel, **options: str) -> list[str]:
    """What of some values is not as it would be anyway, as options of the command line."""
    given: dict[str, Any] = values.model_dump(exclude_defaults=True)
    return [
        f"{option}={_digits(given[name]) if isinstance(given[name], float) else given[name]}"
        for name, option in options.items()
        if name in given
    ]


def _constructor(surface: Surface) -> str:
    """The call that makes a surface, without what is as it would be anyway."""
    if isinstance(surface, FromImage):
        return f"FromImage({str(surface.source)!r})"
    given = json.loads(surface.model_dump_json(exclude={"kind"}, exclude_defaults=True))
    settings = [f"{name}={_literal(value)}" for name, value in given.items()]
    return f"{type(surface).__name__}({', '.join(settings)})"


def _call(name: str, values: BaseModel, *left_out: str) -> str:
    given = values.model_dump(exclude_defaults=True, exclude=set(left_out))
    shown = {
        key: _digits(value) if isinstance(value, float) else repr(value)
        for key, value in given.items()
    }
    return f"{name}({', '.join(f'{key}={value}' for key, value in shown.items())})"


def _literal(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list):
        rows = "".join(f"            {row!r},\n" for row in value)
        return f"[\n{rows}        ]"
    return repr(value)


def _digits(value: float) -> str:
    """Twelve digits: far more than the pixels depend on, and none of the rounding of a unit."""
    return f"{value:.12g}"

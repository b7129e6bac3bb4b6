"""A result as the command and as the Python script that make it again, without a window."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_deepz.models.library import list_models
from napari_deepz.surfaces import AlongPath, Flat, FromImage, FromPoints, Surface, Tilted

if TYPE_CHECKING:
    from napari_deepz.widgets.shared.results import ResultRecord

MOST_INLINE_POINTS = 50

_IMAGE_ENDINGS = (".ome.tif", ".ome.tiff", ".ome.zarr", ".dpm.tif", ".tif", ".tiff", ".zarr")
_INDEX_NAMES = {"--time": "t", "--channel": "c", "--plane": "z"}
_PLAIN_ON_WINDOWS = re.compile(r"[\w@:,./\\+=-]+")


def shown_surface(record: ResultRecord) -> Surface:
    """The surface of the planes that are there: of a cancelled run only those that it finished."""
    depths_um = record.z_um
    if len(depths_um) > 1:
        return Flat(depths_um[0], depths_um[-1], _step_um(depths_um))
    return Flat(depths_um[0]) if depths_um else record.request.surface


def stem_of(path: Path) -> str:
    """Name of an image file without its ending, both parts of it where it has two."""
    for ending in _IMAGE_ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem


def output_beside(record: ResultRecord) -> Path | None:
    """A free name beside the input image; None where that is in no file."""
    source = _source(record)
    if source is None:
        return None
    image = Path(source[0])
    name, count = f"{stem_of(image)}_virtual", 1
    output = image.with_name(f"{name}.ome.tif")
    while output.exists():
        count += 1
        output = image.with_name(f"{name}_{count}.ome.tif")
    return output


def command_needs_file(surface: Surface) -> bool:
    """Whether the command line can only read this surface from a file that is not there yet."""
    in_file = isinstance(surface, FromImage) and surface.source is not None
    return not in_file and not isinstance(surface, Flat | Tilted)


def script_needs_file(surface: Surface) -> bool:
    """Whether a surface is too large to be written into a script."""
    if isinstance(surface, FromPoints | AlongPath):
        return len(surface.points_um) > MOST_INLINE_POINTS
    return isinstance(surface, FromImage) and surface.source is None


def command_of(
    record: ResultRecord, output: Path, *, surface_file: Path | None = None
) -> str | None:
    """Write the command that makes the planes of a result again.

    Parameters
    ----------
    record : ResultRecord
        What the result remembers.
    output : Path
        The file that the command writes.
    surface_file : Path, optional
        Where the surface is saved; needed where `command_needs_file` says so.

    Returns
    -------
    str or None
        Quoted for this system's shell; None where the input plane is in no file.
    """
    return repeat_command(
        source=_source(record),
        output=output,
        surface=shown_surface(record),
        surface_file=surface_file,
        model=_model_argument(record.request.model),
        pixel_size_um=record.request.sampling.pixel_size_um,
    )


def repeat_command(
    *,
    source: tuple[str, ...] | None,
    output: Path,
    surface: Surface,
    surface_file: Path | None,
    model: str,
    pixel_size_um: float,
) -> str | None:
    """Write a command of `napari-deepz refocus`; `command_of` finds its words for a result."""
    if source is None:
        return None
    image, *options = source
    words = ["napari-deepz", "refocus", image, str(output), *options]
    if isinstance(surface, Flat):
        numbers = (surface.start_um, surface.stop_um, surface.step_um)
        words.append("--z=" + ":".join(_digits(number) for number in numbers if number is not None))
    elif isinstance(surface, Tilted):
        words += [f"--tilt-x={_digits(surface.tilt_x_deg)}"]
        words += [f"--tilt-y={_digits(surface.tilt_y_deg)}"]
        words += [f"--offset={_digits(surface.offset_um)}"]
    else:
        in_file = surface.source if isinstance(surface, FromImage) else None
        words.append(f"--surface={surface_file or in_file}")
    words += [f"--model={model}", f"--pixel-size={_digits(pixel_size_um)}"]
    return quoted(words, windows=os.name == "nt")


def script_of(
    record: ResultRecord, output: Path, *, surface_file: Path | None = None
) -> str | None:
    """Write the Python script that makes the planes of a result again, and saves them.

    Parameters
    ----------
    record : ResultRecord
        What the result remembers.
    output : Path
        The file that the script writes.
    surface_file : Path, optional
        Where the surface is saved; needed where `script_needs_file` says so.

    Returns
    -------
    str or None
        None where the input plane is in no file.
    """
    source = _source(record)
    if source is None:
        return None
    image, *options = source
    where = dict(option.split("=") for option in options)
    indices = ", ".join(f"{_INDEX_NAMES[option]}={index}" for option, index in where.items())
    surface, depths_um = shown_surface(record), record.z_um
    step_um = _step_um(depths_um) if len(depths_um) > 1 else None
    in_file = surface_file is not None
    loading = "from napari_deepz.surfaces import load_surface\n" if in_file else ""
    made = f"load_surface({str(surface_file)!r})" if in_file else f"dz.{_constructor(surface)}"
    name = record.request.plane.name
    return f'''\
"""Virtual planes of one image, made again with napari-deepz."""

import napari_deepz as dz
from napari_deepz.engine.record import describe_run
from napari_deepz.io.writing import write_stack
{loading}
image = dz.read_image({image!r})
pixels = image.plane({indices})
pixel_size_um = {_digits(record.request.sampling.pixel_size_um)}
surface = {made}
model = dz.load_model({_model_argument(record.request.model)!r})

virtual = dz.refocus(pixels, surface, model, pixel_size_um=pixel_size_um)

write_stack(
    {str(output)!r},
    virtual.data,
    count=len(virtual.data),
    shape=pixels.shape,
    pixel_size_um=pixel_size_um,
    z_step_um={step_um},
    z_start_um={float(depths_um[0]) if depths_um else None},
    name={f"{name} (virtual)"!r},
    provenance=describe_run(
        model,
        [surface],
        sampling=dz.Sampling(pixel_size_um=pixel_size_um),
        device=virtual.device,
        notes=virtual.notes,
        input_name={name!r},
    ),
)
'''


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


def _constructor(surface: Surface) -> str:
    """The call that makes a surface, without what is as it would be anyway."""
    if isinstance(surface, FromImage):
        return f"FromImage({str(surface.source)!r})"
    given = json.loads(surface.model_dump_json(exclude={"kind"}, exclude_defaults=True))
    settings = [f"{name}={_literal(value)}" for name, value in given.items()]
    return f"{type(surface).__name__}({', '.join(settings)})"


def _literal(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list):
        rows = "".join(f"        {row!r},\n" for row in value)
        return f"[\n{rows}    ]"
    return repr(value)


def _source(record: ResultRecord) -> tuple[str, ...] | None:
    """File and options of the input plane, with the whole path of the file."""
    source = record.request.plane.source
    return None if source is None else (str(Path(source[0]).absolute()), *source[1:])


def _model_argument(package: Path) -> str:
    """The name of a model that is found by it, else the whole path of its package."""
    named = [name for name, found in list_models().items() if found == package]
    return named[0] if named else str(package.absolute())


def _step_um(depths_um: Sequence[float]) -> float:
    return round(depths_um[1] - depths_um[0], 9)


def _digits(value: float) -> str:
    """Twelve digits: far more than the pixels depend on, and none of the rounding of a unit."""
    return f"{value:.12g}"

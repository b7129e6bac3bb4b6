"""The program, the options that several commands share, and what they have in common."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_deepz.cli.console import print_line
from napari_deepz.sampling import Sampling

if TYPE_CHECKING:
    from napari_deepz.images import ImageSeries

_SHORTEST_NM = 100.0

app = typer.Typer(
    help="Refocus fluorescence images after the fact with Deep-Z.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models = typer.Typer(help="Models at hand.", no_args_is_help=True)
app.add_typer(models, name="models")

ModelName = Annotated[str, typer.Option(metavar="NAME|PATH", help="Model to use.")]
PixelSize = Annotated[
    float | None, typer.Option(help="Pixel size in µm, instead of the one in the file.")
]
NA = Annotated[
    float | None,
    typer.Option("--na", help="Numerical aperture of the image, instead of the file's."),
]
Immersion = Annotated[
    str | None,
    typer.Option(help="Immersion of the image: air, water, silicone, glycerol, oil, or its index."),
]
Wavelength = Annotated[
    float | None,
    typer.Option(help="Emission wavelength of the image in nm, such as 520; 0.52 is taken for µm."),
]
PlanesAt = Annotated[
    str | None,
    typer.Option(
        metavar="UM,UM,...",
        help="Where the input planes of a frame were taken, in µm; from the z step unless "
        "given, the first is at 0 then.",
    ),
]
Rate = Annotated[
    float | None, typer.Option(help="Frames per second, instead of those in the file.")
]
Memory = Annotated[
    float | None, typer.Option(help="GB of memory that the run may use; by default what is free.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps; the fastest if not given.")]
RuntimeName = Annotated[
    str,
    typer.Option(
        "--runtime", help="pytorch, or openvino: for the published U-Net, faster in bfloat16."
    ),
]
PrecisionName = Annotated[
    str,
    typer.Option(
        "--precision", help="float32, or bfloat16: faster, within about 1 % of the range."
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from napari_deepz import __version__

        print_line(f"napari-deepz {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and stop."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full traceback of an error.")
    ] = False,
) -> None:
    """Options that stand before the command."""


def check_folder(path: Path) -> Path:
    """Check that results can go to a folder, which need not be there yet."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"'{path}' is a file; name a folder for the results.")
    real = os.path.realpath(path)
    if real in (os.path.dirname(real), os.path.realpath(os.path.expanduser("~"))):
        raise ValueError(f"'{path}' is no folder for results; name one of their own in it.")
    return path


def choose_index(series: ImageSeries, axis: str, given: int | None, option: str) -> int:
    """Choose along an axis: only a series with one entry needs no choice."""
    count = series.size(axis)
    if given is None and count > 1:
        names = {"T": "time points", "C": "channels", "Z": "planes"}
        called = ""
        if axis == "C" and series.channel_names:
            numbered = enumerate(series.channel_names)
            called = f" ({', '.join(f'{number} {name}'.strip() for number, name in numbered)})"
        raise ValueError(
            f"'{series.name}' has {count} {names[axis]}; say which one to refocus with {option}, "
            f"from 0 to {count - 1}{called}."
        )
    return given or 0


def require_measured(path: Path, called: str) -> None:
    """Refuse what this package has inferred."""
    from napari_deepz.io.reading import read_provenance

    record = read_provenance(path)
    if record is not None and record.kind == "inferred":
        raise ValueError(f"{path.name} was inferred, not measured: give the measured {called}.")


def parse_depths(given: str, option: str) -> tuple[float, ...]:
    """Read depths in µm, such as -3,3."""
    try:
        depths_um = tuple(float(word) for word in given.split(","))
    except ValueError:
        depths_um = (math.nan,)
    if not all(map(math.isfinite, depths_um)):
        raise ValueError(f"{option} takes depths in µm such as -3,3, not '{given}'.")
    return depths_um


def choose_focal_stack(
    series: ImageSeries, path: Path, z_step: float | None, time: int | None, channel: int | None
) -> tuple[dict[str, int], float]:
    """Choose a focal stack of a series by time point and channel, and say its z step in µm."""
    z_step_um = z_step if z_step is not None else series.z_step_um
    require_measured(path, "focal stack")
    if series.size("Z") < 2:
        raise ValueError(f"{path.name} is not a focal stack: it has one plane only.")
    if z_step_um is None:
        raise ValueError(f"{path.name} does not say its z step; give it in µm with --z-step.")
    where = {
        "t": choose_index(series, "T", time, "--time"),
        "c": choose_index(series, "C", channel, "--channel"),
    }
    return where, z_step_um


def check_pixel_size(given: float) -> float:
    """Refuse a --pixel-size that no microscope has, such as one in nm."""
    from napari_deepz.optics import PLAUSIBLE_PIXELS_UM

    smallest_um, largest_um = PLAUSIBLE_PIXELS_UM
    if not smallest_um <= given <= largest_um:
        raise ValueError(
            "This pixel size cannot be used: --pixel-size is the width of a pixel in the sample in "
            f"µm, between {smallest_um:g} and {largest_um:g}, not {given:g}."
        )
    return given


def choose_sampling(
    series: ImageSeries,
    channel: int,
    pixel_size: float | None,
    na: float | None = None,
    immersion: str | None = None,
    wavelength: float | None = None,
) -> Sampling | None:
    """Take the options before the file; ask where what the file says cannot be believed."""
    if pixel_size is None and series.pixel_size_problem is not None:
        raise ValueError(
            f"{series.pixel_size_problem}: give the width of a pixel in µm with --pixel-size, or "
            "correct the image."
        )
    given = {
        "pixel_size_um": None if pixel_size is None else check_pixel_size(pixel_size),
        "na": na,
        "immersion_index": None if immersion is None else immersion_index(immersion),
        "wavelength_um": None if wavelength is None else _in_um(wavelength),
    }
    said = {key: value for key, value in given.items() if value is not None}
    known = {
        "pixel_size_um": series.pixel_size_um,
        "na": series.na,
        "immersion_index": series.immersion_index,
        "wavelength_um": series.wavelengths_um[channel] if series.wavelengths_um else None,
    }
    if known["pixel_size_um"] is None and "pixel_size_um" not in said:
        if said:
            raise ValueError(
                f"'{series.name}' does not say its pixel size; give it in µm with --pixel-size."
            )
        return None
    return Sampling(**known | said)


def immersion_index(given: str) -> float:
    """Read --immersion: the name of a medium, or a refractive index."""
    from napari_deepz.sampling import IMMERSION_INDICES

    if (named := IMMERSION_INDICES.get(given.lower())) is not None:
        return named
    try:
        return float(given)
    except ValueError:
        raise ValueError(
            f"The immersion '{given}' is not known; use {', '.join(IMMERSION_INDICES)}, or a "
            "refractive index such as 1.515."
        ) from None


def _in_um(wavelength: float) -> float:
    """A wavelength in µm; numbers that can only be nm are taken for that."""
    return wavelength / 1000 if wavelength >= _SHORTEST_NM else wavelength

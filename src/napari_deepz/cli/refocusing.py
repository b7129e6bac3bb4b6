"""The commands that refocus: demo and refocus."""

from __future__ import annotations

import itertools
import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_deepz.cli.app import (
    Device,
    ModelName,
    PixelSize,
    PrecisionName,
    RuntimeName,
    app,
    check_folder,
    choose_index,
    choose_sampling,
)
from napari_deepz.cli.console import console, print_line, print_note, print_path, warnings_as_notes
from napari_deepz.cli.progress import score_table, watched
from napari_deepz.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from napari_deepz.surfaces import Surface


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("deepz-demo"),
    no_gui: Annotated[
        bool, typer.Option("--no-gui", help="Do not open napari, even if there is a display.")
    ] = False,
    device: Device = None,
) -> None:
    """Refocus a bundled sample with the bundled model, check it against the truth, show it."""
    from napari_deepz.demo import can_show, run_demo, show_in_napari

    result = run_demo(check_folder(output), device=device)
    print_line(
        f"{result.slices} slices, {1000 * result.seconds_per_slice:.1f} ms per slice "
        f"({result.evaluation.device})"
    )
    shown = [depth for depth in result.evaluation.depths if abs(depth.z_um) % 2 == 0]
    table = score_table(shown, "Virtual slices against the sample's own planes (simulated)")
    console.print(table)
    refocused, unrefocused = result.tilted_rmse
    print_line(
        f"Tilted plane: RMSE {refocused:.1f} refocused, {unrefocused:.1f} unrefocused; correlation "
        f"{result.tilted_correlation[0]:.3f} and {result.tilted_correlation[1]:.3f}"
    )
    for file in result.files:
        print_path("Written:", file)
    if not no_gui and can_show():
        show_in_napari(result.files[:2])


@app.command()
def refocus(
    image: Annotated[Path, typer.Argument(help="TIFF, OME-TIFF, OME-Zarr or PNG image.")],
    output: Annotated[Path, typer.Argument(help="Result: .ome.tif, .tif, .ome.zarr or .zarr.")],
    z: Annotated[
        str | None,
        typer.Option("--z", metavar="START:STOP:STEP", help="Flat range in µm, ends included."),
    ] = None,
    surface: Annotated[
        Path | None, typer.Option(help="Surface: .json, or an image of depths in µm.")
    ] = None,
    tilt_x: Annotated[
        float | None, typer.Option(help="Tilted plane: degrees by which it rises along x.")
    ] = None,
    tilt_y: Annotated[
        float | None, typer.Option(help="Tilted plane: degrees by which it rises along y.")
    ] = None,
    offset: Annotated[float, typer.Option(help="Depth of the tilted plane's centre in µm.")] = 0.0,
    model: ModelName = DEFAULT_MODEL,
    pixel_size: PixelSize = None,
    device: Device = None,
    precision: PrecisionName = "float32",
    runtime: RuntimeName = "pytorch",
    plane: Annotated[int | None, typer.Option(help="Plane of a stack, counted from 0.")] = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
    time: Annotated[int | None, typer.Option(help="Time point, counted from 0.")] = None,
) -> None:
    """Refocus one image onto a flat range, a tilted plane or any surface."""
    from napari_deepz.engine.compute import Compute
    from napari_deepz.engine.lens import Lens
    from napari_deepz.engine.record import describe_run
    from napari_deepz.engine.refocus import iter_refocus
    from napari_deepz.io.reading import read_image
    from napari_deepz.io.replacing import require_no_input, require_replaceable
    from napari_deepz.io.writing import write_stack
    from napari_deepz.models.library import load_model

    require_replaceable(output, "inferred")
    with warnings_as_notes() as first_notes:
        wanted = _surface(z, surface, tilt_x, tilt_y, offset)
        series = read_image(image)
    where = {
        "t": choose_index(series, "T", time, "--time"),
        "c": choose_index(series, "C", channel, "--channel"),
        "z": choose_index(series, "Z", plane, "--plane"),
    }
    loaded = load_model(model)
    require_no_input([output], [image, *_files_of(surface, wanted), loaded.source])
    sampling = choose_sampling(series, pixel_size)
    pixels = series.plane(**where)
    compute = Compute(device=device or "auto", precision=precision, runtime=runtime)
    lens = Lens(loaded, compute)
    print_line(f"{loaded.spec.name} on {lens.name}: {wanted.describe()}")
    with watched() as watch:
        planes = iter_refocus(pixels, wanted, lens, sampling=sampling, watch=watch)
        z_um = wanted.uniform_z_um
        if z_um is not None and len(z_um) > 1 and _even_step(z_um) is None:
            print_note("The planes are not evenly spaced, so the file holds no z step.")
        with closing(planes) as refocused:
            write_stack(
                output,
                (plane.data for plane in refocused),
                count=len(wanted),
                shape=pixels.shape,
                pixel_size_um=sampling.pixel_size_um if sampling else None,
                z_step_um=_even_step(z_um),
                z_start_um=z_um[0] if z_um else None,
                name=f"{series.name} (virtual)",
                provenance=describe_run(
                    loaded,
                    [wanted],
                    sampling=sampling,
                    device=lens.name,
                    notes=first_notes,
                    input_name=image.name,
                    command=shlex.join(["napari-deepz", *sys.argv[1:]]),
                ),
            )
    print_path("Written:", output)


def _surface(
    z: str | None,
    surface: Path | None,
    tilt_x: float | None,
    tilt_y: float | None,
    offset: float,
) -> Surface:
    """Turn the options of `refocus` into the one surface that they describe."""
    from napari_deepz.surfaces import Flat, Tilted, load_surface

    tilted = tilt_x is not None or tilt_y is not None
    if (z is not None) + (surface is not None) + tilted != 1:
        raise ValueError(
            "Say where to refocus in one way: with --z START:STOP:STEP, with --surface FILE, or "
            "with --tilt-x and --tilt-y."
        )
    if offset and not tilted:
        raise ValueError("--offset belongs to --tilt-x and --tilt-y; leave it out here.")
    if z is not None:
        flat = Flat.parse(z)
        # Files know positive steps only: a downward range is written upward.
        if flat.step_um is not None and flat.step_um < 0 and flat.stop_um is not None:
            return Flat(flat.stop_um, flat.start_um, -flat.step_um)
        return flat
    if surface is not None:
        return load_surface(surface)
    return Tilted(tilt_x or 0.0, tilt_y or 0.0, offset)


def _files_of(given: Path | None, surface: Surface) -> list[Path]:
    """The file of a surface, and the image of depths that it refers to."""
    from napari_deepz.surfaces import FromImage

    depths = surface.source if isinstance(surface, FromImage) else None
    return [file for file in (given, depths) if file is not None]


def _even_step(z_um: tuple[float, ...] | None) -> float | None:
    """Step between evenly spaced planes; None for one plane or uneven ones."""
    if z_um is None or len(z_um) < 2:
        return None
    steps = [after - before for before, after in itertools.pairwise(z_um)]
    return steps[0] if max(steps) - min(steps) < 1e-6 and steps[0] > 0 else None

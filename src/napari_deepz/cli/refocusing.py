"""The commands that refocus: demo and refocus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_deepz.cli.app import (
    NA,
    Device,
    Immersion,
    Memory,
    ModelName,
    PixelSize,
    PrecisionName,
    RuntimeName,
    Wavelength,
    app,
    check_folder,
    choose_index,
    choose_sampling,
)
from napari_deepz.cli.console import console, print_line, print_note, print_path
from napari_deepz.cli.input_planes import input_planes
from napari_deepz.cli.progress import score_table, watched
from napari_deepz.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from napari_deepz.recipes.cooking import Cooking
    from napari_deepz.recipes.recipe import Recipe
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
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE... OUTPUT",
            help="TIFF, OME-TIFF, OME-Zarr, ND2, CZI or PNG image, or several of one place; and "
            "the result: .ome.tif, .tif, .ome.zarr or .zarr.",
        ),
    ] = None,
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
    na: NA = None,
    immersion: Immersion = None,
    wavelength: Wavelength = None,
    device: Device = None,
    precision: PrecisionName = "float32",
    runtime: RuntimeName = "pytorch",
    memory: Memory = None,
    plane: Annotated[int | None, typer.Option(help="Plane of a stack, counted from 0.")] = None,
    planes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Several planes of a stack, or frames of a movie, counted from 0.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="UM,UM,...",
            help="Where several input planes were taken, in µm, as 0,3; 'deeper' and 'shallower' "
            "estimate it from the images. From the z step unless given; the first is at 0 then.",
        ),
    ] = None,
    merge: Annotated[
        str | None,
        typer.Option(
            help="How several planes are merged: blended, learned, distance, nearest or linear; "
            "what is best by measurement unless given."
        ),
    ] = None,
    spread: Annotated[
        bool,
        typer.Option(
            "--spread",
            help="Write how far the planes may be off instead of them: where several input planes "
            "disagree.",
        ),
    ] = False,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
    time: Annotated[int | None, typer.Option(help="Time point, counted from 0.")] = None,
    again: Annotated[
        Path | None,
        typer.Option(
            metavar="RESULT|RECIPE",
            help="Make a former result, or a recipe (.json), again; give nothing but the output.",
        ),
    ] = None,
) -> None:
    """Refocus one image, or several planes of one place, onto a flat range or any surface."""
    from napari_deepz.engine.compute import Compute
    from napari_deepz.engine.planes.shares import checked_merge
    from napari_deepz.io.reading import read_image
    from napari_deepz.io.replacing import require_no_input, require_replaceable
    from napari_deepz.recipes.again import recipe_of
    from napari_deepz.recipes.recipe import Recipe

    named = paths or []
    if again is not None:
        _require_alone(context, named)
        output = named[0] if named else _beside(again)
        require_no_input([output], [again])
        _cook(recipe_of(again), output)
        return
    if len(named) < 2:
        raise ValueError(
            "Name the image to refocus and the result, or a former result with --again."
        )
    *images, output = named
    require_replaceable(output, "inferred")
    wanted = _surface(z, surface, tilt_x, tilt_y, offset)
    series = read_image(images[0])
    c = choose_index(series, "C", channel, "--channel")
    sampling = choose_sampling(series, c, pixel_size, na, immersion, wavelength)
    chosen = input_planes(
        images,
        series,
        t=time,
        c=channel,
        z=plane,
        planes=planes,
        at=at,
        model=model,
        sampling=sampling,
    )
    recipe = Recipe(
        source=chosen[0],
        further=tuple(chosen[1:]),
        merge=None if merge is None else checked_merge(merge),
        spread=spread,
        surfaces=(wanted,),
        sampling=sampling,
        model=model,
        compute=Compute(
            device=device or "auto", precision=precision, runtime=runtime, memory_gb=memory
        ),
    )
    _cook(recipe, output)


def _cook(recipe: Recipe, output: Path) -> None:
    """Cook a recipe into a file, and say what is noticed."""
    from napari_deepz.recipes.cooking import cook
    from napari_deepz.recipes.saving import output_of, save

    with watched() as watch:
        cooking = cook(recipe, watch=watch)
        output_of(cooking, output)
        surfaces = "; ".join(surface.describe() for surface in recipe.surfaces)
        print_line(f"{_with_what(cooking)}: {surfaces}")
        said: set[str] = set()
        _print_new(cooking.notes, said)
        save(cooking, output)
        _print_new(cooking.notes, said)
    print_path("Written:", output)


def _with_what(cooking: Cooking) -> str:
    recipe = cooking.recipe
    if not recipe.further:
        return f"{cooking.model.spec.name} on {cooking.device}"
    planes = f"{len(recipe.sources)} input planes"
    if recipe.merge == "linear":
        return f"{planes}, interpolated"
    shown = "how far they may be off, " if recipe.spread else ""
    return f"{shown}{planes}, merge {recipe.merge}, {cooking.model.spec.name} on {cooking.device}"


def _print_new(notes: Sequence[str], said: set[str]) -> None:
    for note in notes:
        if note not in said:
            print_note(note)
            said.add(note)


def _require_alone(context: typer.Context, named: Sequence[Path]) -> None:
    """Refuse options beside --again, which would be passed over."""
    given = [
        name
        for name in context.params
        if (name != "paths" or len(named) > 1)
        and name != "again"
        and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    if given:
        called = "a second name" if len(named) > 1 else f"--{given[0].replace('_', '-')}"
        raise ValueError(
            f"--again makes a result as it was: leave {called} out, and give the output alone."
        )


def _beside(result: Path) -> Path:
    """A free name beside a result."""
    from napari_deepz.recipes.recipe import stem_of

    stem, number = f"{stem_of(result)}_again", 1
    output = result.with_name(f"{stem}.ome.tif")
    while output.exists():
        number += 1
        output = result.with_name(f"{stem}_{number}.ome.tif")
    return output


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
        return Flat.parse(z)
    if surface is not None:
        return load_surface(surface.absolute())
    return Tilted(tilt_x or 0.0, tilt_y or 0.0, offset)

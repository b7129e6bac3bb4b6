"""The command that makes a movie three-dimensional."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from napari_deepz.cli.app import (
    NA,
    Device,
    Immersion,
    Memory,
    ModelName,
    PixelSize,
    PlanesAt,
    PrecisionName,
    Rate,
    RuntimeName,
    Wavelength,
    app,
    choose_index,
    choose_sampling,
    parse_depths,
    require_measured,
)
from napari_deepz.cli.console import print_line, print_note, print_path
from napari_deepz.cli.progress import watched
from napari_deepz.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from napari_deepz.surfaces import MovieSurface


@app.command()
def movie(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="MOVIE... OUTPUT",
            help="Movie, or one of each input plane; and the result: a folder .ome.zarr.",
        ),
    ],
    z: Annotated[
        str | None,
        typer.Option("--z", metavar="START:STOP:STEP", help="Flat range in µm, ends included."),
    ] = None,
    surface: Annotated[
        Path | None,
        typer.Option(help="Surface: .json, also one over time, or an image of depths in µm."),
    ] = None,
    at: PlanesAt = None,
    merge: Annotated[
        str | None,
        typer.Option(help="How several planes are merged: blended, learned, distance or nearest."),
    ] = None,
    brightness: Annotated[
        str,
        typer.Option(
            help="common: fitted once, following bleaching and the lamp; 'each frame': by itself, "
            "not for activity."
        ),
    ] = "common",
    motion: Annotated[
        str, typer.Option(help="shift: move frames sideways to where most are; none.")
    ] = "none",
    pixels: Annotated[
        str, typer.Option(help="uint16, with a scale and an offset, or float32: larger.")
    ] = "uint16",
    model: ModelName = DEFAULT_MODEL,
    pixel_size: PixelSize = None,
    na: NA = None,
    immersion: Immersion = None,
    wavelength: Wavelength = None,
    rate: Rate = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
    device: Device = None,
    precision: PrecisionName = "float32",
    runtime: RuntimeName = "pytorch",
    memory: Memory = None,
) -> None:
    """Refocus every frame of a movie: a 2D movie becomes a 3D movie. Run it again to go on."""
    from napari_deepz.engine.compute import Compute
    from napari_deepz.engine.planes.shares import checked_merge
    from napari_deepz.io.reading import read_image, read_provenance
    from napari_deepz.recipes.movies.cooking import MovieCooking
    from napari_deepz.recipes.movies.recipe import (
        BrightnessChoice,
        MotionChoice,
        MovieRecipe,
        PixelChoice,
    )
    from napari_deepz.recipes.movies.saving import film, require_movie_name
    from napari_deepz.surfaces import Flat, load_movie_surface
    from napari_deepz.watch import Cancelled

    if len(paths) < 2:
        raise ValueError("Name the movie and the result, which ends with .ome.zarr.")
    *movies, output = paths
    require_movie_name(output, movies)
    for given, allowed, option in (
        (brightness, get_args(BrightnessChoice), "--brightness"),
        (motion, get_args(MotionChoice), "--motion"),
        (pixels, get_args(PixelChoice), "--pixels"),
    ):
        if given not in allowed:
            raise ValueError(f"{option} takes {' or '.join(map(repr, allowed))}, not '{given}'.")
    wanted: MovieSurface
    if z is not None and surface is None:
        wanted = Flat.parse(z)
    elif surface is not None and z is None:
        wanted = load_movie_surface(surface.absolute())
    else:
        raise ValueError("Say where to refocus: with --z START:STOP:STEP or with --surface FILE.")
    for path in movies:
        require_measured(path, "movie")
    series = read_image(movies[0])
    c = choose_index(series, "C", channel, "--channel")
    recipe = MovieRecipe(
        paths=tuple(movies),
        surfaces=(wanted,),
        c=c,
        at_um=None if at is None else parse_depths(at, "--at"),
        merge=None if merge is None else checked_merge(merge),
        sampling=choose_sampling(series, c, pixel_size, na, immersion, wavelength),
        rate_hz=rate,
        model=model,
        compute=Compute(
            device=device or "auto", precision=precision, runtime=runtime, memory_gb=memory
        ),
        brightness=brightness,
        motion=motion,
        pixels=pixels,
    )
    with watched() as watch:
        cooking = MovieCooking(recipe, watch=watch)
        for note in cooking.notes:
            print_note(note)
        print_line(
            f"{len(cooking.movie)} frames, {cooking.recipe.count} planes each: "
            f"{cooking.model.spec.name} on {cooking.device}; {wanted.describe()}"
        )
        try:
            film(cooking, output, watch=watch)
        except Cancelled:
            print_line("Run the same command again to go on; frames that are there stay.")
            raise
    record = read_provenance(output)
    for note in () if record is None else record.notes:
        if note not in cooking.notes:
            print_note(note)
    print_path("Written:", output)

"""The command that finds the neurons of a movie and measures what they do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_deepz.cli.app import (
    NA,
    Immersion,
    ModelName,
    PixelSize,
    PlanesAt,
    Rate,
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


@app.command()
def neurons(
    movie: Annotated[Path, typer.Argument(help="Movie of neurons.")],
    output: Annotated[Path, typer.Argument(help="Table of the traces, .csv.")],
    model: ModelName = DEFAULT_MODEL,
    at: PlanesAt = None,
    depth: Annotated[
        float, typer.Option(min=0, help="Of the sample below the cover glass, µm.")
    ] = 20.0,
    offset: Annotated[
        float | None,
        typer.Option(help="Counts of the camera without light; estimated unless given."),
    ] = None,
    motion: Annotated[
        str,
        typer.Option(help="shift: follow a sample that moves sideways as a whole; none."),
    ] = "none",
    pixel_size: PixelSize = None,
    na: NA = None,
    immersion: Immersion = None,
    wavelength: Wavelength = None,
    rate: Rate = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
) -> None:
    """Find the neurons of a movie, and measure each of them in every frame."""
    from napari_deepz.io.reading import read_image
    from napari_deepz.io.replacing import require_no_input
    from napari_deepz.models.library import load_model
    from napari_deepz.movies.movie import Movie
    from napari_deepz.neurons.measuring import measure_neurons
    from napari_deepz.neurons.traces import require_table

    if motion not in ("none", "shift"):
        raise ValueError(f"--motion takes 'none' or 'shift', not '{motion}'.")
    require_table(output)
    require_no_input([output], [movie])
    series = read_image(movie)
    require_measured(movie, "movie")
    c = choose_index(series, "C", channel, "--channel")
    sampling = choose_sampling(series, c, pixel_size, na, immersion, wavelength)
    if sampling is None:
        raise ValueError(f"'{series.name}' does not say its pixel size; give it with --pixel-size.")
    at_um = None if at is None else parse_depths(at, "--at")
    frames = Movie.of(series, sampling, c=c, at_um=at_um, rate_hz=rate)
    with watched() as watch:
        found = measure_neurons(
            frames,
            load_model(model),
            depth_um=depth,
            offset=offset,
            follow=motion == "shift",
            watch=watch,
        )
    found.save(output)
    for note in found.notes:
        print_note(note)
    print_line(
        f"{len(found)} neurons, {int(found.separable.sum())} of them separable, in "
        f"{len(frames)} frames."
    )
    print_path("Written:", output)

"""The command that finds the neurons of a movie and measures what they do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
)
from napari_deepz.cli.console import print_line, print_note, print_path
from napari_deepz.cli.progress import watched
from napari_deepz.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from napari_deepz.neurons.field import Follow
    from napari_deepz.neurons.traces import NeuronTraces
    from napari_deepz.provenance import Provenance
    from napari_deepz.recipes.movies.recipe import MovieRecipe

_MOTIONS: tuple[Follow, ...] = ("none", "shift", "bend")
_LIGHTS = ("measured", "virtual")


@app.command()
def neurons(
    movie: Annotated[
        Path, typer.Argument(help="Movie of neurons, or the 3D movie that was made of it.")
    ],
    output: Annotated[Path, typer.Argument(help="Traces: .csv, .parquet or .nwb.")],
    tracks: Annotated[
        Path | None, typer.Option(help="Where each neuron is in each frame, as a table .csv.")
    ] = None,
    light: Annotated[
        str,
        typer.Option(
            help="measured: on the frames as they were taken; virtual: read off the planes of a "
            "3D movie, to compare."
        ),
    ] = "measured",
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
        str | None,
        typer.Option(
            help="shift: follow a sample that moves sideways as a whole; bend: one that bends and "
            "turns too, and drifts along z; none. As for the 3D movie where that is given, else "
            "none."
        ),
    ] = None,
    pixel_size: PixelSize = None,
    na: NA = None,
    immersion: Immersion = None,
    wavelength: Wavelength = None,
    rate: Rate = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
) -> None:
    """Find the neurons of a movie, and measure each of them in every frame."""
    from napari_deepz.io.reading import read_image, read_provenance
    from napari_deepz.io.replacing import require_no_input
    from napari_deepz.models.library import load_model
    from napari_deepz.movies.movie import Movie
    from napari_deepz.neurons.measuring import measure_neurons
    from napari_deepz.neurons.saving import require_output, save_neurons
    from napari_deepz.neurons.tables import require_tracks, save_tracks

    for given, allowed, option in ((motion, _MOTIONS, "--motion"), (light, _LIGHTS, "--light")):
        if given is not None and given not in allowed:
            raise ValueError(f"{option} takes {' or '.join(map(repr, allowed))}, not '{given}'.")
    require_output(output)
    if tracks is not None:
        require_tracks(tracks)
        if tracks.resolve() == output.resolve():
            raise ValueError("Give --tracks another name than the traces.")
    record = read_provenance(movie)
    if light == "virtual":
        found = _read_off(movie, record)
        count = len(found.t_s)
    else:
        recipe = _recipe(movie, record)
        paths = [movie] if recipe is None else [Path(path) for path in recipe.paths]
        require_no_input([output], paths)
        series = [read_image(path) for path in paths]
        c = choose_index(series[0], "C", channel if recipe is None else recipe.c, "--channel")
        sampling = choose_sampling(series[0], c, pixel_size, na, immersion, wavelength)
        at_um = None if at is None else parse_depths(at, "--at")
        if recipe is not None:
            at_um, motion = at_um or recipe.at_um, motion or recipe.motion
            rate = rate or recipe.rate_hz
            if not (pixel_size or na or immersion or wavelength):
                sampling = recipe.sampling
        if sampling is None:
            raise ValueError(
                f"'{series[0].name}' does not say its pixel size; give it with --pixel-size."
            )
        frames = Movie.of(series, sampling, c=c, at_um=at_um, rate_hz=rate)
        with watched() as watch:
            found = measure_neurons(
                frames,
                load_model(model),
                depth_um=depth,
                offset=offset,
                follow=next((one for one in _MOTIONS if one == motion), "none"),
                watch=watch,
            )
        count = len(frames)
    save_neurons(found, output)
    if tracks is not None:
        save_tracks(found, tracks)
    for note in found.notes:
        print_note(note)
    print_line(
        f"{len(found)} neuron{'s' if len(found) > 1 else ''}, {int(found.separable.sum())} "
        f"separable, in {count} frames."
    )
    print_path("Written:", output)
    if tracks is not None:
        print_path("Written:", tracks)


def _recipe(movie: Path, record: Provenance | None) -> MovieRecipe | None:
    """With which a 3D movie was made; None for a movie as it was taken."""
    from napari_deepz.recipes.again import movie_recipe_of

    if record is None or record.kind != "inferred":
        return None
    return movie_recipe_of(movie)


def _read_off(movie: Path, record: Provenance | None) -> NeuronTraces:
    from napari_deepz.io.reading import read_image
    from napari_deepz.neurons.virtual import measure_virtual_planes

    if record is None or record.kind != "inferred":
        raise ValueError(
            f"'{movie.name}' has no virtual planes: make a 3D movie of it with "
            "'napari-deepz movie', and give that."
        )
    with watched() as watch:
        return measure_virtual_planes(read_image(movie), record, watch=watch)

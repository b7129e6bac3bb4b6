"""The command that makes pictures and movies of stacks, and of movies of stacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_deepz.cli.app import PixelSize, app, choose_index, choose_sampling
from napari_deepz.cli.console import print_note, print_path
from napari_deepz.cli.progress import watched

if TYPE_CHECKING:
    from napari_deepz.images import ImageSeries
    from napari_deepz.provenance import Provenance

_MOVIES = (".mp4", ".gif")


@app.command()
def picture(
    stack: Annotated[
        Path, typer.Argument(help="Virtual or measured stack of flat planes, or a movie of them.")
    ],
    output: Annotated[
        Path,
        typer.Argument(
            help="Depth-coded projection (.png), or focus sweep (.mp4, .gif); of a movie without "
            "--time its depth-coded projection over time (.mp4, .gif)."
        ),
    ],
    pixel_size: PixelSize = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
    time: Annotated[int | None, typer.Option(help="Time point, counted from 0.")] = None,
    depth: Annotated[
        float | None,
        typer.Option(help="Of a movie: play time in the plane nearest to this depth in µm."),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Of a movie over time: frames shown in a second.")
    ] = None,
) -> None:
    """Show a stack as one picture coloured by depth or a movie through the focus; or time."""
    from napari_deepz.io.movie_frames import require_written
    from napari_deepz.io.reading import read_image, read_provenance
    from napari_deepz.io.replacing import require_no_input, require_replaceable
    from napari_deepz.pictures.saving import FlatPlanes, save_picture
    from napari_deepz.pictures.time_lapse import TimeLapse, save_time_lapse
    from napari_deepz.provenance import Provenance

    record = read_provenance(stack) or Provenance(kind="measured", input_name=stack.name)
    require_replaceable(output, record.kind)
    require_no_input([output], [stack])
    series = read_image(stack)
    over_time = time is None and series.size("T") > 1 and output.suffix.lower() in _MOVIES
    if not over_time and (depth is not None or fps is not None):
        raise ValueError(
            "--depth and --fps are for a movie that is played over time, into a .mp4 or .gif, "
            "without --time."
        )
    t = 0 if over_time else choose_index(series, "T", time, "--time")
    require_written(stack, range(series.size("T")) if over_time else (t,))
    for note in series.notes:
        print_note(note)
    c = choose_index(series, "C", channel, "--channel")
    sampling = choose_sampling(series, c, pixel_size)
    single = over_time and series.size("Z") == 1
    if not single and (series.size("Z") < 2 or series.z_step_um is None):
        raise ValueError(f"{stack.name} is not a stack of flat planes with a z step.")
    if sampling is None:
        raise ValueError(f"{stack.name} does not say its pixel size; give it with --pixel-size.")
    z_um = () if single else _depths_um(series, record)
    with watched() as watch:
        if over_time:
            plane = 0 if single else _plane_at(depth, z_um, stack.name)
            played = TimeLapse(series, c, z_um, plane, sampling.pixel_size_um, record, fps)
            save_time_lapse(played, output, watch=watch)
        else:
            shown = FlatPlanes(
                planes=series.stack(t=t, c=c),
                z_um=z_um,
                pixel_size_um=sampling.pixel_size_um,
                name=series.name,
                provenance=record,
            )
            save_picture(shown, output, watch=watch)
    print_path("Written:", output)


def _depths_um(series: ImageSeries, record: Provenance) -> tuple[float, ...]:
    start_um, step_um = series.z_start_um, series.z_step_um
    if start_um is None:
        start_um = record.axial_range_um[0] if record.axial_range_um else 0.0
    return tuple(round(start_um + (step_um or 0) * plane, 9) for plane in range(series.size("Z")))


def _plane_at(depth: float | None, z_um: tuple[float, ...], name: str) -> int | None:
    """Choose the plane nearest to a depth; None where none is wanted."""
    if depth is None:
        return None
    nearest = min(range(len(z_um)), key=lambda plane: abs(z_um[plane] - depth))
    if not abs(z_um[nearest] - depth) <= z_um[1] - z_um[0]:
        raise ValueError(
            f"--depth is {depth:g} µm, but the planes of {name} lie from {z_um[0]:g} to "
            f"{z_um[-1]:g} µm."
        )
    return nearest

"""The command that makes pictures and movies of stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_deepz.cli.app import PixelSize, app, choose_index, choose_sampling
from napari_deepz.cli.console import print_note, print_path
from napari_deepz.cli.progress import watched


@app.command()
def picture(
    stack: Annotated[Path, typer.Argument(help="Virtual or measured stack of flat planes.")],
    output: Annotated[
        Path,
        typer.Argument(help="Depth-coded projection (.png) or focus sweep (.mp4, .gif)."),
    ],
    pixel_size: PixelSize = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
    time: Annotated[int | None, typer.Option(help="Time point, counted from 0.")] = None,
) -> None:
    """Show a stack as one picture coloured by depth, or as a movie through the focus."""
    from napari_deepz.io.reading import read_image, read_provenance
    from napari_deepz.io.replacing import require_no_input, require_replaceable
    from napari_deepz.pictures.saving import FlatPlanes, save_picture
    from napari_deepz.provenance import Provenance

    record = read_provenance(stack) or Provenance(kind="measured", input_name=stack.name)
    require_replaceable(output, record.kind)
    require_no_input([output], [stack])
    series = read_image(stack)
    for note in series.notes:
        print_note(note)
    t = choose_index(series, "T", time, "--time")
    c = choose_index(series, "C", channel, "--channel")
    sampling = choose_sampling(series, c, pixel_size)
    if series.size("Z") < 2 or series.z_step_um is None:
        raise ValueError(f"{stack.name} is not a stack of flat planes with a z step.")
    if sampling is None:
        raise ValueError(f"{stack.name} does not say its pixel size; give it with --pixel-size.")
    start_um, step_um = series.z_start_um, series.z_step_um
    if start_um is None:
        start_um = record.axial_range_um[0] if record.axial_range_um else 0.0
    shown = FlatPlanes(
        planes=series.stack(t=t, c=c),
        z_um=tuple(round(start_um + step_um * plane, 9) for plane in range(series.size("Z"))),
        pixel_size_um=sampling.pixel_size_um,
        name=series.name,
        provenance=record,
    )
    with watched() as watch:
        save_picture(shown, output, watch=watch)
    print_path("Written:", output)

"""The command that compares virtual slices with measured planes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_deepz.atomic_files import made_folder
from napari_deepz.cli.app import (
    NA,
    Device,
    Immersion,
    ModelName,
    PixelSize,
    Wavelength,
    app,
    check_folder,
    choose_focal_stack,
    choose_sampling,
)
from napari_deepz.cli.console import console, print_note, print_path
from napari_deepz.cli.progress import score_table, watched
from napari_deepz.models import DEFAULT_MODEL


@app.command()
def evaluate(
    stack: Annotated[Path, typer.Argument(help="Measured focal stack.")],
    input_plane: Annotated[int, typer.Option(help="Plane to refocus, counted from 0.")],
    model: ModelName = DEFAULT_MODEL,
    output: Annotated[
        Path | None, typer.Option(help="Folder for table and plot; beside the stack's name here.")
    ] = None,
    pixel_size: PixelSize = None,
    na: NA = None,
    immersion: Immersion = None,
    wavelength: Wavelength = None,
    z_step: Annotated[
        float | None, typer.Option(help="z step in µm, if the file lacks it.")
    ] = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
    time: Annotated[int | None, typer.Option(help="Time point, counted from 0.")] = None,
    device: Device = None,
) -> None:
    """Compare virtual slices with the planes that the microscope really took."""
    from napari_deepz.analysis.evaluation import evaluate as evaluate_stack
    from napari_deepz.analysis.evaluation import is_table
    from napari_deepz.analysis.verdict import verdict
    from napari_deepz.engine.compute import Compute
    from napari_deepz.io.reading import read_image
    from napari_deepz.io.replacing import foreign, require_no_input, require_replaceable
    from napari_deepz.models.library import load_model
    from napari_deepz.pictures.figures import plot_evaluation

    series = read_image(stack)
    folder = check_folder(output if output is not None else Path(f"{series.name}-evaluation"))
    table, plot = folder / "evaluation.csv", folder / "evaluation.png"
    if table.exists() and not is_table(table):
        raise foreign(table)
    require_replaceable(plot, "inferred")
    loaded = load_model(model)
    require_no_input([table, plot], [stack, loaded.source])
    where, z_step_um = choose_focal_stack(series, stack, z_step, time, channel)
    sampling = choose_sampling(series, where["c"], pixel_size, na, immersion, wavelength)
    with watched() as watch:
        result = evaluate_stack(
            series.stack(**where),
            input_plane,
            loaded,
            sampling=sampling,
            z_step_um=z_step_um,
            compute=Compute(device=device or "auto"),
            watch=watch,
        )
    for note in (*series.notes, *result.notes):
        print_note(note)
    console.print(score_table(result.depths, f"{result.model_name} on {result.device}"))
    console.print(verdict(result.depths))
    made_folder(folder)
    result.write_csv(table)
    plot_evaluation(result, plot)
    print_path("Written:", table)
    print_path("Written:", plot)

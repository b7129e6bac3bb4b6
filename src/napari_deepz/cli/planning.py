"""The command that says how many planes are enough."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from napari_deepz.cli.console import console, print_line, print_note, print_path
from napari_deepz.cli.progress import watched
from napari_deepz.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from rich.table import Table

    from napari_deepz.analysis.exposures import ExposurePlan


@app.command()
def plan(
    stack: Annotated[Path, typer.Argument(help="Measured focal stack of a sample like yours.")],
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
    """Say how many planes, how far apart, are enough for such a sample, and what light is saved."""
    from napari_deepz.analysis.exposures import is_exposure_table, plan_exposures
    from napari_deepz.engine.compute import Compute
    from napari_deepz.io.reading import read_image
    from napari_deepz.io.replacing import foreign, require_no_input, require_replaceable
    from napari_deepz.models.library import load_model
    from napari_deepz.pictures.figures import plot_exposures
    from napari_deepz.provenance import Provenance

    series = read_image(stack)
    folder = check_folder(output if output is not None else Path(f"{series.name}-plan"))
    table, plot = folder / "plan.csv", folder / "plan.png"
    if table.exists() and not is_exposure_table(table):
        raise foreign(table)
    require_replaceable(plot, "inferred")
    loaded = load_model(model)
    require_no_input([table, plot], [stack, loaded.source])
    where, z_step_um = choose_focal_stack(series, stack, z_step, time, channel)
    sampling = choose_sampling(series, where["c"], pixel_size, na, immersion, wavelength)
    with watched() as watch:
        found = plan_exposures(
            series.stack(**where),
            z_step_um,
            loaded,
            sampling=sampling,
            compute=Compute(device=device or "auto"),
            watch=watch,
        )
    for note in series.notes:
        print_note(note)
    console.print(_table(found))
    print_line(found.describe())
    made_folder(folder)
    found.write_csv(table)
    record = Provenance(
        kind="inferred",
        input_name=stack.name,
        model_name=loaded.spec.name,
        model_version=loaded.spec.version,
        model_sha256=loaded.sha256,
        sampling=sampling,
        notes=(found.describe(),),
    )
    plot_exposures(found, plot, record)
    print_path("Written:", table)
    print_path("Written:", plot)


def _table(found: ExposurePlan) -> Table:
    from rich.table import Table

    table = Table(title=f"Detail of {found.thickness_um:.3g} µm kept, {found.model_name}")
    for name in ("planes", "spacing (µm)", "light", "refocused", "interpolated"):
        table.add_column(name, justify="right")
    for one in found.trials:
        table.add_row(
            str(len(one.indices)),
            f"{one.spacing_um:.3g}" if one.spacing_um else "",
            f"{100 * one.light:.0f} %",
            f"{100 * one.refocused:.1f} %",
            f"{100 * one.interpolated:.1f} %",
        )
    return table

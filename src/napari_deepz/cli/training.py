"""The commands that make stacks and models: simulate and train."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from napari_deepz.cli.app import Device, app, check_folder, parse_depths
from napari_deepz.cli.console import console, print_line, print_path
from napari_deepz.cli.progress import print_entry, watched

_FARTHEST_PLANE_UM = 20.0


@app.command()
def simulate(
    outdir: Annotated[Path | None, typer.Argument(help="Folder for the stacks.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of stacks.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same stacks.")] = 0,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Phantoms to take turns; all if not given. 'movie': neurons over time."),
    ] = None,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Height and width, pixels.")] = 256,
    half_range: Annotated[float, typer.Option(help="Focus goes this far either way, µm.")] = 10.0,
    z_step: Annotated[float, typer.Option(help="Distance of the planes, µm.")] = 0.5,
    tilt: Annotated[
        float | None, typer.Option(help="Rise of tilted beads across the width, µm.")
    ] = None,
    frames: Annotated[int, typer.Option(min=2, max=10_000, help="Of a movie.")] = 120,
    planes: Annotated[
        str, typer.Option(help="Focus of each input plane of a movie, such as -3,3, µm.")
    ] = "0",
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Say in numbers what the stacks look like.")
    ] = False,
    compare: Annotated[
        list[Path] | None, typer.Option(help="With --statistics: measured stacks beside them.")
    ] = None,
) -> None:
    """Write simulated focal stacks (OME-TIFF) with the truth beside them (JSON).

    With --kind movie they are movies: a sparse field and the head of a worm take turns, with active
    and silent neurons, motion, bleaching, a flickering lamp, glow of the gut and a passing granule.

    With --statistics nothing is written: as many stacks of any objective are measured.
    """
    if statistics:
        _print_statistics(count, seed, compare or [])
        return
    if outdir is None:
        raise ValueError("Name a folder for the stacks, or add --statistics to measure some.")
    command = shlex.join(["napari-deepz", *sys.argv[1:]])
    if kind and "movie" in kind:
        if len(kind) > 1:
            raise ValueError("Movies are simulated by themselves: give --kind movie alone.")
        if tilt is not None:
            raise ValueError("--tilt belongs to tilted beads; leave it out for a movie.")
        for path in _movies(check_folder(outdir), count, seed, size, frames, planes, command):
            print_path("Written:", path)
        return
    from napari_deepz.training.files import write_simulated

    for path in write_simulated(
        check_folder(outdir),
        count=count,
        seed=seed,
        kinds=kind,
        size_px=size,
        half_range_um=half_range,
        z_step_um=z_step,
        tilt_span_um=tilt,
        command=command,
    ):
        print_path("Written:", path)


def _movies(
    folder: Path, count: int, seed: int, size_px: int, frames: int, planes: str, command: str
) -> Iterator[Path]:
    from napari_deepz.training.movies.files import EVERYTHING, write_movies

    planes_um = parse_depths(planes, "--planes")
    if not all(abs(z_um) <= _FARTHEST_PLANE_UM for z_um in planes_um):
        raise ValueError(f"--planes takes depths within {_FARTHEST_PLANE_UM:g} µm.")
    settings = replace(EVERYTHING, size_px=size_px, frames=frames, planes_um=planes_um)
    yield from write_movies(folder, count=count, seed=seed, settings=settings, command=command)


def _print_statistics(count: int, seed: int, measured: list[Path]) -> None:
    import numpy as np

    from napari_deepz.analysis.detail import unit_px_of
    from napari_deepz.io.reading import read_image
    from napari_deepz.training.any_objective.volumes import simulate_volumes
    from napari_deepz.training.stack_statistics import (
        statistics_of,
        statistics_of_volume,
        summary,
    )

    rng = np.random.default_rng(seed)
    simulated = [statistics_of_volume(volume, rng) for volume in simulate_volumes(count, seed)]
    table = Table(title=f"{count} simulated stacks", title_justify="left")
    for heading in ("stack", "haze", "skewness", "ends", "fine", "light"):
        table.add_column(heading, justify="left" if heading == "stack" else "right")
    for index, name in enumerate(("lowest tenth", "middle", "highest tenth")):
        table.add_row(name, *(f"{values[index]:.2f}" for values in summary(simulated).values()))
    for path in measured:
        series = read_image(path)
        found = statistics_of(series.stack(), unit_px_of(series.sampling()))
        table.add_row(Text(path.name), *(f"{value:.2f}" for value in astuple(found)))
    table.caption = (
        "haze: median over 99.9th percentile of the sharpest plane; ends: its correlation with the "
        "end planes; fine: its power above a quarter of the cut-off, noise included; light: sum of "
        "the end planes over that of the sharpest"
    )
    console.print(table)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="Training configuration, a TOML file.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    device: Device = None,
) -> None:
    """Train a generator on simulated or measured focal stacks and write a model package."""
    from napari_deepz.engine.devices import choose_device, describe_device
    from napari_deepz.training.config import read_config
    from napari_deepz.training.run import run_training

    settings = read_config(config)
    print_line(f"Training on {describe_device(choose_device(device))}")

    def on_stack(done: int, total: int) -> None:
        if done == total or done % 20 == 0:
            print_line(f"{done} of {total} stacks simulated")

    with watched() as watch:
        package = run_training(
            settings,
            config.parent,
            resume=resume,
            device=device,
            on_stack=on_stack,
            report=print_entry,
            watch=watch,
        )
    print_path("Model package written to", package)

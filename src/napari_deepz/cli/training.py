"""The commands that make stacks and models: simulate and train."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_deepz.cli.app import Device, app, check_folder
from napari_deepz.cli.console import print_line, print_path
from napari_deepz.cli.progress import print_entry, watched


@app.command()
def simulate(
    outdir: Annotated[Path, typer.Argument(help="Folder for the stacks.")],
    count: Annotated[int, typer.Option(min=1, help="Number of stacks.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same stacks.")] = 0,
    kind: Annotated[
        list[str] | None, typer.Option(help="Phantoms to take turns; all if not given.")
    ] = None,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Height and width, pixels.")] = 256,
    half_range: Annotated[float, typer.Option(help="Focus goes this far either way, µm.")] = 10.0,
    z_step: Annotated[float, typer.Option(help="Distance of the planes, µm.")] = 0.5,
    tilt: Annotated[
        float | None, typer.Option(help="Rise of tilted beads across the width, µm.")
    ] = None,
) -> None:
    """Write simulated focal stacks (OME-TIFF) with the truth beside them (JSON)."""
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
        command=shlex.join(["napari-deepz", *sys.argv[1:]]),
    ):
        print_path("Written:", path)


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

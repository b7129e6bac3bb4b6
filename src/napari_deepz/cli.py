"""The command line: thin callers of the engine, with progress, and errors in one sentence."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from napari_deepz.jobs import Progress

app = typer.Typer(
    help="Refocus fluorescence images after the fact with Deep-Z.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full traceback of an error.")
    ] = False,
) -> None:
    if version:
        from napari_deepz import __version__

        console.print(f"napari-deepz {__version__}")
        raise typer.Exit


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="Training configuration, a TOML file.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps; chosen if not given.")
    ] = None,
) -> None:
    """Train a generator on simulated or measured focal stacks and write a model package."""
    from napari_deepz.training.config import read_config
    from napari_deepz.training.run import run_training

    settings = read_config(config)

    def on_stack(done: int, total: int) -> None:
        if done == total or done % 20 == 0:
            console.print(f"{done} of {total} stacks simulated")

    with _stop_on_interrupt() as should_stop:
        package = run_training(
            settings,
            config.parent,
            resume=resume,
            device=device,
            on_stack=on_stack,
            report=_print_entry,
            should_stop=should_stop,
        )
    console.print(f"Model package written to {package}")


def _print_entry(entry: dict[str, Any], progress: Progress) -> None:
    """Show a log entry of a training run as a small table."""
    table = Table(
        title=f"step {progress.describe()}; loss {entry['loss']:.4f}", title_justify="left"
    )
    table.add_column("correlation at dz (µm)")
    for z_um in entry["correlation"]:
        table.add_column(z_um, justify="right")
    for row in ("refocused", "unrefocused"):
        scores = (f"{score[row]:.3f}" for score in entry["correlation"].values())
        table.add_row(row, *scores)
    console.print(table)


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to stop; a second one ends the program at once."""
    asked = False

    def on_signal(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        console.print("Stopping; press Ctrl-C again to end at once.")

    previous = signal.signal(signal.SIGINT, on_signal)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, previous)


def main() -> None:
    """Run the command line; errors are one sentence unless --debug is given."""
    from napari_deepz.jobs import Cancelled

    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except (Cancelled, KeyboardInterrupt):
        Console(stderr=True).print("Stopped.")
        sys.exit(130)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if debug:
            raise
        Console(stderr=True, soft_wrap=True).print(f"Error: {error}", markup=False)
        sys.exit(1)

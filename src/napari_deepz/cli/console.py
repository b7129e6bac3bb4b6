"""What the command line shows: tables, progress, notes, and how it is interrupted."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

if TYPE_CHECKING:
    from napari_deepz.analysis.evaluation import DepthScores
    from napari_deepz.jobs import Progress

console = Console()


def score_table(depths: Sequence[DepthScores], title: str) -> Table:
    """Scores per depth, each measure beside that of the unrefocused image."""
    table = Table(title=title, title_justify="left")
    table.add_column("dz (µm)", justify="right")
    for measure in ("RMSE", "PSNR", "SSIM", "corr."):
        table.add_column(measure, justify="right")
        table.add_column("unref.", justify="right", style="dim")
    for depth in depths:
        cells = []
        for name, digits in (("rmse", 1), ("psnr", 1), ("ssim", 3), ("correlation", 3)):
            for scores in (depth.refocused, depth.unrefocused):
                cells.append(f"{getattr(scores, name):.{digits}f}")
        table.add_row(f"{depth.z_um:+.2f}{'' if depth.in_range else ' *'}", *cells)
    if not all(depth.in_range for depth in depths):
        table.caption = "* outside the range that the model was trained on"
    return table


def print_entry(entry: dict[str, Any], progress: Progress) -> None:
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


def print_path(label: str, path: Path) -> None:
    """Print a path whole, however narrow the terminal."""
    console.print(f"{label} {path}", soft_wrap=True, highlight=False, markup=False)


def print_note(note: str) -> None:
    """Print something that the user must know to judge a result."""
    console.print(f"Note: {note}", style="yellow", highlight=False, markup=False)


@contextmanager
def warnings_as_notes() -> Iterator[list[str]]:
    """Collect and print what is warned about, each sentence once."""
    notes: list[str] = []

    def show(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in notes:
            notes.append(str(message))
            print_note(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield notes


@contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None]]:
    """A bar with the time left, on standard error, gone when it is done."""
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    terminal = Console(stderr=True)
    hidden = not terminal.is_terminal
    with ProgressBar(*columns, console=terminal, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None)
        yield lambda progress: bar.update(task, total=progress.total, completed=progress.done)


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn a first Ctrl-C or SIGTERM into a request to stop; a second one ends the program."""
    asked = False

    def on_signal(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        console.print("Stopping; press Ctrl-C again to end at once.")

    kinds = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(kind, on_signal) for kind in kinds]
    try:
        yield lambda: asked
    finally:
        for kind, handler in zip(kinds, previous, strict=True):
            signal.signal(kind, handler)

"""How far long work is, what came out of it, and how it is interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, TaskProgressColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from napari_deepz.cli.console import complaints, console, print_line
from napari_deepz.watch import Progress, Watch

if TYPE_CHECKING:
    from napari_deepz.analysis.evaluation import DepthScores


def score_table(depths: Sequence[DepthScores], title: str) -> Table:
    """Scores per depth, each measure beside those of both baselines."""
    table = Table(title=title, title_justify="left")
    table.add_column("dz (µm)", justify="right")
    for measure in ("SSIM", "corr.", "detail"):
        table.add_column(measure, justify="right")
        table.add_column("self", justify="right", style="dim")
        table.add_column("raw", justify="right", style="dim")
    for depth in depths:
        cells = []
        for name in ("ssim", "correlation", "detail"):
            for scores in (depth.refocused, depth.at_zero, depth.unrefocused):
                cells.append(f"{getattr(scores, name):.2f}")
        table.add_row(f"{depth.z_um:+.2f}{'' if depth.in_range else ' *'}", *cells)
    table.caption = "self: the network's picture at 0 µm; raw: the input; refocusing must beat both"
    if not all(depth.in_range for depth in depths):
        table.caption += "\n* outside the range that the model was trained on"
    return table


def print_entry(entry: dict[str, Any], progress: Progress) -> None:
    """Show a log entry of a training run as a small table."""
    table = Table(
        title=f"step {progress.describe()}; loss {entry['loss']:.4f}", title_justify="left"
    )
    table.add_column(f"correlation at dz ({entry['unit']})")
    for z_um in entry["correlation"]:
        table.add_column(z_um, justify="right")
    rows = dict.fromkeys(row for scores in entry["correlation"].values() for row in scores)
    for row in rows:
        table.add_row(row, *(_cell(scores, row) for scores in entry["correlation"].values()))
    console.print(table)


def _cell(scores: dict[str, float | None], row: str) -> str:
    if row not in scores:
        return "–"
    score = scores[row]
    return "none" if score is None else f"{score:.3f}"


@contextmanager
def _progress_bar() -> Iterator[Callable[[Progress], None]]:
    """A bar with the time left, on standard error, gone when it is done."""
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    hidden = not complaints.is_terminal
    with ProgressBar(*columns, console=complaints, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None)
        yield lambda progress: bar.update(task, total=progress.total, completed=progress.done)


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch long work: a bar shows how far it is, and Ctrl-C stops it."""
    with _stop_on_interrupt() as should_stop, _progress_bar() as on_progress:
        yield Watch(should_stop, on_progress)


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn a first Ctrl-C or SIGTERM into a request to stop; a second one ends the program."""
    asked = False

    def on_signal(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        print_line("Stopping; press Ctrl-C again to end at once.")

    with _handled_by(on_signal, "SIGINT", "SIGTERM"):
        yield lambda: asked


@contextmanager
def end_on_signals() -> Iterator[None]:
    """End as after Ctrl-C, tidying up, where the system or a closed terminal ends the program."""

    def on_signal(*_: object) -> None:
        raise KeyboardInterrupt

    # Where "nohup" lets the program go on without a terminal, it goes on.
    kept = getattr(signal, "SIGHUP", None)
    ignored = kept is not None and signal.getsignal(kept) == signal.SIG_IGN
    with _handled_by(on_signal, "SIGTERM", *(() if ignored else ("SIGHUP",))):
        yield


@contextmanager
def _handled_by(handler: Callable[..., None], *names: str) -> Iterator[None]:
    """Handle the signals of these names that there are, in the thread that gets them."""
    here = threading.current_thread() is threading.main_thread()
    kinds = [getattr(signal, name) for name in names if here and hasattr(signal, name)]
    previous = [signal.signal(kind, handler) for kind in kinds]
    try:
        yield
    finally:
        for kind, former in zip(kinds, previous, strict=True):
            signal.signal(kind, former)

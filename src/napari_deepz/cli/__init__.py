"""The command line: thin callers of the engine, with progress, and errors in one sentence."""

from __future__ import annotations

import sys

from napari_deepz.cli import (
    evaluation,
    model_conversion,
    models,
    movies,
    neurons,
    pictures,
    planning,
    refocusing,
    training,
)
from napari_deepz.cli.app import app
from napari_deepz.cli.console import all_through_console, print_error
from napari_deepz.cli.failures import sentence_of, was_stopped
from napari_deepz.cli.progress import end_on_signals

__all__ = [
    "app",
    "evaluation",
    "main",
    "model_conversion",
    "models",
    "movies",
    "neurons",
    "pictures",
    "planning",
    "refocusing",
    "training",
]

_STOPPED = 130


def main() -> None:
    """Run the command line; errors are one sentence unless --debug is given."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    with all_through_console(), end_on_signals():
        code = _run(debug)
    sys.exit(code)


def _run(debug: bool) -> int:
    try:
        code: int | None = app(standalone_mode=False)
    except BaseException as error:
        if was_stopped(error):
            code = _STOPPED
        elif debug or isinstance(error, SystemExit):
            raise
        else:
            sentence, code = sentence_of(error)
            if sentence:
                print_error(sentence)
    if code == _STOPPED:
        print_error("Stopped.")
    return code or 0

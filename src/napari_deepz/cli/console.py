"""The one way to the terminal: what is printed can neither command it nor be lost in it."""

from __future__ import annotations

import codecs
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from napari_deepz.names import is_obeyed

_ASCII = {"µ": "u", "μ": "u", "…": "...", "–": "-", "×": "x", "°": " deg", "±": "+-", "²": "^2"}
_REPLACE = "napari-deepz"


def harmless(text: str, keep: str = "\n\t") -> str:
    """Make visible what a terminal would obey, or what would turn the direction of a text.

    Parameters
    ----------
    text : str
        From anywhere: names of files, layers and models, a server, a library.
    keep : str
        Control characters that stay.
    """
    return "".join(
        ascii(character)[1:-1] if character not in keep and is_obeyed(character) else character
        for character in text
    )


class _Harmless(RenderHook):
    """Makes harmless whatever a console is about to print."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_HarmlessRenderable(renderable) for renderable in renderables]


class _HarmlessRenderable:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            plain = segment.control is None
            yield Segment(harmless(segment.text), segment.style) if plain else segment


def _console(*, stderr: bool) -> Console:
    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    made.push_render_hook(_Harmless())
    return made


console = _console(stderr=False)
complaints = _console(stderr=True)


def print_line(text: str, style: str | None = None) -> None:
    """Print a line whole, however narrow the terminal."""
    console.print(harmless(text, ""), style=style, soft_wrap=True)


def print_path(label: str, path: Path) -> None:
    """Print a path whole, however narrow the terminal."""
    print_line(f"{label} {path}")


def print_note(note: str) -> None:
    """Print something that the user must know to judge a result."""
    console.print(harmless(f"Note: {note}", ""), style="yellow")


def print_error(sentence: str) -> None:
    """Print why it did not work, on standard error."""
    complaints.print(harmless(sentence, ""), soft_wrap=True)


class _ThroughConsole(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print_error(f"{record.name}: {record.getMessage()}")


@contextmanager
def all_through_console() -> Iterator[None]:
    """Take what libraries say the same way, and let no stream refuse a character."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print_error(f"Note: {message}")

    codecs.register_error(_REPLACE, _readable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_REPLACE)
    last_resort = logging.lastResort
    logging.lastResort = _ThroughConsole(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    finally:
        logging.lastResort = last_resort


def _readable(error: UnicodeError) -> tuple[str, int]:
    """Write characters that a stream does not have, as in ASCII, with others."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    instead = (_ASCII.get(character, ascii(character)[1:-1]) for character in lacking)
    return "".join(instead), error.end

"""What is noticed while a file is read, wherever in the readers that happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_collected: ContextVar[list[str] | None] = ContextVar("_collected", default=None)


@contextmanager
def noticing() -> Iterator[list[str]]:
    """Collect what is noticed within, a sentence each; whoever collects around it hears it too."""
    notes: list[str] = []
    outer = _collected.get()
    token = _collected.set(notes)
    try:
        yield notes
    finally:
        _collected.reset(token)
        if outer is not None:
            outer += [sentence for sentence in notes if sentence not in outer]


def note(sentence: str) -> None:
    """Say something that the user must know about the image that is being read."""
    notes = _collected.get()
    if notes is not None and sentence not in notes:
        notes.append(sentence)

"""Markdown: paragraphs, lists and tables."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

WIDTH = 100


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph in lines of at most `WIDTH` characters."""
    return textwrap.fill(
        text,
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def bullets(lines: Sequence[str]) -> str:
    """A list."""
    return "\n".join(wrapped(f"- {line}", "  ") for line in lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

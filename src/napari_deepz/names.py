"""Names of images, layers and channels, fit to be written into files and to be shown."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 500
_LINE_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]+")
_COMMANDS = {"Cc", "Cs", "Zl", "Zp"}
# Marks, embeddings, overrides and isolates, which change the order of what stands around them.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What XML cannot hold besides: https://www.w3.org/TR/xml/#charsets
_NO_CHARACTERS = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")


def is_obeyed(character: str) -> bool:
    """Whether a terminal or a window obeys a character, or cannot write it, instead of showing it.

    These are control characters, line and paragraph separators, lone surrogates, and those that
    change the direction of writing.
    """
    return character in _DIRECTIONS or unicodedata.category(character) in _COMMANDS


def plain_name(name: str) -> str:
    """Clean a name, which may come from a file, a layer or the file system.

    Parameters
    ----------
    name : str
        Any text.

    Returns
    -------
    str
        One line of at most 500 characters that every file format holds and that looks as it is
        written: "?" in place of what has no place in a name.
    """
    line = _NO_CHARACTERS.sub("?", _LINE_BREAKS.sub(" ", name))
    cleaned = "".join("?" if is_obeyed(character) else character for character in line)
    return cleaned if len(cleaned) <= _LONGEST else f"{cleaned[: _LONGEST - 1]}…"

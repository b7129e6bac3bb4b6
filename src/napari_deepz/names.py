"""Names of images, layers and channels, fit to be written into files and to be shown."""

from __future__ import annotations

import re

_LONGEST = 500

_LINE_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]+")

# Controls, those that turn the direction of writing among them, lone surrogates, and what XML
# cannot hold: https://www.w3.org/TR/xml/#charsets
_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


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
    cleaned = _UNFIT.sub("?", _LINE_BREAKS.sub(" ", name))
    return cleaned if len(cleaned) <= _LONGEST else f"{cleaned[: _LONGEST - 1]}…"

"""Texts from files, layers, models and servers are shown as they are: nothing in them is obeyed.

Qt takes a text that looks like HTML for HTML wherever it is not told otherwise, and then loads what
it refers to. Every text that was not written in this package goes through this module, or into a
`PlainLabel`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import TypeVar

from napari.utils import notifications
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QMessageBox, QSizePolicy, QWidget

from napari_deepz.names import is_obeyed

Choice = TypeVar("Choice")

_LONGEST_NAME = 200
_LONGEST_TEXT = 4000
_ENDS = 10
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY = re.compile(r"&(?=lt;)")


def visible(text: str, *, lines: bool = False, longest: int = _LONGEST_NAME) -> str:
    """Replace what is obeyed instead of shown, such as escapes and changes of direction.

    Parameters
    ----------
    text : str
        From anywhere.
    lines : bool, optional
        Keep line breaks and tabs.
    longest : int, optional
        How many characters are kept.
    """
    kept = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return "".join(
        character if lines and character in "\n\t" else _shown(character) for character in kept
    )


def _shown(character: str) -> str:
    if is_obeyed(character):
        code = ord(character)
        return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"
    return character


def ends_of(name: str) -> str:
    """Make a name visible in little room: both ends tell images apart that begin alike."""
    shown = visible(name)
    return shown if len(shown) <= 2 * _ENDS else f"{shown[: _ENDS - 1]}…{shown[-_ENDS:]}"


def distinct(choices: Iterable[tuple[str, Choice]]) -> Iterator[tuple[str, Choice]]:
    """Make the names of choices visible, and count those up that then look alike.

    A menu of magicgui has one entry for each name, whether capitals or not.
    """
    taken: set[str] = set()
    for name, choice in choices:
        shown, count = visible(name), 1
        while shown.casefold() in taken:
            count += 1
            shown = f"{visible(name)} ({count})"
        taken.add(shown.casefold())
        yield shown, choice


def harmless(text: str) -> str:
    """Make a text for where Qt guesses whether it is HTML and nobody can tell it: it is not."""
    text = visible(text, lines=True, longest=_LONGEST_TEXT)
    return _ENTITY.sub("\N{FULLWIDTH AMPERSAND}", _TAG.sub("‹", text))


def layer_name(text: str) -> str:
    """Make a name for a layer, which napari's status bar takes for HTML if it looks like it."""
    return harmless(visible(text))


def tooltip(text: str) -> str:
    """Make a tooltip that shows a text as it is, in lines of a readable width."""
    text = visible(text, lines=True, longest=_LONGEST_TEXT)
    return f"<qt>{escape(text)}</qt>".replace("\n", "<br>") if text else ""


class PlainLabel(QLabel):  # type: ignore[misc]
    """Text that takes the width it gets, and is never taken for HTML; nor is its tooltip."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        policy = self.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
        self.setSizePolicy(policy)
        self.setText(text)

    def setText(self, text: str) -> None:  # noqa: N802
        """Show a text."""
        super().setText(visible(text, lines=True, longest=_LONGEST_TEXT))

    def setToolTip(self, text: str) -> None:  # noqa: N802
        """Show a text while the mouse is over the label."""
        super().setToolTip(tooltip(text))


def asked(parent: QWidget | None, title: str, question: str) -> bool:
    """Ask the user a question, and say whether the answer is yes."""
    answer = QMessageBox.question(parent, title, harmless(question))
    return bool(answer == QMessageBox.StandardButton.Yes)


def show_error(message: str) -> None:
    """Tell the user that something went wrong."""
    notifications.show_error(harmless(message))


def show_warning(message: str) -> None:
    """Tell the user what must be known."""
    notifications.show_warning(harmless(message))


def show_info(message: str) -> None:
    """Tell the user something."""
    notifications.show_info(harmless(message))

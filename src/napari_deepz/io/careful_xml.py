"""XML of others, read without trusting it."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

_DEEPEST = 100


def careful_tree(xml: str) -> ElementTree.Element:
    """Read a document of limited depth that defines no document type.

    A document type can blow up a few bytes to any size, and no microscope writes one.

    Raises
    ------
    ValueError
        If it defines one, or is nested too deep.
    xml.etree.ElementTree.ParseError
        If it is no XML.
    """
    if "<!DOCTYPE" in xml:
        raise ValueError("document type")
    parser = ElementTree.XMLParser(target=_Careful())
    parser.feed(xml)
    root: ElementTree.Element = parser.close()
    return root


class _Careful(ElementTree.TreeBuilder):
    """Builds a tree of limited depth."""

    _depth = 0

    def start(self, tag: Any, attrs: Any, /) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("too deep")
        return super().start(tag, attrs)

    def end(self, tag: Any, /) -> Any:
        self._depth -= 1
        return super().end(tag)

"""Questions to web servers that nobody has to wait for longer than he wants."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from napari_deepz.watch import Cancelled, StopCondition

_TIMEOUT_S = (10, 20)  # To connect, and between two pieces of data.
_MOST_AT_ONCE_BYTES = 64 << 10
_ASK_EVERY_S = 0.1


class UnreachableError(Exception):
    """There is no such server, or it does not answer."""


class BrokenOffError(Exception):
    """The connection ended, or nothing came any more, before the answer was whole."""


@dataclass(frozen=True)
class Answer:
    """What a server says.

    Attributes
    ----------
    status : int
        Of HTTP.
    reason : str
        The server's own words for it.
    headers : mapping of str to str
        Whatever their case.
    pieces : iterator of bytes
        The body, as it comes; raises `BrokenOffError` and `Cancelled`.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


@contextmanager
def answer_to(url: str, headers: Mapping[str, str], should_stop: StopCondition) -> Iterator[Answer]:
    """Ask a server for a file.

    Another thread waits for the network, where neither a signal nor a request to stop reaches it:
    while a name is looked up, a connection made, or one byte awaited from a server that sends few.

    Parameters
    ----------
    url : str
        An http or https address.
    headers : mapping of str to str
        To send.
    should_stop : callable
        Asked while there is nothing to do.

    Raises
    ------
    UnreachableError
        If there is no answer.
    Cancelled
        When asked to stop.
    """
    said: queue.Queue[Any] = queue.Queue(maxsize=4)
    over = threading.Event()
    threading.Thread(target=_listen, args=(url, headers, said, over), daemon=True).start()

    def pieces() -> Iterator[bytes]:
        while piece := _next(said, should_stop):
            if isinstance(piece, Exception):
                raise BrokenOffError from piece
            yield piece

    try:
        first = _next(said, should_stop)
        if isinstance(first, Exception):
            raise UnreachableError from first
        status, reason, answered = first
        yield Answer(status, reason, answered, pieces())
    finally:
        over.set()


def _next(said: queue.Queue[Any], should_stop: StopCondition) -> Any:
    while True:
        try:
            return said.get(timeout=_ASK_EVERY_S)
        except queue.Empty:
            if should_stop():
                raise Cancelled from None


def _listen(
    url: str, headers: Mapping[str, str], said: queue.Queue[Any], over: threading.Event
) -> None:
    """Say status, reason and headers, then each piece, and at the end nothing or what failed."""
    import requests

    def say(what: Any) -> None:
        while not over.is_set():
            try:
                return said.put(what, timeout=_ASK_EVERY_S)
            except queue.Full:
                continue

    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
            say((response.status_code, str(response.reason), response.headers))
            while not over.is_set():
                piece = response.raw.read1(_MOST_AT_ONCE_BYTES, decode_content=True)
                say(piece)
                if not piece:
                    break
    except Exception as error:  # Of requests, urllib3, and what lies below them.
        say(error)

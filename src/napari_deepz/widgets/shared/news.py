"""What work in another thread sends while it goes on, without Qt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from napari_deepz.watch import Progress

Send = Callable[[object], None]


_TELL_EVERY_S = 0.1


@dataclass(frozen=True)
class Advance:
    """News of how far the work is.

    Attributes
    ----------
    fraction : float or None
        0 to 1; None while that cannot be said.
    text : str
        Such as "12 of 41, 3 s left".
    """

    fraction: float | None
    text: str


class Teller:
    """Sends progress, but not so often that telling it becomes the work."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._told_s = -math.inf

    def __call__(self, progress: Progress) -> None:
        """Send how far the work is, unless that was done a moment ago."""
        now_s = time.monotonic()
        if progress.done == progress.total or now_s - self._told_s > _TELL_EVERY_S:
            self._told_s = now_s
            self._send(Advance(progress.fraction, progress.describe()))

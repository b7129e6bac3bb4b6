"""Long work: how it is stopped and how it tells where it stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

Item = TypeVar("Item")

StopCondition = Callable[[], bool]


class Cancelled(Exception):
    """The user asked for the work to stop; what was finished before is valid."""


@dataclass
class Progress:
    """How much of a job is done and how long the rest will take.

    Parameters
    ----------
    total : int
        Number of steps in the job.
    done : int
        Steps that were finished before, in an earlier run of the job.
    preparing : int, optional
        Number of preparing steps among them or before, such as encoding a part of an image: they
        take another time, and are timed by themselves.
    clock : callable, optional
        Seconds as a float; `time.monotonic` unless a test replaces it.
    """

    total: int
    done: int = 0
    preparing: int = 0
    clock: Callable[[], float] = time.monotonic
    first: int = field(init=False)
    started_s: float = field(init=False)
    prepared: int = field(init=False, default=0)
    _prepared_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.first = self.done
        self.started_s = self._last_s = self.clock()

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""
        self.done = min(self.total, self.done + steps)
        if self.preparing:
            self._last_s = self.clock()

    def prepare(self) -> None:
        """Count a finished preparing step."""
        now_s = self.clock()
        self.prepared = min(self.preparing, self.prepared + 1)
        self._prepared_s += now_s - self._last_s
        self._last_s = now_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the job began."""
        return self.clock() - self.started_s

    @property
    def remaining_s(self) -> float | None:
        """Estimated seconds to the end; None before the first step is done."""
        steps = self.done - self.first
        if not steps:
            return None
        left_s = (self.elapsed_s - self._prepared_s) / steps * (self.total - self.done)
        if self.prepared:
            left_s += self._prepared_s / self.prepared * (self.preparing - self.prepared)
        return left_s

    @property
    def fraction(self) -> float | None:
        """How much of the work is done, 0 to 1; None while that cannot be said."""
        if not self.preparing or self.done == self.total:
            return self.done / self.total
        remaining_s = self.remaining_s
        if remaining_s is None:
            return None
        elapsed_s = self.elapsed_s
        return elapsed_s / max(elapsed_s + remaining_s, 1e-9)

    def describe(self) -> str:
        """One line, such as '12 of 41, 3 s left'."""
        text = f"{self.done} of {self.total}"
        if self.preparing and self.done == self.first:
            return f"preparing, {self.prepared} of {self.preparing} parts"
        remaining = self.remaining_s
        if remaining is None or self.done == self.total:
            return text
        minutes, seconds = divmod(round(remaining), 60)
        return f"{text}, {minutes} min {seconds} s left" if minutes else f"{text}, {seconds} s left"


def _never() -> bool:
    return False


def _untold(_: Progress) -> None:
    pass


@dataclass(frozen=True)
class Watch:
    """Whoever waits for long work: says when it is to stop, and hears how far it is.

    Parameters
    ----------
    should_stop : callable, optional
        Asked again and again, in the thread that works; true to stop.
    on_progress : callable, optional
        Told the progress after each step, in the thread that works.
    """

    should_stop: StopCondition = _never
    on_progress: Callable[[Progress], None] = _untold

    def check(self) -> None:
        """Raise `Cancelled` where the work is to stop."""
        if self.should_stop():
            raise Cancelled("The work was cancelled.")

    def each(self, items: Iterable[Item], total: int) -> Iterator[Item]:
        """Hand items on, each a step of the work."""
        progress = Progress(total)
        for item in items:
            self.check()
            yield item
            progress.advance()
            self.on_progress(progress)


UNWATCHED = Watch()
"""Nobody waits."""

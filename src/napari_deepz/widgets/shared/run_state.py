"""Where the one job of a dock stands, without Qt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from psygnal import SignalGroupDescriptor


class Phase(StrEnum):
    """Where the dock's one job stands."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"


@dataclass
class RunState:
    """State of the dock's job; `events` tells whoever shows it.

    Attributes
    ----------
    phase : Phase
        Where it stands.
    fraction : float or None
        How much is done, 0 to 1; None while that cannot be said.
    message : str
        For the user.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    phase: Phase = Phase.IDLE
    fraction: float | None = 0.0
    message: str = ""

    def start(self, message: str) -> None:
        """Begin a job that has not yet got anywhere."""
        self.phase = Phase.RUNNING
        self.fraction = None
        self.message = message

    def advance(self, fraction: float | None, message: str) -> None:
        """Tell how far the job is; one that is being cancelled keeps saying so."""
        self.fraction = fraction
        if self.phase is Phase.RUNNING:
            self.message = message

    def cancel(self) -> None:
        """Note that the user wants the job to stop."""
        if self.phase is Phase.RUNNING:
            self.phase = Phase.CANCELLING
            self.message = "Cancelling…"

    def end(self, message: str) -> None:
        """Note that the job has ended, in whatever way."""
        self.phase = Phase.IDLE
        self.fraction = 0.0
        self.message = message

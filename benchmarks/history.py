"""What was measured, and whether the newest is worse: python -m benchmarks.history"""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import napari_deepz

HISTORY = Path(__file__).parent / "history.jsonl"
MOST_GROWTH = 0.2
MOST_LOSS = 0.005


@dataclass(frozen=True)
class Entry:
    """What was measured in one run.

    Parameters
    ----------
    date, version : str
        When, and of which version of napari-deepz.
    kind : str
        "speed" or "fidelity".
    machine : str
        On what; times of different machines are not compared. Empty where it does not matter.
    source : str
        Where the figures are from.
    figures : mapping of str to float
        By their names, which end with a unit where less is better, such as "(ms)"; what has none
        is a score, of which more is better.
    """

    date: str
    version: str
    kind: str
    machine: str
    source: str
    figures: Mapping[str, float]


def read(path: Path = HISTORY) -> list[Entry]:
    """All entries, the oldest first."""
    return [Entry(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def append(
    kind: str, machine: str, source: str, figures: Mapping[str, float], path: Path = HISTORY
) -> None:
    """Add what has just been measured."""
    today = datetime.date.today().isoformat()
    entry = Entry(today, napari_deepz.__version__, kind, machine, source, figures)
    with path.open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")


def fallen(entries: Sequence[Entry]) -> list[str]:
    """One sentence for each figure of the newest entries that is worse than in those before."""
    said = []
    for kind in dict.fromkeys(entry.kind for entry in entries):
        *before, newest = [entry for entry in entries if entry.kind == kind]
        same = [entry for entry in before if entry.machine == newest.machine]
        if same:
            said += _worse(same[-1], newest)
    return said


def _worse(former: Entry, newest: Entry) -> list[str]:
    said = []
    for name, was in former.figures.items():
        now = newest.figures.get(name)
        since = f"on {newest.date}, and it was {was:g} on {former.date}"
        if now is None:
            said.append(f"{name} is not measured any more {since}.")
        elif name.endswith(")"):
            if now > was * (1 + MOST_GROWTH):
                said.append(f"{name} is {now:g} {since}: {now / was - 1:.0%} more.")
        elif now < was - MOST_LOSS:
            said.append(f"{name} is {now:g} {since}: {was - now:.3f} less.")
    return said


def main() -> None:
    """Say what is worse, and end with 1 then."""
    said = fallen(read())
    print("\n".join(said) or "Nothing measured is worse than before.")
    sys.exit(bool(said))


if __name__ == "__main__":
    main()

"""When a figure counts as worse than before, on entries made up for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from benchmarks import history
from benchmarks.history import Entry, append, fallen, read

BEFORE = Entry(
    "2026-01-01", "1.0", "speed", "one", "test", {"slices (ms)": 100.0, "memory (GiB)": 2.0}
)
SCORES = Entry("2026-01-01", "1.0", "fidelity", "", "test", {"beads, correlation": 0.9})


def after(former: Entry, **changes: Any) -> Entry:
    return dataclasses.replace(former, date="2026-02-02", **changes)


def figures(former: Entry, **values: float) -> Entry:
    renamed = {name.split(" ")[0].strip(","): name for name in former.figures}
    return after(
        former, figures={**former.figures, **{renamed[key]: v for key, v in values.items()}}
    )


@pytest.mark.parametrize("now", [1.0, 99.0, 119.9])
def test_times_may_vary_by_a_fifth(now: float) -> None:
    assert fallen([BEFORE, figures(BEFORE, slices=now)]) == []


def test_more_time_is_said() -> None:
    assert fallen([BEFORE, figures(BEFORE, slices=121.0)]) == [
        "slices (ms) is 121 on 2026-02-02, and it was 100 on 2026-01-01: 21% more."
    ]


@pytest.mark.parametrize(("now", "is_said"), [(0.95, False), (0.8951, False), (0.8949, True)])
def test_scores_may_fall_by_five_thousandths(now: float, is_said: bool) -> None:
    said = fallen([SCORES, figures(SCORES, beads=now)])
    assert bool(said) is is_said
    if is_said:
        assert said[0].startswith("beads, correlation is 0.8949 on 2026-02-02")


def test_what_is_not_measured_any_more_is_said() -> None:
    assert "memory (GiB) is not measured any more" in "".join(
        fallen([BEFORE, after(BEFORE, figures={"slices (ms)": 100.0})])
    )


def test_times_are_compared_on_the_same_machine_with_the_entry_before() -> None:
    slower = figures(BEFORE, slices=200.0)
    elsewhere = dataclasses.replace(slower, machine="two")
    assert fallen([BEFORE]) == []
    assert fallen([BEFORE, elsewhere]) == []
    assert fallen([BEFORE, elsewhere, slower, SCORES]) != []
    assert fallen([BEFORE, slower, figures(slower, slices=201.0)]) == []


@pytest.mark.parametrize(("slices", "code"), [(110.0, 0), (130.0, 1)])
def test_the_command_ends_with_what_it_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    slices: float,
    code: int,
) -> None:
    path = tmp_path / "history.jsonl"
    for value in (100.0, slices):
        append("speed", "one", "test", {"slices (ms)": value}, path)
    entries = read(path)
    assert [entry.figures for entry in entries] == [{"slices (ms)": 100.0}, {"slices (ms)": slices}]
    monkeypatch.setattr(history, "read", lambda: entries)
    with pytest.raises(SystemExit) as ended:
        history.main()
    assert ended.value.code == code
    assert ("30% more" in capsys.readouterr().out) is bool(code)


def test_what_is_kept_says_where_it_is_from() -> None:
    entries = read()
    assert {entry.kind for entry in entries} == {"speed", "fidelity"}
    assert [entry.date for entry in entries] == sorted(entry.date for entry in entries)
    assert all(entry.source and entry.figures for entry in entries)

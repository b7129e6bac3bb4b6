"""Traces and tracks as tables, for spreadsheets and other programs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_deepz.atomic_files import written_beside
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.provenance import Provenance

COLUMNS = (
    *("id", "t_s", "z_um", "y_um", "x_um", "f", "f0", "dff", "event", "separable", "inferred"),
)
TRACK_COLUMNS = ("track_id", "t", "z", "y", "x")
"""As napari and other programs that show tracks read them; in µm, t the number of the frame."""

CSV, PARQUET = ".csv", ".parquet"
_RECORD_KEY = b"napari-deepz"


def save_traces(found: NeuronTraces, path: str | os.PathLike[str]) -> None:
    """Write one row for each neuron and frame; of what is not separable, places alone.

    How they were found and measured is in the Parquet file, and beside a CSV file as .json.

    Parameters
    ----------
    found : NeuronTraces
        What to write.
    path : path
        The file, ending in .csv or .parquet; an existing table of neurons is replaced.

    Raises
    ------
    ValueError
        If the name has another ending, another file has it, or what writes Parquet is missing;
        one sentence.
    OSError
        If it cannot be written; one sentence.
    """
    path = Path(path)
    require_table(path)
    if path.suffix.lower() == PARQUET:
        _write_parquet(found, path)
        return
    with written_beside(record_of(path)) as beside:
        beside.write_text(found.record.to_json() + "\n", encoding="ascii")
        _write(path, COLUMNS, _rows_of_traces(found))


def save_tracks(found: NeuronTraces, path: str | os.PathLike[str]) -> None:
    """Write where each neuron is in each frame, as a table of tracks.

    Parameters
    ----------
    found : NeuronTraces
        What to write.
    path : path
        The file, ending in .csv; an existing table of tracks is replaced.

    Raises
    ------
    ValueError, OSError
        As `save_traces`.
    """
    path = Path(path)
    require_tracks(path)
    _write(path, TRACK_COLUMNS, _rows_of_tracks(found))


def require_tracks(path: Path) -> None:
    """Refuse a name under which no table of tracks may be written.

    Raises
    ------
    ValueError
        If it does not end in .csv, or another file has it; one sentence.
    """
    if path.suffix.lower() != CSV:
        raise ValueError(f"'{path.name}' is no table: let the name end with {CSV}.")
    _require_own(path, TRACK_COLUMNS, "tracks")


def require_table(path: Path) -> None:
    """Refuse a name under which no table of neurons may be written.

    Raises
    ------
    ValueError
        If it ends neither in .csv nor in .parquet, or another file has it; one sentence.
    """
    suffix = path.suffix.lower()
    if suffix not in (CSV, PARQUET):
        raise ValueError(f"'{path.name}' is no table: let the name end with {CSV} or {PARQUET}.")
    if suffix == CSV:
        _require_own(path, COLUMNS, "neurons")
        _require_record(record_of(path))
        return
    parquet = _parquet()
    if path.exists():
        try:
            own = _RECORD_KEY in (parquet.read_schema(path).metadata or {})
        except Exception:  # no Parquet, a folder, unreadable: each its own class
            own = False
        if not own:
            raise ValueError(_not_own(path, "neurons"))


def record_of(path: Path) -> Path:
    """Where the record of a CSV file lies."""
    return path.with_suffix(".json")


def _require_record(path: Path) -> None:
    if not path.exists():
        return
    try:
        Provenance.from_json(path.read_text(encoding="ascii"))
    except (ValueError, OSError):
        raise ValueError(
            f"'{path}' exists, where the record of the table would lie; choose another output name."
        ) from None


def _require_own(path: Path, columns: Sequence[str], what: str) -> None:
    if not path.exists():
        return
    first = b""
    if path.is_file():
        with path.open("rb") as file:
            first = file.readline(500)
    if first.strip() != ",".join(columns).encode():
        raise ValueError(_not_own(path, what))


def _not_own(path: Path, what: str) -> str:
    return f"'{path}' exists and is no table of {what}; choose another output name."


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with written_beside(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def _rows_of_traces(found: NeuronTraces) -> Iterator[Sequence[Any]]:
    traces = found.activity
    for row, neuron in enumerate(found.neurons.ids):
        separable, inferred = bool(found.separable[row]), found.inferred(row)
        for t, t_s in enumerate(found.t_s):
            at = [f"{value:.3f}" for value in found.tracks_um[t, row]]
            values = [""] * 4
            if separable:
                event = traces.events[row, t]
                values = [
                    _number(traces.light[row, t]),
                    _number(traces.rest[row, t]),
                    _number(traces.dff[row, t]),
                    _number(event) if event else "",
                ]
            yield neuron, f"{t_s:.6g}", *at, *values, int(separable), inferred


def _rows_of_tracks(found: NeuronTraces) -> Iterator[Sequence[Any]]:
    for row, neuron in enumerate(found.neurons.ids):
        for t, place_um in enumerate(found.tracks_um[:, row]):
            yield neuron, t, *(f"{value:.3f}" for value in place_um)


def _write_parquet(found: NeuronTraces, path: Path) -> None:
    import pyarrow

    times, count = len(found.t_s), len(found)
    traces, separable = found.activity, np.repeat(found.separable, times)
    places = found.tracks_um.transpose(1, 0, 2).reshape(-1, 3)
    events = np.where(traces.events > 0, traces.events, np.nan)
    columns: dict[str, Any] = {
        "id": np.repeat(found.neurons.ids, times),
        "t_s": np.tile(found.t_s, count),
        **dict(zip(("z_um", "y_um", "x_um"), places.T, strict=True)),
    }
    values = (traces.light, traces.rest, traces.dff, events)
    for name, value in zip(("f", "f0", "dff", "event"), values, strict=True):
        given = value.reshape(-1)
        hidden = ~separable | ~np.isfinite(given)
        columns[name] = pyarrow.array(given, mask=hidden)
    columns["separable"] = separable
    columns["inferred"] = np.repeat([found.inferred(row) for row in range(count)], times)
    table = pyarrow.table({name: columns[name] for name in COLUMNS})
    table = table.replace_schema_metadata({_RECORD_KEY: found.record.to_json().encode()})
    with written_beside(path) as beside:
        _parquet().write_table(table, beside)


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(
            f"Tables that end with {PARQUET} need pyarrow: install it with "
            "'pip install napari-deepz[parquet]', or let the name end with .csv."
        ) from error
    return pyarrow.parquet


def _number(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""

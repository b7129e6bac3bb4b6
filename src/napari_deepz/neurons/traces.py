"""Neurons with their traces, as one value and as a table."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_deepz.atomic_files import written_beside
from napari_deepz.neurons.activity import Activity

Array = NDArray[np.float64]

COLUMNS = ("id", "t_s", "z_um", "y_um", "x_um", "f", "f0", "dff", "separable", "inferred")
TABLE_SUFFIX = ".csv"

_INFERRED = "position"
"""The light is measured on the frames as they were taken."""


@dataclass(frozen=True, eq=False)
class NeuronTraces:
    """What was found in a movie.

    Attributes
    ----------
    places_um : ndarray
        (N, 3) z, y and x from the centre of the first pixel; z from the plane at 0 µm. Inferred.
    tracks_um : ndarray
        (T, N, 3) where they are in each frame.
    t_s : ndarray
        (T,) time of each frame.
    activity : Activity
        F, F0 and dF/F, (N, T). Measured on the frames as they were taken.
    error : ndarray
        (N,) standard error of F in a frame.
    separable : ndarray
        (N,) bool, whether the light of a neuron at rest can be told from that of its neighbours.
    notes : tuple of str
        What the user must know, a sentence each.
    """

    places_um: Array
    tracks_um: Array
    t_s: Array
    activity: Activity
    error: Array
    separable: NDArray[np.bool_]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Count the neurons."""
        return len(self.places_um)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one row for each neuron and frame; of what is not separable, places alone.

        Parameters
        ----------
        path : path
            The file, ending in .csv; an existing table of neurons is replaced.

        Raises
        ------
        ValueError
            If the name does not end in .csv, or another file has it; one sentence.
        OSError
            If it cannot be written; one sentence.
        """
        path = Path(path)
        require_table(path)
        with (
            written_beside(path) as beside,
            beside.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for number in range(len(self)):
                is_separable = bool(self.separable[number])
                for index, t_s in enumerate(self.t_s):
                    at = [f"{value:.3f}" for value in self.tracks_um[index, number]]
                    values = ["", "", ""]
                    if is_separable:
                        traces = self.activity
                        values = [
                            _number(traces.light[number, index]),
                            _number(traces.rest[number, index]),
                            _number(traces.dff[number, index]),
                        ]
                    writer.writerow(
                        [number + 1, f"{t_s:.6g}", *at, *values, int(is_separable), _INFERRED]
                    )


def require_table(path: Path) -> None:
    """Refuse a name under which no table of neurons may be written.

    Raises
    ------
    ValueError
        If it does not end in .csv, or another file has it; one sentence.
    """
    if path.suffix.lower() != TABLE_SUFFIX:
        raise ValueError(f"'{path.name}' is no table: let the name end with {TABLE_SUFFIX}.")
    if not path.exists():
        return
    first = b""
    if path.is_file():
        with path.open("rb") as file:
            first = file.readline(500)
    if first.strip() != ",".join(COLUMNS).encode():
        raise ValueError(f"'{path}' exists and is no table of neurons; choose another output name.")


def _number(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""

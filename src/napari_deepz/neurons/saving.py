"""Neurons into a file, of the kind that its name says."""

from __future__ import annotations

import os
from pathlib import Path

from napari_deepz.neurons.nwb import NWB, require_nwb, save_nwb
from napari_deepz.neurons.tables import CSV, PARQUET, require_table, save_traces
from napari_deepz.neurons.traces import NeuronTraces

ENDINGS = (CSV, PARQUET, NWB)


def save_neurons(found: NeuronTraces, path: str | os.PathLike[str]) -> None:
    """Write neurons and their traces; see `save_traces` and `save_nwb`.

    Parameters
    ----------
    found : NeuronTraces
        What to write.
    path : path
        The file, ending in .csv, .parquet or .nwb; a former one of neurons is replaced.

    Raises
    ------
    ValueError
        If that cannot be its name, or what writes it is missing; one sentence.
    OSError
        If it cannot be written; one sentence.
    """
    save = save_nwb if Path(path).suffix.lower() == NWB else save_traces
    save(found, path)


def require_output(path: Path) -> None:
    """Refuse a name under which neurons may not be written, before the work is done.

    Raises
    ------
    ValueError
        One sentence.
    """
    if path.suffix.lower() == NWB:
        require_nwb(path)
    elif path.suffix.lower() in (CSV, PARQUET):
        require_table(path)
    else:
        raise ValueError(
            f"Neurons cannot be written as '{path.name}': let the name end with "
            f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}."
        )

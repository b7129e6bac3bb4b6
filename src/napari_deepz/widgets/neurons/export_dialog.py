"""Asking where to save neurons, and as what."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_deepz.neurons.saving import require_output, save_neurons
from napari_deepz.neurons.tables import require_tracks, save_tracks
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.recipes.recipe import stem_of
from napari_deepz.widgets.shared.plain_text import visible

TRACKS = "Tracks (*.csv)"
_ENDINGS = {
    "Traces (*.csv)": ".csv",
    "Traces (*.parquet)": ".parquet",
    "Traces (*.nwb)": ".nwb",
    TRACKS: ".csv",
}


def ask_export(parent: QWidget, found: NeuronTraces) -> Path | None:
    """Let the user choose a file, and write it.

    Returns
    -------
    Path or None
        What was written; None where the user has chosen nothing.

    Raises
    ------
    ValueError, OSError
        If it cannot be written so; one sentence.
    """
    name = stem_of(visible(found.record.input_name or "movie"))
    chosen, kind = QFileDialog.getSaveFileName(
        parent, "Save neurons", f"{name} traces.csv", ";;".join(_ENDINGS)
    )
    return write_export(found, chosen, kind) if chosen else None


def write_export(found: NeuronTraces, chosen: str, kind: str) -> Path:
    """Write neurons under a name as the kind that was chosen with it; see `ask_export`."""
    path = Path(chosen)
    if path.suffix.lower() not in _ENDINGS.values():
        path = Path(chosen + _ENDINGS.get(kind, ".csv"))
    if kind == TRACKS:
        require_tracks(path)
        save_tracks(found, path)
    else:
        require_output(path)
        save_neurons(found, path)
    return path

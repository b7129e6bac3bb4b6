"""Movies as MP4 or GIF of a 3D movie that was made: what to show, and writing it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_deepz.io.movie_frames import require_written
from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.io.replacing import require_replaceable
from napari_deepz.pictures.saving import FlatPlanes, save_picture
from napari_deepz.pictures.time_lapse import TimeLapse, save_time_lapse
from napari_deepz.watch import Watch
from napari_deepz.widgets.shared.news import Send

_ENDINGS = (".mp4", ".gif")


class Played(StrEnum):
    """What is shown of a 3D movie."""

    CODED = "All depths over time, coloured"
    PLANE = "This depth over time"
    SWEEP = "Focus sweep at this time"


@dataclass(frozen=True)
class MovieExport:
    """What to write.

    Attributes
    ----------
    store : Path
        The 3D movie.
    z_um : tuple of float
        Depth of each plane; nothing where they are not flat.
    t, plane : int
        The time and the plane that are looked at.
    played : Played
        What to show.
    path : Path
        The file.
    """

    store: Path
    z_um: tuple[float, ...]
    t: int
    plane: int
    played: Played
    path: Path


def ask_file(parent: QWidget, several_depths: bool) -> tuple[Path, Played] | None:
    """Let the user choose a file, and what it shows; None where nothing is chosen."""
    offered = [*Played] if several_depths else [Played.PLANE]
    kinds = {f"{one} (*{ending})": (one, ending) for one in offered for ending in _ENDINGS}
    chosen, kind = QFileDialog.getSaveFileName(parent, "Save movie", "", ";;".join(kinds))
    if not chosen:
        return None
    played, ending = kinds.get(kind, next(iter(kinds.values())))
    path = Path(chosen)
    return (path if path.suffix.lower() in _ENDINGS else Path(chosen + ending)), played


def export_movie(wanted: MovieExport, send: Send, watch: Watch) -> None:
    """Write it.

    Raises
    ------
    Cancelled
        When asked to stop; nothing is left of the file then.
    ValueError, OSError
        If that cannot be shown or written; one sentence.
    """
    record = read_provenance(wanted.store)
    if record is None:
        raise ValueError(f"'{wanted.store.name}' is no 3D movie any more: make it again.")
    require_replaceable(wanted.path, record.kind)
    series = read_image(wanted.store)
    sweeps = wanted.played is Played.SWEEP
    require_written(wanted.store, (wanted.t,) if sweeps else range(series.size("T")))
    pixel_um = series.pixel_size_um
    assert pixel_um is not None
    if sweeps:
        planes = series.stack(t=wanted.t)
        shown = FlatPlanes(planes, wanted.z_um, pixel_um, series.name, record)
        save_picture(shown, wanted.path, watch=watch)
        return
    single = series.size("Z") == 1
    plane = None if wanted.played is Played.CODED else 0 if single else wanted.plane
    played = TimeLapse(series, 0, () if single else wanted.z_um, plane, pixel_um, record, None)
    save_time_lapse(played, wanted.path, watch=watch)

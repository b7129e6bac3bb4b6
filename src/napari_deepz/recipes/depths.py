"""Depths of a surface as an image beside what was made with them."""

from __future__ import annotations

from pathlib import Path

from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces.geometry import Depths

_NOTE = (
    "The pixels are depths in µm of the surface that the image was refocused onto, not intensities."
)


def write_depths(
    path: Path, depths_um: Depths, *, sampling: Sampling | None, name: str, record: Provenance
) -> None:
    """Save depths as a TIFF image that `FromImage` reads, with a record that says what they are.

    Parameters
    ----------
    path : Path
        The file; former depths or planes of this package are replaced, anything else is not.
    depths_um : ndarray
        (Y, X) float32.
    sampling : Sampling or None
        Of the image.
    name : str
        Of the image.
    record : Provenance
        How what they belong to was made.

    Raises
    ------
    ValueError, OSError
        As `io.writing.write_stack`.
    """
    write_stack(
        path,
        [depths_um],
        count=1,
        shape=(depths_um.shape[0], depths_um.shape[1]),
        sampling=sampling,
        z_step_um=None,
        z_start_um=None,
        name=f"{name}, depth in µm",
        provenance=record.model_copy(update={"notes": (*record.notes, _NOTE)}),
    )

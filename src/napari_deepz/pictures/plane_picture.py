"""One plane as a picture, pixel by pixel, as it is seen on the screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.image import imsave
from numpy.typing import NDArray

from napari_deepz.atomic_files import written_beside
from napari_deepz.provenance import RECORD_KEY, Provenance


def write_plane_picture(
    path: Path,
    plane: NDArray[np.float32],
    *,
    limits: tuple[float, float],
    colours: NDArray[np.floating],
    provenance: Provenance,
) -> None:
    """Save a plane as a PNG of its own pixels, with its record.

    Parameters
    ----------
    path : Path
        The file.
    plane : ndarray
        (Y, X) intensities; what is no number is shown as the lowest.
    limits : tuple of float
        Intensities shown in the first and in the last colour.
    colours : ndarray
        (n, 3), red, green and blue from 0 to 1.
    provenance : Provenance
        In the file's text as JSON, and in words as its description.

    Raises
    ------
    OSError
        If the file cannot be written; one sentence.
    """
    low, high = limits
    finite = np.nan_to_num(plane, nan=low, posinf=high, neginf=low)
    text = {"Description": provenance.describe(), RECORD_KEY: provenance.to_json()}
    with written_beside(path) as beside:
        imsave(
            beside,
            finite,
            vmin=low,
            vmax=high,
            cmap=ListedColormap(np.asarray(colours)),
            format="png",
            metadata=text,
        )

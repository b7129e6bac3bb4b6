"""How far a picture that was merged of several input planes may be off: where they disagree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_deepz.engine.planes.shares import Merge
from napari_deepz.models.spec import ModelSpec

Pixels = NDArray[np.float32]

SPREAD_MERGES: tuple[Merge, ...] = ("blended", "distance", "nearest")
"""Merges that refocus each plane by itself, so that it can be asked whether they agree."""

REFOCUSED_AND_INTERPOLATED = 1.4
"""What is refocused and what is interpolated disagree: by how much that is to be multiplied to
cover 90 % of the errors of simulated stacks, by split conformal prediction (Vovk, Gammerman, Shafer
2005); see docs/several_planes.md."""

_PLANE_AND_PLANE, _PLANE_AND_PLANE_OF_ANY = 2.1, 4.2

SAFETY = 2.0
"""Real stacks are not simulated ones."""

NO_PERCENTAGE = (
    "In the intensity of the image, twice what covers 90 % of the errors of simulated stacks; of "
    "real ones it says where to doubt the picture, and is no percentage."
)

_BLUR_PX = 1.5


def plane_and_plane(spec: ModelSpec) -> float:
    """The same where two planes disagree about what both are refocused to.

    Parameters
    ----------
    spec : ModelSpec
        Of the model that refocuses: planes of the generator of any objective err together.
    """
    return _PLANE_AND_PLANE if spec.optical is None else _PLANE_AND_PLANE_OF_ANY


def opinions(pictures: NDArray[np.float32], shares: Pixels) -> tuple[Pixels, Pixels]:
    """What the two planes say that count most, pixel by pixel.

    Parameters
    ----------
    pictures : ndarray
        (K, Y, X), at least two.
    shares : ndarray
        (K,) or (K, Y, X), what each counts.
    """
    wide = np.broadcast_to(
        shares.reshape(len(shares), *(shares.shape[1:] or (1, 1))), pictures.shape
    )
    two = np.argsort(-wide, axis=0, kind="stable")[:2]
    most, next_to_it = np.take_along_axis(pictures, two, axis=0)
    return most, next_to_it


def spread_of(one: Pixels, other: Pixels, covers: float) -> Pixels:
    """How far a picture may be off, in units of intensity; see `NO_PERCENTAGE`.

    Parameters
    ----------
    one, other : ndarray
        (Y, X), two opinions of it.
    covers : float
        What a disagreement of theirs is multiplied by.
    """
    apart: Pixels = gaussian_filter(np.abs(one - other), _BLUR_PX)
    return np.float32(SAFETY * covers) * apart


def require_spread(merge: Merge) -> None:
    """Refuse merges of which nothing says how far they may be off.

    Raises
    ------
    ValueError
        One sentence.
    """
    if merge not in SPREAD_MERGES:
        names = ", ".join(f"'{name}'" for name in SPREAD_MERGES)
        raise ValueError(
            f"Nothing says how far pictures of the merge '{merge}' may be off; use {names}."
        )

"""How much each of several input planes counts where a target lies."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Merge = Literal["blended", "learned", "distance", "nearest", "linear"]
MERGES: tuple[Merge, ...] = get_args(Merge)

BLENDED_SHARE = 0.6
"""Of interpolation, in the merge "blended"."""

_SOFTENING_SHARE = 0.05
"""Of the model's range to one side: 0.5 µm of 10 µm."""


def checked_merge(merge: str) -> Merge:
    """Take the name of a way to merge.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    for known in MERGES:
        if merge == known:
            return known
    names = ", ".join(f"'{name}'" for name in MERGES)
    raise ValueError(f"The merge '{merge}' is not known; use {names}.")


def interpolated(
    planes: NDArray[np.generic], at_um: ArrayLike, target_um: ArrayLike
) -> NDArray[np.float32]:
    """Interpolate linearly between planes (K, Y, X); see "linear" in `shares_of`."""
    shares = shares_of("linear", at_um, target_um)
    weighed = np.zeros(planes.shape[1:], np.float32)
    for share, plane in zip(shares, planes, strict=True):
        if share.any():
            weighed += share * np.asarray(plane, np.float32)
    return weighed


def blended_at(
    at_um: ArrayLike, target_um: ArrayLike, axial_range_um: tuple[float, float]
) -> NDArray[np.bool_]:
    """Where "blended" interpolates: between planes of which both know the middle between them.

    Parameters
    ----------
    at_um, target_um, axial_range_um
        As for `shares_of`.

    Returns
    -------
    ndarray
        Of the shape of `target_um`.
    """
    at = np.sort(np.asarray(at_um, np.float64))
    target = np.asarray(target_um, np.float64)
    below = (np.searchsorted(at, target) - 1).clip(0, max(0, len(at) - 2))
    low_um, high_um = axial_range_um
    inside = (target > at[0]) & (target < at[-1])
    gap_um = at[below + 1] - at[below] if len(at) > 1 else np.zeros(target.shape)
    return np.asarray(inside & (gap_um <= high_um - low_um))


def counted(
    merge: Merge, at_um: ArrayLike, target_um: ArrayLike, axial_range_um: tuple[float, float]
) -> NDArray[np.bool_]:
    """Which input planes count at all for a target.

    Parameters
    ----------
    merge, at_um, target_um, axial_range_um
        As for `shares_of`, and the merge "blended".

    Returns
    -------
    ndarray
        (K,).
    """
    does_count = shares_of(merge, at_um, target_um, axial_range_um) > 0
    if merge == "blended":
        between = blended_at(at_um, target_um, axial_range_um)
        does_count |= between & (shares_of("linear", at_um, target_um) > 0)
    return np.asarray(does_count.any(axis=tuple(range(1, does_count.ndim))))


def shares_of(
    merge: Merge,
    at_um: ArrayLike,
    target_um: ArrayLike,
    axial_range_um: tuple[float, float] = (-np.inf, np.inf),
) -> NDArray[np.float32]:
    """Weigh input planes for a target.

    Parameters
    ----------
    merge : {"distance", "nearest", "linear"}
        "distance", also of what "blended" refocuses: 1/(d + s)², d µm away, where s is 0.5 µm for
        a model that knows 10 µm to each side and in proportion for others; a plane counts nothing
        beyond what the model knows, as long as another one is within. "nearest": the nearest plane
        alone. "linear": the two planes around the target, by their distances; beyond the outermost
        one that one alone.
    at_um : array-like
        (K,) where the planes were taken.
    target_um : array-like
        Where the target lies: one number, or (Y, X).
    axial_range_um : tuple of float
        What the model knows, relative to an input plane.

    Returns
    -------
    ndarray
        (K,) or (K, Y, X) float32, one in sum.
    """
    at = np.asarray(at_um, np.float64)
    target = np.asarray(target_um, np.float64)
    away = target - at.reshape(-1, *[1] * target.ndim)
    if merge == "nearest":
        nearest = np.abs(away).argmin(axis=0)
        shares = (np.arange(len(at)).reshape(-1, *[1] * target.ndim) == nearest).astype(float)
    elif merge == "linear":
        order = np.argsort(at)
        units = np.eye(len(at))
        shares = np.empty(away.shape)
        for place, plane in enumerate(order):
            shares[plane] = np.interp(target, at[order], units[place])
    else:
        low_um, high_um = axial_range_um
        softening_um = _SOFTENING_SHARE * (high_um - low_um) / 2
        shares = 1 / (np.abs(away) + softening_um) ** 2
        within = (away >= low_um) & (away <= high_um)
        shares *= within | ~within.any(axis=0)
        shares /= shares.sum(axis=0)
    weighed: NDArray[np.float32] = shares.astype(np.float32)
    return weighed

"""Neurons that were found against true ones: places, identities over time, traces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]

GATE_UM = (3.0, 2.0)
"""Along z and across: how far a neuron may lie from a true one to be that."""

_ACTIVE = 0.3
_LEAST_GIVEN = 0.5
_PERCENTILES = (10.0, 50.0, 90.0)


@dataclass(frozen=True)
class PlaceScores:
    """How well neurons were found.

    Attributes
    ----------
    pairs : tuple of tuple of int
        Index of each found neuron that is a true one, and of that.
    precision, recall : float
        Share of the found ones that are true, and of the true ones that were found.
    z_rms_um : float
        Of the errors in depth; NaN where none was found.
    """

    pairs: tuple[tuple[int, int], ...]
    precision: float
    recall: float
    z_rms_um: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True)
class TraceScores:
    """How right traces are.

    Attributes
    ----------
    correlation_median, correlation_p10 : float
        Of dF/F with the truth, of neurons that are active.
    slopes : tuple of float
        10th, 50th and 90th percentile of dF/F over the truth.
    silent_sd : float
        Median scatter of neurons that do nothing.
    """

    correlation_median: float
    correlation_p10: float
    slopes: tuple[float, ...]
    silent_sd: float


def score_places(
    found_um: Array, true_um: Array, gate_um: tuple[float, float] = GATE_UM
) -> PlaceScores:
    """Match found neurons with true ones, one to one, as many as possible and the nearest.

    Parameters
    ----------
    found_um, true_um : ndarray
        (N, 3) and (M, 3) z, y and x.
    gate_um : tuple of float, optional
        Half axes along z and across of the ellipsoid in which a neuron counts as found.
    """
    pairs = _matched(found_um, true_um, gate_um)
    off_um = [found_um[one, 0] - true_um[other, 0] for one, other in pairs]
    return PlaceScores(
        pairs,
        len(pairs) / len(found_um) if len(found_um) else 0.0,
        len(pairs) / len(true_um) if len(true_um) else 0.0,
        float(np.sqrt(np.mean(np.square(off_um)))) if off_um else float("nan"),
    )


def score_traces(
    found_dff: Array, true_dff: Array, pairs: tuple[tuple[int, int], ...]
) -> TraceScores:
    """Compare dF/F, (N, T) and (M, T), of neurons that belong together.

    Frames without a value (NaN), and traces with few others, do not count.
    """
    alike, slopes, silent = [], [], []
    for one, other in pairs:
        given = np.isfinite(found_dff[one])
        if given.mean() < _LEAST_GIVEN:
            continue
        trace, truth = found_dff[one][given], true_dff[other][given]
        if truth.max() >= _ACTIVE:
            alike.append(float(np.corrcoef(truth, trace)[0, 1]))
            slopes.append(float(np.polyfit(truth, trace, 1)[0]))
        elif not truth.any():
            silent.append(float(trace.std()))
    return TraceScores(
        float(np.median(alike)) if alike else float("nan"),
        float(np.percentile(alike, 10)) if alike else float("nan"),
        tuple(np.percentile(slopes, _PERCENTILES).tolist()) if slopes else (),
        float(np.median(silent)) if silent else float("nan"),
    )


def score_identities(
    tracks_um: Array, true_um: Array, gate_um: tuple[float, float] = GATE_UM
) -> float:
    """IDF1: how much of all tracks is one and the same neuron throughout.

    Ristani et al. 2016 (doi:10.1007/978-3-319-48881-3_2): tracks are matched one to one with true
    ones so that they agree in as many frames as possible.

    Parameters
    ----------
    tracks_um, true_um : ndarray
        (T, N, 3) and (T, M, 3) z, y and x; NaN where a neuron is not seen.
    gate_um : tuple of float, optional
        As for `score_places`.
    """
    scale = np.array([1 / gate_um[0], 1 / gate_um[1], 1 / gate_um[1]])
    away = np.linalg.norm((tracks_um[:, :, None] - true_um[:, None]) * scale, axis=-1)
    agree = (np.nan_to_num(away, nan=np.inf) <= 1).sum(axis=0)
    rows, columns = linear_sum_assignment(-agree)
    right = int(agree[rows, columns].sum())
    seen = sum(int(np.isfinite(one[..., 0]).sum()) for one in (tracks_um, true_um))
    return 2 * right / seen if seen else 0.0


def _matched(
    found_um: Array, true_um: Array, gate_um: tuple[float, float]
) -> tuple[tuple[int, int], ...]:
    if not len(found_um) or not len(true_um):
        return ()
    scale = np.array([1 / gate_um[0], 1 / gate_um[1], 1 / gate_um[1]])
    away = cdist(found_um * scale, true_um * scale)
    # A pair within the gate outweighs all that it costs others to be further apart.
    cost = np.where(away <= 1, away, 10.0 * (1 + min(away.shape)))
    rows, columns = linear_sum_assignment(cost)
    return tuple(
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if away[row, column] <= 1
    )

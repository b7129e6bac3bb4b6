"""In which order neurons are shown under each other."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from napari_deepz.neurons.traces import NeuronTraces

OrderedBy = Literal["number", "depth", "similar activity"]


def separable_rows(found: NeuronTraces, by: OrderedBy) -> NDArray[np.int64]:
    """Rows of the neurons that are separable, in order.

    Similar activity: leaves of a tree of average links, by the correlation of dF/F.
    """
    rows = np.flatnonzero(found.separable)
    if by == "depth":
        return rows[np.argsort(found.places_um[rows, 0], kind="stable")]
    if by == "similar activity" and len(rows) > 2:
        dff = np.nan_to_num(found.activity.dff[rows])
        centred = dff - dff.mean(axis=1, keepdims=True)
        centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        apart = np.clip(1 - centred @ centred.T, 0, 2)
        np.fill_diagonal(apart, 0)
        tree = linkage(squareform(apart, checks=False), "average", optimal_ordering=True)
        rows = rows[leaves_list(tree)]
    return rows

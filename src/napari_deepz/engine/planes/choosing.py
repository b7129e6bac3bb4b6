"""Which way of merging is best by measurement."""

from __future__ import annotations

from napari_deepz.engine.planes.shares import Merge
from napari_deepz.models.package import Model
from napari_deepz.networks.several_planes import SeveralPlanes


def best_merge(model: Model) -> Merge:
    """Say how input planes are best merged with a model.

    Parameters
    ----------
    model : Model
        That refocuses.
    """
    return "learned" if isinstance(model.network, SeveralPlanes) else "distance"

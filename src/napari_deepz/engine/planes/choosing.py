"""Which way of merging is best by measurement."""

from __future__ import annotations

from napari_deepz.engine.planes.shares import Merge
from napari_deepz.models.spec import ModelSpec


def best_merge(spec: ModelSpec) -> Merge:
    """Say how input planes are best merged with a model.

    A generator of any objective is used on samples of every kind, and on real stacks "blended" lost
    nowhere to interpolation, as each other way did somewhere; one of one objective refocuses what
    it was made for, sparse samples through a 20x, best by distance (docs/several_planes.md).

    Parameters
    ----------
    spec : ModelSpec
        Of the model that refocuses.
    """
    return "distance" if spec.optical is None else "blended"

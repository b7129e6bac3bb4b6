"""Saved virtual stacks that were opened again: results like those that were made in this window."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from weakref import WeakSet

import numpy as np
from napari.layers import Image, Layer

from napari_deepz.models.library import list_models
from napari_deepz.provenance import Provenance
from napari_deepz.recipes.again import recipe_in
from napari_deepz.recipes.cooking import depths_um, source_pixels
from napari_deepz.recipes.recipe import Recipe
from napari_deepz.widgets.shared.input_plane import InputPlane
from napari_deepz.widgets.shared.layer_files import DIFFERENCE, PROVENANCE, file_of
from napari_deepz.widgets.shared.layer_sizes import adopt_sizes, z_axis_of
from napari_deepz.widgets.shared.placement import length_um, placing_of
from napari_deepz.widgets.shared.requests import RefocusRequest
from napari_deepz.widgets.shared.results import RESULT, ResultRecord, is_inferred, record_of

_NO_RESULTS: WeakSet[Layer] = WeakSet()
"""Layers that were looked at and are none; reading their records again would take time."""


def recognise(layer: Layer) -> None:
    """Give a layer that holds a saved stack of flat planes the record of a result, and its place.

    Parameters
    ----------
    layer : Layer
        Any; what is no such stack stays as it is.
    """
    if not isinstance(layer, Image) or layer in _NO_RESULTS or record_of(layer) is not None:
        return
    if DIFFERENCE in layer.metadata:  # It has the record of what was subtracted.
        return
    with suppress(ValueError, OSError):
        if is_inferred(layer) and _recognised(layer):
            return
    _NO_RESULTS.add(layer)


def _recognised(layer: Image) -> bool:
    path = Path(layer.source.path or layer.name)
    kept = layer.metadata.get(PROVENANCE)
    said = Provenance.from_json(kept) if isinstance(kept, str) else file_of(layer).record
    if said is None:
        return False
    recipe = recipe_in(said, path)
    depths = depths_um(recipe.surfaces)
    series = file_of(layer).series
    if z_axis_of(layer) is None and series is not None:
        adopt_sizes(layer, series)
    axis = z_axis_of(layer)
    if depths is None or axis is None or layer.data.shape[axis] != len(depths):
        return False
    if layer.data.size != len(depths) * np.prod(layer.data.shape[-2:]) or recipe.sampling is None:
        return False
    z_um = tuple(sorted(depths))
    put_input(layer, z_um, 0.0)
    layer.metadata[RESULT] = ResultRecord(
        _request(recipe, layer),
        z_um,
        placing_of(layer).grid.origin_um[1],
        said,
        reopened=True,
    )
    return True


def put_input(layer: Image, z_um: tuple[float, ...], input_um: float) -> None:
    """Move a stack so that its depths count from a place along z in the world, µm."""
    axis = z_axis_of(layer)
    assert axis is not None
    unit_um = length_um(layer.units[axis]) or 1.0
    away = (input_um + z_um[0]) / unit_um - placing_of(layer).starts[axis]
    translate = list(layer.translate)
    translate[axis] += away / layer.affine.linear_matrix[axis, axis]
    layer.translate = translate


def _request(recipe: Recipe, layer: Image) -> RefocusRequest:
    """The run as it was, with its image still in its file."""
    shape = (int(layer.data.shape[-2]), int(layer.data.shape[-1]))
    assert recipe.sampling is not None
    pixel_um = recipe.sampling.pixel_size_um
    plane, *further = (
        InputPlane(source.title, shape, pixel_um, partial(source_pixels, source), source)
        for source in recipe.sources
    )
    package = list_models().get(recipe.model.name, Path(recipe.model.name))
    return RefocusRequest(plane, recipe, package, (), tuple(further))

"""The recipe of a result in the viewer, and a name for what it makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_deepz.recipes.recipe import Recipe, stem_of
from napari_deepz.surfaces import Flat, Surface

if TYPE_CHECKING:
    from napari_deepz.widgets.shared.results import ResultRecord


def shown_surface(record: ResultRecord) -> Surface:
    """The surface of the planes that are there: of a cancelled run only those that it finished."""
    return flat_through(record.z_um) or record.request.surface


def flat_through(z_um: tuple[float, ...]) -> Flat | None:
    """The flat range of evenly spaced depths; None where there are none."""
    if len(z_um) > 1:
        return Flat(z_um[0], z_um[-1], round(z_um[1] - z_um[0], 9))
    return Flat(z_um[0]) if z_um else None


def shown_recipe(record: ResultRecord) -> Recipe:
    """The recipe of the planes that are there."""
    return record.request.recipe.model_copy(update={"surfaces": (shown_surface(record),)})


def output_beside(record: ResultRecord) -> Path | None:
    """A free name beside the input image; None where that is in no file."""
    path = record.request.recipe.source.path
    if path is None:
        return None
    image = Path(path)
    name, count = f"{stem_of(image)}_virtual", 1
    output = image.with_name(f"{name}.ome.tif")
    while output.exists():
        count += 1
        output = image.with_name(f"{name}_{count}.ome.tif")
    return output

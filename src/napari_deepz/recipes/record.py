"""What is saved with the planes of a recipe so that they can be judged and made again."""

from __future__ import annotations

from collections.abc import Sequence

from napari_deepz.models.package import Model
from napari_deepz.provenance import Provenance
from napari_deepz.recipes.recipe import Recipe, Source


def describe_run(
    recipe: Recipe,
    model: Model,
    *,
    device: str,
    notes: Sequence[str],
) -> Provenance:
    """Record how refocused planes were made.

    Parameters
    ----------
    recipe : Recipe
        What was done; it can be done again from the record.
    model : Model
        The generator.
    device : str
        As the planes say.
    notes : sequence of str
        As the planes say.

    Returns
    -------
    Provenance
        Of the kind "inferred". Its axial range spans all planes where every surface is flat; a
        surface that is not has no range before it meets an image.
    """
    in_frames = len({one.t for one in recipe.sources}) > 1
    first, *further = (_plane(one, in_frames=in_frames) for one in recipe.sources)
    surfaces, parts = recipe.surfaces, {"source", "model", "compute"}
    interpolated = recipe.merge == "linear"
    flat = all(surface.uniform_z_um is not None for surface in surfaces)
    depths_um = [z_um for surface in surfaces for z_um in surface.uniform_z_um or ()]
    return Provenance(
        kind="inferred",
        input_name=first if recipe.further else recipe.source.title,
        further_inputs=tuple(further),
        merge=recipe.merge,
        spread=recipe.spread,
        model_name=None if interpolated else model.spec.name,
        model_version=None if interpolated else model.spec.version,
        model_sha256=None if interpolated else model.sha256,
        surfaces=[surface.model_dump(mode="json") for surface in surfaces],
        axial_range_um=(min(depths_um), max(depths_um)) if flat and depths_um else None,
        sampling=recipe.sampling,
        device=device,
        notes=tuple(notes),
        recipe=recipe.model_dump(
            mode="json", include=parts | {"further", "merge", "spread"} if recipe.further else parts
        ),
    )


def _plane(source: Source, *, in_frames: bool) -> str:
    index = f"t {source.t}" if in_frames else f"z {source.z}"
    return f"{source.title}, {index}, at {source.at_um:g} µm"

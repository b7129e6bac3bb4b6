"""What is saved with the result of a run so that it can be judged and made again."""

from __future__ import annotations

from collections.abc import Sequence

from napari_deepz.models.package import Model
from napari_deepz.provenance import Provenance
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Surface


def describe_run(
    model: Model,
    surfaces: Sequence[Surface],
    *,
    sampling: Sampling | None,
    device: str,
    notes: Sequence[str],
    input_name: str | None = None,
    command: str | None = None,
) -> Provenance:
    """Record how refocused planes were made.

    Parameters
    ----------
    model : Model
        The generator.
    surfaces : sequence of Surface
        What was refocused onto.
    sampling : Sampling or None
        Of the image, as given to the run.
    device : str
        As the planes say.
    notes : sequence of str
        As the planes say.
    input_name : str, optional
        Name of the image or its file.
    command : str, optional
        The command that repeats the run.

    Returns
    -------
    Provenance
        Of the kind "inferred". Its axial range spans all planes where every surface is flat; a
        surface that is not has no range before it meets an image.
    """
    flat = all(surface.uniform_z_um is not None for surface in surfaces)
    depths_um = [z_um for surface in surfaces for z_um in surface.uniform_z_um or ()]
    return Provenance(
        kind="inferred",
        input_name=input_name,
        model_name=model.spec.name,
        model_version=model.spec.version,
        model_sha256=model.sha256,
        surfaces=[surface.model_dump(mode="json") for surface in surfaces],
        axial_range_um=(min(depths_um), max(depths_um)) if flat and depths_um else None,
        sampling=sampling,
        device=device,
        command=command,
        notes=tuple(notes),
    )

"""What the forms of the dock ask for, taken together."""

from __future__ import annotations

import warnings

from napari_deepz.surfaces import Surface, SurfaceWarning
from napari_deepz.widgets.refocusing.image_form import ImageForm
from napari_deepz.widgets.refocusing.surfaces.surface_form import SurfaceForm


def wanted_surface(form: SurfaceForm, image: ImageForm) -> tuple[Surface, tuple[str, ...]]:
    """Make the surface that the form describes for an image, and say what is noticed about it.

    Raises
    ------
    ValueError
        If a setting does not make sense; one sentence.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SurfaceWarning)
        surface = form.surface(image)
    return surface, tuple(str(warning.message) for warning in caught)

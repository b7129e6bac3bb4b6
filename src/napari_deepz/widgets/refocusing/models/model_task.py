"""What happens in the worker thread when a model comes from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_deepz.atomic_files import scratch_folder
from napari_deepz.models.card import CardFields
from napari_deepz.models.installing import add_model
from napari_deepz.models.library import find_package
from napari_deepz.models.tensorflow import convert_saved_model
from napari_deepz.watch import Watch
from napari_deepz.widgets.shared.news import Send


@dataclass(frozen=True)
class ModelReady:
    """News that a model is in the user's folder.

    Attributes
    ----------
    package : Path
        Where it lies.
    notes : tuple of str
        What the user must know about it, a sentence each.
    """

    package: Path
    notes: tuple[str, ...] = ()


def convert_model(folder: Path, fields: CardFields, send: Send, watch: Watch) -> None:
    """Convert a SavedModel into the user's folder: sends `Advance` and `ModelReady`.

    Parameters
    ----------
    folder : Path
        The SavedModel.
    fields : CardFields
        What the user says about it.
    send, watch : Watch
     Says when to stop.

    Raises
    ------
    Cancelled
        When asked to stop; nothing is left of the model then.
    ValueError, OSError
        If it cannot be converted; one sentence.
    """
    with scratch_folder() as scratch:
        converted = scratch / "model"
        conversion = convert_saved_model(folder, converted, fields, watch=watch)
        spec = add_model(converted, watch=watch)
    send(ModelReady(find_package(spec.name), conversion.notes))


def add_to_models(path: Path, fields: CardFields, send: Send, watch: Watch) -> None:
    """Add a bioimage.io package to the user's folder: sends `ModelReady`.

    Parameters
    ----------
    path : Path
        The package.
    fields : CardFields
        What the user says about it.
    send, watch : Watch
     Says when to stop.

    Raises
    ------
    Cancelled
        When asked to stop; nothing is left of the model then.
    ValueError, OSError
        If it cannot be used; one sentence.
    """
    spec = add_model(path, fields=fields, watch=watch)
    send(ModelReady(find_package(spec.name)))

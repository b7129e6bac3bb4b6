"""Models from and for bioimage.io, the model zoo that many bioimage programs share."""

from napari_deepz.models.bioimageio.description import DESCRIPTION_FILES
from napari_deepz.models.bioimageio.exporting import export_bioimageio
from napari_deepz.models.bioimageio.importing import import_bioimageio, is_bioimageio

__all__ = ["DESCRIPTION_FILES", "export_bioimageio", "import_bioimageio", "is_bioimageio"]

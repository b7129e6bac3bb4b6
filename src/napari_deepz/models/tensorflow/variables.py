"""The files with the weights of a SavedModel, looked at before anything reads them."""

from __future__ import annotations

from pathlib import Path

from napari_deepz.models.errors import ModelError, reading

MOST_BYTES = 4 << 30

_MOST_INDEX_BYTES = 64 << 20
_MOST_FILES = 1000


def data_files(folder: Path) -> list[Path]:
    """Files that hold the weights of a SavedModel, in order."""
    return sorted((folder / "variables").glob("variables.data-*"))


def check_variables(folder: Path) -> None:
    """Check that the weights are files of a size that a model can have.

    A link to a device or a pipe would never end, and a file with holes can claim any size.

    Raises
    ------
    ModelError
        If they are not, or cannot be read.
    """
    index = folder / "variables" / "variables.index"
    with reading(str(folder)):
        files = data_files(folder)
        if not index.is_file():
            raise ModelError(
                f"The SavedModel {folder} is not whole: its folder 'variables' with the weights "
                "is missing; copy the model again with everything in it."
            )
        for file in files:
            if not file.is_file():
                raise ModelError(
                    f"The SavedModel {folder} cannot be read: its {file.name} is no file."
                )
        size = sum(file.stat().st_size for file in files)
        too_large = index.stat().st_size > _MOST_INDEX_BYTES or len(files) > _MOST_FILES
    if too_large or size > MOST_BYTES:
        raise ModelError(f"The model in {folder} is larger than any Deep-Z generator.")

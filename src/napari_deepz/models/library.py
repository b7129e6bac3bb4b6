"""The models at hand: the bundled ones, and those in the user's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import platformdirs

from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.archives import PackageFiles
from napari_deepz.models.errors import ModelError, reading
from napari_deepz.models.package import SPEC_FILE, Model, load_package, read_spec
from napari_deepz.models.spec import ModelSpec

MODELS_VARIABLE = "NAPARI_DEEPZ_MODELS"

PackageKind = Literal["native", "bioimageio", "saved-model"]

_ZOO = Path(__file__).with_name("zoo")


def user_models_folder() -> Path:
    """Where the user keeps models: the variable NAPARI_DEEPZ_MODELS, else the data folder."""
    chosen = os.environ.get(MODELS_VARIABLE)
    if not chosen:
        return platformdirs.user_data_path("napari-deepz") / "models"
    return Path(os.path.expanduser(chosen))  # That of pathlib raises where there is no such user.


def list_models() -> dict[str, Path]:
    """Names and packages of all models at hand: the bundled ones, then the user's.

    What cannot be used is left out; `unusable_models` says why.
    """
    return _sorted_out()[0]


def unusable_models() -> list[str]:
    """Say of each package in the user's folder that cannot be used why, a sentence each."""
    folder = user_models_folder()
    try:
        if os.path.lexists(folder) and not folder.is_dir():
            return [f"The models folder {folder} is not a folder."]
        if folder.is_dir():
            os.listdir(folder)
    except OSError as error:
        reason = error.strerror or error
        return [f"The models folder {folder} cannot be read: {reason}.", *_sorted_out()[1]]
    return _sorted_out()[1]


def bundled_models() -> dict[str, Path]:
    """Names and packages of the models that come with napari-deepz."""
    return {read_spec(package).name: package for package in _packages_in(_ZOO)}


def user_packages() -> list[tuple[Path, ModelSpec]]:
    """Packages in the user's folder whose cards can be read, also if they share a name."""
    found = []
    for package in _packages_in(user_models_folder()):
        try:
            found.append((package, read_spec(package)))
        except ModelError:
            continue
    return found


def _sorted_out() -> tuple[dict[str, Path], list[str]]:
    found: dict[str, Path] = {}
    reasons = []
    for package in _packages_in(_ZOO, user_models_folder()):
        try:
            name = read_spec(package).name
        except ModelError as error:
            reasons.append(str(error))
            continue
        if name in found:
            reasons.append(
                f"The model in {package} is called '{name}' as the one in {found[name]} is; "
                "rename it, or use it by its path."
            )
        else:
            found[name] = package
    return found, reasons


def _packages_in(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        with suppress(OSError):  # `unusable_models` says so.
            if folder.is_dir():
                yield from sorted(
                    entry
                    for entry in folder.iterdir()
                    if not entry.name.startswith(".")
                    and ((entry / SPEC_FILE).is_file() or entry.suffix == ".zip")
                )


def name_of(package: Path) -> str:
    """The name of a model that is found by it, else the whole path of its package."""
    named = [name for name, found in list_models().items() if found == package]
    return named[0] if named else str(package.absolute())


def load_model(name_or_path: str | Path = DEFAULT_MODEL) -> Model:
    """Load a model by its name or from its package.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a bundled model or of one in the user's models folder, or the path of a package.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If there is no such model, or the package is broken: the message says what is wrong.
    """
    package = find_package(name_or_path)
    kind = kind_of(package)
    if kind == "saved-model":
        raise ModelError(
            f"{package} is a TensorFlow model; run 'napari-deepz models convert' on it, and use "
            "what that writes."
        )
    if kind == "bioimageio":
        raise ModelError(
            f"{package} is a bioimage.io package; run 'napari-deepz models add' on it, and use the "
            "name under which it is then in the list."
        )
    return load_package(package)


def kind_of(path: Path, *, called: str | None = None) -> PackageKind:
    """Tell what kind of model a path leads to, without reading the model.

    Parameters
    ----------
    path : Path
        A folder or a zip file.
    called : str, optional
        What sentences call it, where its path would mean nothing to the user.

    Returns
    -------
    str
        "native" for a package of napari-deepz, "bioimageio" for one of bioimage.io,
        "saved-model" for a folder of TensorFlow.

    Raises
    ------
    ModelError
        If it is none of them, or cannot be read.
    """
    from napari_deepz.models.bioimageio import is_bioimageio
    from napari_deepz.models.tensorflow import is_saved_model

    called = str(path) if called is None else called
    with reading(called):
        if is_saved_model(path):
            return "saved-model"
    files = PackageFiles(path, called=called)
    if SPEC_FILE in files:
        return "native"
    if is_bioimageio(files):
        return "bioimageio"
    raise ModelError(
        f"{called} is not a model package: it has no {SPEC_FILE} and no description of bioimage.io."
    )


def find_package(name_or_path: str | Path) -> Path:
    """Path of the package that a name or a path stands for.

    Raises
    ------
    ModelError
        If there is none.
    """
    models = list_models()
    if str(name_or_path) in models:
        return models[str(name_or_path)]
    path = Path(name_or_path)
    if path.exists():
        return path
    known = ", ".join(models) or "none"
    raise ModelError(
        f"There is no model or model package called '{name_or_path}'; models at hand: {known}."
    )

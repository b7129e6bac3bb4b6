"""Bring models into the user's folder and out of it, each whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from napari_deepz.atomic_files import made_folder, reason_of, scratch_folder
from napari_deepz.models.archives import MOST_DECLARED_BYTES, PackageFiles
from napari_deepz.models.card import CardFields
from napari_deepz.models.download import checked_sha256, digest_of, fetch
from napari_deepz.models.errors import ModelError, reading
from napari_deepz.models.kept_downloads import clear_downloads, forget
from napari_deepz.models.library import (
    PackageKind,
    bundled_models,
    kind_of,
    user_models_folder,
    user_packages,
)
from napari_deepz.models.package import (
    MAX_WEIGHTS_BYTES,
    SPEC_FILE,
    TEST_FILE,
    WEIGHTS_FILE,
    Model,
    load_package,
    read_spec,
    read_test,
)
from napari_deepz.models.proof import check_output
from napari_deepz.models.spec import UNKNOWN_OBJECTIVE, ModelSpec
from napari_deepz.watch import UNWATCHED, Watch

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def add_model(
    source: str | Path,
    *,
    sha256: str | None = None,
    fields: CardFields | None = None,
    watch: Watch = UNWATCHED,
) -> ModelSpec:
    """Put a model into the user's folder, after checking that it can be used.

    Parameters
    ----------
    source : str or Path
        A folder, a zip file, or an http(s) address of one: a package of napari-deepz or of
        bioimage.io.
    sha256 : str, optional
        Checksum that the zip file must have.
    fields : CardFields, optional
        The name to keep it under, and what a package from elsewhere does not say.
    watch : Watch, optional
        Says when to stop, and hears the progress.

    Returns
    -------
    ModelSpec
        The card under which it is now in the list of models.

    Raises
    ------
    ModelError
        If it cannot be had or used, or the name is taken; the folder is then as it was.
    OSError
        If it cannot be written.
    Cancelled
        If it was stopped.
    """
    fields = fields or CardFields()
    if fields.name is not None:
        _check_name(fields.name)
    clear_downloads()
    url = str(source) if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(source)) else None
    if url is not None:
        path = fetch(url, sha256, watch=watch)
    else:
        path = Path(source)
        _check_digest(path, sha256)
    folder = user_models_folder()
    try:
        made_folder(folder)
        with scratch_folder(folder) as scratch:
            staged = scratch / "package"
            kind: PackageKind | None = None
            try:
                kind = kind_of(path, called=str(source))
                model = _stage(path, staged, fields, kind, str(source), watch)
            except ModelError:
                if url is not None and kind != "bioimageio":  # There, more fields may help.
                    forget(url)
                raise
            _check_name(model.spec.name)
            _check_free(model, folder)
            staged.rename(folder / model.spec.name)
    except OSError as error:
        raise OSError(f"The model cannot be written to {folder}: {reason_of(error)}.") from error
    return model.spec


def check_new_name(name: str) -> None:
    """Check that a model can be added under a name, before a long work to make it.

    Raises
    ------
    ModelError
        If it is no name for a model, or taken.
    """
    _check_name(name)
    taken = [*bundled_models(), *(spec.name for _, spec in user_packages())]
    folder = user_models_folder()
    if folder.is_dir():
        taken += [entry.name for entry in folder.iterdir()]
    if name.casefold() in map(str.casefold, taken):
        raise ModelError(f"There is a model called '{name}' already; choose another name.")


def remove_model(name: str) -> Path:
    """Delete a model from the user's folder.

    Returns
    -------
    Path
        The package that was deleted.

    Raises
    ------
    ModelError
        If it is not there, there twice, or comes with napari-deepz.
    OSError
        If it cannot be deleted.
    """
    packages = [package for package, spec in user_packages() if spec.name == name]
    if len(packages) > 1:
        where = " and ".join(map(str, packages))
        raise ModelError(f"'{name}' is there more than once; delete one of {where} by hand.")
    if not packages:
        if name in bundled_models():
            raise ModelError(f"'{name}' comes with napari-deepz and cannot be removed.")
        own = ", ".join(spec.name for _, spec in user_packages()) or "none"
        raise ModelError(f"There is no model called '{name}' in your folder; yours are: {own}.")
    (package,) = packages
    try:
        with scratch_folder(package.parent) as scratch:
            package.rename(scratch / package.name)
    except OSError as error:
        raise OSError(f"{package} cannot be deleted: {reason_of(error)}.") from error
    return package


def _completed(spec: ModelSpec, fields: CardFields, called: str) -> ModelSpec:
    """Rename a model, and fill in what its card leaves unsaid."""
    said = fields.given()
    unsaid = {"name": said.get("name", spec.name)}
    if spec.objective == UNKNOWN_OBJECTIVE:
        unsaid |= {key: said[key] for key in ("objective", "na") if key in said}
    if spec.pixel_size_um is None and "pixel_size_um" in said:
        unsaid["pixel_size_um"] = said["pixel_size_um"]
    if refused := said.keys() - unsaid.keys() - {"na"}:
        names = {"objective": "objective", "pixel_size_um": "pixel size", "axial_range_um": "range"}
        which = " and ".join(names[key] for key in sorted(refused))
        raise ModelError(
            f"The card of the model in {called} says its {which} itself; add it without these, and "
            f"correct {SPEC_FILE} in its folder if that is wrong."
        )
    return ModelSpec.model_validate(spec.model_dump() | unsaid)


def _check_digest(path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    wanted = checked_sha256(sha256)
    with reading(str(path)):
        if not path.is_file():
            raise ModelError(f"{path} is no file, and only files have a checksum.")
        if path.stat().st_size > MOST_DECLARED_BYTES:
            raise ModelError(f"{path} is larger than any model package.")
        found = digest_of(path)
    if found != wanted:
        raise ModelError(
            f"{path} does not have the SHA-256 checksum {wanted}; it is damaged or not the file "
            "that was meant."
        )


def _stage(
    source: Path,
    staged: Path,
    fields: CardFields,
    kind: PackageKind,
    called: str,
    watch: Watch,
) -> Model:
    """Write a package beside its place, and read it as it will be read there."""
    from napari_deepz.models.bioimageio import import_bioimageio

    if kind == "saved-model":
        raise ModelError(
            f"{called} is a TensorFlow model; run 'napari-deepz models convert' on it, and add "
            "what that writes."
        )
    watch.check()
    if kind == "bioimageio":
        import_bioimageio(source, staged, fields, watch, called=called)
    else:
        spec, files = read_spec(source, called=called), PackageFiles(source, called=called)
        staged.mkdir()
        for name in (WEIGHTS_FILE, TEST_FILE, SPEC_FILE):
            if name in files:
                (staged / name).write_bytes(files.read(name, MAX_WEIGHTS_BYTES))
            watch.check()
        changed = _completed(spec, fields, called)
        if changed != spec:
            card = changed.model_dump_json(indent=2) + "\n"
            (staged / SPEC_FILE).write_text(card, "utf-8", newline="\n")
    watch.check()
    model = load_package(staged, called=called)
    test = read_test(staged, called=called, size_multiple=model.network.size_multiple)
    watch.check()
    check_output(model.network, test, model.spec.axial_range_um, called)
    watch.check()
    return model


def _check_name(name: str) -> None:
    """Refuse what cannot be the name of a model, or of a folder on every system."""
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name) or name.endswith("."):
        raise ModelError(
            f"'{name}' cannot be a model's name: choose one of up to 80 letters, "
            "digits, dots, dashes and underscores, that Windows allows for a folder."
        )


def _check_free(model: Model, folder: Path) -> None:
    """Refuse a name that is taken, also where upper and lower case are the same."""
    name = model.spec.name
    for taken in bundled_models():
        if taken.casefold() == name.casefold():
            raise ModelError(
                f"'{taken}' is the name of a model of napari-deepz; choose another with --name."
            )
    for package, spec in user_packages():
        if spec.name.casefold() == name.casefold():
            if _digest_of_weights(package) == model.sha256:
                raise ModelError(f"The model '{spec.name}' is already there, in {package}.")
            raise ModelError(
                f"There is another model called '{spec.name}' already; remove it with "
                f"'napari-deepz models remove {spec.name}', or choose another name with --name."
            )
    for entry in folder.iterdir():
        if entry.name.casefold() == name.casefold():
            raise ModelError(
                f"{entry} is in the way; move it elsewhere, or choose another name with --name."
            )


def _digest_of_weights(package: Path) -> str | None:
    try:
        return load_package(package).sha256
    except ModelError:
        return None

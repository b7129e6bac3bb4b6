"""The commands that bring models in and out, and test them on this machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from napari_deepz.cli.app import Device, models
from napari_deepz.cli.console import print_line, print_note, print_path
from napari_deepz.cli.models import ModelPixelSize, ModelTitle, Objective, ZRange, card_fields
from napari_deepz.cli.progress import watched

ModelArgument = Annotated[str, typer.Argument(metavar="NAME|PATH", help="A model.")]


@models.command("convert")
def models_convert(
    saved_model: Annotated[
        Path, typer.Argument(metavar="SAVED_MODEL_DIR", help="Folder with saved_model.pb.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Model package to be made.")],
    name: ModelTitle = None,
    objective: Objective = None,
    pixel_size: ModelPixelSize = None,
    z_range: ZRange = None,
) -> None:
    """Convert a Deep-Z model of TensorFlow, as its authors publish them, to a package."""
    from napari_deepz.io.replacing import require_no_input
    from napari_deepz.models.card import model_card
    from napari_deepz.models.tensorflow import convert_saved_model, is_saved_model

    fields = card_fields(name, objective, pixel_size, z_range)
    folder = saved_model.parent if saved_model.name == "saved_model.pb" else saved_model
    if is_saved_model(folder):
        require_no_input([output], [folder])
    with watched() as watch:
        conversion = convert_saved_model(folder, output, fields, watch=watch)
    for note in conversion.notes:
        print_note(note)
    spec = conversion.spec
    sizes = ", ".join(f"{key} {value}" for key, value in spec.parameters.items())
    print_line(f"'{spec.name}': the published U-Net, {sizes}")
    known = ("Objective", "NA", "Pixel size", "Range")
    facts = (f"{label} {text}" for label, text in model_card(spec) if label in known)
    print_line("; ".join(facts))
    print_line(
        f"Largest difference from TensorFlow: {conversion.deviation:.1e} standard deviations"
    )
    print_path("Written:", output)
    path = shlex.quote(str(output))
    hint = f"Use it with --model {path}, or keep it: napari-deepz models add {path}"
    print_line(hint)


@models.command("export")
def models_export(
    model: ModelArgument,
    output: Annotated[Path, typer.Argument(metavar="OUT.zip", help="File to be made.")],
) -> None:
    """Export a model as a bioimage.io package, for other programs."""
    from napari_deepz.io.replacing import require_no_input
    from napari_deepz.models.bioimageio import export_bioimageio
    from napari_deepz.models.library import load_model

    loaded = load_model(model)
    require_no_input([output], [loaded.source])
    export_bioimageio(loaded, output)
    print_path("Written:", output)


@models.command("test")
def models_test(model: ModelArgument, device: Device = None) -> None:
    """Run a model's stored test on this machine, and say how far the output is off."""
    from napari_deepz.engine.model_check import check_model
    from napari_deepz.models.library import load_model

    loaded = load_model(model)
    check = check_model(loaded, device)
    print_line(
        f"'{loaded.spec.name}' on {check.device}: largest difference {check.deviation:.1e} "
        f"standard deviations, {check.seconds:.2f} s"
    )
    if not check.passed:
        raise ValueError(check.verdict)
    print_line(f"Passed. {check.verdict}")

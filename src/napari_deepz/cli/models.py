"""The commands about models."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from napari_deepz.cli.app import models
from napari_deepz.cli.console import console, print_note, print_path


@models.command("list")
def models_list() -> None:
    """List the models at hand: the bundled ones and those in the user's folder."""
    from napari_deepz.generators.library import list_models, unusable_models, user_models_folder
    from napari_deepz.generators.package import read_spec

    table = Table("name", "version", "objective", "pixel (µm)", "range (µm)", "sample")
    for package in list_models().values():
        spec = read_spec(package)
        low, high = spec.axial_range_um
        table.add_row(
            spec.name,
            spec.version,
            spec.objective,
            "?" if spec.pixel_size_um is None else f"{spec.pixel_size_um:g}",
            f"{low:g} to {high:g}",
            spec.sample,
        )
    console.print(table)
    for reason in unusable_models():
        print_note(reason)
    print_path("Your own models go to:", user_models_folder())


@models.command("show")
def models_show(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A model.")],
) -> None:
    """Show a model's card, after checking that the model can be used."""
    from napari_deepz.generators.library import load_model

    loaded = load_model(model)
    table = Table(show_header=False, box=None)
    for name, value in loaded.spec.model_dump(mode="json").items():
        text = json.dumps(value, indent=1, ensure_ascii=False)
        table.add_row(name, value if isinstance(value, str) else text)
    table.add_row("weights sha256", loaded.sha256)
    table.add_row("parameters in all", f"{sum(p.numel() for p in loaded.network.parameters()):,}")
    table.add_row("source", str(loaded.source))
    console.print(table)

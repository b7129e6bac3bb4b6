"""The commands about the models at hand, and the options that say what a model is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from napari_deepz.cli.app import check_pixel_size, models
from napari_deepz.cli.console import console, print_line, print_note, print_path
from napari_deepz.cli.progress import watched

if TYPE_CHECKING:
    from napari_deepz.models.card import CardFields

_FARTHEST_UM = 1000.0

ModelTitle = Annotated[str | None, typer.Option("--name", help="Name to keep the model under.")]
Objective = Annotated[
    str | None, typer.Option(help='Objective that it was trained for, such as "20x/0.75 dry".')
]
ModelPixelSize = Annotated[
    float | None,
    typer.Option("--pixel-size", help="Pixel size of the images that it was trained on, µm."),
]
ZRange = Annotated[
    str | None,
    typer.Option(
        "--z-range", metavar="LOW:HIGH", help="Distances that it was trained on, µm: -10:10."
    ),
]


def card_fields(
    name: str | None, objective: str | None, pixel_size: float | None, z_range: str | None
) -> CardFields:
    """Gather what the options say about a model.

    Raises
    ------
    ValueError
        If an option makes no sense.
    """
    from napari_deepz.models.card import CardFields

    if pixel_size is not None:
        check_pixel_size(pixel_size)
    return CardFields(name, objective, pixel_size, None if z_range is None else _range(z_range))


def _range(text: str) -> tuple[float, float]:
    try:
        low_um, high_um = map(float, text.split(":"))
    except ValueError:
        low_um = high_um = math.nan
    if not -_FARTHEST_UM <= low_um < high_um <= _FARTHEST_UM:
        raise ValueError(
            f"--z-range must go from a smaller to a larger number of µm, both within "
            f"{_FARTHEST_UM:g}, such as -10:10 or -2.7:2.7, not '{text}'."
        )
    return low_um, high_um


@models.callback()
def _models() -> None:
    """Models at hand."""
    from napari_deepz.models.kept_downloads import clear_downloads

    clear_downloads()


@models.command("list")
def models_list() -> None:
    """List the models at hand: the bundled ones and those in the user's folder."""
    from napari_deepz.models.library import list_models, unusable_models, user_models_folder
    from napari_deepz.models.package import read_spec

    table = Table(box=SIMPLE_HEAD)  # The other boxes are wider than 80 columns.
    table.add_column("name", no_wrap=True)
    for heading in ("version", "objective", "pixel (µm)", "range (µm)"):
        table.add_column(heading, overflow="fold")
    table.add_column("sample", overflow="fold", min_width=12)
    for package in list_models().values():
        spec = read_spec(package)
        low, high = spec.axial_range_um
        pixels = "?" if spec.pixel_size_um is None else f"{spec.pixel_size_um:g}"
        reach = f"{low:g} to {high:g}"
        if spec.optical is not None:
            pixels, reach = "any", f"{spec.optical.reach_waves:g} waves either way"
        cells = (spec.name, spec.version, spec.objective, pixels, reach, spec.sample)
        table.add_row(*map(Text, cells))
    console.print(table)
    for reason in unusable_models():
        print_note(reason)
    print_path("Your own models go to:", user_models_folder())


@models.command("show")
def models_show(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A model.")],
) -> None:
    """Show a model's card, after checking that the model can be used."""
    from napari_deepz.models.card import model_card
    from napari_deepz.models.library import load_model

    loaded = load_model(model)
    count = sum(p.numel() for p in loaded.network.parameters())
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in [*model_card(loaded.spec), ("Parameters", f"{count:,}")]:
        table.add_row(Text(label), Text(text))
    console.print(table)
    print_path("Source:", loaded.source)
    _print_checksum("SHA-256 of the weights:", loaded.sha256)


@models.command("add")
def models_add(
    source: Annotated[
        str, typer.Argument(metavar="PATH|URL", help="A model package: folder, zip file or address")
    ],
    sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="Checksum that the zip file must have.")
    ] = None,
    name: ModelTitle = None,
    objective: Objective = None,
    pixel_size: ModelPixelSize = None,
    z_range: ZRange = None,
) -> None:
    """Add a model to your folder: of napari-deepz or bioimage.io, from the disk or the internet.

    The objective, pixel size and range say what a package from elsewhere does not say itself.
    """
    from napari_deepz.models.download import digest_of
    from napari_deepz.models.installing import add_model
    from napari_deepz.models.kept_downloads import download_of
    from napari_deepz.models.library import list_models

    fields = card_fields(name, objective, pixel_size, z_range)
    with watched() as watch:
        spec = add_model(source, sha256=sha256, fields=fields, watch=watch)
    print_path(f"Added {spec.name}:", list_models()[spec.name])
    download = download_of(source)
    if sha256 is None and download.exists():
        _print_checksum("To be sure of the same file next time: --sha256", digest_of(download))


@models.command("remove")
def models_remove(
    name: Annotated[str, typer.Argument(help="Name of a model in your folder.")],
) -> None:
    """Delete a model from your folder."""
    from napari_deepz.models.installing import remove_model

    print_path(f"Removed {name}:", remove_model(name))


def _print_checksum(label: str, sha256: str) -> None:
    print_line(f"{label} {sha256}")

"""The command line: thin callers of the engine, with progress, and errors in one sentence."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from napari_deepz.console import (
    console,
    print_entry,
    print_note,
    print_path,
    progress_bar,
    score_table,
    stop_on_interrupt,
    warnings_as_notes,
)
from napari_deepz.generators import DEFAULT_MODEL

if TYPE_CHECKING:
    from napari_deepz.images import ImageSeries
    from napari_deepz.surfaces import Surface

app = typer.Typer(
    help="Refocus fluorescence images after the fact with Deep-Z.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models = typer.Typer(help="Models at hand.", no_args_is_help=True)
app.add_typer(models, name="models")

ModelName = Annotated[str, typer.Option(metavar="NAME|PATH", help="Model to use.")]
PixelSize = Annotated[
    float | None, typer.Option(help="Pixel size in µm, instead of the one in the file.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps; the fastest if not given.")]


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full traceback of an error.")
    ] = False,
) -> None:
    if version:
        from napari_deepz import __version__

        console.print(f"napari-deepz {__version__}")
        raise typer.Exit


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("deepz-demo"),
    no_gui: Annotated[
        bool, typer.Option("--no-gui", help="Do not open napari, even if there is a display.")
    ] = False,
    device: Device = None,
) -> None:
    """Refocus a bundled sample with the bundled model, check it against the truth, show it."""
    from napari_deepz.demo import can_show, run_demo, show_in_napari

    result = run_demo(output, device=device)
    console.print(
        f"{result.slices} slices, {1000 * result.seconds_per_slice:.1f} ms per slice "
        f"({result.evaluation.device})"
    )
    shown = [depth for depth in result.evaluation.depths if abs(depth.z_um) % 2 == 0]
    table = score_table(shown, "Virtual slices against the sample's own planes (simulated)")
    console.print(table)
    refocused, unrefocused = result.tilted_rmse
    console.print(
        f"Tilted plane: RMSE {refocused:.1f} refocused, {unrefocused:.1f} unrefocused; correlation "
        f"{result.tilted_correlation[0]:.3f} and {result.tilted_correlation[1]:.3f}"
    )
    for file in result.files:
        print_path("Written:", file)
    if not no_gui and can_show():
        show_in_napari(result.files[:2])


@app.command()
def refocus(
    image: Annotated[Path, typer.Argument(help="TIFF, OME-TIFF, OME-Zarr or PNG image.")],
    output: Annotated[Path, typer.Argument(help="Result: .ome.tif, .tif, .ome.zarr or .zarr.")],
    z: Annotated[
        str | None,
        typer.Option("--z", metavar="START:STOP:STEP", help="Flat range in µm, ends included."),
    ] = None,
    surface: Annotated[
        Path | None, typer.Option(help="Surface: .json, or an image of depths in µm.")
    ] = None,
    tilt_x: Annotated[
        float | None, typer.Option(help="Tilted plane: degrees by which it rises along x.")
    ] = None,
    tilt_y: Annotated[
        float | None, typer.Option(help="Tilted plane: degrees by which it rises along y.")
    ] = None,
    offset: Annotated[float, typer.Option(help="Depth of the tilted plane's centre in µm.")] = 0.0,
    model: ModelName = DEFAULT_MODEL,
    pixel_size: PixelSize = None,
    device: Device = None,
    plane: Annotated[int | None, typer.Option(help="Plane of a stack, counted from 0.")] = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
    time: Annotated[int | None, typer.Option(help="Time point, counted from 0.")] = None,
) -> None:
    """Refocus one image onto a flat range, a tilted plane or any surface."""
    from napari_deepz.engine.devices import choose_device, describe_device
    from napari_deepz.engine.record import describe_run
    from napari_deepz.engine.refocus import iter_refocus
    from napari_deepz.generators.package import load_model
    from napari_deepz.io.reading import read_image
    from napari_deepz.io.writing import write_stack

    if output.resolve() == image.resolve():
        raise ValueError("The result would replace the image itself; choose another output name.")
    with warnings_as_notes() as first_notes:
        wanted = _surface(z, surface, tilt_x, tilt_y, offset)
        series = read_image(image)
    where = {
        "t": _index(series, "T", time, "--time"),
        "c": _index(series, "C", channel, "--channel"),
        "z": _index(series, "Z", plane, "--plane"),
    }
    loaded = load_model(model)
    pixel_size_um = pixel_size if pixel_size is not None else series.pixel_size_um
    pixels = series.plane(**where)
    chosen = choose_device(device)
    console.print(f"{loaded.spec.name} on {describe_device(chosen)}: {wanted.describe()}")
    with (
        stop_on_interrupt() as should_stop,
        warnings_as_notes() as notes,
        progress_bar() as on_progress,
    ):
        planes = iter_refocus(
            pixels,
            wanted,
            loaded,
            pixel_size_um=pixel_size_um,
            device=chosen,
            should_stop=should_stop,
            on_progress=on_progress,
        )
        z_um = wanted.uniform_z_um
        with closing(planes) as refocused:
            write_stack(
                output,
                (plane.data for plane in refocused),
                count=len(wanted),
                shape=pixels.shape,
                pixel_size_um=pixel_size_um,
                z_step_um=_even_step(z_um),
                z_start_um=z_um[0] if z_um else None,
                name=f"{series.name} (virtual)",
                provenance=describe_run(
                    loaded,
                    [wanted],
                    pixel_size_um=pixel_size_um,
                    device=describe_device(chosen),
                    notes=[*first_notes, *notes],
                    input_name=image.name,
                    command=shlex.join(["napari-deepz", *sys.argv[1:]]),
                ),
            )
    print_path("Written:", output)


def _surface(
    z: str | None,
    surface: Path | None,
    tilt_x: float | None,
    tilt_y: float | None,
    offset: float,
) -> Surface:
    """Turn the options of `refocus` into the one surface that they describe."""
    from napari_deepz.surfaces import Flat, Tilted, load_surface

    tilted = tilt_x is not None or tilt_y is not None
    if (z is not None) + (surface is not None) + tilted != 1:
        raise ValueError(
            "Say where to refocus in one way: with --z START:STOP:STEP, with --surface FILE, or "
            "with --tilt-x and --tilt-y."
        )
    if offset and not tilted:
        raise ValueError("--offset belongs to --tilt-x and --tilt-y; leave it out here.")
    if z is not None:
        flat = Flat.parse(z)
        # Files know positive steps only: a downward range is written upward.
        if flat.step_um is not None and flat.step_um < 0 and flat.stop_um is not None:
            return Flat(flat.stop_um, flat.start_um, -flat.step_um)
        return flat
    if surface is not None:
        return load_surface(surface)
    return Tilted(tilt_x or 0.0, tilt_y or 0.0, offset)


def _index(series: ImageSeries, axis: str, given: int | None, option: str) -> int:
    """Choose along an axis: only a series with one entry needs no choice."""
    count = series.size(axis)
    if given is None and count > 1:
        names = {"T": "time points", "C": "channels", "Z": "planes"}
        raise ValueError(
            f"'{series.name}' has {count} {names[axis]}; say which one to refocus with {option}, "
            f"from 0 to {count - 1}."
        )
    return given or 0


def _even_step(z_um: tuple[float, ...] | None) -> float | None:
    """Step between evenly spaced planes; None for one plane or uneven ones."""
    if z_um is None or len(z_um) < 2:
        return None
    steps = [after - before for before, after in itertools.pairwise(z_um)]
    return steps[0] if max(steps) - min(steps) < 1e-6 and steps[0] > 0 else None


@app.command()
def evaluate(
    stack: Annotated[Path, typer.Argument(help="Measured focal stack.")],
    input_plane: Annotated[int, typer.Option(help="Plane to refocus, counted from 0.")],
    model: ModelName = DEFAULT_MODEL,
    output: Annotated[
        Path | None, typer.Option(help="Folder for table and plot; beside the stack's name here.")
    ] = None,
    pixel_size: PixelSize = None,
    z_step: Annotated[
        float | None, typer.Option(help="z step in µm, if the file lacks it.")
    ] = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
    device: Device = None,
) -> None:
    """Compare virtual slices with the planes that the microscope really took."""
    from napari_deepz.analysis.evaluation import evaluate as evaluate_stack
    from napari_deepz.analysis.figures import plot_evaluation
    from napari_deepz.generators.package import load_model
    from napari_deepz.io.reading import read_image

    with warnings_as_notes():
        series = read_image(stack)
    z_step_um = z_step if z_step is not None else series.z_step_um
    if z_step_um is None:
        raise ValueError(f"{stack.name} does not say its z step; give it in µm with --z-step.")
    with stop_on_interrupt() as should_stop, progress_bar() as on_progress:
        result = evaluate_stack(
            series.stack(c=_index(series, "C", channel, "--channel")),
            input_plane,
            load_model(model),
            pixel_size_um=pixel_size if pixel_size is not None else series.pixel_size_um,
            z_step_um=z_step_um,
            device=device,
            should_stop=should_stop,
            on_progress=on_progress,
        )
    for note in result.notes:
        print_note(note)
    console.print(score_table(result.depths, f"{result.model_name} on {result.device}"))
    folder = output if output is not None else Path(f"{series.name}-evaluation")
    folder.mkdir(parents=True, exist_ok=True)
    result.write_csv(folder / "evaluation.csv")
    plot_evaluation(result, folder / "evaluation.png")
    print_path("Written:", folder / "evaluation.csv")
    print_path("Written:", folder / "evaluation.png")


@app.command()
def simulate(
    outdir: Annotated[Path, typer.Argument(help="Folder for the stacks.")],
    count: Annotated[int, typer.Option(min=1, help="Number of stacks.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same stacks.")] = 0,
    kind: Annotated[
        list[str] | None, typer.Option(help="Phantoms to take turns; all if not given.")
    ] = None,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Height and width, pixels.")] = 256,
    half_range: Annotated[float, typer.Option(help="Focus goes this far either way, µm.")] = 10.0,
    z_step: Annotated[float, typer.Option(help="Distance of the planes, µm.")] = 0.5,
    tilt: Annotated[
        float | None, typer.Option(help="Rise of tilted beads across the width, µm.")
    ] = None,
) -> None:
    """Write simulated focal stacks (OME-TIFF) with the truth beside them (JSON)."""
    from napari_deepz.training.files import write_simulated

    with stop_on_interrupt() as should_stop:
        for path in write_simulated(
            outdir,
            count=count,
            seed=seed,
            kinds=kind,
            size_px=size,
            half_range_um=half_range,
            z_step_um=z_step,
            tilt_span_um=tilt,
            command=shlex.join(["napari-deepz", *sys.argv[1:]]),
            should_stop=should_stop,
        ):
            print_path("Written:", path)


@models.command("list")
def models_list() -> None:
    """List the models at hand: the bundled ones and those in the user's folder."""
    from napari_deepz.generators.package import list_models, read_spec, user_models_folder

    table = Table("name", "version", "objective", "pixel (µm)", "range (µm)", "sample")
    for package in list_models().values():
        spec = read_spec(package)
        low, high = spec.axial_range_um
        table.add_row(
            spec.name,
            spec.version,
            spec.objective,
            f"{spec.pixel_size_um:g}",
            f"{low:g} to {high:g}",
            spec.sample,
        )
    console.print(table)
    print_path("Your own models go to:", user_models_folder())


@models.command("show")
def models_show(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A model.")],
) -> None:
    """Show a model's card, after checking that the model can be used."""
    from napari_deepz.generators.package import load_model

    loaded = load_model(model)
    table = Table(show_header=False, box=None)
    for name, value in loaded.spec.model_dump(mode="json").items():
        text = json.dumps(value, indent=1, ensure_ascii=False)
        table.add_row(name, value if isinstance(value, str) else text)
    table.add_row("weights sha256", loaded.sha256)
    table.add_row("parameters in all", f"{sum(p.numel() for p in loaded.network.parameters()):,}")
    table.add_row("source", str(loaded.source))
    console.print(table)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="Training configuration, a TOML file.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    device: Device = None,
) -> None:
    """Train a generator on simulated or measured focal stacks and write a model package."""
    from napari_deepz.training.config import read_config
    from napari_deepz.training.run import run_training

    settings = read_config(config)

    def on_stack(done: int, total: int) -> None:
        if done == total or done % 20 == 0:
            console.print(f"{done} of {total} stacks simulated")

    with stop_on_interrupt() as should_stop:
        package = run_training(
            settings,
            config.parent,
            resume=resume,
            device=device,
            on_stack=on_stack,
            report=print_entry,
            should_stop=should_stop,
        )
    print_path("Model package written to", package)


def main() -> None:
    """Run the command line; errors are one sentence unless --debug is given."""
    from napari_deepz.jobs import Cancelled

    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except (Cancelled, KeyboardInterrupt):
        Console(stderr=True).print("Stopped.")
        sys.exit(130)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if debug:
            raise
        Console(stderr=True, soft_wrap=True).print(f"Error: {error}", markup=False)
        sys.exit(1)

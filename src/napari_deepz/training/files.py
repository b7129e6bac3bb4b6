"""Simulated focal stacks as files, each with its truth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from napari_deepz.atomic_files import made_folder, written_beside
from napari_deepz.io.replacing import foreign, require_replaceable
from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance
from napari_deepz.training.phantoms import KINDS, Kind
from napari_deepz.training.simulation import (
    SimulatedStack,
    StackSettings,
    kinds_in_turn,
    simulate,
)
from napari_deepz.watch import UNWATCHED, Watch

_MOST_PLANES = 400
_TRUTHS = ("kind", "optics", "aberrations_waves", "centres_z_um_y_px_x_px")


def write_simulated(
    folder: Path,
    *,
    count: int,
    seed: int,
    kinds: Sequence[str] | None = None,
    size_px: int = 256,
    half_range_um: float = 10.0,
    z_step_um: float = 0.5,
    tilt_span_um: float | None = None,
    command: str | None = None,
    watch: Watch = UNWATCHED,
) -> Iterator[Path]:
    """Simulate stacks and write each as ``NNNN_kind.ome.tif`` with ``NNNN_kind.json`` beside it.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    count, seed, kinds, tilt_span_um
        As in `simulation.simulate`.
    size_px, half_range_um, z_step_um
        As in `simulation.StackSettings`.
    command : str, optional
        Saved as what repeats the simulation.
    watch : Watch, optional
        Says when to stop.

    Yields
    ------
    Path
        Each stack, when it is written.

    Raises
    ------
    ValueError
        If a kind is not known, a length is not positive, or a file that is no earlier stack, or
        not its truth, has the name of one.
    Cancelled
        If stopped.
    """
    unknown = sorted(set(kinds or ()) - set(KINDS))
    if unknown:
        raise ValueError(f"There is no phantom '{unknown[0]}'; choose from {', '.join(KINDS)}.")
    if not (0 < z_step_um <= half_range_um <= 50):
        raise ValueError(
            f"A focus range of {half_range_um:g} µm in steps of {z_step_um:g} µm cannot be "
            "simulated; give a positive step and a range of at least one step and at most 50 µm."
        )
    if 2 * half_range_um / z_step_um > _MOST_PLANES:
        raise ValueError(
            f"That would be more than {_MOST_PLANES} planes; choose a larger step or a smaller "
            "range."
        )
    if tilt_span_um is not None and (
        set(kinds or KINDS) != {"tilted-beads"} or abs(tilt_span_um) > 2 * half_range_um
    ):
        raise ValueError(
            "A tilt needs --kind tilted-beads, and a rise within the range of the focus."
        )
    settings = StackSettings(size_px=size_px, half_range_um=half_range_um, z_step_um=z_step_um)
    chosen = cast("tuple[Kind, ...]", tuple(kinds or KINDS))
    made_folder(folder)
    paths = [
        folder / f"{number:04d}_{kind}.ome.tif"
        for number, kind in enumerate(kinds_in_turn(count, chosen))
    ]
    for path in paths:
        require_free(path, _TRUTHS)
    stacks = simulate(count, seed, settings, kinds=chosen, tilt_span_um=tilt_span_um)
    for path in paths:
        watch.check()
        _write(path, next(stacks), settings, command)
        yield path


def truth_file(path: Path) -> Path:
    """Where the truth of a simulated file lies: beside it."""
    return path.with_name(path.name.removesuffix(".ome.tif") + ".json")


def require_free(path: Path, truths: Sequence[str]) -> None:
    """Refuse to write over anything but a file and a truth, with these keys, of an earlier run.

    Raises
    ------
    ValueError
        If something else lies there; one sentence.
    """
    require_replaceable(path, "simulated")
    truth = truth_file(path)
    if not truth.exists():
        return
    try:
        found = json.loads(truth.read_text(encoding="utf-8")) if truth.is_file() else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or set(found) != set(truths):
        raise foreign(truth)


def _write(path: Path, stack: SimulatedStack, settings: StackSettings, command: str | None) -> None:
    pixel_size_um = settings.optics.pixel_size_um
    truth = (
        stack.kind,
        asdict(settings.optics),
        asdict(stack.aberrations),
        stack.centres.round(4).tolist(),
    )
    with written_beside(truth_file(path)) as beside:
        text = json.dumps(dict(zip(_TRUTHS, truth, strict=True)), indent=1)
        beside.write_text(text + "\n", encoding="utf-8")
        write_stack(
            path,
            stack.measured,
            count=len(stack.measured),
            shape=(settings.size_px, settings.size_px),
            dtype="uint16",
            pixel_size_um=pixel_size_um,
            z_step_um=settings.z_step_um,
            z_start_um=float(stack.z_um[0]),
            name=f"{stack.kind} (simulated)",
            provenance=Provenance(
                kind="simulated",
                axial_range_um=(float(stack.z_um[0]), float(stack.z_um[-1])),
                pixel_size_um=pixel_size_um,
                command=command,
            ),
        )

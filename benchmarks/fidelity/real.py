"""Virtual planes against planes that a microscope took, where measured stacks are at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fidelity.measures import WINDOW_UM, bead_sizes_um
from benchmarks.fidelity.methods import Network, Unrefocused
from napari_deepz import Flat, evaluate, read_image, refocus
from napari_deepz.analysis.bead_size import fit_spot
from napari_deepz.images import ImageSeries

BEAD = "bead_na085.ome.tif"
EMBRYOS = ("celegans_embryo_cy3.ome.tif", "celegans_embryo_fitc.ome.tif")
EMBRYO_PLANE = 31  # The middle of those in focus.
TUNED_PLANES = {"in focus": EMBRYO_PLANE, "5.1 µm before the focus": EMBRYO_PLANE - 16}
BEAD_INPUTS_UM = (-2.1, 0.0, 2.1)
BINS_UM = ((0.0, 2.0), (2.0, 4.0), (4.0, 10.0))


@dataclass(frozen=True)
class RealScores:
    """Means over the planes of a range of distances.

    Parameters
    ----------
    what, input_um : str
        The stack, and its input plane.
    from_um, to_um, planes
        Range of distances from the input, and how many planes lie in it.
    means : dict
        Correlation, SSIM and PSNR by method.
    """

    what: str
    input_um: str
    from_um: float
    to_um: float
    planes: int
    means: dict[str, np.ndarray]


def _open(path: Path) -> tuple[ImageSeries, np.ndarray]:
    image = read_image(path)
    return image, np.asarray(image.stack())


def in_focus(stack: np.ndarray) -> int:
    """Index of the plane with the brightest pixel."""
    return int(stack.max(axis=(1, 2)).argmax())


def real_scores(folder: Path, networks: list[Network]) -> Iterator[RealScores]:
    """Evaluate the networks on each stack, and the first one on the reversed order of planes."""
    for name in (BEAD, *EMBRYOS):
        if not (folder / name).exists():
            continue
        image, stack = _open(folder / name)
        step_um = float(image.z_step_um or 0)
        if name == BEAD:
            focus = in_focus(stack)
            inputs = {_signed(z): focus + round(z / step_um) for z in BEAD_INPUTS_UM}
            what = "bead, NA 0.85, air"
        else:
            inputs = {"in focus": EMBRYO_PLANE}
            what = f"embryo, {name.split('_')[2].split('.')[0].upper()}, NA 1.4, oil"
        first = networks[0]
        for label, plane in inputs.items():
            runs = [(network.name, network, stack, plane) for network in networks]
            runs.append((f"{first.name}, z reversed", first, stack[::-1], len(stack) - 1 - plane))
            yield from _scores_of(what, label, image, stack, runs)


def tuned_scores(folder: Path, network: Network) -> Iterator[RealScores]:
    """Evaluate a model that learned from one part of the embryo on another part."""
    for path in sorted(folder.glob("test_*.ome.tif")):
        image, stack = _open(path)
        what = path.name.removeprefix("test_").removesuffix(".ome.tif").upper()
        for label, plane in TUNED_PLANES.items():
            runs = [(network.name, network, stack, plane)]
            yield from _scores_of(what, label, image, stack, runs)


def _scores_of(
    what: str,
    label: str,
    image: ImageSeries,
    stack: np.ndarray,
    runs: list[tuple[str, Network, np.ndarray, int]],
) -> Iterator[RealScores]:
    step_um = float(image.z_step_um or 0)
    columns: dict[str, dict[float, tuple[float, float, float]]] = {}
    for name, network, planes, at in runs:
        found = evaluate(
            planes, at, network.model, pixel_size_um=image.pixel_size_um, z_step_um=step_um
        )
        sign = 1 if planes is stack else -1
        for depth in found.depths:
            if not depth.in_range:
                continue
            both = {name: depth.refocused, Unrefocused.name: depth.unrefocused}
            for column, values in both.items():
                three = (values.correlation, values.ssim, values.psnr)
                columns.setdefault(column, {})[round(sign * depth.z_um, 3)] = three
    for low, high in BINS_UM:
        # In range for all of them; the range of a network need not be even.
        inside = [
            z
            for z in columns[Unrefocused.name]
            if low < abs(z) <= high and all(z in values for values in columns.values())
        ]
        if inside:
            names = [name for name in columns if name != Unrefocused.name] + [Unrefocused.name]
            means = {name: np.mean([columns[name][z] for z in inside], axis=0) for name in names}
            yield RealScores(what, label, low, high, len(inside), means)


def real_bead_sizes(folder: Path, networks: list[Network]) -> dict[str, np.ndarray]:
    """Lateral and axial width of the measured bead by "measured" or (network, input), µm."""
    if not (folder / BEAD).exists():
        return {}
    image, stack = _open(folder / BEAD)
    pixel_um, step_um = float(image.pixel_size_um or 0), float(image.z_step_um or 0)
    focus = in_focus(stack)
    z_um = (np.arange(len(stack)) - focus) * step_um
    brightest = np.unravel_index(stack[focus].argmax(), stack.shape[1:])
    spot = fit_spot(stack[focus], brightest, WINDOW_UM / pixel_um)
    if spot is None:
        raise ValueError(f"There is no bead in {BEAD}.")
    at = np.array([spot.centre_px])
    sizes = {"measured stack": bead_sizes_um(stack, at, z_um, pixel_um)[0]}
    for input_um in BEAD_INPUTS_UM:
        plane = focus + round(input_um / step_um)
        runs = [(network.name, network, 1) for network in networks]
        runs.append((f"{networks[0].name}, z reversed", networks[0], -1))
        for name, network, sign in runs:
            surfaces = [Flat(float(sign * (z - z_um[plane]))) for z in z_um]
            virtual = refocus(stack[plane], surfaces, network.model, pixel_size_um=pixel_um)
            found = bead_sizes_um(virtual.data, at, z_um, pixel_um)[0]
            sizes[f"{name}, input at {_signed(input_um)}"] = found
    return sizes


def _signed(z_um: float) -> str:
    return f"{z_um:+g} µm" if z_um else "0 µm"

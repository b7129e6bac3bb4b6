"""Pictures of results, drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_deepz.analysis.evaluation import COMPARED, Evaluation
from napari_deepz.analysis.exposures import ExposurePlan
from napari_deepz.atomic_files import written_beside
from napari_deepz.provenance import RECORD_KEY, Provenance

_MEASURES = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "correlation": "correlation",
    "detail": "detail (correlation of what is sharp)",
}
_COLOURS = ("tab:blue", "tab:green", "tab:gray")


def plot_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Draw four measures over depth, of the refocused planes and both baselines, as a PNG."""
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    z_um = [depth.z_um for depth in evaluation.depths]
    outside = [depth.z_um for depth in evaluation.depths if not depth.in_range]
    for axes, (name, label) in zip(figure.subplots(2, 2).flat, _MEASURES.items(), strict=True):
        for (label_of_curve, which), colour in zip(COMPARED.items(), _COLOURS, strict=True):
            values = [getattr(getattr(depth, which), name) for depth in evaluation.depths]
            axes.plot(z_um, values, marker=".", color=colour, label=label_of_curve)
        axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
        for side in ([z for z in outside if z < 0], [z for z in outside if z > 0]):
            if side:
                axes.axvspan(min(side), max(side), color="tab:red", alpha=0.12)
        axes.set_xlabel("distance from the input plane (µm)")
        axes.set_ylabel(label)
    figure.axes[0].legend()
    beyond = "; red: outside the model's range" if outside else ""
    figure.suptitle(
        f"{evaluation.model_name}, input plane {evaluation.input_plane}{beyond}",
        fontsize=11,
        parse_math=False,
    )
    record = Provenance(
        kind="inferred",
        model_name=evaluation.model_name,
        model_version=evaluation.model_version,
        model_sha256=evaluation.model_sha256,
        device=evaluation.device,
        notes=evaluation.notes,
    )
    _save(figure, path, record)


def plot_exposures(plan: ExposurePlan, path: Path, record: Provenance) -> None:
    """Draw what each number of planes tells of the stack, at its best and at other spacings."""
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    best = [plan.best(count) for count in plan.counts]
    for label, name, colour in (
        ("refocused", "refocused", _COLOURS[0]),
        ("interpolated", "interpolated", _COLOURS[2]),
    ):
        every = [(len(one.indices), 100 * getattr(one, name)) for one in plan.trials]
        axes.plot(*zip(*every, strict=True), ".", color=colour, alpha=0.4)
        heights = [100 * getattr(one, name) for one in best]
        axes.plot(plan.counts, heights, marker="o", color=colour, label=label)
    wanted = plan.recommended
    axes.axvline(len(wanted.indices), color="black", linewidth=0.8, linestyle=":")
    for one in best:
        if len(one.indices) > 1:
            axes.annotate(
                f"{one.spacing_um:.3g} µm",
                (len(one.indices), 100 * max(one.refocused, one.interpolated)),
                textcoords="offset points",
                xytext=(0, 6),
                ha="center",
                fontsize=8,
            )
    axes.set_xticks(plan.counts)
    axes.set_xlabel("planes taken")
    axes.set_ylabel("detail of the stack (%)")
    axes.set_title(f"{plan.model_name}; dotted: recommended", fontsize=10, parse_math=False)
    axes.legend()
    _save(figure, path, record)


def plot_overview(
    image: NDArray[np.generic],
    virtual: NDArray[np.float32],
    measured: NDArray[np.generic],
    z_um: Sequence[float],
    tilted: NDArray[np.float32],
    tilted_truth: NDArray[np.float32],
    *,
    pixel_size_um: float,
    title: str,
    path: Path,
    provenance: Provenance,
) -> None:
    """Draw input, virtual slices, a section in depth and the tilted plane beside the truth.

    Parameters
    ----------
    image : ndarray
        (Y, X) input.
    virtual, measured : ndarray
        (Z, Y, X) virtual slices, and the stack's own planes at the same distances.
    z_um : sequence of float
        Distance of each plane from the input.
    tilted, tilted_truth : ndarray
        (Y, X) image refocused onto the tilted plane, and the same cut through the stack.
    pixel_size_um : float
        Of all of them.
    title, path
        Headline, and where the PNG goes.
    provenance : Provenance
        Of the virtual slices; saved with the picture.
    """
    low, high = np.percentile(measured.astype(np.float32), [1, 99.8])
    peak = np.percentile(measured.max(axis=1).astype(np.float32), 99.5)
    shown = [len(z_um) // 10, len(z_um) * 3 // 10, len(z_um) * 7 // 10, len(z_um) * 9 // 10]
    figure = Figure(figsize=(14, 8), layout="constrained")
    halves = figure.add_gridspec(2, 2, width_ratios=[1, 3.6])

    def show(axes: Axes, pixels: NDArray[np.generic], label: str) -> None:
        scaled = np.sqrt(np.clip((pixels - low) / (high - low), 0, 1))
        axes.imshow(scaled, cmap="magma", vmin=0, vmax=1)
        axes.set_title(label, fontsize=10)
        axes.set_axis_off()

    def section(axes: Axes, stack: NDArray[np.generic]) -> None:
        width_um = stack.shape[2] * pixel_size_um
        scaled = np.clip((stack.max(axis=1) - low) / (peak - low), 0, 1)
        extent = (0, width_um, float(z_um[-1]), float(z_um[0]))
        axes.imshow(scaled, cmap="magma", vmin=0, vmax=1, aspect="auto", extent=extent)
        axes.set_title("xz view, brightest along y", fontsize=10)
        axes.set_xlabel("x (µm)", fontsize=8)
        axes.set_ylabel("z (µm)", fontsize=8)
        axes.tick_params(labelsize=7)

    show(figure.add_subfigure(halves[:, 0]).add_subplot(), image, "input image (0 µm)")
    for place, heading, stack, on_plane in (
        (halves[0, 1], "INFERRED from the input image alone", virtual, tilted),
        (halves[1, 1], "the stack's own planes", measured, tilted_truth),
    ):
        row = figure.add_subfigure(place)
        row.suptitle(heading, fontsize=11, fontweight="bold")
        grid = row.add_gridspec(2, len(shown) + 1, height_ratios=[1, 0.5])
        for column, plane in enumerate(shown):
            show(row.add_subplot(grid[0, column]), stack[plane], f"{z_um[plane]:+g} µm")
        show(row.add_subplot(grid[0, len(shown)]), on_plane, "on the tilted plane")
        section(row.add_subplot(grid[1, :]), stack)
    figure.suptitle(title, fontsize=12, parse_math=False)
    _save(figure, path, provenance)


def _save(figure: Figure, path: Path, record: Provenance) -> None:
    text = {"Description": record.describe(), RECORD_KEY: record.to_json()}
    with written_beside(path) as beside:
        figure.savefig(beside, dpi=110, format="png", metadata=text)

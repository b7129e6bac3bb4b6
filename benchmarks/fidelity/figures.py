"""Pictures for the report, small enough for the repository."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.fidelity.measures import Table
from benchmarks.fidelity.methods import RichardsonLucy, Unrefocused
from benchmarks.fidelity.sets import PIXEL_UM

PICTURE_Z_UM = (-8.0, -4.0, 4.0, 8.0)
SHOWN_PX = 160
COLOURS = 48
DPI = 100

_STYLES = {
    RichardsonLucy.name: {"color": "tab:brown", "linestyle": "--"},
    Unrefocused.name: {"color": "tab:gray", "linestyle": "--"},
}


@dataclass(frozen=True, eq=False)
class Gallery:
    """Images to show of one stack.

    Parameters
    ----------
    low, high : float
        Counts that are shown black and white.
    rows : dict
        (4, Y, X) by what they are.
    """

    low: float
    high: float
    rows: Table


def gallery(images: Table, z_um: tuple[float, ...], left_out: str = "") -> Gallery:
    """Take the middle of the truth and of each method's images at the distances to show."""
    chosen = [z_um.index(z) for z in PICTURE_Z_UM]
    low, high = np.percentile(images["truth"][chosen], [1, 99.8])
    rows = {name: _middle(planes[chosen]) for name, planes in images.items() if name != left_out}
    return Gallery(float(low), float(high), rows)


def _middle(planes: np.ndarray) -> np.ndarray:
    top, left = ((size - SHOWN_PX) // 2 for size in planes.shape[1:])
    return planes[:, top : top + SHOWN_PX, left : left + SHOWN_PX]


def draw_gallery(pictures: Gallery, title: str, path: Path) -> None:
    """Draw a row for each method and a column for each distance, all with the same contrast."""
    count = len(pictures.rows)
    figure = Figure(figsize=(7.3, 0.5 + 1.66 * count), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)  # type: ignore[call-arg]
    grid = figure.subplots(count, len(PICTURE_Z_UM))
    for axes, z_um in zip(grid[0], PICTURE_Z_UM, strict=True):
        axes.set_title(f"{z_um:+g} µm", fontsize=9)
    for row, (name, planes) in zip(grid, pictures.rows.items(), strict=True):
        for axes, plane in zip(row, planes, strict=True):
            share = (plane - pictures.low) / (pictures.high - pictures.low)
            axes.imshow(np.sqrt(share.clip(0, 1)), cmap="gray", vmin=0, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(_said(name), fontsize=9)
    bar_px = 10 / PIXEL_UM
    left, bottom = 8, SHOWN_PX - 10
    grid[0, 0].plot([left, left + bar_px], [bottom, bottom], color="white", linewidth=2.5)
    grid[0, 0].text(left, bottom - 5, "10 µm", color="white", fontsize=8)
    figure.suptitle(title, fontsize=10)
    _render(figure).convert("L").save(path, optimize=True)


def _said(name: str) -> str:
    plain = name.strip("`")
    if name == "truth":
        return "truth\n(simulated)"
    if name == Unrefocused.name:
        return "the one input\n(simulated)"
    if name == RichardsonLucy.name:
        return "Richardson-Lucy"
    return f"{plain}\nINFERRED"


def draw_correlation(sets: dict[str, Table], z_um: tuple[float, ...], path: Path) -> None:
    """Draw correlation with the truth over distance, a panel for each set."""
    figure = Figure(figsize=(10, 4.1), layout="constrained")
    panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for axes, (name, table) in zip(panels, sets.items(), strict=True):
        for method, values in table.items():
            style = _STYLES.get(method, {})
            axes.plot(z_um, values, marker=".", label=method.strip("`"), **style)
        axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
        axes.set_title(f"{name} (simulated)", fontsize=10)
        axes.set_xlabel("distance from the input plane (µm)")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("correlation with the truth")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9)
    few = _render(figure).quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def _render(figure: Figure) -> Image.Image:
    """Pixels, without a date or names of programs."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    with Image.open(buffer) as picture:
        return picture.convert("RGB")

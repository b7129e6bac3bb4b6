"""Measure how faithful virtual images are, and write docs/fidelity.md with its pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.fidelity.figures import draw_correlation, draw_gallery
from benchmarks.fidelity.measures import Z_UM
from benchmarks.fidelity.methods import Network
from benchmarks.fidelity.report import report
from benchmarks.fidelity.results import Networks, Results, measure
from benchmarks.history import append
from napari_deepz import load_model
from napari_deepz.models import DEFAULT_MODEL

ROOT = Path(__file__).parents[2]
FIRST_MODEL = "widefield-20x-0.75"


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or package of what is judged")
    parser.add_argument(
        "--unet",
        type=Path,
        default=ROOT / "benchmarks/models/unet-12",
        help="package of the paper's U-Net, trained on the same data for the same time",
    )
    parser.add_argument(
        "--published",
        type=Path,
        default=ROOT / "runs/unet-48/unet-48",
        help="the same with as many channels as in the paper",
    )
    parser.add_argument(
        "--tuned",
        type=Path,
        default=ROOT / "runs/embryo-63x/embryo-63x",
        help="package of a model fine-tuned on a part of the measured embryo",
    )
    parser.add_argument(
        "--parts", type=Path, default=ROOT / "runs/embryo", help="folder of these parts"
    )
    parser.add_argument("--stacks", type=int, default=16, help="simulated stacks in each set")
    parser.add_argument(
        "--real", type=Path, default=ROOT.parent / "shared/data", help="folder of measured stacks"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs/fidelity.md")
    given = parser.parse_args()
    if given.stacks < 1:
        parser.error("--stacks must be at least 1")
    networks = at_hand(given.model, given.unet, given.published, given.tuned)
    results = measure(networks, given.stacks, given.real, given.parts)
    write(results, given.output)
    if given.model == DEFAULT_MODEL:
        append("fidelity", f"{given.stacks} stacks a set", "make fidelity", figures(results))
    print(given.output)


def figures(results: Results) -> dict[str, float]:
    """What is compared with earlier versions: scores of the default model over all distances."""
    name = results.networks.default.name
    return {
        f"{held_out}, {measure}": round(float(np.mean(scores[measure][name])), 4)
        for held_out, scores in results.sets.items()
        for measure in ("correlation", "SSIM")
    }


def at_hand(model: str, unet: Path, published: Path, tuned: Path) -> Networks:
    """Load the networks that are there."""
    default = Network(load_model(model))
    first = Network(load_model(FIRST_MODEL))
    earlier = None if first.model.sha256 == default.model.sha256 else first
    asked_for = (unet, published, tuned)
    there = {path: Network(load_model(path)) for path in asked_for if path.exists()}
    absent = tuple(path.name for path in asked_for if path not in there)
    unets = tuple(there[path] for path in (unet, published) if path in there)
    slow = there.get(published)
    networks = Networks(default, earlier, unets, slow, there.get(tuned), absent)
    names = [network.name for network in networks.all]
    if len(set(names)) < len(names):
        raise SystemExit(f"Two of the networks have the same name: {', '.join(names)}.")
    return networks


def write(results: Results, path: Path) -> None:
    """Write the report, and its pictures in the folder `images` beside it."""
    images = path.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    correlations = {name: scores["correlation"] for name, scores in results.sets.items()}
    draw_correlation(correlations, Z_UM, images / "fidelity-correlation.png")
    for name, pictures in results.galleries.items():
        title = f"{name}: one simulated image refocused to four distances"
        draw_gallery(pictures, title, images / f"fidelity-{name}.png")
    path.write_text(report(results), encoding="utf-8")


if __name__ == "__main__":
    main()

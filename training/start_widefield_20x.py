"""Make the model that training/widefield-20x-first.toml starts from; run from the repository root.

The U-Net of the first bundled model, its deepest level narrowed to the channels that carry most,
under a new head with random weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from napari_deepz.models.library import load_model
from napari_deepz.models.package import save_model
from napari_deepz.training.config import read_config

TARGET = Path("runs/start-20x")
DEEPEST = "down.3"


def main() -> None:
    """Write the package."""
    torch.manual_seed(0)
    spec = read_config(Path("training/widefield-20x-first.toml")).model
    network = spec.build()
    first = load_model("widefield-20x-0.75").network.state_dict()
    wanted = network.state_dict()
    inner, outer = f"{DEEPEST}.0", f"{DEEPEST}.2"
    kept_inner = strongest(first[f"{inner}.weight"], first[f"{outer}.weight"].transpose(0, 1), spec)
    kept_outer = strongest(first[f"{outer}.weight"], first["widen.2.weight"], spec)
    for name in (inner, outer):
        kept = kept_inner if name == inner else kept_outer
        first[f"{name}.weight"] = first[f"{name}.weight"][kept]
        first[f"{name}.bias"] = first[f"{name}.bias"][kept]
    first[f"{outer}.weight"] = first[f"{outer}.weight"][:, kept_inner]
    first["widen.2.weight"] = first["widen.2.weight"][kept_outer]
    shared = {name: weights for name, weights in first.items() if name in wanted}
    network.load_state_dict(wanted | shared)
    save_model(TARGET, spec, network)
    print(f"{TARGET}: {len(shared)} of {len(wanted)} tensors are the first model's")


def strongest(incoming: Tensor, outgoing: Tensor, spec) -> Tensor:
    """Channels with the largest product of the weights that lead to them and away from them."""
    strength = incoming.flatten(1).norm(dim=1) * outgoing.flatten(1).norm(dim=1)
    return strength.topk(spec.parameters["widest"]).indices.sort().values


if __name__ == "__main__":
    main()

"""Compare designs of the encode-once generator at equal training time.

    python training/trials.py --seconds 1200 --output runs/trials shuffle full

Every design sees the same stacks and the same batches in the same order, and is trained for the
same processor time on one core. It prints one JSON object a design; docs/trials.md has the table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.models.library import load_model
from napari_deepz.networks.base import Generator, initialise
from napari_deepz.networks.encode_once import EncodeOnce
from napari_deepz.networks.folded_unet import FoldedUNet
from napari_deepz.networks.z_basis import ZBasis
from napari_deepz.training.dataset import Batch, FocalStack, PatchSampler
from napari_deepz.training.focal import masked_error, predict, validate
from napari_deepz.training.simulated import stack_settings
from napari_deepz.training.simulation import simulate

PLANES = 41
PLANE_Z_UM = tuple(-10.0 + 0.5 * plane for plane in range(PLANES))
WIDTHS = [32, 64, 128, 256]
KINDS = ("beads", "tilted-beads", "curved-beads", "neurons", "worm")
LEARNING_RATE = 2e-3
FOCUS_WEIGHT = 8.0
DECODED_PLANES = 3


class Basis(FoldedUNet):
    """Sixteen functions of z per pixel by pixel-shuffle."""

    def __init__(self) -> None:
        super().__init__(WIDTHS, -10.0, 10.0, PLANES)
        self.squeeze = nn.Conv2d(WIDTHS[0], 4 * 16, 3, padding=1)
        self.basis = nn.Conv2d(16, PLANES, 1, bias=False)
        initialise(self)
        nn.init.normal_(self.basis.weight, 0, 0.02)

    def encode(self, image: Tensor) -> Tensor:
        """Predict all planes."""
        return self.basis(F.pixel_shuffle(self.squeeze(self.features(image)), 2)) + image


class ShuffleFull(FoldedUNet):
    """Features by pixel-shuffle, one convolution at full resolution beside the image."""

    def __init__(self) -> None:
        super().__init__(WIDTHS, -10.0, 10.0, PLANES)
        self.squeeze = nn.Conv2d(WIDTHS[0], 4 * 12, 3, padding=1)
        self.fine = nn.Conv2d(12 + 1, 24, 3, padding=1)
        self.basis = nn.Conv2d(24, PLANES, 1, bias=False)
        initialise(self)
        nn.init.normal_(self.basis.weight, 0, 0.02)

    def encode(self, image: Tensor) -> Tensor:
        """Predict all planes."""
        wide = F.relu(F.pixel_shuffle(self.squeeze(self.features(image)), 2))
        return self.basis(F.relu(self.fine(torch.cat([wide, image], dim=1)))) + image


class Decoder(FoldedUNet):
    """Features as in `ZBasis`, kept with the image; two convolutions see them and the DPM."""

    def __init__(self) -> None:
        super().__init__(WIDTHS, -10.0, 10.0, PLANES)
        self.code_channels = 16 + 1
        self.plane_z_um = None
        self.squeeze = nn.Conv2d(WIDTHS[0], 16, 1)
        self.fine = nn.Conv2d(16 + 1, 16, 3, padding=1)
        self.first = nn.Conv2d(16 + 1 + 1, 16, 3, padding=1)
        self.last = nn.Conv2d(16, 1, 3, padding=1)
        initialise(self)
        nn.init.normal_(self.last.weight, 0, 0.02)

    def encode(self, image: Tensor) -> Tensor:
        """Compute the features, with the image behind them."""
        squeezed = self.squeeze(self.features(image))
        wide = F.interpolate(squeezed, scale_factor=2, mode="bilinear", align_corners=False)
        return torch.cat([F.relu(self.fine(torch.cat([wide, image], dim=1))), image], dim=1)

    def decode(self, code: Tensor, dpm_um: Tensor) -> Tensor:
        """Add to the image what features, image and DPM lead to."""
        features = F.relu(self.first(torch.cat([code, dpm_um / 10], dim=1)))
        return self.last(features) + code[:, -1:]


DESIGNS: dict[str, Callable[[], Generator]] = {
    "shuffle": lambda: EncodeOnce(WIDTHS[0], len(WIDTHS)),
    "basis": Basis,
    "shuffle-full": ShuffleFull,
    "full": lambda: ZBasis(WIDTHS[0], WIDTHS[-1], len(WIDTHS)),
    "decoder": Decoder,
}


def main() -> None:
    """Train and score the designs that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("designs", nargs="+", choices=DESIGNS)
    parser.add_argument("--seconds", type=float, default=1200, help="processor time for each")
    parser.add_argument("--stacks", type=int, default=200)
    parser.add_argument("--output", type=Path, default=Path("runs/trials"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    spec = load_model().spec
    settings = stack_settings(spec)
    pixel_size_um = settings.optics.pixel_size_um
    validation = simulate(10, 2, settings, kinds=KINDS)
    stacks = simulate(given.stacks, 11, settings, kinds=KINDS, pupils=40)
    unseen = [FocalStack.from_simulation(stack, pixel_size_um) for stack in validation]
    seen = [FocalStack.from_simulation(stack, pixel_size_um) for stack in stacks]
    given.output.mkdir(parents=True, exist_ok=True)
    for name in given.designs:
        torch.manual_seed(0)
        network = DESIGNS[name]().to(memory_format=torch.channels_last)
        steps = train(network, seen, spec.normalisation, given.seconds)
        scores = validate(network, unseen, spec, torch.device("cpu"))
        torch.save(network.state_dict(), given.output / f"{name}.pt")
        result = {
            "design": name,
            "steps": steps,
            "parameters": sum(p.numel() for p in network.parameters()),
            "correlation": {z_um: score["refocused"] for z_um, score in scores.items()},
            "planes_512_s": round(planes_s(network), 3),
        }
        print(json.dumps(result), flush=True)


def train(network: Generator, stacks: list[FocalStack], normalisation: str, seconds: float) -> int:
    """Train for so much processor time; returns the number of steps."""
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    sampler = PatchSampler(
        stacks,
        normalisation=normalisation,
        middle_um=3.0,
        patch_px=96,
        plane_z_um=PLANE_Z_UM,
        planes_per_sample=None,
    )
    start_s, step = time.process_time(), 0
    while (used_s := time.process_time() - start_s) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / 200) * (1 - used_s / seconds)
        batch = sampler.batch(0, step, 12)
        if network.plane_z_um is None:
            batch = known_planes(batch, DECODED_PLANES, step)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = predict(network, batch.image, batch.z_um)
        loss = masked_error(predicted.float(), batch.target, batch.known, FOCUS_WEIGHT)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
    return step


def known_planes(batch: Batch, count: int, seed: int) -> Batch:
    """Keep so many random planes of each sample, out of those that its stack has."""
    random = torch.Generator().manual_seed(seed)
    picked = torch.multinomial(batch.known[:, :, 0, 0], count, generator=random)
    sample = torch.arange(len(picked))[:, None]
    return Batch(
        batch.image,
        batch.target[sample, picked],
        batch.known[sample, picked],
        batch.z_um[sample, picked],
    )


def planes_s(network: Generator) -> float:
    """Fastest of five runs for all planes of 512 x 512 pixels, one core, float32."""
    network.eval()
    image = torch.rand(1, 1, 512, 512).to(memory_format=torch.channels_last)
    z_um = torch.tensor([PLANE_Z_UM])
    taken_s = []
    with torch.inference_mode():
        for _ in range(5):
            start_s = time.process_time()
            predict(network, image, z_um)
            taken_s.append(time.process_time() - start_s)
    return min(taken_s)


if __name__ == "__main__":
    main()

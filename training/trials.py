"""Compare designs of the encode-once generator at equal training time.

    python training/trials.py --seconds 1200 --output runs/trials shuffle full

Every design sees the same stacks and the same batches in the same order, and is trained for the
same processor time on one core. It prints one JSON object a design; docs/trials.md has the table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.generators.base import initialise
from napari_deepz.generators.encode_once import EncodeOnce
from napari_deepz.generators.library import load_model
from napari_deepz.training.dataset import FocalStack, PatchSampler
from napari_deepz.training.loop import masked_error, validate
from napari_deepz.training.run import stack_settings
from napari_deepz.training.simulation import simulate

PLANES = 41
WIDTHS = (32, 64, 128, 256)
KINDS = ("beads", "tilted-beads", "curved-beads", "neurons", "worm")
LEARNING_RATE = 2e-3
FOCUS_WEIGHT = 8.0


class Twice(nn.Sequential):
    """Two 3 x 3 convolutions."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Three 3 x 3 convolutions, the last two beside a short cut."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.third = nn.Conv2d(channels_out, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        x = F.relu(self.first(x))
        return F.relu(x + self.third(F.relu(self.second(x))))


class Trunk(nn.Module):
    """A U-Net on the image folded by two; its output has half the image's size."""

    def __init__(self, widths: tuple[int, ...], block: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(block(a, b) for a, b in [(4, widths[0]), *pairs])
        self.widen = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(block(2 * a, a) for a, _ in pairs)

    def forward(self, image: Tensor) -> Tensor:
        """Apply it."""
        features, skips = F.pixel_unshuffle(image, 2), []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else F.max_pool2d(features, 2))
            skips.append(features)
        for level in reversed(range(len(self.up))):
            widened = self.widen[level](features)
            features = self.up[level](torch.cat([widened, skips[level]], dim=1))
        return features


class Design(nn.Module):
    """A trunk and one of the ways from its features to planes."""

    size_multiple = 16
    planes, z_min_um, z_step_um = PLANES, -10.0, 0.5
    plane_z_um = tuple(-10.0 + 0.5 * plane for plane in range(PLANES))
    decode = EncodeOnce.decode

    def __init__(
        self,
        head: str,
        widths: tuple[int, ...] = WIDTHS,
        block: Callable[[int, int], nn.Module] = Twice,
    ) -> None:
        super().__init__()
        self.head = head
        self.trunk = Trunk(widths, block)
        base = widths[0]
        if head == "shuffle":
            self.out = nn.Conv2d(base, 4 * PLANES, 3, padding=1)
        elif head == "basis":
            self.squeeze = nn.Conv2d(base, 4 * 16, 3, padding=1)
            self.out = nn.Conv2d(16, PLANES, 1, bias=False)
        elif head == "shuffle-full":
            self.squeeze = nn.Conv2d(base, 4 * 12, 3, padding=1)
            self.fine = nn.Conv2d(12 + 1, 24, 3, padding=1)
            self.out = nn.Conv2d(24, PLANES, 1, bias=False)
        else:
            self.squeeze = nn.Conv2d(base, 16, 1)
            self.fine = nn.Conv2d(16 + 1, 16, 3, padding=1)
            self.out = nn.Conv2d(16, PLANES, 1, bias=False)
        initialise(self)
        nn.init.normal_(self.out.weight, 0, 0.0 if head == "shuffle" else 0.02)

    def encode(self, image: Tensor) -> Tensor:
        """Predict all planes."""
        features = self.trunk(image)
        if self.head == "shuffle":
            return F.pixel_shuffle(self.out(features), 2) + image
        if self.head == "basis":
            return self.out(F.pixel_shuffle(self.squeeze(features), 2)) + image
        if self.head == "shuffle-full":
            wide = F.relu(F.pixel_shuffle(self.squeeze(features), 2))
        else:
            wide = F.interpolate(
                self.squeeze(features), scale_factor=2, mode="bilinear", align_corners=False
            )
        return self.out(F.relu(self.fine(torch.cat([wide, image], dim=1)))) + image


DESIGNS = {
    "shuffle": lambda: Design("shuffle"),
    "basis": lambda: Design("basis"),
    "shuffle-full": lambda: Design("shuffle-full"),
    "full": lambda: Design("full"),
    "shuffle-residual": lambda: Design("shuffle", (24, 64, 160, 256), Residual),
    "shuffle-full-residual": lambda: Design("shuffle-full", (24, 64, 160, 256), Residual),
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
    validation = simulate(10, 2, settings, kinds=KINDS)
    stacks = simulate(given.stacks, 11, settings, kinds=KINDS, pupils=40)
    unseen = [FocalStack.from_simulation(stack) for stack in validation]
    seen = [FocalStack.from_simulation(stack) for stack in stacks]
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
            "encode_512_s": round(encode_s(network), 3),
        }
        print(json.dumps(result), flush=True)


def train(network: Design, stacks: list[FocalStack], normalisation: str, seconds: float) -> int:
    """Train for so much processor time; returns the number of steps."""
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    sampler = PatchSampler(
        stacks,
        normalisation=normalisation,
        middle_um=3.0,
        patch_px=96,
        plane_z_um=network.plane_z_um,
        planes_per_sample=None,
    )
    start_s, step = time.process_time(), 0
    while (used_s := time.process_time() - start_s) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / 200) * (1 - used_s / seconds)
        batch = sampler.batch(0, step, 12)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = network.encode(batch.image)
        loss = masked_error(predicted.float(), batch.target, batch.known, FOCUS_WEIGHT)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
    return step


def encode_s(network: Design) -> float:
    """Fastest of five encodings of 512 x 512 pixels, one core, float32."""
    network.eval()
    image = torch.rand(1, 1, 512, 512).to(memory_format=torch.channels_last)
    taken_s = []
    with torch.inference_mode():
        for _ in range(5):
            start_s = time.process_time()
            network.encode(image)
            taken_s.append(time.process_time() - start_s)
    return min(taken_s)


if __name__ == "__main__":
    main()

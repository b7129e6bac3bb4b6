"""The designs of training/trials.py are those of docs/trials.md, and all of them can be trained."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_deepz.training.dataset import Batch, FocalStack

ROOT = Path(__file__).parents[2]
TRIALS: dict[str, Any] = runpy.run_path(str(ROOT / "training/trials.py"))
DESIGNS = TRIALS["DESIGNS"]


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_designs_have_as_many_parameters_as_the_table_says() -> None:
    text = (ROOT / "docs/trials.md").read_text()
    told = dict(re.findall(r"^\| `([a-z-]+)`: .*?\| \d+ \| ([\d,]+) \|", text, re.MULTILINE))
    assert set(told) >= {"shuffle", "shuffle-full", "basis", "full"}
    for name, number in told.items():
        parameters = DESIGNS[name]().parameters()
        assert sum(p.numel() for p in parameters) == int(number.replace(",", "")), name


@pytest.mark.parametrize("name", DESIGNS)
def test_all_planes_are_those_that_are_decoded_one_by_one(name: str) -> None:
    torch.manual_seed(0)
    network = DESIGNS[name]().eval()
    image = images(2, 1, 32, 48)
    with torch.inference_mode():
        together = TRIALS["predict"](network, image, torch.tensor([TRIALS["PLANE_Z_UM"]] * 2))
        assert together.shape == (2, 41, 32, 48)
        for plane in (0, 13, 40):
            dpm = torch.full((2, 1, 32, 48), TRIALS["PLANE_Z_UM"][plane])
            torch.testing.assert_close(
                network(image, dpm)[:, 0], together[:, plane], rtol=0, atol=1e-5
            )


@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_learns(name: str) -> None:
    rng = np.random.default_rng(0)
    pixels = 100 + 1000 * rng.uniform(size=(45, 96, 96)).astype(np.float32) ** 8
    torch.manual_seed(0)
    network = DESIGNS[name]()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    steps = TRIALS["train"](network, [FocalStack(pixels, pixels, 0.5)], "signed-sqrt", 2.0)
    assert steps >= 1
    after = list(network.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in after)
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    # The zeros in which the first design ends let nothing through to the others in the first step.
    assert all(changed) or (steps == 1 and any(changed))


def test_only_known_planes_are_kept_each_with_its_distance() -> None:
    known = torch.zeros(4, 9, 1, 1)
    known[:, 2:7] = 1
    z_um = torch.arange(9.0).expand(4, 9)
    target = z_um[:, :, None, None].expand(4, 9, 8, 8)
    kept = TRIALS["known_planes"](Batch(images(4, 1, 8, 8), target, known, z_um), 3, 5)
    assert kept.target.shape == (4, 3, 8, 8)
    assert kept.known.shape == (4, 3, 1, 1)
    assert (kept.known == 1).all()
    torch.testing.assert_close(kept.target[:, :, 0, 0], kept.z_um)
    assert all(len(set(row)) == 3 for row in kept.z_um.tolist())

"""Everything that the report is made of, computed once."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fidelity.figures import Gallery, gallery
from benchmarks.fidelity.goals import Scores
from benchmarks.fidelity.measures import (
    Z_UM,
    BeadSizes,
    Table,
    Tilted,
    bead_sizes,
    mean_scores,
    means,
    stack_scores,
    tilted,
)
from benchmarks.fidelity.methods import Method, Network, RichardsonLucy, Unrefocused
from benchmarks.fidelity.real import RealScores, real_bead_sizes, real_scores, tuned_scores
from benchmarks.fidelity.sets import (
    HELD_OUT,
    Limit,
    SetOf,
    bead_size_stacks,
    limits,
    tilted_stacks,
)


@dataclass(frozen=True)
class Networks:
    """Networks at hand.

    Parameters
    ----------
    default : Network
        What is judged.
    earlier : Network or None
        The first bundled model.
    unets : tuple of Network
        The paper's, trained on the same data.
    slow : Network or None
        One of these that is left out where all planes of a stack are needed.
    tuned : Network or None
        Fine-tuned on a part of a measured embryo.
    absent : tuple of str
        Packages that are not there.
    """

    default: Network
    earlier: Network | None
    unets: tuple[Network, ...]
    slow: Network | None
    tuned: Network | None
    absent: tuple[str, ...]

    @property
    def all(self) -> list[Network]:
        """All of them, the default first."""
        return [self.default, *([self.earlier] if self.earlier else []), *self.unets]

    @property
    def quick(self) -> list[Network]:
        """All but the slow one."""
        return [network for network in self.all if network is not self.slow]


@dataclass(frozen=True, eq=False)
class Results:
    """What was measured.

    Parameters
    ----------
    stacks : int
        In each set.
    sets, galleries : dict
        Scores and pictures by held-out set.
    sizes, tilted
        Of beads.
    limits : list
        Correlation by method for each limit.
    real, real_sizes, tuned
        Empty where there are no measured stacks; `tuned` also where no model was tuned to them.
    """

    networks: Networks
    stacks: int
    sets: dict[str, Scores]
    galleries: dict[str, Gallery]
    sizes: BeadSizes
    tilted: dict[str, Tilted]
    limits: list[tuple[Limit, Table]]
    real: list[RealScores]
    real_sizes: dict[str, np.ndarray]
    tuned: list[RealScores]


def measure(networks: Networks, stacks: int, real: Path, parts: Path) -> Results:
    """Simulate, refocus and compare; some minutes.

    Parameters
    ----------
    networks : Networks
        What is compared.
    stacks : int
        Simulated stacks in each set.
    real, parts : Path
        Folders of the measured stacks, and of the parts of them that were kept for a test.
    """
    baselines: list[Method] = [RichardsonLucy(), Unrefocused()]
    galleries: dict[str, Gallery] = {}
    sets = {}
    for held_out in HELD_OUT:
        _say(f"held-out set: {held_out.name}")
        scored = _scored(held_out, stacks, networks, baselines)
        sets[held_out.name], galleries[held_out.name] = scored
    quick: list[Method] = [*networks.quick, *baselines]
    _say("sizes of beads")
    sizes = bead_sizes(bead_size_stacks(stacks), quick[:-1])
    _say("tilted fields")
    on_planes = tilted(tilted_stacks(stacks), quick)
    found = []
    for limit in limits():
        _say(f"limits: {limit.what}")
        methods: list[Method] = [networks.default, Unrefocused()]
        scores = mean_scores(limit.stacks(stacks), methods, limit.z_um, other_side=limit.other_side)
        found.append((limit, scores["correlation"]))
    _say("measured stacks")
    return Results(
        networks=networks,
        stacks=stacks,
        sets=sets,
        galleries=galleries,
        sizes=sizes,
        tilted=on_planes,
        limits=found,
        real=list(real_scores(real, networks.quick)),
        real_sizes=real_bead_sizes(real, networks.quick),
        tuned=list(tuned_scores(parts, networks.tuned)) if networks.tuned else [],
    )


def _scored(
    held_out: SetOf, count: int, networks: Networks, baselines: list[Method]
) -> tuple[Scores, Gallery]:
    """Mean scores of a set, and pictures of its stack of median correlation."""
    # The first model is left out of the pictures, which have rows enough.
    left_out = networks.earlier.name if networks.earlier else ""
    found, galleries = [], []
    for stack in held_out.stacks(count):
        scores, images = stack_scores(stack, [*networks.all, *baselines], Z_UM)
        found.append(scores)
        galleries.append(gallery(images, Z_UM, left_out))
    correlations = [scores[networks.default.name][:, 0].mean() for scores in found]
    middle = int(np.argsort(correlations, kind="stable")[(count - 1) // 2])
    return means(found), galleries[middle]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.fidelity.goals import Scores, comparison, conclusions
from benchmarks.fidelity.measures import DECIMALS, Z_UM
from benchmarks.fidelity.methods import (
    BACKGROUND_PERCENTILE,
    ITERATIONS,
    Network,
    RichardsonLucy,
    Unrefocused,
)
from benchmarks.fidelity.results import Networks, Results
from benchmarks.fidelity.sections import (
    limits_section,
    limits_verdict,
    real_section,
    real_verdict,
    sizes_section,
    tilted_section,
    tuned_section,
)
from benchmarks.fidelity.sets import MAX_LIMITS_STACKS
from benchmarks.fidelity.text import bullets, table, wrapped

COMMAND = "make fidelity"


def report(results: Results) -> str:
    """The whole of docs/fidelity.md."""
    networks = results.networks
    default = networks.default
    spec = default.model.spec
    unets = [unet.name for unet in networks.unets]
    lines = conclusions(results.sets, results.tilted, default.name, unets)
    lines.append(limits_verdict(results.limits, default.name))
    if results.real:
        lines.append(real_verdict(results.real, default.name))
    if networks.tuned and results.tuned:
        lines.append(
            f"{real_verdict(results.tuned, networks.tuned.name)[:-1]}; it learned from another "
            "part of that embryo ([below](#trained-on-measured-stacks))."
        )
    if networks.absent:
        names = " and ".join(f"`{package}`" for package in networks.absent)
        lines.append(f"Left out and not judged, as no trained package is at hand: {names}.")
    made = wrapped(
        f"Made by `{COMMAND}` with the model {default.name}, version {spec.version}, weights' "
        f"sha256 {default.model.sha256[:12]}. The numbers, the verdicts and the pictures come from "
        "the code in `benchmarks/fidelity`; the same networks give the same page."
    )
    data = wrapped(
        "All data are **simulated**, but for the last section. Each held-out set has "
        f"{results.stacks} stack{'' if results.stacks == 1 else 's'} of 256 x 256 pixels of 0.325 "
        "µm, with seeds that no training used, and microscopes, cameras and samples as varied as "
        "in `training/widefield-20x.toml`. A method gets one noisy image, the plane in the middle, "
        "and is compared with the **noise-free** planes of the same stack; nothing is compared "
        "with noisy planes. What holds here need not hold on your microscope."
    )
    further = wrapped(
        "What two input planes or more give, simulated and measured, by every merge, and how far "
        "they may be off: [several planes](several_planes.md). Other objectives: "
        "[any objective](any_objective.md). Movies and traces: [neurons](neurons.md)."
    )
    described = bullets(descriptions(networks))
    return f"""# How faithful the virtual images are

{made}

{data}

{further}

## In short

{bullets(lines)}

Numbers are compared as they are printed below; "at least equal" includes equal.

{goals_table(results.sets, default.name, unets)}

## What is compared

{networks_table([*networks.all, *([networks.tuned] if networks.tuned else [])])}

{described}

## Scores at each distance

Means over the stacks. Distances in µm, positive deeper in the sample. SSIM and PSNR refer to the
range from the 0.1st to the 99.9th percentile of the true stack.

![Correlation over distance](images/fidelity-correlation.png)

{_sections(results.sets)}

## Sizes of beads

{sizes_section(results.sizes)}

## Beads on tilted planes

{tilted_section(results.tilted)}

## Where it fails

{limits_section(results.limits, default.name, min(results.stacks, MAX_LIMITS_STACKS))}

## Measured stacks

{real_section(results.real, results.real_sizes)}

## Trained on measured stacks

{tuned_section(results.tuned)}
"""


def descriptions(networks: Networks) -> list[str]:
    """What the methods are."""
    unets = " and ".join(unet.name for unet in networks.unets) or "none, as none is at hand"
    slow = (
        f" {networks.slow.name} takes too long for the parts where all planes of many stacks are "
        "needed, and is left out there."
        if networks.slow
        else ""
    )
    return [
        f"The paper's U-Net: {unets}. Processor time is that of the training run, or of its last "
        "part where the model started from another one; "
        f"[trials.md](trials.md#the-papers-u-net-for-the-same-time) has the sums.{slow}",
        f"{RichardsonLucy.name}: {ITERATIONS} iterations on the one image less its background (its "
        f"{BACKGROUND_PERCENTILE:g}th percentile), with the true PSF of that microscope for the "
        "distance, aberrations included, as if all light came from there; then blurred with the "
        "PSF in focus, so that it is an image as the microscope would take it, and the background "
        "added again. No user knows the PSF that well.",
        f"{Unrefocused.name}: the input itself, at every distance.",
    ]


def goals_table(sets: dict[str, Scores], default: str, unets: Sequence[str]) -> str:
    """A line for each set and goal."""
    others = {name: f"at least equal to {name} at every distance" for name in unets}
    for name in (Unrefocused.name, RichardsonLucy.name):
        others[name] = f"better than {name} from 2 µm on"
    rows = [
        [name, said, *(comparison(scores, measure, default, other) for measure in DECIMALS)]
        for name, scores in sets.items()
        for other, said in others.items()
    ]
    return table(["Set", f"{default} is", *DECIMALS], rows)


def networks_table(networks: Sequence[Network]) -> str:
    """What each network is and how it was trained, from its card."""
    rows = []
    reference = networks[0].model.spec.training.get("data_settings")
    for network in networks:
        spec, training = network.model.spec, network.model.spec.training
        seconds, steps = training.get("processor_s"), training.get("schedule", {}).get("steps")
        weights = sum(part.numel() for part in network.model.network.parameters())
        same = "yes" if training.get("data_settings") == reference else "no"
        rows.append(
            [
                network.name,
                spec.version,
                network.model.sha256[:12],
                spec.architecture,
                f"{weights:,}",
                "not noted" if steps is None else f"{steps:,}",
                "not noted" if seconds is None else f"{seconds:,.0f}",
                "–" if network is networks[0] else same,
            ]
        )
    head = ["Network", "Version", "Weights' sha256", "Architecture", "Parameters", "Steps"]
    return table(
        [*head, "Processor time (s)", f"Same data settings as {networks[0].name}"],
        rows,
    )


def _sections(sets: dict[str, Scores]) -> str:
    parts = []
    for name, scores in sets.items():
        parts.append(f"### {name.capitalize()}")
        for measure, values in scores.items():
            unit = " (dB)" if measure == "PSNR" else ""
            rows = [
                [method, *(f"{value:.{DECIMALS[measure]}f}" for value in row)]
                for method, row in values.items()
            ]
            parts.append(table([f"{measure}{unit}", *(f"{z:+g}" for z in Z_UM)], rows))
        parts.append(
            f"![{name}: truth and inferred planes](images/fidelity-{name}.png)\n\n"
            + wrapped(
                "Simulated: the stack on which the first network's correlation is the median of "
                "the set; the middle 52 x 52 µm of its field, square root of the intensity, all "
                "with the same contrast. The networks' planes are INFERRED from the one input in "
                "the last row."
            )
        )
    return "\n\n".join(parts)

"""Turn times into docs/performance.md: python -m benchmarks.performance FILE.json"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.history import append
from benchmarks.memory import new_gib_s
from napari_deepz import load_model

REPORT = Path(__file__).parents[1] / "docs" / "performance.md"
SIZES_PX = (512, 1024, 2048)
MEMORY_SIZES_PX = (1024, 2048, 4096, 8192)
SLICES = 41
WANTED_RATIO = 500


@dataclass(frozen=True)
class Timing:
    """Median and spread of a benchmark in s, and its largest difference from float32."""

    median_s: float
    worst_s: float
    difference: float | None


Timings = dict[tuple[str, int], Timing]


def read_timings(path: Path) -> Timings:
    """Timings by what was run and the image's side in pixels."""
    timings = {}
    for entry in json.loads(path.read_text())["benchmarks"]:
        given = entry["params"]
        names = (given.get(key) for key in ("runtime", "what", "precision"))
        seconds = entry["stats"]["data"]
        timings[", ".join(filter(None, names)), given["size_px"]] = Timing(
            statistics.median(seconds), max(seconds), entry["extra_info"].get("difference")
        )
    return timings


def measure_memory(size_px: int, *options: str) -> dict[str, float]:
    """Run `memory` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", str(size_px), *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def published_table(timings: Timings) -> str:
    """Seconds a slice, and how many times faster than TensorFlow."""
    rows = []
    for runtime in dict.fromkeys(name for name, _ in timings if _is_runtime(name)):
        row = [runtime]
        for size_px in SIZES_PX:
            timing = timings.get((runtime, size_px))
            if timing is None:
                row += ["too much memory", "–"]
                continue
            row.append(f"{timing.median_s:.2f}")
            row.append(f"{timings['TensorFlow', size_px].median_s / timing.median_s:.2f}")
        row.append(worst_difference(timings, runtime) or "other weights")
        rows.append(row)
    sizes = [
        text for size_px in SIZES_PX for text in (f"{size_px}² (s)", "times TensorFlow's speed")
    ]
    return table(["Runtime", *sizes, "Largest difference from PyTorch / range"], rows)


def _is_runtime(name: str) -> bool:
    return name.split(", ")[0] in ("TensorFlow", "PyTorch", "ONNX Runtime", "OpenVINO")


def worst_difference(timings: Timings, what: str) -> str:
    """Largest difference at any size; nothing where it was not measured."""
    found = [timing.difference for (name, _), timing in timings.items() if name == what]
    known = [difference for difference in found if difference is not None]
    return f"{max(known):.1e}" if known else ""


def fast_table(timings: Timings) -> str:
    """Milliseconds of the fast generator."""
    rows = []
    for what in (name for name, size_px in timings if size_px == SIZES_PX[0]):
        if _is_runtime(what):
            continue
        cells = [timings[what, size_px] for size_px in SIZES_PX]
        rows.append(
            [
                what,
                *(f"{1e3 * cell.median_s:.1f} (worst {1e3 * cell.worst_s:.1f})" for cell in cells),
                worst_difference(timings, what),
            ]
        )
    return table(
        ["What", *(f"{size_px}² (ms)" for size_px in SIZES_PX), "Difference / range"], rows
    )


def ratio_table(timings: Timings) -> str:
    """How many times faster 41 slices are than 41 runs of the published generator."""
    rows = []
    for precision in ("float32", "bfloat16"):
        row = [precision]
        for size_px in SIZES_PX:
            published_s = SLICES * timings["TensorFlow", size_px].median_s
            row.append(f"{published_s / timings[f'41 slices, {precision}', size_px].median_s:.0f}")
        rows.append(row)
    return table(["Precision", *(f"{size_px}²" for size_px in SIZES_PX)], rows)


def planes_table(measured: list[dict[str, float]]) -> str:
    """Time and peak memory by the number of input planes."""
    return table(
        ["Input planes", "Time (s)", "Peak memory of the process (GiB)"],
        [
            [str(count), f"{entry['seconds']:.2f}", f"{entry['peak_gib']:.2f}"]
            for count, entry in enumerate(measured, start=1)
        ],
    )


def memory_table(measured: list[dict[str, float]]) -> str:
    """Peak memory and time a pixel."""
    per_pixel = [entry["seconds"] / entry["size_px"] ** 2 for entry in measured]
    return table(
        [
            "Size",
            "First time (s)",
            "Again (s)",
            "A pixel, again, 1024² = 1",
            "Peak memory of the process (GiB)",
        ],
        [
            [
                f"{entry['size_px']:.0f}²",
                f"{entry['first_s']:.1f}",
                f"{entry['seconds']:.1f}",
                f"{each / per_pixel[0]:.2f}",
                f"{entry['peak_gib']:.2f}",
            ]
            for entry, each in zip(measured, per_pixel, strict=True)
        ],
    )


def target_table(timings: Timings, memory: list[dict[str, float]]) -> str:
    """The aims, what was measured, and whether it suffices."""
    tensorflow_s = timings["TensorFlow", 1024].median_s
    peak = {entry["size_px"]: entry["peak_gib"] for entry in memory}
    pixel_s = {entry["size_px"]: entry["seconds"] / entry["size_px"] ** 2 for entry in memory}
    faster = {
        digits: SLICES * tensorflow_s / timings[f"41 slices, {digits}", 1024].median_s
        for digits in ("float32", "bfloat16")
    }
    first_ms = {
        digits: 1e3 * timings[f"first picture, {digits}", 512].median_s
        for digits in ("float32", "bfloat16")
    }
    runtime = max(
        tensorflow_s / timings[name, 1024].median_s for name in ("OpenVINO", "OpenVINO, bfloat16")
    )
    pytorch = tensorflow_s / timings["PyTorch", 1024].median_s
    rows: list[tuple[str, str, bool]] = []
    for digits, times in faster.items():
        aim = f"41 slices of 1024², {digits}: {WANTED_RATIO} times faster than TensorFlow's 41 runs"
        rows.append((aim, f"{times:.0f} times", times >= WANTED_RATIO))
    difference = worst_difference(timings, "41 slices, bfloat16")
    aim = "41 slices, bfloat16: within 1e-2 of float32's range, at any size, even of noise"
    rows.append((aim, difference, float(difference) <= 1e-2))
    for digits, took_ms in first_ms.items():
        aim = f"First picture of 512², {digits}: within 100 ms"
        rows.append((aim, f"{took_ms:.0f} ms", took_ms <= 100))
    for size_px, most_ms in ((1024, 10), (512, 4)):
        took_ms = 1e3 * timings["another tilted surface", size_px].median_s
        aim = f"Another tilted surface, {size_px}²: within {most_ms} ms"
        rows.append((aim, f"{took_ms:.1f} ms", took_ms <= most_ms))
    aim = "Published generator in PyTorch, float32: as fast as TensorFlow"
    rows.append((aim, f"{pytorch:.2f} times its speed", pytorch >= 1))
    aim = "Published generator in another runtime: 1.5 times TensorFlow's speed"
    rows.append((aim, f"{runtime:.2f} times", runtime >= 1.5))
    for size_px, most_gib in ((1024, 1.5), (8192, 4.0)):
        aim = f"Peak memory of {size_px}²: below {most_gib:g} GiB"
        rows.append((aim, f"{peak[size_px]:.2f} GiB", peak[size_px] < most_gib))
    growth = max(pixel_s.values()) / pixel_s[1024]
    aim = "Time grows no faster than pixels, from 1024² to 8192²"
    rows.append((aim, f"up to {growth:.2f} times as long for a pixel", growth <= 1))
    return table(
        ["Aim", "Measured", "Reached"],
        [[aim, found, "yes" if reached else "**no**"] for aim, found, reached in rows],
    )


def history_figures(
    timings: Timings, memory: list[dict[str, float]], size_px: int = 1024
) -> dict[str, float]:
    """What is compared with earlier versions: our own work at one size, and memory at all."""
    ours = [name for name, side_px in timings if side_px == size_px and not _is_runtime(name)]
    times = {f"{name}, {size_px}² (ms)": 1e3 * timings[name, size_px].median_s for name in ours}
    peaks = zip(MEMORY_SIZES_PX, memory, strict=True)
    return times | {f"peak memory, {side_px}² (GiB)": each["peak_gib"] for side_px, each in peaks}


def main() -> None:
    """Write the report."""
    source = Path(sys.argv[1])
    machine = json.loads(source.read_text())["machine_info"]
    timings = read_timings(source)
    memory = [measure_memory(size_px) for size_px in MEMORY_SIZES_PX]
    published = measure_memory(1024, "--published")
    planes = [measure_memory(1024, "--planes", str(count)) for count in (1, 2, 3)]
    spec = load_model().spec
    processor = machine["cpu"].get("brand_raw", machine["machine"])
    REPORT.write_text(
        f"""# Performance

Made by `make bench`, all in one run, on {machine["cpu"]["count"]} cores ({processor}). Medians;
noise of a shared machine is a tenth or two, so read the ratios, and the digits behind the first not
at all.

## What was aimed at

{target_table(timings, memory)}

## The published generator, one slice

77.8 million parameters with random weights, as times do not depend on them. TensorFlow runs the
published graph; PyTorch is what napari-deepz runs by default, with memory that stays with the
process as in a run of several slices; OpenVINO is what `--runtime openvino` runs, bfloat16 what
`--precision bfloat16` adds.

{published_table(timings)}

## The fast generator

`{spec.name}`, version {spec.version}, through `refocus`: checks, normalisation, encoding, decoding
and the way back to the image's units included, all slices returned together. A further surface is
asked of an `EncodedImage`; every tilted one has another slope. The difference is that of the worst
pixel at any size, on an image of nothing but noise, whose range is small: a hard case. On
the sample of a worm it stays below 1e-2 (`tests/engine/test_encoded_image.py`).

{fast_table(timings)}

How many times faster 41 slices are than 41 runs of the published generator in TensorFlow:

{ratio_table(timings)}

## Large images

41 planes with `{spec.name}`, float32, one after the other; PyTorch itself takes about 0.4 GiB.
The first time, all memory is new to the process, which cost {new_gib_s():.1f} s a GiB on this
machine; the later runs (medians) use much of it again. 4096² holds 3.1 GB of codes where that much
memory is free; 8192² goes through a scratch file of 11 GB.

{memory_table(memory)}

One slice of 1024² with the published generator: {published["peak_gib"]:.2f} GiB.

## Several input planes

1024², 41 planes, merged by distance; each input plane is encoded once, and its code is held.

{planes_table(planes)}

No GPU was at hand: times on one are not known.
"""
    )
    print(REPORT.read_text())
    machine_name = f"{machine['cpu']['count']} cores ({processor})"
    append("speed", machine_name, "make bench", history_figures(timings, memory))


if __name__ == "__main__":
    main()

"""Which planes of which files are refocused, and where they were taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_deepz.cli.app import choose_index
from napari_deepz.cli.console import print_line

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from napari_deepz.images import ImageSeries
    from napari_deepz.recipes.recipe import Source
    from napari_deepz.sampling import Sampling

_ESTIMATED = {"deeper": 1, "shallower": -1}


def input_planes(
    images: Sequence[Path],
    series: ImageSeries,
    *,
    t: int | None,
    c: int | None,
    z: int | None,
    planes: str | None,
    at: str | None,
    model: str,
    sampling: Sampling | None,
) -> list[Source]:
    """Name the input planes that the options of `refocus` describe.

    Parameters
    ----------
    images : sequence of Path
        The files.
    series : ImageSeries
        That of the first file.
    t, c, z, planes, at, model
        As given.
    sampling : Sampling or None
        Of the images, where a distance is to be estimated.

    Returns
    -------
    list of Source
        Just one where one plane is refocused.
    """
    from napari_deepz.io.reading import read_image
    from napari_deepz.recipes.recipe import Source

    if planes is None:
        every = [series, *(read_image(path) for path in images[1:])]
        are_stacks = any(one.size("Z") > 1 for one in every)
        chosen = [
            (image, one, 0 if are_stacks and one.size("Z") == 1 else index)
            for image, one in zip(images, every, strict=True)
            for index in [choose_index(one, "Z", z, "--plane")]
        ]
    else:
        chosen = [(images[0], series, index) for index in _planes(planes, images, series, z, t)]
    in_frames = planes is not None and _are_frames(series)
    sources = [
        Source(
            path=str(image.absolute()),
            t=index if in_frames else choose_index(one, "T", t, "--time"),
            c=choose_index(one, "C", c, "--channel"),
            z=0 if in_frames else index,
        )
        for image, one, index in chosen
    ]
    if len(sources) == 1:
        if at is not None:
            raise ValueError("--at says where several input planes were taken; leave it out.")
        return sources
    if at is None:
        depths_um = _from_z_step(series, sources, in_one_file=planes is not None)
    else:
        depths_um = _depths(at, sources, [one for _, one, _ in chosen], model, sampling)
    return [
        source.model_copy(update={"at_um": z_um})
        for source, z_um in zip(sources, depths_um, strict=True)
    ]


def _are_frames(series: ImageSeries) -> bool:
    """Whether the planes of a file lie along time, as those of a fast drive of the focus may."""
    return series.size("Z") == 1 and series.size("T") > 1


def _planes(
    given: str, images: Sequence[Path], series: ImageSeries, plane: int | None, time: int | None
) -> list[int]:
    in_frames = _are_frames(series)
    others = {
        "several files": len(images) > 1,
        "--plane": plane is not None,
        "--time": in_frames and time is not None,
    }
    other = next((name for name, is_given in others.items() if is_given), None)
    if other is not None:
        raise ValueError(f"--planes names planes of one stack; leave {other} out.")
    try:
        indices = [int(part) for part in given.split(",")]
    except ValueError:
        raise ValueError(f"--planes takes numbers such as 8,14,20, not '{given}'.") from None
    count, called = series.size("T" if in_frames else "Z"), "frame" if in_frames else "plane"
    for index in indices:
        if not 0 <= index < count:
            raise ValueError(
                f"'{series.name}' has {count} {called}s, counted from 0: there is no {called} "
                f"{index}."
            )
    if len(indices) < 2:
        raise ValueError("--planes takes two planes or more; for one there is --plane.")
    return indices


def _from_z_step(
    series: ImageSeries, sources: Sequence[Source], *, in_one_file: bool
) -> list[float]:
    if not in_one_file:
        raise ValueError(
            "Say where the input planes were taken: --at 0,3 if the second lies 3 µm deeper than "
            "the first, or --at 0,deeper to have it estimated."
        )
    if _are_frames(series):
        raise ValueError(
            f"'{series.name}' is a movie; say where its frames were taken, such as --at 0,3,6 in "
            "µm."
        )
    if series.z_step_um is None:
        raise ValueError(
            f"'{series.name}' does not say its z step; say where the planes were taken, such as "
            "--at 0,3,6 in µm."
        )
    return [round((one.z - sources[0].z) * series.z_step_um, 6) for one in sources]


def _depths(
    given: str,
    sources: Sequence[Source],
    series: Sequence[ImageSeries],
    model: str,
    sampling: Sampling | None,
) -> list[float]:
    words = [word.strip() for word in given.split(",")]
    if len(words) != len(sources):
        raise ValueError(
            f"--at takes one depth for each input plane: there are {len(sources)} planes and "
            f"{len(words)} depths."
        )
    depths_um: list[float] = []
    for number, word in enumerate(words):
        if number and word in _ESTIMATED:
            first, this = (
                series[at].plane(t=sources[at].t, c=sources[at].c, z=sources[at].z)
                for at in (0, number)
            )
            away_um = _estimated(first, this, model, sampling, number, word)
            depths_um.append(round(depths_um[0] + _ESTIMATED[word] * away_um, 3))
            continue
        depths_um.append(_depth(word))
    return depths_um


def _depth(word: str) -> float:
    try:
        z_um = float(word)
    except ValueError:
        z_um = math.nan
    if not math.isfinite(z_um):
        raise ValueError(
            f"--at takes depths in µm such as 0,3,6, or 'deeper' and 'shallower' after the first, "
            f"not '{word}'."
        )
    return z_um


def _estimated(
    first: ArrayLike,
    this: ArrayLike,
    model: str,
    sampling: Sampling | None,
    number: int,
    direction: str,
) -> float:
    from napari_deepz.analysis.plane_distance import estimate_distance
    from napari_deepz.models.library import load_model

    found = estimate_distance(first, this, load_model(model), sampling=sampling)
    if not found.is_sure:
        raise ValueError(
            f"How far plane {number + 1} lies from the first cannot be told from the images: "
            "refocusing does not make them more alike. Give the distance in µm with --at."
        )
    away = f"{found.distance_um:.1f} ± {found.uncertainty_um:.1f} µm"
    if found.direction == -_ESTIMATED[direction]:
        other = next(word for word in _ESTIMATED if word != direction)
        raise ValueError(
            f"Plane {number + 1} looks as if it lay {away} {other} than the first, not "
            f"{direction}: say '{other}', or its depth in µm, with --at."
        )
    told = "as the images show too" if found.direction else "as was said"
    print_line(
        f"Plane {number + 1} lies {away} {direction} than the first: so far as estimated from the "
        f"images, {direction} {told}."
    )
    return found.distance_um

"""Virtual slices against the planes that the microscope really took."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_deepz.analysis.detail import USUAL_UNIT_PX, detail, unit_px_of
from napari_deepz.analysis.metrics import correlation, psnr, rmse, ssim
from napari_deepz.atomic_files import written_beside
from napari_deepz.engine.compute import Compute
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.refocus import iter_refocus
from napari_deepz.models.package import Model
from napari_deepz.sampling import Sampling, as_sampling
from napari_deepz.surfaces import Flat
from napari_deepz.watch import UNWATCHED, Watch


@dataclass(frozen=True)
class Scores:
    """How close an image comes to a measured plane.

    Parameters
    ----------
    rmse : float
        Root mean square error, in the stack's intensity units.
    psnr : float
        Peak signal-to-noise ratio in dB; the peak is the stack's intensity range.
    ssim : float
        Structural similarity, with the same range.
    correlation : float
        Pearson's; NaN where an image is constant.
    detail : float
        Correlation of what is sharp; see `detail.detail`.
    """

    rmse: float
    psnr: float
    ssim: float
    correlation: float
    detail: float


NO_SCORES = Scores(*(math.nan,) * len(fields(Scores)))
"""Of what cannot be scored."""

COMPARED = {"refocused": "refocused", "self": "at_zero", "unrefocused": "unrefocused"}
"""What tables call the fields of `DepthScores`: the virtual slice and its two baselines."""


@dataclass(frozen=True)
class DepthScores:
    """One plane of the stack, and how well it was met.

    Parameters
    ----------
    plane : int
        Its index.
    z_um : float
        Its distance from the input plane.
    in_range : bool
        Whether the model was trained for that distance.
    refocused : Scores
        Of the virtual slice.
    at_zero : Scores
        Of the network's own picture of the input plane, at a distance of zero: a network that
        takes away noise, and refocuses nothing, does as well as this.
    unrefocused : Scores
        Of the input plane itself.
    """

    plane: int
    z_um: float
    in_range: bool
    refocused: Scores
    at_zero: Scores
    unrefocused: Scores

    def beats_both(self, measure: str) -> bool:
        """Whether refocusing gains in a measure over both baselines."""
        best = max(getattr(scores, measure) for scores in (self.at_zero, self.unrefocused))
        return bool(getattr(self.refocused, measure) > best)


@dataclass(frozen=True)
class Evaluation:
    """Scores of every plane but the input plane.

    Parameters
    ----------
    depths : tuple of DepthScores
        In the order of the planes.
    input_plane : int
        Where the input image came from.
    data_range : float
        The intensity range that PSNR and SSIM refer to: from the 0.1st to the 99.9th percentile
        of the stack.
    model_name, model_version, model_sha256, device : str
        What refocused, and on what.
    notes : tuple of str
        What was noticed, a sentence each.
    """

    depths: tuple[DepthScores, ...]
    input_plane: int
    data_range: float
    model_name: str
    model_version: str
    model_sha256: str
    device: str
    notes: tuple[str, ...]

    def write_csv(self, path: Path) -> None:
        """Save the scores, a line per plane, three columns per measure, and whose they are."""
        names = [field.name for field in fields(Scores)]
        model = (self.model_name, self.model_version, self.model_sha256)
        with (
            written_beside(path) as beside,
            beside.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(_columns())
            for depth in self.depths:
                scores = [
                    f"{getattr(getattr(depth, which), name):.6g}"
                    for name in names
                    for which in COMPARED.values()
                ]
                writer.writerow([depth.plane, f"{depth.z_um:g}", depth.in_range, *scores, *model])


def is_table(path: Path) -> bool:
    """Whether a file begins as `Evaluation.write_csv` writes it, with nothing added."""
    if not path.is_file():
        return False
    wanted = ",".join(_columns()).encode() + b"\r\n"
    with path.open("rb") as file:
        return file.read(len(wanted)) == wanted


def _columns() -> list[str]:
    names = [field.name for field in fields(Scores)]
    scores = [f"{name}_{which}" for name in names for which in COMPARED]
    return ["plane", "z_um", "in_range", *scores, "model", "model_version", "model_sha256"]


def evaluate(
    stack: NDArray[np.generic],
    input_plane: int,
    model: Model | Lens,
    *,
    z_step_um: float,
    sampling: Sampling | None = None,
    pixel_size_um: float | None = None,
    compute: Compute | None = None,
    watch: Watch = UNWATCHED,
) -> Evaluation:
    """Refocus one plane of a measured stack onto all the others and compare.

    Parameters
    ----------
    stack : ndarray
        (Z, Y, X), measured.
    input_plane : int
        Index of the plane to refocus.
    model : Model or Lens
        The generator.
    z_step_um : float
        Distance of the planes.
    sampling, pixel_size_um, compute, watch
        As in `engine.refocus.iter_refocus`.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If the array is not a stack, has no contrast, or has no such plane.
    Cancelled
        When the watch says so.
    """
    if stack.ndim != 3 or len(stack) < 2:
        raise ValueError("Evaluation needs a focal stack: (Z, Y, X) with at least two planes.")
    if not 0 <= input_plane < len(stack):
        raise ValueError(
            f"The stack has planes 0 to {len(stack) - 1}; there is no input plane {input_plane}."
        )
    if not np.isfinite(stack).all():
        raise ValueError("The stack has pixels that are not finite numbers; it cannot be compared.")
    if not (math.isfinite(z_step_um) and z_step_um > 0):
        raise ValueError(f"The z step is {z_step_um} µm; give a positive number of micrometres.")
    low, high = np.percentile(stack.astype(np.float32), [0.1, 99.9])
    data_range = float(high - low)
    if not data_range > 0:
        raise ValueError("The stack has no contrast to compare.")
    unrefocused = stack[input_plane].astype(np.float32)
    wanted = [plane for plane in range(len(stack)) if plane != input_plane]
    z_um = [(plane - input_plane) * z_step_um for plane in wanted]
    known = as_sampling(sampling, pixel_size_um)
    lens = Lens.of(model, compute).for_image(known)
    lowest, highest = lens.model.spec.axial_range_um
    depths = []
    planes = iter_refocus(
        stack[input_plane],
        [Flat(0), *map(Flat, z_um)],
        lens,
        sampling=known,
        watch=watch,
    )
    at_zero = next(planes).data
    unit_px = unit_px_of(known)
    for plane, z, refocused in zip(wanted, z_um, planes, strict=True):
        truth = stack[plane].astype(np.float32)
        depths.append(
            DepthScores(
                plane=plane,
                z_um=z,
                in_range=lowest - 1e-3 <= z <= highest + 1e-3,
                refocused=score(refocused.data, truth, data_range, unit_px),
                at_zero=score(at_zero, truth, data_range, unit_px),
                unrefocused=score(unrefocused, truth, data_range, unit_px),
            )
        )
    return Evaluation(
        depths=tuple(depths),
        input_plane=input_plane,
        data_range=data_range,
        model_name=lens.model.spec.name,
        model_version=lens.model.spec.version,
        model_sha256=lens.model.sha256,
        device=refocused.device,
        notes=refocused.notes,
    )


def score(
    image: NDArray[np.float32],
    truth: NDArray[np.float32],
    data_range: float,
    unit_px: float = USUAL_UNIT_PX,
) -> Scores:
    """Measure how close a (Y, X) image comes to a measured plane, with the stack's range."""
    return Scores(
        rmse=rmse(image, truth),
        psnr=psnr(image, truth, data_range=data_range),
        ssim=ssim(image, truth, data_range=data_range),
        correlation=correlation(image, truth),
        detail=detail(image, truth, unit_px=unit_px),
    )

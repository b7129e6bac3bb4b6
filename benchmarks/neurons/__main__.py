"""Run as ``python -m benchmarks.neurons``; writes docs/neurons.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.fidelity.text import table, wrapped
from napari_deepz import load_model
from napari_deepz.analysis.neuron_scores import (
    PlaceScores,
    TraceScores,
    score_identities,
    score_places,
    score_traces,
)
from napari_deepz.images import ImageSeries
from napari_deepz.models.package import Model
from napari_deepz.movies.movie import Movie
from napari_deepz.neurons.field import USUAL_DEPTH_UM, Follow
from napari_deepz.neurons.finding import LEAST_HEIGHT
from napari_deepz.neurons.measuring import measure_neurons
from napari_deepz.sampling import Sampling
from napari_deepz.training.movies.scene import MovieSettings, Scene
from napari_deepz.training.movies.simulation import SimulatedMovie, simulate_movie

PAGE = Path(__file__).parents[2] / "docs" / "neurons.md"
SEEDS = (1, 2, 3)
_STILL = MovieSettings()
_BENDING = replace(_STILL, motion_um=1.0, bend_um=1.0, drift_um=2.0)
_CASES: tuple[tuple[str, Scene, MovieSettings], ...] = (
    ("sparse field", "sparse", _STILL),
    (
        "sparse field, bleaching to 0.55, 3 % flicker",
        "sparse",
        replace(_STILL, bleached_to=0.55, flicker=0.03),
    ),
    ("sparse field, 150 photons", "sparse", replace(_STILL, photons=150.0)),
    ("sparse field, a passing granule", "sparse", replace(_STILL, granule=True)),
    ("sparse field, moving 1 µm a frame", "sparse", replace(_STILL, motion_um=1.0)),
    ("sparse field, moving 2 µm a frame", "sparse", replace(_STILL, motion_um=2.0)),
    ("head, one plane", "head", _STILL),
    ("head, planes at ±3 µm", "head", replace(_STILL, planes_um=(-3.0, 3.0))),
    ("head, one plane, bending", "head", _BENDING),
    ("head, planes at ±3 µm, bending", "head", replace(_BENDING, planes_um=(-3.0, 3.0))),
)

Scores = tuple[PlaceScores, TraceScores, int, float, float]


def scores_of(simulated: SimulatedMovie, model: Model, *, knows_places: bool) -> Scores:
    """Find and measure, or only measure, and compare; and how many are not separable."""
    settings = simulated.settings
    optics = settings.optics
    sampling = Sampling(
        pixel_size_um=optics.pixel_size_um,
        na=optics.na,
        immersion_index=optics.n_immersion,
        wavelength_um=optics.wavelength_um,
    )
    series = ImageSeries(
        simulated.measured, "TZYX", optics.pixel_size_um, None, t_step_s=1 / settings.rate_hz
    )
    movie = Movie.of(series, sampling, at_um=settings.planes_um)
    truth = simulated.places_um
    follow: Follow = "bend" if settings.bend_um else "shift" if settings.motion_um else "none"
    # Places that are known are those in the median of frames moved to lie on one another.
    known = np.median(truth, axis=0) if knows_places else None
    found = measure_neurons(movie, model, places_um=known, follow=follow)
    # Where the sample bends, its usual place is that of most frames, not of the first.
    usual = np.median(truth, axis=0)
    places = score_places(found.places_um, usual)
    dff = np.where(found.separable[:, None], found.activity.dff, np.nan)
    traces = score_traces(dff, simulated.dff, places.pairs)
    identities = score_identities(found.tracks_um, truth)
    own, true = (list(rows) for rows in zip(*places.pairs, strict=True))
    of_found = score_identities(found.tracks_um[:, own], truth[:, true])
    return places, traces, int((~found.separable).sum()), identities, of_found


def row(name: str, found: Sequence[Scores]) -> list[str]:
    """Means over seeds."""
    places, traces = [one[0] for one in found], [one[1] for one in found]

    def mean(values: Sequence[float], digits: int = 2) -> str:
        return f"{np.nanmean(values):.{digits}f}"

    slopes = np.mean([one.slopes for one in traces], axis=0)
    return [
        name,
        mean([one.precision for one in places]),
        mean([one.recall for one in places]),
        mean([one.f1 for one in places]),
        mean([one.z_rms_um for one in places]),
        mean([one.correlation_median for one in traces], 3),
        mean([one.correlation_p10 for one in traces], 3),
        " / ".join(f"{slope:.2f}" for slope in slopes),
        mean([one.silent_sd for one in traces], 3),
        mean([one[2] for one in found], 1),
        mean([one[3] for one in found], 3),
        mean([one[4] for one in found], 3),
    ]


def main() -> None:
    """Measure and write the page."""
    model = load_model("widefield-20x")
    lines = []
    for name, scene, settings in _CASES:
        movies = [simulate_movie(scene, settings, seed) for seed in SEEDS]
        for knows_places in (False, True):
            found = [scores_of(movie, model, knows_places=knows_places) for movie in movies]
            lines.append(row(f"{name}, places known" if knows_places else name, found))
    headings = [
        *("Movie", "Precision", "Recall", "F1", "z rms (µm)", "r, median", "r, 10 %"),
        *("Slope of dF/F, 10 / 50 / 90 %", "Silent, sd", "Not separable", "IDF1", "IDF1, found"),
    ]
    sections = [
        "# Neurons of a movie",
        wrapped(
            f"Made by `make neurons` with `widefield-20x`, version {model.spec.version}, weights' "
            f"sha256 {model.sha256[:12]}. **Simulated** movies (`napari-deepz simulate --kind "
            f"movie`, `training/movies/`): 120 frames at 4 Hz, 256² pixels of 0.325 µm through a "
            f"20x/0.75, 800 photons; 30 neurons in 83 µm, or 120 in a head; half of them silent, "
            f"the others with the kinetics of GCaMP6s. Means over {len(SEEDS)} movies each. Those "
            "that move do so sideways as a whole, and are followed (`--motion shift`); those that "
            "bend do so by 1 µm, move by 1 µm a frame and drift by 2 µm along z (`--motion bend`)."
        ),
        wrapped(
            "`napari-deepz neurons` finds them in the virtual volume of the temporal median "
            f"(peaks {LEAST_HEIGHT:g} times above the noise, the same for all) and in what these "
            "leave over of the frames, fits their places and one radius for all, and measures them "
            "on the frames as they were taken, by non-negative least squares on point spread "
            f"functions. These are wrong on purpose: those of a sample {USUAL_DEPTH_UM:g} µm deep "
            "without coma, where the movies have 30 µm and 0.1 waves. A neuron counts as found "
            "within 2 µm across and 3 µm along z; r and slope: dF/F of active ones against the "
            "truth; silent: scatter of dF/F of those that do nothing; IDF1: how much of all tracks "
            "is one and the same neuron throughout, those that are not found included, and of the "
            "tracks of those that were found. `places known` has the true places: what better "
            "finding could gain."
        ),
        table(headings, lines),
        wrapped(
            "What limits a crowded head is what is not found: its light goes to its neighbours, "
            "at rest too, so that their dF/F comes out too small. Two input planes help more than "
            "anything else. What IDF1 lacks to 1 are nearly all neurons that were not found: with "
            "known places it is as high in movies that bend as in those that do not move."
        ),
    ]
    PAGE.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

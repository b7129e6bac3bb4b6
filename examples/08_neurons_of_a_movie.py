"""Find the neurons of a movie, measure what they do, and compare with the truth.

Run it with: python examples/08_neurons_of_a_movie.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import napari_deepz as dz
from napari_deepz.analysis.neuron_scores import score_places, score_traces
from napari_deepz.images import ImageSeries
from napari_deepz.neurons.field import NeuronField
from napari_deepz.training.movies.scene import MovieSettings
from napari_deepz.training.movies.simulation import simulate_movie

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
truth = simulate_movie("sparse", MovieSettings(size_px=160, frames=60), seed=5)
series = ImageSeries(truth.measured[:, 0], "TYX", 0.325, None, t_step_s=0.25, name="simulated")
sampling = dz.Sampling(pixel_size_um=0.325, na=0.75, immersion_index=1.0, wavelength_um=0.525)
movie = dz.Movie.of(series, sampling)  # Of a file: dz.read_image("worm.tif") in place of series.

field = NeuronField.of(movie, dz.load_model())  # dz.measure_neurons does this and the next in one.
neurons = field.find()
found = field.measure(neurons)
true_um = truth.places_um[0]
places = score_places(found.places_um, true_um)
print(f"{len(found)} neurons found, {len(true_um)} in the movie, {len(places.pairs)} of them right")
scores = score_traces(found.activity.dff, truth.dff, places.pairs)
median, slope = scores.correlation_median, scores.slopes[1]
print(f"dF/F: correlation with the truth {median:.3f}, slope {slope:.2f}")

missed = sorted(set(range(len(true_um))) - {true for _, true in places.pairs})
place_um = true_um[missed[0]] if missed else np.array([0.0, 5.0, 5.0])
more = field.measure(neurons.added(place_um))
print(f"one more by hand: {len(found)} neurons, then {len(more)}")
print(f"what is inferred of the first: {more.inferred(0)}; of the last: {more.inferred(-1)}")
dz.save_neurons(more, folder / "traces.csv")
print(f"Written: {folder / 'traces.csv'}")

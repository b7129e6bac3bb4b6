"""The order in which neurons are shown."""

from __future__ import annotations

import numpy as np

from napari_deepz.neurons.activity import activity_of
from napari_deepz.neurons.editing import Neurons
from napari_deepz.neurons.ordering import separable_rows
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.provenance import Provenance


def test_similar_neurons_lie_side_by_side(rng: np.random.Generator) -> None:
    wave = np.sin(np.arange(200) / 5)
    light = 1000 + rng.normal(0, 10, (200, 6))
    light[:, [0, 2, 4]] += 300 * wave[:, None]
    light[:, [1, 3]] -= 300 * wave[:, None]
    places = np.column_stack([[3.0, 1, 2, 5, 4, 0], np.zeros((6, 2))])
    found = NeuronTraces(
        Neurons.found(places),
        np.repeat(places[None], 200, axis=0),
        np.arange(200.0),
        None,
        activity_of(light, np.ones(6), None),
        np.ones(6),
        np.array([True] * 5 + [False]),
        Provenance(kind="inferred"),
    )
    assert separable_rows(found, "depth").tolist() == [1, 2, 0, 4, 3]
    assert separable_rows(found, "number").tolist() == [0, 1, 2, 3, 4]
    alike = separable_rows(found, "similar activity").tolist()
    assert {frozenset(alike[:3]), frozenset(alike[3:])} == {
        frozenset({0, 2, 4}),
        frozenset({1, 3}),
    } or {
        frozenset(alike[:2]),
        frozenset(alike[2:]),
    } == {frozenset({0, 2, 4}), frozenset({1, 3})}

"""Neurons put right by hand, and taken back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.neurons.editing import Edits, Neurons

PLACES = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]])


def test_an_id_is_never_given_twice() -> None:
    neurons = Neurons.found(PLACES).without([3]).added([9, 9, 9])
    assert neurons.ids.tolist() == [1, 2, 4]
    assert neurons.by_hand.tolist() == [False, False, True]
    np.testing.assert_array_equal(neurons.places_um[2], [9, 9, 9])


def test_a_moved_neuron_keeps_its_id() -> None:
    before = Neurons.found(PLACES)
    after = before.moved(2, [1, 1, 1])
    assert after.ids.tolist() == [1, 2, 3]
    assert after.by_hand.tolist() == [False, True, False]
    np.testing.assert_array_equal(before.places_um, PLACES)


def test_merged_neurons_lie_in_their_middle() -> None:
    merged = Neurons.found(PLACES).merged([3, 2])
    assert merged.ids.tolist() == [1, 2]
    np.testing.assert_allclose(merged.places_um[1], PLACES[1:].mean(axis=0))


def test_what_cannot_be_done_is_said() -> None:
    neurons = Neurons.found(PLACES)
    with pytest.raises(ValueError, match="There is no neuron 7"):
        neurons.moved(7, [0, 0, 0])
    with pytest.raises(ValueError, match="two neurons or more"):
        neurons.merged([1])
    assert len(neurons.without([1, 2, 3])) == 0


def test_changes_are_taken_back_and_made_again() -> None:
    edits = Edits(Neurons.found(PLACES))
    edits.undo()
    assert len(edits.neurons) == 3
    edits.change(edits.neurons.without([1]))
    edits.change(edits.neurons.added([0, 0, 0]))
    edits.undo()
    assert edits.neurons.ids.tolist() == [2, 3]
    edits.undo()
    assert (edits.can_undo, edits.can_redo) == (False, True)
    edits.redo()
    edits.redo()
    assert edits.neurons.ids.tolist() == [2, 3, 4]
    edits.undo()
    edits.change(edits.neurons.without([2]))
    assert not edits.can_redo
